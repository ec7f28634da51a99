use proptest::prelude::*;

use super::*;
use crate::kpl::tests::{ProtobufMessage, aggregate};
use crate::test_support::gzip;

const MIB: usize = 1024 * 1024;

fn view(data: &[u8]) -> String {
    let mut out = String::from("before");
    write_kinesis(data, &mut out);
    out.strip_prefix("before").unwrap().to_owned()
}

fn binary(stored: usize) -> String {
    format!(r#"{{"binary":{stored}}}"#)
}

#[test]
fn a_json_value_keeps_its_text() {
    let order = r#"{"id": 12345678901234567890123, "total":10.50, "rate":1E-7, "id":1}"#;
    assert_eq!(view(format!(" {order}\r\n").as_bytes()), order);
    assert_eq!(view(b"007"), r#""007""#);
    assert_eq!(view(b"7.0"), "7.0");
}

#[test]
fn text_is_a_string() {
    assert_eq!(view(b""), r#""""#);
    assert_eq!(view("grüezi \"du\"\n".as_bytes()), r#""grüezi \"du\"\n""#);
    assert_eq!(view(b"{\"a\":1}\n{\"a\":2}\n"), r#""{\"a\":1}\n{\"a\":2}\n""#);
}

#[test]
fn json_that_some_parsers_refuse_is_text() {
    assert_eq!(view(br#"{"name":"\ud800"}"#), r#""{\"name\":\"\\ud800\"}""#);
    let deep = format!("{}{}", "[".repeat(101), "]".repeat(101));
    assert_eq!(view(deep.as_bytes()), format!("\"{deep}\""));
}

#[test]
fn other_bytes_are_counted() {
    assert_eq!(view(&[0xFF, 0xFE, 0x00]), binary(3));
}

#[test]
fn gzip_is_opened_whatever_its_members() {
    assert_eq!(view(&gzip(b" {\"n\":1.0} ")), r#"{"n":1.0}"#);
    assert_eq!(view(&gzip(b"text")), r#""text""#);
    let members = [gzip(b"{\"n\":"), gzip(b""), gzip(b"2}")].concat();
    assert_eq!(view(&members), r#"{"n":2}"#);
    assert!(matches!(decode_kinesis(&members), Decoded::Json { gzipped: true, .. }));
}

#[test]
fn bytes_inside_gzip_are_counted_as_they_are_stored() {
    let packed = gzip(&[0xFF; 10_000]);
    assert_eq!(view(&packed), binary(packed.len()));
    let twice = gzip(&gzip(b"text"));
    assert_eq!(view(&twice), binary(twice.len()));
}

#[test]
fn damaged_gzip_is_bytes() {
    let packed = gzip(b"some text");
    assert_eq!(view(&packed[..packed.len() - 1]), binary(packed.len() - 1));
    assert_eq!(view(&[packed.as_slice(), b"tail"].concat()), binary(packed.len() + 4));
    let mut wrong_checksum = packed.clone();
    let position = packed.len() - 5;
    wrong_checksum[position] ^= 1;
    assert_eq!(view(&wrong_checksum), binary(packed.len()));
}

#[test]
fn unpacking_stops_at_its_limit() {
    let fits = gzip(&vec![b'x'; MAX_UNPACKED_BYTES]);
    assert_eq!(view(&fits).len(), MAX_UNPACKED_BYTES + 2);
    let exceeds = gzip(&vec![b'x'; MAX_UNPACKED_BYTES + 1]);
    assert_eq!(view(&exceeds), binary(exceeds.len()));
}

#[test]
fn text_that_escapes_would_swell_is_counted() {
    let packed = gzip(&vec![0; 4 * MIB]);
    assert_eq!(view(&packed), binary(packed.len()));
    assert_eq!(view(&gzip(&vec![0; MIB])).len(), 6 * MIB + 2);
    // Escaped by a few characters only.
    let quoted = gzip("x\"".repeat(3 * MIB).as_bytes());
    assert_eq!(view(&quoted).len(), 9 * MIB + 2);
}

#[test]
fn an_aggregate_is_a_list_of_what_it_holds() {
    let data = aggregate(&[("a", br#"{"n":1.50}"#), ("b\"", b"text"), ("a", &gzip(b"[2]")), ("a", &[0xFF])]);
    let expected = concat!(
        r#"[{"partitionKey":"a","data":{"n":1.50}},{"partitionKey":"b\"","data":"text"},"#,
        r#"{"partitionKey":"a","data":[2]},{"partitionKey":"a","data":{"binary":1}}]"#
    );
    assert_eq!(view(&data), expected);
}

#[test]
fn an_aggregate_with_a_wrong_digest_is_bytes() {
    let mut data = aggregate(&[("a", b"text")]);
    *data.last_mut().unwrap() ^= 1;
    assert_eq!(view(&data), binary(data.len()));
}

#[test]
fn an_aggregate_inside_another_is_not_opened() {
    let inner = aggregate(&[("b", b"text")]);
    assert_eq!(
        view(&aggregate(&[("a", &inner)])),
        format!(r#"[{{"partitionKey":"a","data":{}}}]"#, binary(inner.len()))
    );
    let mut out = String::new();
    write_kinesis_user_record(&inner, &mut out);
    assert_eq!(out, binary(inner.len()));
    let packed = gzip(&inner);
    assert_eq!(view(&packed), binary(packed.len()));
}

#[test]
fn the_records_of_an_aggregate_share_one_limit() {
    let packed = gzip(&vec![b'x'; 4 * MIB]);
    let data = aggregate(&[("a", &packed), ("b", &packed), ("c", &packed), ("d", b"text")]);
    let text = "x".repeat(4 * MIB);
    let expected = format!(
        r#"[{{"partitionKey":"a","data":"{text}"}},{{"partitionKey":"b","data":"{text}"}},{{"partitionKey":"c","data":{}}},{{"partitionKey":"d","data":"text"}}]"#,
        binary(packed.len())
    );
    assert_eq!(view(&data), expected);
}

#[test]
fn a_partition_key_that_records_share_does_not_exceed_the_limit() {
    let entry = ProtobufMessage::default().number(1, 0).bytes(3, b"").0;
    let mut message = ProtobufMessage::default().bytes(1, "\u{1}".repeat(256).as_bytes());
    for _ in 0..100_000 {
        message = message.bytes(3, &entry);
    }
    let data = message.sealed();
    let mut out = String::new();
    write_kinesis(&data, &mut out);
    assert_eq!(out, binary(data.len()));
    assert!(out.capacity() < 40 * MIB);
}

fn is_one_value(text: &str) -> bool {
    serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok()
}

proptest! {
    #[test]
    fn any_bytes_have_a_view(data in prop::collection::vec(any::<u8>(), 0..300)) {
        prop_assert!(is_one_value(&view(&data)));
        prop_assert!(is_one_value(&view(&gzip(&data))));
        prop_assert!(is_one_value(&view(&[&[0x1F, 0x8B, 8, 0][..], &data].concat())));
        prop_assert!(is_one_value(&view(&aggregate(&[("key", &data), ("key", &gzip(&data))]))));
        prop_assert!(is_one_value(&view(&ProtobufMessage(data).sealed())));
    }

    #[test]
    fn damage_to_gzip_never_panics(text in ".{0,200}", position in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let mut data = gzip(text.as_bytes());
        let position = position.index(data.len());
        data[position] = byte;
        prop_assert!(is_one_value(&view(&data)));
    }

    #[test]
    fn text_reads_back(text in any::<String>()) {
        let decoded: serde_json::Value = serde_json::from_str(&view(text.as_bytes())).unwrap();
        if !json::is_sound(&text) {
            prop_assert_eq!(decoded, serde_json::Value::String(text.clone()));
        }
        prop_assert_eq!(view(&gzip(text.as_bytes())), view(text.as_bytes()));
    }

    #[test]
    fn digits_stay(number in "-?(0|[1-9][0-9]{0,60})(\\.[0-9]{1,60})?([eE][+-]?[0-9]{1,3})?") {
        let data = format!("[{number}]");
        prop_assert_eq!(view(data.as_bytes()), data);
    }
}
