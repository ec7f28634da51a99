use super::*;

const KINESIS: &str = r#"{"requestContext":{"requestId":"5577e27b-0000-4000-8000-000000000000","functionArn":"arn:aws:lambda:us-east-1:123456789012:function:orders:live","condition":"RetryAttemptsExhausted","approximateInvokeCount":4},"responseContext":{"statusCode":200,"executedVersion":"$LATEST","functionError":"Unhandled"},"version":"1.0","timestamp":"2023-12-10T22:43:49.459Z","KinesisBatchInfo":{"shardId":"shardId-000000000000","startSequenceNumber":"49647238774018758449143791361301066723689190929215782914","endSequenceNumber":"49647238774018758449143791361304693501148036740885250050","approximateArrivalOfFirstRecord":"2023-12-10T22:42:50.398Z","approximateArrivalOfLastRecord":"2023-12-10T22:43:20.392Z","batchSize":4,"streamArn":"arn:aws:kinesis:us-east-1:123456789012:stream/orders"}}"#;

fn read(text: &str) -> Result<FailedBatch, String> {
    InvocationRecord::from_fields(Object::from_str(text).unwrap()).map(|record| record.batch)
}

/// The record with one thing replaced, which must be there.
fn with(from: &str, to: &str) -> String {
    let text = KINESIS.replacen(from, to, 1);
    assert_ne!(text, KINESIS, "{from}");
    text
}

#[test]
fn a_record_is_read_as_lambda_writes_it() {
    let number = |text| SequenceNumber::parse(text).unwrap();
    let expected = FailedBatch {
        request_id: Some("5577e27b-0000-4000-8000-000000000000".to_owned()),
        function_arn: Some("arn:aws:lambda:us-east-1:123456789012:function:orders:live".to_owned()),
        condition: Some("RetryAttemptsExhausted".to_owned()),
        response: FunctionResponse {
            function_error: Some("Unhandled".to_owned()),
            executed_version: Some("$LATEST".to_owned()),
            status_code: Some(200),
            invoke_count: Some(4),
        },
        timestamp: Some(Timestamp::from_millis(1_702_248_229_459)),
        stream: StreamArn::parse("arn:aws:kinesis:us-east-1:123456789012:stream/orders").unwrap(),
        shard_id: "shardId-000000000000".to_owned(),
        start: Some(number("49647238774018758449143791361301066723689190929215782914")),
        end: Some(number("49647238774018758449143791361304693501148036740885250050")),
        batch_size: Some(4),
        first_arrival: Some(Timestamp::from_millis(1_702_248_170_398)),
        last_arrival: Some(Timestamp::from_millis(1_702_248_200_392)),
    };
    assert_eq!(read(KINESIS), Ok(expected));
}

/// The sums were made with `printf '%s\n' … | sha256sum`.
#[test]
fn the_id_is_the_digest_that_the_contract_describes() {
    assert_eq!(read(KINESIS).unwrap().id(), "36cf53b1be02bc33aeb4388b2f3d7e11fbe7536a08b9969b879cc6c2987cbf17");
    let absent = with(r#""requestId":"5577e27b-0000-4000-8000-000000000000","#, "");
    assert_eq!(read(&absent).unwrap().id(), "12a90cf4008d75c5d8e8e5d8ea5685686c45fa4374d325c31a3d6c79307f0d55");
    let pipe = r#"{"context":{"partnerResourceArn":"arn:aws:pipes:us-east-1:123456789012:pipe/orders","condition":"RetryAttemptsExhausted"},"version":"1.0","DDBStreamBatchInfo":{"shardId":"shardId-00000001702248745067-29c36dc7","streamArn":"arn:aws:dynamodb:us-east-1:123456789012:table/Orders/stream/2023-12-10T22:00:00.000"}}"#;
    assert_eq!(read(pipe).unwrap().id(), "5aceb716eeab62c93319bfdf527d3ae8008d0138a5cc3af19d4fabda5abe1b7a");
}

#[test]
fn the_id_tells_failures_apart_and_repetitions_not() {
    let id = read(KINESIS).unwrap().id();
    for (from, to) in [
        ("5577e27b", "5577e27c"),
        (":live", ""),
        ("shardId-000000000000", "shardId-000000000001"),
        ("5782914", "5782915"),
        ("5250050", "5250051"),
        ("stream/orders", "stream/orders/consumer/c:1"),
    ] {
        assert_ne!(read(&with(from, to)).unwrap().id(), id, "{from}");
    }
    for (from, to) in [
        ("22:43:49.459Z", "22:44:49.459Z"),
        ("\"batchSize\":4", "\"batchSize\":5"),
        ("RetryAttemptsExhausted", "RecordAgeExceeded"),
        ("\"version\":\"1.0\"", "\"version\":\"1.1\",\"new\":[]"),
    ] {
        assert_eq!(read(&with(from, to)).unwrap().id(), id, "{from}");
    }
}

#[test]
fn a_batch_size_that_is_no_count_is_none() {
    for (text, expected) in [
        ("0", Some(0)),
        ("10000", Some(10_000)),
        ("18446744073709551615", Some(u64::MAX)),
        ("18446744073709551616", None),
        ("-1", None),
        ("2.5", None),
        ("1e3", None),
        ("1e999", None),
        ("\"4\"", None),
        ("null", None),
        ("[4]", None),
    ] {
        let batch = read(&with("\"batchSize\":4", &format!("\"batchSize\":{text}"))).unwrap();
        assert_eq!((batch.batch_size, batch.range().is_some()), (expected, true), "{text}");
    }
}

#[test]
fn fields_that_only_describe_the_failure_may_be_missing_or_invalid() {
    let info = &KINESIS[KINESIS.find(r#""KinesisBatchInfo""#).unwrap()..];
    for before in [
        "",
        r#""requestContext":null,"#,
        r#""requestContext":"text","context":[],"timestamp":7,"#,
        r#""requestContext":{"requestId":7,"functionArn":null,"condition":{}},"timestamp":"yesterday","#,
    ] {
        let batch = read(&format!("{{{before}{info}")).unwrap();
        let described = (batch.request_id, batch.function_arn, batch.condition, batch.timestamp);
        assert_eq!(described, (None, None, None, None), "{before}");
        assert_eq!(batch.batch_size, Some(4));
    }
    let timeless = with("2023-12-10T22:42:50.398Z", "").replace("2023-12-10T22:43:20.392Z", "0000-99-99T00:00:00Z");
    let batch = read(&timeless).unwrap();
    assert_eq!((batch.first_arrival, batch.last_arrival), (None, None));
    assert_eq!(batch.latest_possible_arrival(), batch.timestamp);
}

#[test]
fn a_batch_of_one_starts_where_it_ends() {
    let text = with("04693501148036740885250050", "01066723689190929215782914");
    let range = read(&text).unwrap().range().unwrap();
    assert_eq!(range.start, range.end);
    assert!(range.contains(&range.end));
}

#[test]
fn leading_zeros_stay_in_the_range_and_in_the_id() {
    let long = with("49647238774018758449143791361304693501148036740885250050", "000000000000000000009");
    let text = long.replace("49647238774018758449143791361301066723689190929215782914", "000000000000000000009");
    let batch = read(&text).unwrap();
    let range = batch.range().unwrap();
    assert_eq!(range.start.as_str(), "000000000000000000009");
    assert!(range.contains(&SequenceNumber::parse("9").unwrap()));
    let without = read(&text.replace("000000000000000000009", "9")).unwrap();
    assert_eq!(without.range().unwrap(), range);
    assert_ne!(without.id(), batch.id());
}

#[test]
fn a_range_needs_both_its_ends() {
    for (from, to) in [
        ("\"startSequenceNumber\":\"49647238774018758449143791361301066723689190929215782914\",", ""),
        ("\"endSequenceNumber\":\"49647238774018758449143791361304693501148036740885250050\",", ""),
        ("\"49647238774018758449143791361301066723689190929215782914\"", "null"),
        ("\"49647238774018758449143791361304693501148036740885250050\"", "null"),
    ] {
        assert_eq!(read(&with(from, to)).unwrap().range(), None, "{to}");
    }
}

#[test]
fn a_record_that_cannot_be_followed_says_why_and_quotes_nothing() {
    for (from, to, why) in [
        ("KinesisBatchInfo", "DDBStreamBatchInfo", "another service"),
        ("\"KinesisBatchInfo\":", "\"DDBStreamBatchInfo\":{},\"KinesisBatchInfo\":", "both"),
        ("\"KinesisBatchInfo\":{", "\"KinesisBatchInfo\":7,\"x\":{", "not a JSON object"),
        ("\"shardId\":\"shardId-000000000000\",", "", "shardId is missing"),
        ("shardId-000000000000", "secret shard", "not a shard's id"),
        ("shardId-000000000000", "", "not a shard's id"),
        ("\"shardId-000000000000\"", "7", "not a string"),
        ("stream/orders", "secret/orders", "streamArn"),
        ("arn:aws:kinesis", "arn:aws:secret", "streamArn"),
        ("\"49647238774018758449143791361301066723689190929215782914\"", "\"secret\"", "startSequenceNumber"),
        ("\"49647238774018758449143791361301066723689190929215782914\"", "7", "startSequenceNumber is not a string"),
        ("\"49647238774018758449143791361304693501148036740885250050\"", "\"1\"", "after endSequenceNumber"),
        ("\"49647238774018758449143791361304693501148036740885250050\"", "\"0x1\"", "endSequenceNumber"),
    ] {
        let error = read(&with(from, to)).unwrap_err();
        assert!(error.contains(why) && !error.contains("secret"), "{error}");
    }
}

#[test]
fn the_function_s_name_is_found_in_its_arn() {
    for (arn, expected) in [
        ("arn:aws:lambda:us-east-1:123456789012:function:orders", Some("orders")),
        ("arn:aws:lambda:us-east-1:123456789012:function:orders:live", Some("orders")),
        ("arn:aws-cn:lambda:cn-north-1:123456789012:function:orders:7", Some("orders")),
        ("arn:aws:pipes:us-east-1:123456789012:pipe/orders", Some("orders")),
        ("arn:aws:sns:us-east-1:123456789012:topic", None),
        ("orders", None),
        ("", None),
    ] {
        let batch =
            read(&KINESIS.replacen("arn:aws:lambda:us-east-1:123456789012:function:orders:live", arn, 1)).unwrap();
        assert_eq!(batch.function_name(), expected, "{arn}");
    }
}

#[test]
fn a_payload_is_read_as_a_string_and_as_an_object_or_not_at_all() {
    let payload = |payload: &str| {
        let text = with("\"version\"", &format!("\"payload\":{payload},\"version\""));
        let record = InvocationRecord::from_borrowed(&BorrowedObject::borrow_from(&text).unwrap()).unwrap();
        record.payload_records().map(|records| records.iter().map(|raw| raw.get().to_owned()).collect::<Vec<_>>())
    };
    let found = Some(vec!["{\"n\":1.10}".to_owned(), "2".to_owned()]);
    assert_eq!(payload(r#"{"Records":[{"n":1.10},2],"window":{}}"#), found);
    assert_eq!(payload(r#""{\"Records\":[{\"n\":1.10},2]}""#), found);
    assert_eq!(payload(r#"{"Records":[]}"#), Some(vec![]));
    for none in ["null", "7", "\"\"", "\"text\"", "[]", "{}", r#"{"Records":{}}"#, r#"{"Records":null}"#] {
        assert_eq!(payload(none), None, "{none}");
    }
}
