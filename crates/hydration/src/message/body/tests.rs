use proptest::prelude::*;
use serde::de::IgnoredAny;

use super::*;
use crate::incoming::{IncomingMessage, recognize};

fn part(records: &[&str], view: Option<&[&str]>) -> Part {
    Part {
        records: records.join(","),
        view: view.map(|view| view.join(",")),
        count: records.len() as u64,
        first: None,
        last: None,
    }
}

fn hydration() -> Hydration {
    Hydration {
        version: 1,
        id: "ab".to_owned(),
        status: Status::Partial,
        reason: Some("why".to_owned()),
        expected_records: Some(3),
        recovered_records: 2,
        missing_records: Some(1),
        first_sequence_number: Some("1".to_owned()),
        last_sequence_number: Some("2".to_owned()),
        source: Some(Source::Kinesis),
        origin: Some(Origin::Stream),
        object: None,
        hydrated_at: "2026-11-21T02:51:00.123Z".to_owned(),
        part: Some(PartNumber { number: 2, last: true }),
        decoded_view: DecodedView::Included,
    }
}

fn fields(text: &str) -> Object {
    match recognize(text).pop() {
        Some(Ok(IncomingMessage::FailedBatch(record))) => record.fields,
        other => panic!("no record: {other:?}"),
    }
}

const INFO: &str =
    r#""KinesisBatchInfo":{"shardId":"s","streamArn":"arn:aws:kinesis:us-east-1:123456789012:stream/s"}"#;

fn keys(body: &str) -> Vec<String> {
    Object::from_str(body).unwrap().iter().map(|(key, _)| key.to_owned()).collect()
}

#[test]
fn the_keys_stand_in_the_contract_s_order() {
    let fields = fields(&format!(r#"{{"version" : "1.0" ,{INFO},"z":1.10}}"#));
    let part = part(&[r#"{"a":1}"#, "{}"], Some(&["1", "2"]));
    let body =
        Body::new(OriginalMessage::InvocationRecord { fields: &fields, source: Source::Kinesis }, hydration(), &part)
            .build(true);
    let expected = [
        r#"{"version":"1.0","#,
        INFO,
        r#","z":1.10,"hydration":{"version":1,"id":"ab","status":"Partial","reason":"why","expectedRecords":3,"#,
        r#""recoveredRecords":2,"missingRecords":1,"firstSequenceNumber":"1","lastSequenceNumber":"2","#,
        r#""source":"kinesis","origin":"stream","hydratedAt":"2026-11-21T02:51:00.123Z","#,
        r#""part":{"number":2,"last":true},"decodedView":"included"},"KinesisBatch":[1,2],"Records":[{"a":1},{}]}"#,
    ];
    assert_eq!(body, expected.concat());
}

#[test]
fn the_message_says_whether_its_view_is_there() {
    let fields = fields(&format!("{{{INFO}}}"));
    for (view, decoded_view, with_view, expected, has_key) in [
        (Some(&["1"][..]), DecodedView::Included, true, "included", true),
        (Some(&["1"]), DecodedView::Included, false, "omitted", false),
        (None, DecodedView::Included, true, "omitted", false),
        (None, DecodedView::Off, true, "off", false),
        (None, DecodedView::Off, false, "off", false),
    ] {
        for (source, key) in [(Source::Kinesis, "KinesisBatch"), (Source::DynamoDb, "DDBStreamBatch")] {
            let part = part(&["{}"], view);
            let hydration = Hydration { decoded_view, ..hydration() };
            let body = Body::new(OriginalMessage::InvocationRecord { fields: &fields, source }, hydration, &part)
                .build(with_view);
            assert!(body.contains(&format!(r#""decodedView":"{expected}""#)), "{body}");
            assert_eq!(keys(&body).contains(&key.to_owned()), has_key, "{body}");
        }
    }
}

#[test]
fn a_record_s_key_of_the_name_of_ours_is_not_kept_however_it_is_spelt() {
    let hostile = r#""Records":[1],"\u0052ecords":2,"KinesisBatch":3,"DDBStreamBatch":4,"hydration":5,"payload":"6""#;
    let fields = fields(&format!(r#"{{{hostile},{INFO},"\u0068ydration":7}}"#));
    let part = part(&["{}"], Some(&["1"]));
    let body =
        Body::new(OriginalMessage::InvocationRecord { fields: &fields, source: Source::Kinesis }, hydration(), &part)
            .build(true);
    assert_eq!(keys(&body), ["KinesisBatchInfo", "hydration", "KinesisBatch", "Records"]);
    assert!(body.ends_with(r#""Records":[{}]}"#), "{body}");
}

#[test]
fn an_unrecognized_message_is_kept_as_a_value_or_as_text() {
    let deep = format!("{}{}", "[".repeat(200), "]".repeat(200));
    for (text, expected) in [
        (" {\"a\": 1.10, \"a\": 2}\n", "{\"a\": 1.10, \"a\": 2}".to_owned()),
        ("12345678901234567890.10", "12345678901234567890.10".to_owned()),
        ("text \"so\"\n", r#""text \"so\"\n""#.to_owned()),
        ("", r#""""#.to_owned()),
        (r#""\ud800""#, r#""\"\\ud800\"""#.to_owned()),
        ("\u{FFFF}", r#""\uffff""#.to_owned()),
        ("\"\u{FFFF}\"", r#""\uffff""#.to_owned()),
        (deep.as_str(), format!("\"{deep}\"")),
    ] {
        let part = Part::default();
        let body = Body::new(OriginalMessage::Unrecognized(text), hydration(), &part);
        assert!(!body.has_view());
        let text = body.build(true);
        assert_eq!(Object::from_str(&text).unwrap().get("unrecognized").unwrap().get(), expected);
        assert_eq!(keys(&text), ["hydration", "unrecognized", "Records"]);
        assert_eq!(body.size(true), text.len());
    }
}

/// Characters that need care in JSON or in SQS.
fn awkward() -> impl Strategy<Value = String> {
    let characters = prop_oneof![
        any::<char>(),
        prop::sample::select(vec!['\u{FFFE}', '\u{FFFF}', '"', '\\', '\0', '\n', '\u{7f}', '\u{2028}', 'é'])
    ];
    prop::collection::vec(characters, 0..12).prop_map(String::from_iter)
}

fn extra() -> impl Strategy<Value = (String, String)> {
    let keys = prop_oneof![
        3 => awkward(),
        1 => prop::sample::select(vec!["hydration", "Records", "KinesisBatch", "payload", "version", "timestamp"])
            .prop_map(str::to_owned),
    ];
    let values = prop_oneof![
        2 => awkward().prop_map(|text| serde_json::to_string(&text).unwrap()),
        1 => "-?(0|[1-9][0-9]{0,30})(\\.[0-9]{1,20})?([eE][+-]?[0-9]{1,3})?",
        1 => prop::collection::vec(awkward(), 0..3).prop_map(|texts| serde_json::to_string(&texts).unwrap()),
        1 => Just("{ \"Records\" : null }".to_owned()),
    ];
    (keys, values)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_record_makes_a_body_that_parses_has_its_size_and_suits_sqs(
        extras in prop::collection::vec(extra(), 0..6),
        at in any::<prop::sample::Index>(),
        view in prop::option::of(prop::collection::vec(awkward(), 0..3)),
        with_view in any::<bool>(),
    ) {
        let key = |text: &str| serde_json::to_string(text).unwrap();
        let mut entries: Vec<String> = extras.iter().map(|(name, value)| format!("{}:{value}", key(name))).collect();
        entries.insert(at.index(entries.len() + 1), INFO.to_owned());
        let fields = fields(&format!("{{{}}}", entries.join(" ,\n")));
        let mut part = part(&["{}", "[1.0]"], None);
        part.view = view.as_ref().map(|texts| {
            let mut written = vec![];
            for text in texts {
                let mut out = String::new();
                json::write_string(text, &mut out);
                written.push(out);
            }
            written.join(",")
        });
        let body = Body::new(OriginalMessage::InvocationRecord { fields: &fields, source: Source::Kinesis }, hydration(), &part);
        let text = body.build(with_view);

        prop_assert_eq!(body.size(with_view), text.len());
        prop_assert!(serde_json::from_str::<IgnoredAny>(&text).is_ok(), "{}", text);
        let is_accepted =
            |c: char| matches!(c, '\t' | '\n' | '\r' | ' '..='\u{FFFD}' | '\u{10000}'..);
        prop_assert!(text.chars().all(is_accepted), "{:?}", text);

        let is_ours = |name: &str| RESERVED_KEYS.contains(&name) || name == "payload";
        let mut expected: Vec<String> = fields.iter().map(|(name, _)| name.to_owned()).filter(|name| !is_ours(name)).collect();
        expected.push("hydration".to_owned());
        if with_view && view.is_some() {
            expected.push("KinesisBatch".to_owned());
        }
        expected.push("Records".to_owned());
        prop_assert_eq!(keys(&text), expected);
        // Verbatim, but for the two characters that SQS refuses.
        let object = Object::from_str(&text).unwrap();
        for (name, value) in extras.iter().filter(|(name, _)| !is_ours(name)) {
            let kept = object.iter().filter(|(key, _)| *key == name).any(|(_, kept)| kept.get() == json::sqs_safe(value.clone()));
            prop_assert!(kept, "{} is not kept", name);
        }
    }
}
