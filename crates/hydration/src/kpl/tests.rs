use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use proptest::prelude::*;

use super::*;

/// Writes protobuf, as much of it as an aggregate takes.
#[derive(Debug, Clone, Default)]
pub(crate) struct ProtobufMessage(pub Vec<u8>);

impl ProtobufMessage {
    fn varint(mut self, mut value: u64) -> Self {
        while value >= 0x80 {
            self.0.push(u8::try_from(value & 0x7F).unwrap() | 0x80);
            value >>= 7;
        }
        self.0.push(u8::try_from(value).unwrap());
        self
    }

    pub fn number(self, field: u64, value: u64) -> Self {
        self.varint(field << 3).varint(value)
    }

    pub fn bytes(self, field: u64, value: &[u8]) -> Self {
        let mut message = self.varint(field << 3 | 2).varint(value.len() as u64);
        message.0.extend_from_slice(value);
        message
    }

    /// The magic number before it and the digest behind.
    pub fn sealed(self) -> Vec<u8> {
        [&MAGIC, self.0.as_slice(), Md5::digest(&self.0).as_slice()].concat()
    }
}

/// An aggregate as producers make it: each key is in the table once.
pub(crate) fn aggregate(records: &[(&str, &[u8])]) -> Vec<u8> {
    let mut table: Vec<&str> = Vec::new();
    let mut entries = Vec::new();
    for (key, data) in records {
        let index = table.iter().position(|known| known == key).unwrap_or_else(|| {
            table.push(key);
            table.len() - 1
        });
        entries.push(ProtobufMessage::default().number(1, index as u64).bytes(3, data));
    }
    let keys = table.iter().fold(ProtobufMessage::default(), |message, key| message.bytes(1, key.as_bytes()));
    entries.iter().fold(keys, |message, entry| message.bytes(3, &entry.0)).sealed()
}

fn one_record(entry: &ProtobufMessage) -> ProtobufMessage {
    ProtobufMessage::default().bytes(1, b"key").bytes(3, &entry.0)
}

fn plain(message: ProtobufMessage) -> bool {
    deaggregate(&message.sealed()).is_none()
}

/// Written by AWS's own aggregator, `aws_kinesis_agg` 1.2.3 for Python.
#[test]
fn an_aggregate_of_another_implementation_is_read() {
    let data = STANDARD
        .decode(concat!(
            "84mawgoKY3VzdG9tZXItMQoKY3VzdG9tZXItMhInMTcwMTQxMTgzNDYwNDY5MjMxNzMxNjg3MzAzNzE1ODg0MTA1NzI4Gh0IABoZeyJv",
            "cmRlciI6MSwidG90YWwiOjEyLjUwfRoLCAEaB2dyw7xlemkaCAgAEAAaAgD/QOYx+NDzc3n6UCic5v/r4Q=="
        ))
        .unwrap();
    let records = deaggregate(&data).unwrap();
    let expected: [(&str, &[u8]); 3] = [
        ("customer-1", br#"{"order":1,"total":12.50}"#),
        ("customer-2", "grüezi".as_bytes()),
        ("customer-1", &[0x00, 0xFF]),
    ];
    assert_eq!(records, expected.map(|(partition_key, data)| UserRecord { partition_key, data }));
}

#[test]
fn the_order_of_fields_and_what_is_unknown_do_not_matter() {
    let entry = ProtobufMessage::default().bytes(4, b"\x0a\x01t").bytes(3, b"data").number(1, 0).number(99, 7);
    let message = ProtobufMessage::default().bytes(3, &entry.0).number(4, 1).bytes(1, b"key");
    assert_eq!(deaggregate(&message.sealed()).unwrap(), [UserRecord { partition_key: "key", data: b"data" }]);
}

#[test]
fn the_last_of_repeated_fields_counts() {
    let entry = ProtobufMessage::default().number(1, 9).bytes(3, b"first").number(1, 0).bytes(3, b"last");
    assert_eq!(
        deaggregate(&one_record(&entry).sealed()).unwrap(),
        [UserRecord { partition_key: "key", data: b"last" }]
    );
}

#[test]
fn a_wrong_digest_or_a_cut_makes_a_plain_record() {
    let data = aggregate(&[("key", b"data")]);
    assert!(deaggregate(&data).is_some());
    for position in 0..data.len() {
        let mut changed = data.clone();
        changed[position] ^= 1;
        assert_eq!(deaggregate(&changed), None, "byte {position}");
        assert_eq!(deaggregate(&data[..position]), None, "cut at {position}");
    }
}

#[test]
fn a_message_that_does_not_hold_together_makes_a_plain_record() {
    let entry = ProtobufMessage::default().number(1, 0).bytes(3, b"data");
    assert!(!plain(one_record(&entry)));
    assert!(plain(ProtobufMessage::default()), "nothing at all");
    assert!(plain(ProtobufMessage::default().bytes(1, b"key")), "no record");
    assert!(plain(one_record(&ProtobufMessage::default().number(1, 1).bytes(3, b"data"))), "a key beyond the table");
    assert!(
        plain(one_record(&ProtobufMessage::default().number(1, u64::MAX).bytes(3, b"data"))),
        "a key beyond reason"
    );
    assert!(
        plain(one_record(&ProtobufMessage::default().number(1, 0).number(2, 0).bytes(3, b"data"))),
        "no such hash key"
    );
    assert!(plain(one_record(&ProtobufMessage::default().bytes(3, b"data"))), "no key");
    assert!(plain(one_record(&ProtobufMessage::default().number(1, 0))), "no data");
    assert!(plain(one_record(&ProtobufMessage::default().bytes(1, b"\0").bytes(3, b"data"))), "a key of another type");
    assert!(plain(ProtobufMessage::default().bytes(1, b"\xFF").bytes(3, &entry.0)), "a key that is no text");
    assert!(plain(one_record(&entry).number(3, 0)), "a record that is a number");
    for bytes in
        [&b"\x0b\x0c"[..], b"\x00\x00", b"\x22\x05ab", b"\x20", b"\x20\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02"]
    {
        let mut message = one_record(&entry);
        message.0.extend_from_slice(bytes);
        assert!(plain(message), "{bytes:?}");
    }
}

#[test]
fn a_partition_key_is_measured_in_characters() {
    let longest = "ü".repeat(MAX_PARTITION_KEY_CHARS);
    assert_eq!(deaggregate(&aggregate(&[(&longest, b"data")])).unwrap()[0].partition_key, longest);
    assert_eq!(deaggregate(&aggregate(&[(&"k".repeat(MAX_PARTITION_KEY_CHARS + 1), b"data")])), None);
}

/// The densest aggregate of 10 MiB: 1.7 million empty records of six bytes each.
#[test]
fn a_record_takes_no_more_memory_than_its_two_references() {
    let entry = ProtobufMessage::default().number(1, 0).bytes(3, b"").0;
    let mut message = ProtobufMessage::default().bytes(1, b"k");
    while message.0.len() < 10 * 1024 * 1024 {
        message = message.bytes(3, &entry);
    }
    let data = message.sealed();
    let records = deaggregate(&data).unwrap();
    assert_eq!(records.capacity(), records.len());
    assert!(records.capacity() * size_of::<UserRecord<'_>>() < 60 * 1024 * 1024);
}

proptest! {
    #[test]
    fn deaggregation_returns_the_records_that_were_aggregated(records in prop::collection::vec((".{0,20}", prop::collection::vec(any::<u8>(), 0..200)), 1..20)) {
        let records: Vec<(&str, &[u8])> = records.iter().map(|(key, data)| (key.as_str(), data.as_slice())).collect();
        let data = aggregate(&records);
        let read: Vec<_> = deaggregate(&data).unwrap().iter().map(|record| (record.partition_key, record.data)).collect();
        prop_assert_eq!(read, records);
    }

    #[test]
    fn no_message_panics_or_yields_more_than_it_holds(message in prop::collection::vec(any::<u8>(), 0..400)) {
        let data = ProtobufMessage(message).sealed();
        let records = deaggregate(&data).unwrap_or_default();
        prop_assert!(records.iter().map(|record| record.data.len() + 6).sum::<usize>() <= data.len());
    }

    #[test]
    fn no_damage_to_a_message_panics(position in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let entry = ProtobufMessage::default().number(1, 0).bytes(3, b"data");
        let mut message = one_record(&entry).bytes(3, &entry.0);
        let position = position.index(message.0.len());
        message.0[position] = byte;
        deaggregate(&message.sealed());
    }
}
