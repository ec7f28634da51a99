//! Errors of the services and their kinds. No error contains a part of a response.

use bytes::Bytes;
use hydration::error::{Fault, FaultKind, HydrateError};
use hydration::ports::{Outbox, Position, PutOutcome, Rejection};
use hydration_aws::AwsOutbox;

use crate::*;

/// The record data in every body. It must not appear in any error.
const SECRET: &str = "secret-4f1c";

/// An error as the JSON protocols have it; the code may come with its namespace.
fn json_error(status: u16, code: &str) -> http::Response<SdkBody> {
    let body = format!(r#"{{"__type":"{code}","message":"what the service says"}}"#);
    response(status, &[("content-type", "application/x-amz-json-1.1"), ("x-amzn-requestid", "r-1")], body)
}

/// An error as SQS has it since it speaks JSON: the old code is in a header.
fn queue_error(status: u16, code: &str, old_code: &str, message: &str) -> http::Response<SdkBody> {
    let body = format!(r#"{{"__type":"com.amazonaws.sqs#{code}","message":"{message}"}}"#);
    let old_code = format!("{old_code};Sender");
    response(status, &[("content-type", "application/x-amz-json-1.0"), ("x-amzn-query-error", &old_code)], body)
}

fn xml_error(status: u16, code: &str) -> http::Response<SdkBody> {
    let body = format!(
        r#"<?xml version="1.0" encoding="UTF-8"?><Error><Code>{code}</Code><Message>what the service says</Message><RequestId>r-1</RequestId></Error>"#
    );
    response(status, &[("content-type", "application/xml")], body)
}

fn at_start() -> Position {
    Position::At(hydration::sequence_number::SequenceNumber::parse("496").unwrap())
}

async fn send(response: http::Response<SdkBody>) -> Result<String, SendError> {
    let message = message("abc");
    exchange(response, async |config| AwsOutbox::new(&config, QUEUE.to_owned()).send(&message).await).await.1
}

async fn put(response: http::Response<SdkBody>) -> Result<PutOutcome, Fault> {
    let body = Bytes::from_static(b"{}");
    let call = async |config| AwsOutbox::new(&config, QUEUE.to_owned()).put("overflow", "key", &body).await;
    exchange(response, call).await.1
}

#[tokio::test]
async fn a_response_about_the_shard_is_a_rejection() {
    for (stream, code, expected) in [
        (STREAM, "ExpiredIteratorException", Rejection::ExpiredIterator),
        (STREAM, "InvalidArgumentException", Rejection::InvalidArgument),
        (STREAM, "ResourceNotFoundException", Rejection::NotFound),
        (STREAM, "com.amazonaws.kinesis.v20131202#ResourceNotFoundException", Rejection::NotFound),
        (TABLE, "ExpiredIteratorException", Rejection::ExpiredIterator),
        (TABLE, "TrimmedDataAccessException", Rejection::Trimmed),
        (TABLE, "ResourceNotFoundException", Rejection::NotFound),
        (TABLE, "com.amazonaws.dynamodb.v20120810#TrimmedDataAccessException", Rejection::Trimmed),
    ] {
        let rejection = Err(ReadError::Rejected(expected));
        assert_eq!(get_page(stream, 1, json_error(400, code)).await.1, rejection, "{code}");
        if !code.contains("ExpiredIterator") {
            let iterator = get_iterator(stream, &at_start(), json_error(400, code)).await.1;
            assert_eq!(iterator, Err(ReadError::Rejected(expected)), "{code}");
        }
    }
}

#[tokio::test]
async fn a_fault_of_a_read_has_its_kind_and_names_the_action() {
    for (stream, code, status, expected) in [
        (STREAM, "ProvisionedThroughputExceededException", 400, FaultKind::Throttled),
        (STREAM, "KMSThrottlingException", 400, FaultKind::Throttled),
        (STREAM, "ThrottlingException", 400, FaultKind::Throttled),
        (STREAM, "InternalFailureException", 500, FaultKind::Unavailable),
        (STREAM, "InternalFailure", 500, FaultKind::Unavailable),
        (STREAM, "ServiceUnavailable", 503, FaultKind::Unavailable),
        (STREAM, "AccessDeniedException", 400, FaultKind::AccessDenied),
        (STREAM, "UnrecognizedClientException", 400, FaultKind::CredentialsRejected),
        (STREAM, "ExpiredTokenException", 400, FaultKind::CredentialsRejected),
        (STREAM, "KMSAccessDeniedException", 400, FaultKind::KeyUnavailable),
        (STREAM, "KMSDisabledException", 400, FaultKind::KeyUnavailable),
        (STREAM, "KMSInvalidStateException", 400, FaultKind::KeyUnavailable),
        (STREAM, "KMSNotFoundException", 400, FaultKind::KeyUnavailable),
        (STREAM, "KMSOptInRequired", 400, FaultKind::KeyUnavailable),
        (STREAM, "ValidationException", 400, FaultKind::Refused),
        (TABLE, "LimitExceededException", 400, FaultKind::Throttled),
        (TABLE, "com.amazonaws.dynamodb.v20120810#ThrottlingException", 400, FaultKind::Throttled),
        (TABLE, "InternalServerError", 500, FaultKind::Unavailable),
        (TABLE, "com.amazon.coral.service#AccessDeniedException", 400, FaultKind::AccessDenied),
        (TABLE, "ValidationException", 400, FaultKind::Refused),
    ] {
        let service = if stream == STREAM { "kinesis" } else { "dynamodb" };
        let faults = [
            ("GetRecords", fault_of(get_page(stream, 1, json_error(status, code)).await.1)),
            ("GetShardIterator", fault_of(get_iterator(stream, &at_start(), json_error(status, code)).await.1)),
        ];
        for (action, fault) in faults {
            assert_eq!((fault.kind, fault.action), (expected, format!("{service}:{action}").as_str()), "{code}");
            let code = code.rsplit('#').next().unwrap();
            assert_eq!(fault.detail, format!("{code} (HTTP {status}): what the service says"));
        }
    }
}

#[tokio::test]
async fn a_fault_of_the_queue_has_its_kind() {
    for (code, old_code, expected) in [
        ("RequestThrottled", "RequestThrottled", FaultKind::Throttled),
        ("KmsThrottled", "KMS.ThrottlingException", FaultKind::Throttled),
        ("KmsDisabled", "KMS.DisabledException", FaultKind::KeyUnavailable),
        ("KmsInvalidState", "KMS.KMSInvalidStateException", FaultKind::KeyUnavailable),
        ("KmsNotFound", "KMS.NotFoundException", FaultKind::KeyUnavailable),
        ("KmsOptInRequired", "KMS.OptInRequired", FaultKind::KeyUnavailable),
        ("KmsAccessDenied", "KMS.AccessDeniedException", FaultKind::KeyUnavailable),
        ("KmsInvalidKeyUsage", "KMS.InvalidKeyUsageException", FaultKind::KeyUnavailable),
        ("InvalidSecurity", "InvalidSecurity", FaultKind::CredentialsRejected),
        ("AccessDeniedException", "AccessDenied", FaultKind::AccessDenied),
        ("QueueDoesNotExist", "AWS.SimpleQueueService.NonExistentQueue", FaultKind::Refused),
        ("InvalidAddress", "InvalidAddress", FaultKind::Refused),
        ("UnsupportedOperation", "AWS.SimpleQueueService.UnsupportedOperation", FaultKind::Refused),
        ("InvalidMessageContents", "InvalidMessageContents", FaultKind::Refused),
    ] {
        let fault = send_fault_of(send(queue_error(400, code, old_code, "what the service says")).await);
        assert_eq!((fault.kind, fault.action), (expected, "sqs:SendMessage"), "{code}: {}", fault.detail);
        assert!(fault.detail.ends_with("(HTTP 400): what the service says"), "{}", fault.detail);
    }
}

#[tokio::test]
async fn a_queue_with_a_lower_limit_of_its_own_says_that_the_message_is_too_large() {
    for limit in [262_144, 1_048_576] {
        let message =
            format!("One or more parameters are invalid. Reason: Message must be shorter than {limit} bytes.");
        let sent = send(queue_error(400, "InvalidParameterValueException", "InvalidParameterValue", &message)).await;
        assert!(matches!(&sent, Err(SendError::TooLarge(fault)) if fault.kind == FaultKind::Refused), "{sent:?}");
    }
    let another = queue_error(400, "InvalidParameterValueException", "InvalidParameterValue", "Reason: a delay");
    assert_eq!(send_fault_of(send(another).await).kind, FaultKind::Refused);
}

#[tokio::test]
async fn a_fault_of_the_bucket_has_its_kind() {
    for (code, status, expected) in [
        ("SlowDown", 503, FaultKind::Throttled),
        ("InternalError", 500, FaultKind::Unavailable),
        ("ServiceUnavailable", 503, FaultKind::Unavailable),
        ("RequestTimeout", 400, FaultKind::Unavailable),
        ("AccessDenied", 403, FaultKind::AccessDenied),
        ("InvalidAccessKeyId", 403, FaultKind::CredentialsRejected),
        ("KMS.DisabledException", 400, FaultKind::KeyUnavailable),
        ("NoSuchBucket", 404, FaultKind::Refused),
    ] {
        let fault = put(xml_error(status, code)).await.unwrap_err();
        assert_eq!((fault.kind, fault.action), (expected, "s3:PutObject"), "{code}");
        assert_eq!(fault.detail, format!("{code} (HTTP {status}): what the service says"));
    }
}

/// Every printed form of an error is free of the response's data.
fn assert_is_silent(fault: &Fault) {
    let error = HydrateError::from(fault.clone());
    for text in [fault.detail.clone(), format!("{fault:?}"), format!("{error:?}"), error.to_string()] {
        assert!(!text.contains(SECRET) && !text.contains("c2VjcmV0"), "{text}");
    }
}

#[tokio::test]
async fn an_answer_that_cannot_be_read_is_unreadable_and_quoted_nowhere() {
    let number = r#""SequenceNumber":"1""#;
    for body in [
        String::new(),
        "{}".to_owned(),
        SECRET.to_owned(),
        format!("\"{SECRET}\""),
        format!("[\"{SECRET}\"]"),
        format!(r#"{{"Records":"{SECRET}"}}"#),
        format!(r#"{{"Records":[{{"Data":"{SECRET}!",{number}}}]}}"#),
        format!(r#"{{"Records":[{{"Data":"c2VjcmV0","PartitionKey":"{SECRET}",{number}"#),
        format!(r#"{{"Records":[{{"Data":"c2VjcmV0","PartitionKey":"{SECRET}","SequenceNumber":"{SECRET}"}}]}}"#),
        format!(r#"{{"Records":[{{"Data":"c2VjcmV0","ApproximateArrivalTimestamp":"{SECRET}",{number}}}]}}"#),
    ] {
        let (_, result) = get_page(STREAM, 1, answer(body.clone())).await;
        let fault = fault_of(result);
        assert_eq!(fault.kind, FaultKind::Unreadable, "{body}: {}", fault.detail);
        assert_is_silent(&fault);
    }
    for body in [
        String::new(),
        "{}".to_owned(),
        SECRET.to_owned(),
        format!(r#"{{"Records":[{{"dynamodb":{{"Keys":{{"id":{{"S":"{SECRET}"#),
        format!(r#"{{"Records":[{{"dynamodb":{{"Keys":{{"id":{{"S":"{SECRET}"}}}}}}}}]}}"#),
        format!(r#"{{"Records":[{{"dynamodb":{{{number},"Keys":{{"id":{{"B":"{SECRET}!"}}}}}}}}]}}"#),
        format!(r#"{{"Records":[{{"dynamodb":{{{number},"Keys":{{"id":{{"X":"{SECRET}"}}}}}}}}]}}"#),
        format!(r#"{{"Records":[{{"eventID":"{SECRET}"}}]}}"#),
    ] {
        let (_, result) = get_page(TABLE, 1, answer(body.clone())).await;
        let fault = fault_of(result);
        assert_eq!(fault.kind, FaultKind::Unreadable, "{body}: {}", fault.detail);
        assert_is_silent(&fault);
    }
    for stream in [STREAM, TABLE] {
        for body in ["{}", "null", SECRET, r#"{"ShardIterator":null}"#] {
            let fault = fault_of(get_iterator(stream, &at_start(), answer(body)).await.1);
            assert_eq!(fault.kind, FaultKind::Unreadable, "{body}: {}", fault.detail);
            assert_is_silent(&fault);
        }
    }
    for body in ["", "{}", SECRET, r#"{"MessageId":""}"#] {
        let fault = send_fault_of(send(answer(body)).await);
        assert_eq!(fault.kind, FaultKind::Unreadable, "{body}: {}", fault.detail);
        assert_is_silent(&fault);
    }
}

#[tokio::test]
async fn an_error_page_of_something_in_between_is_a_service_that_is_not_there() {
    let html = || format!("<html><body><h1>502 Bad Gateway</h1>{SECRET}</body></html>");
    for status in [500, 502, 503, 504] {
        let page = || response(status, &[("content-type", "text/html")], html());
        let faults = [
            fault_of(get_page(STREAM, 1, page()).await.1),
            fault_of(get_page(TABLE, 1, page()).await.1),
            fault_of(get_iterator(STREAM, &at_start(), page()).await.1),
            send_fault_of(send(page()).await),
            put(page()).await.unwrap_err(),
        ];
        for fault in faults {
            assert_eq!(fault.kind, FaultKind::Unavailable, "{fault:?}");
            assert!(fault.detail.contains(&status.to_string()), "{fault:?}");
            assert_is_silent(&fault);
        }
    }
}

#[tokio::test]
async fn an_error_without_a_body_is_known_by_its_status() {
    for (status, expected) in [
        (403, FaultKind::AccessDenied),
        (429, FaultKind::Throttled),
        (500, FaultKind::Unavailable),
        (503, FaultKind::Unavailable),
    ] {
        assert_eq!(put(response(status, &[], "")).await.unwrap_err().kind, expected, "{status}");
        for stream in [STREAM, TABLE] {
            let fault = fault_of(get_page(stream, 1, response(status, &[], "")).await.1);
            assert_eq!(fault.kind, expected, "{status}: {fault:?}");
        }
    }
}

#[tokio::test]
async fn a_service_s_message_is_cut_before_it_fills_the_log() {
    let body = format!(r#"{{"__type":"ValidationException","message":"{}"}}"#, "ü".repeat(100_000));
    let fault = fault_of(get_page(STREAM, 1, response(400, &[], body)).await.1);
    assert!(fault.detail.chars().count() < 500, "{}", fault.detail.len());
}

#[tokio::test]
async fn a_service_that_does_not_answer_is_unavailable() {
    let client = aws_smithy_http_client::test_util::NeverClient::new();
    let config = config(client);
    let fault = fault_of(AwsReader::new(&config).page(&arn(STREAM), &iterator("AAAA"), 1).await);
    assert_eq!((fault.kind, fault.detail.as_str()), (FaultKind::Unavailable, "no answer in time"));
}

#[tokio::test]
async fn a_connection_that_fails_is_unavailable_and_says_why() {
    use aws_smithy_http_client::test_util::StaticReplayClient;
    // A client without answers left fails as a connection does.
    let config = config(StaticReplayClient::new(vec![]));
    let fault = fault_of(AwsReader::new(&config).page(&arn(STREAM), &iterator(SECRET), 1).await);
    assert_eq!(fault.kind, FaultKind::Unavailable, "{fault:?}");
    assert!(fault.detail.starts_with("no connection: "), "{fault:?}");
    assert_is_silent(&fault);
}

#[tokio::test]
async fn a_request_that_could_not_be_built_is_a_configuration_to_correct() {
    const ENDPOINT: &str = "http://127.0.0.1:1";
    type Change = fn(SdkConfig) -> SdkConfig;
    let changes: [(&str, Change); 5] = [
        ("no region", |config| config.into_builder().region(None).build()),
        ("an empty region", |config| config.into_builder().region(Region::new("")).build()),
        ("no credentials", |config| {
            config.into_builder().credentials_provider(SharedCredentialsProvider::new(NoCredentials)).build()
        }),
        ("FIPS beside an endpoint", |config| config.into_builder().use_fips(true).endpoint_url(ENDPOINT).build()),
        ("dual stack beside an endpoint", |config| {
            config.into_builder().use_dual_stack(true).endpoint_url(ENDPOINT).build()
        }),
    ];
    for (name, change) in changes {
        let (client, _) = capture_request(Some(answer("{}")));
        let outbox = AwsOutbox::new(&change(config(client)), QUEUE.to_owned());
        let fault = send_fault_of(outbox.send(&message("abc")).await);
        assert_eq!(fault.kind, FaultKind::InvalidConfiguration, "{name}: {}", fault.detail);
        assert_eq!(HydrateError::from(fault).kind(), "InvalidConfiguration");
        let fault = outbox.put("overflow", "key", &Bytes::new()).await.unwrap_err();
        assert_eq!(fault.kind, FaultKind::InvalidConfiguration, "{name}: {}", fault.detail);
    }
}

#[tokio::test]
async fn an_error_code_is_cut_like_its_message() {
    let long = "x".repeat(200_000);
    let fault = fault_of(get_page(STREAM, 1, json_error(400, &long)).await.1);
    assert!(fault.detail.len() < 1000, "{} characters", fault.detail.len());
}

/// A provider that finds nothing, as on a machine without credentials.
#[derive(Debug)]
struct NoCredentials;

impl aws_credential_types::provider::ProvideCredentials for NoCredentials {
    fn provide_credentials<'a>(&'a self) -> aws_credential_types::provider::future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        let error = aws_credential_types::provider::error::CredentialsError::not_loaded("no providers in chain");
        aws_credential_types::provider::future::ProvideCredentials::ready(Err(error))
    }
}
