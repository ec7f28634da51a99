use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::record::dynamodb::tests::{any_value, change, item};

fn view(value: &AttributeValue) -> String {
    let mut out = String::new();
    write_attribute(value, &mut out);
    out
}

fn texts<T: From<&'static str>>(texts: &[&'static str]) -> Vec<T> {
    texts.iter().map(|text| T::from(text)).collect()
}

#[test]
fn every_type_becomes_plain_json() {
    use AttributeValue::{B, Bool, Bs, L, M, N, Ns, Null, S, Ss};
    let cases = [
        (S("a\"b\u{FFFE}".into()), r#""a\"b\ufffe""#),
        (N("12345678901234567890123456789012345678".into()), "12345678901234567890123456789012345678"),
        (N("-1.50E-130".into()), "-1.50E-130"),
        (B(vec![0, 255]), r#""AP8=""#),
        (Ss(texts(&["a", "b"])), r#"["a","b"]"#),
        (Ns(texts(&["1", "2.0"])), "[1,2.0]"),
        (Bs(vec![vec![1], vec![]]), r#"["AQ==",""]"#),
        (M(BTreeMap::from([("b".into(), Bool(false)), ("a".into(), M(BTreeMap::new()))])), r#"{"a":{},"b":false}"#),
        (L(vec![Null(true), Bool(true), L(vec![])]), "[null,true,[]]"),
    ];
    for (value, expected) in cases {
        assert_eq!(view(&value), expected);
    }
}

#[test]
fn a_number_that_json_would_not_read_stays_a_string() {
    for text in ["+1", "1.", ".5", "007", "NaN", "", " 1"] {
        assert_eq!(view(&AttributeValue::N(text.into())), format!("\"{text}\""));
    }
}

#[test]
fn images_that_are_absent_or_empty_are_left_out() {
    let mut record = change();
    let mut out = String::new();
    write_dynamodb(&record, &mut out);
    assert_eq!(out, r#"{"eventName":"MODIFY","keys":{"id":"o-1"},"newImage":{"id":"o-1","total":12.50}}"#);

    record.new_image = Some(Item::new());
    record.old_image = Some(item("id", AttributeValue::N("1".into())));
    record.event_name = None;
    record.keys = None;
    out.clear();
    write_dynamodb(&record, &mut out);
    assert_eq!(out, r#"{"eventName":null,"keys":{},"oldImage":{"id":1}}"#);
}

proptest! {
    #[test]
    fn any_value_has_a_view(value in any_value()) {
        let text = view(&value);
        prop_assert!(serde_json::from_str::<serde::de::IgnoredAny>(&text).is_ok(), "{}", text);
    }
}
