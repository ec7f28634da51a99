//! Batches for the evaluation: records with a known culprit, or with none, and the log of the failed invocation.

use fastrand::Rng;
use hydration::record::{AttributeValue, DynamoDbRecord, Item, KinesisRecord, StreamRecord};
use hydration::sequence_number::SequenceNumber;
use hydration::test_support::gzip;
use hydration::timestamp::Timestamp;
use md5::{Digest, Md5};
use serde_json::Value;

/// A failed batch.
#[derive(Clone)]
pub struct MadeUpBatch {
    pub name: &'static str,
    pub records: Vec<StreamRecord>,
    pub log: Vec<String>,
    /// The place of the record that the function failed on, from 0. `None` where no record is to blame.
    pub culprit: Option<usize>,
}

pub fn sequence_number(index: usize) -> String {
    format!("4964723877401875844914379136130106672368919{:013}", 7_000_000 + index * 37)
}

pub fn kinesis(index: usize, key: &str, data: Vec<u8>) -> StreamRecord {
    StreamRecord::Kinesis(KinesisRecord {
        sequence_number: SequenceNumber::parse(&sequence_number(index)).unwrap(),
        partition_key: key.to_owned(),
        data,
        approximate_arrival: Some(Timestamp::from_millis(1_795_161_600_000 + index as i64 * 41)),
    })
}

/// The partition key that the producer of a payload chooses: its first id.
fn key_of(value: &Value) -> String {
    let ids = ["orderId", "deviceId", "session", "userId", "paymentId", "id"];
    ids.iter().find_map(|id| value.get(id)).map_or_else(|| "k".to_owned(), |id| id.to_string().replace('"', ""))
}

/// The form in which the payloads go on the stream.
#[derive(Clone, Copy)]
pub enum Form {
    Plain,
    Gzip,
    /// KPL aggregates of this many user records.
    Aggregates(usize),
    DynamoDb,
}

/// A batch that is built: payloads, one of which is made bad.
pub struct Building {
    name: &'static str,
    pub rng: Rng,
    values: Vec<Value>,
    data: Vec<Option<Vec<u8>>>,
    culprit: Option<usize>,
    log: Vec<String>,
    form: Form,
}

pub fn batch(name: &'static str, seed: u64, count: usize, domain: fn(&mut Rng, usize) -> Value) -> Building {
    let mut rng = Rng::with_seed(seed.wrapping_mul(0x9E37_79B9).wrapping_add(name.bytes().map(u64::from).sum()));
    let values: Vec<Value> = (0..count).map(|index| domain(&mut rng, index)).collect();
    let data = vec![None; count];
    Building { name, rng, values, data, culprit: None, log: Vec::new(), form: Form::Plain }
}

impl Building {
    pub fn form(self, form: Form) -> Self {
        Self { form, ..self }
    }

    /// Changes one payload, which becomes the culprit.
    pub fn poison(mut self, change: impl FnOnce(&mut Rng, &mut Value)) -> Self {
        let place = self.rng.usize(..self.values.len());
        change(&mut self.rng, &mut self.values[place]);
        Self { culprit: Some(place), ..self }
    }

    /// Changes the culprit by another payload of the batch that comes before it.
    pub fn poison_by_other(mut self, change: impl FnOnce(&Value, &mut Value)) -> Self {
        let place = self.rng.usize(1..self.values.len());
        let other = self.values[self.rng.usize(..place)].clone();
        change(&other, &mut self.values[place]);
        Self { culprit: Some(place), ..self }
    }

    /// Changes the bytes of one payload, which becomes the culprit.
    pub fn poison_bytes(mut self, change: impl FnOnce(&mut Rng, &Value) -> Vec<u8>) -> Self {
        let place = self.rng.usize(..self.values.len());
        self.data[place] = Some(change(&mut self.rng, &self.values[place]));
        Self { culprit: Some(place), ..self }
    }

    /// Changes some payloads, none of which is a culprit.
    pub fn vary(mut self, mut change: impl FnMut(&mut Rng, usize, &mut Value)) -> Self {
        for (index, value) in self.values.iter_mut().enumerate() {
            change(&mut self.rng, index, value);
        }
        self
    }

    /// Writes the log of the invocation. The function gets the culprit, its place, and all payloads.
    pub fn log(mut self, write: impl FnOnce(&Value, usize, &[Value]) -> String) -> Self {
        let place = self.culprit.unwrap_or_default();
        self.log = invocation(&write(&self.values[place], place, &self.values));
        self
    }

    /// Builds a batch whose culprit is known by its place.
    pub fn culprit(self, place: usize) -> MadeUpBatch {
        Self { culprit: Some(place), ..self }.build()
    }

    pub fn build(self) -> MadeUpBatch {
        let payloads = self.values.iter().zip(self.data);
        let payloads: Vec<(String, Vec<u8>)> = payloads
            .map(|(value, data)| (key_of(value), data.unwrap_or_else(|| value.to_string().into_bytes())))
            .collect();
        let (records, culprit) = match self.form {
            Form::Plain => (stream(payloads), self.culprit),
            Form::Gzip => (stream(payloads.into_iter().map(|(key, data)| (key, gzip(&data))).collect()), self.culprit),
            Form::Aggregates(size) => {
                let whole = payloads.chunks(size).map(|chunk| (format!("a-{}", chunk.len()), aggregate(chunk)));
                (stream(whole.collect()), self.culprit.map(|place| place / size))
            }
            Form::DynamoDb => {
                (self.values.iter().enumerate().map(|(index, value)| change(index, value)).collect(), self.culprit)
            }
        };
        MadeUpBatch { name: self.name, records, log: self.log, culprit }
    }
}

fn stream(payloads: Vec<(String, Vec<u8>)>) -> Vec<StreamRecord> {
    payloads.into_iter().enumerate().map(|(index, (key, data))| kinesis(index, &key, data)).collect()
}

/// A change of the bytes of a payload.
pub type BytesPoison = fn(&mut Rng, &[u8]) -> Vec<u8>;

/// Payloads that are not JSON.
pub fn raw_batch(
    name: &'static str,
    seed: u64,
    count: usize,
    domain: fn(&mut Rng, usize) -> Vec<u8>,
    poison: Option<BytesPoison>,
) -> MadeUpBatch {
    let mut rng = Rng::with_seed(seed * 31 + 5);
    let mut payloads: Vec<(String, Vec<u8>)> =
        (0..count).map(|index| (format!("k-{}", index % 9), domain(&mut rng, index))).collect();
    let culprit = poison.map(|poison| {
        let place = rng.usize(..count);
        payloads[place].1 = poison(&mut rng, &payloads[place].1);
        place
    });
    MadeUpBatch { name, records: stream(payloads), log: Vec::new(), culprit }
}

/// Lines of one invocation around what the function writes.
fn invocation(text: &str) -> Vec<String> {
    let id = "8f7d2c1a-53b4-4f0e-9a57-0c7d1f6be001";
    let mut lines = vec![format!("START RequestId: {id} Version: $LATEST")];
    lines.extend(text.lines().map(str::to_owned));
    lines.push(format!("END RequestId: {id}"));
    lines.push(format!(
        "REPORT RequestId: {id}\tDuration: 214.36 ms\tBilled Duration: 215 ms\tMemory Size: 128 MB\tMax Memory Used: 74 MB"
    ));
    lines
}

/// What the Python runtime writes for an exception.
pub fn python(error: &str) -> String {
    format!(
        "[ERROR] {error}\nTraceback (most recent call last):\n  File \"/var/task/app.py\", line 31, in handler\n    \
         process(record)\n  File \"/var/task/app.py\", line 58, in process\n    return convert(payload)"
    )
}

/// What the Node.js runtime writes for an exception.
pub fn node(kind: &str, message: &str) -> String {
    let error = serde_json::json!({"errorType": kind, "errorMessage": message, "stack": [
        format!("{kind}: {message}"), "    at Runtime.handler (file:///var/task/index.mjs:42:17)",
        "    at process.processTicksAndRejections (node:internal/process/task_queues:95:5)"]});
    format!("2026-11-20T11:58:03.120Z\t8f7d2c1a-53b4-4f0e-9a57-0c7d1f6be001\tERROR\tInvoke Error \t{error}")
}

fn attribute(value: &Value) -> AttributeValue {
    match value {
        Value::Null => AttributeValue::Null(true),
        Value::Bool(bool) => AttributeValue::Bool(*bool),
        Value::Number(number) => AttributeValue::N(number.to_string()),
        Value::String(text) => AttributeValue::S(text.clone()),
        Value::Array(values) => AttributeValue::L(values.iter().map(attribute).collect()),
        Value::Object(_) => AttributeValue::M(item(value).unwrap_or_default()),
    }
}

fn item(value: &Value) -> Option<Item> {
    Some(value.as_object()?.iter().map(|(name, value)| (name.clone(), attribute(value))).collect())
}

fn change(index: usize, change: &Value) -> StreamRecord {
    StreamRecord::DynamoDb(Box::new(DynamoDbRecord {
        sequence_number: SequenceNumber::parse(&sequence_number(index)).unwrap(),
        event_id: Some(format!(
            "{:032x}",
            Md5::digest(index.to_le_bytes()).iter().fold(0_u128, |id, byte| id << 8 | u128::from(*byte))
        )),
        event_name: change["eventName"].as_str().map(str::to_owned),
        event_version: Some("1.1".to_owned()),
        event_source: Some("aws:dynamodb".to_owned()),
        aws_region: Some("us-east-1".to_owned()),
        approximate_creation: Some(1_795_161_600 + index as i64),
        keys: item(&change["keys"]),
        new_image: item(&change["newImage"]),
        old_image: item(&change["oldImage"]),
        size_bytes: Some(180),
        stream_view_type: Some("NEW_AND_OLD_IMAGES".to_owned()),
        user_identity: None,
    }))
}

fn varint(mut number: usize, out: &mut Vec<u8>) {
    while number > 0x7f {
        out.push((number & 0x7f) as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

fn field(tag: u8, content: &[u8], out: &mut Vec<u8>) {
    out.push(tag << 3 | 2);
    varint(content.len(), out);
    out.extend_from_slice(content);
}

/// An aggregate of the Kinesis Producer Library.
pub fn aggregate(payloads: &[(String, Vec<u8>)]) -> Vec<u8> {
    let mut message = Vec::new();
    for (key, _) in payloads {
        field(1, key.as_bytes(), &mut message);
    }
    for (index, (_, data)) in payloads.iter().enumerate() {
        let mut record = vec![1 << 3];
        varint(index, &mut record);
        field(3, data, &mut record);
        field(3, &record, &mut message);
    }
    let mut whole = vec![0xF3, 0x89, 0x9A, 0xC2];
    whole.extend_from_slice(&message);
    whole.extend_from_slice(&Md5::digest(&message));
    whole
}
