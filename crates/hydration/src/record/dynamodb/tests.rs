use proptest::prelude::*;

use super::*;

const STREAM: &str = "arn:aws:dynamodb:eu-central-1:123456789012:table/Orders/stream/2026-11-21T02:51:00.123";

pub(crate) fn item(name: &str, value: AttributeValue) -> Item {
    Item::from([(name.to_owned(), value)])
}

pub(crate) fn change() -> DynamoDbRecord {
    let mut new_image = item("id", AttributeValue::S("o-1".into()));
    new_image.insert("total".into(), AttributeValue::N("12.50".into()));
    DynamoDbRecord {
        sequence_number: SequenceNumber::parse("4421584500000000017450439091").unwrap(),
        event_id: Some("c4ca4238a0b923820dcc509a6f75849b".into()),
        event_name: Some("MODIFY".into()),
        event_version: Some("1.1".into()),
        event_source: Some("aws:dynamodb".into()),
        aws_region: Some("us-east-1".into()),
        approximate_creation: Some(1_700_000_000),
        keys: Some(item("id", AttributeValue::S("o-1".into()))),
        new_image: Some(new_image),
        old_image: None,
        size_bytes: Some(26),
        stream_view_type: Some("NEW_IMAGE".into()),
        user_identity: None,
    }
}

pub(crate) fn any_value() -> impl Strategy<Value = AttributeValue> {
    let bytes = || prop::collection::vec(any::<u8>(), 0..20);
    let leaf = prop_oneof![
        any::<String>().prop_map(AttributeValue::S),
        "-?[0-9.eE+]{0,40}".prop_map(AttributeValue::N),
        bytes().prop_map(AttributeValue::B),
        prop::collection::vec(any::<String>(), 0..3).prop_map(AttributeValue::Ss),
        prop::collection::vec("[0-9]{1,38}", 0..3).prop_map(AttributeValue::Ns),
        prop::collection::vec(bytes(), 0..3).prop_map(AttributeValue::Bs),
        any::<bool>().prop_map(AttributeValue::Null),
        any::<bool>().prop_map(AttributeValue::Bool),
    ];
    leaf.prop_recursive(6, 40, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(AttributeValue::L),
            prop::collection::btree_map(any::<String>(), inner, 0..4).prop_map(AttributeValue::M),
        ]
    })
}

pub(crate) fn event(record: &DynamoDbRecord) -> String {
    let mut out = String::new();
    record.write_event(&StreamArn::parse(STREAM).unwrap(), &mut out);
    out
}

#[test]
fn the_event_is_lambda_s() {
    let mut record = change();
    record.user_identity =
        Some(UserIdentity { principal_id: Some("dynamodb.amazonaws.com".into()), kind: Some("Service".into()) });
    let expected = concat!(
        r#"{"eventID":"c4ca4238a0b923820dcc509a6f75849b","eventName":"MODIFY","eventVersion":"1.1","#,
        r#""eventSource":"aws:dynamodb","awsRegion":"us-east-1","dynamodb":{"#,
        r#""ApproximateCreationDateTime":1700000000,"Keys":{"id":{"S":"o-1"}},"#,
        r#""NewImage":{"id":{"S":"o-1"},"total":{"N":"12.50"}},"#,
        r#""SequenceNumber":"4421584500000000017450439091","SizeBytes":26,"StreamViewType":"NEW_IMAGE"},"#,
        r#""userIdentity":{"type":"Service","principalId":"dynamodb.amazonaws.com"},"#,
        r#""eventSourceARN":"arn:aws:dynamodb:eu-central-1:123456789012:table/Orders/stream/2026-11-21T02:51:00.123"}"#
    );
    assert_eq!(event(&record), expected);
}

#[test]
fn fields_that_the_api_left_out_are_filled_in_or_left_out() {
    let record = DynamoDbRecord {
        sequence_number: SequenceNumber::parse("1").unwrap(),
        event_id: None,
        event_name: Some("REMOVE".into()),
        event_version: None,
        event_source: None,
        aws_region: None,
        approximate_creation: None,
        keys: None,
        new_image: Some(Item::new()),
        old_image: None,
        size_bytes: None,
        stream_view_type: None,
        user_identity: Some(UserIdentity { principal_id: None, kind: None }),
    };
    let expected = concat!(
        r#"{"eventName":"REMOVE","eventVersion":"1.1","eventSource":"aws:dynamodb","awsRegion":"eu-central-1","#,
        r#""dynamodb":{"SequenceNumber":"1"},"#,
        r#""eventSourceARN":"arn:aws:dynamodb:eu-central-1:123456789012:table/Orders/stream/2026-11-21T02:51:00.123"}"#
    );
    assert_eq!(event(&record), expected);
}

#[test]
fn every_type_has_dynamodb_s_name_and_empty_values_stay() {
    use AttributeValue::{B, Bool, Bs, L, M, N, Ns, Null, S, Ss};
    let cases = [
        (S(String::new()), r#"{"S":""}"#),
        (N("1.0".into()), r#"{"N":"1.0"}"#),
        (B(vec![]), r#"{"B":""}"#),
        (Ss(vec!["a".into()]), r#"{"SS":["a"]}"#),
        (Ns(vec!["1".into()]), r#"{"NS":["1"]}"#),
        (Bs(vec![vec![0, 255]]), r#"{"BS":["AP8="]}"#),
        (M(Item::new()), r#"{"M":{}}"#),
        (L(vec![Null(true)]), r#"{"L":[{"NULL":true}]}"#),
        (Bool(false), r#"{"BOOL":false}"#),
    ];
    for (value, expected) in cases {
        assert_eq!(serde_json::to_string(&value).unwrap(), expected);
    }
}

#[test]
fn an_invalid_attribute_value_is_refused() {
    for text in [r#"{"N":1}"#, r#"{"B":"*"}"#, r#"{"BS":["AA"]}"#, r#"{"X":""}"#, "{}", r#"{"S":"","N":"1"}"#, r#""S""#]
    {
        assert!(serde_json::from_str::<AttributeValue>(text).is_err(), "{text}");
    }
}

proptest! {
    #[test]
    fn any_value_reads_back(value in any_value()) {
        let text = serde_json::to_string(&value).unwrap();
        prop_assert_eq!(serde_json::from_str::<AttributeValue>(&text).unwrap(), value);
    }
}
