//! Reads of the objects that notifications name, byte for byte.

use hydration::error::{Fault, FaultKind};
use hydration::object_notification::ObjectLocation;
use hydration::ports::{ObjectReader, ReadObjectError};
use hydration_aws::AwsReader;

use crate::*;

const KEY: &str = "aws/lambda/a b+%2B ä";
const PLACE: &str = "s3://failed-batches/aws/lambda/a b+%2B ä";

pub fn location(key: &str, version_id: Option<&str>) -> ObjectLocation {
    let version_id = version_id.map(str::to_owned);
    ObjectLocation { bucket: "failed-batches".to_owned(), key: key.to_owned(), version_id }
}

async fn read(object: &ObjectLocation, answer: http::Response<SdkBody>) -> (Sent, Result<Vec<u8>, ReadObjectError>) {
    exchange(answer, async |config| AwsReader::new(&config).read_object(object, 1000).await).await
}

async fn fault(answer: http::Response<SdkBody>) -> Fault {
    match read(&location(KEY, None), answer).await.1 {
        Err(ReadObjectError::Fault(fault)) => fault,
        other => panic!("no fault: {other:?}"),
    }
}

fn error(status: u16, code: &str) -> http::Response<SdkBody> {
    response(status, &[], format!("<Error><Code>{code}</Code><Message>because</Message></Error>"))
}

#[tokio::test]
async fn an_object_is_read_by_its_key_as_it_is_and_by_its_version() {
    // A shell that points the SDK at an emulator has one host for all buckets.
    let is_emulated = ["AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3"].iter().any(|name| std::env::var_os(name).is_some());
    let host = if is_emulated {
        "s3.us-east-1.amazonaws.com/failed-batches"
    } else {
        "failed-batches.s3.us-east-1.amazonaws.com"
    };
    for (version, query) in [(None, "?x-id=GetObject"), (Some("v 1+"), "?x-id=GetObject&versionId=v%201%2B")] {
        let (sent, answered) = read(&location(KEY, version), response(200, &[("content-length", "2")], "{}")).await;
        assert_eq!(answered, Ok(b"{}".to_vec()));
        let path = "aws/lambda/a%20b%2B%252B%20%C3%A4";
        assert_eq!((sent.method.as_str(), sent.url), ("GET", format!("https://{host}/{path}{query}")));
        assert!(sent.body.is_empty());
    }
}

#[tokio::test]
async fn an_object_over_the_limit_is_refused_with_and_without_its_length() {
    let body = vec![b' '; 1001];
    for headers in [&[("content-length", "1001")][..], &[]] {
        let (_, answered) = read(&location(KEY, None), response(200, headers, body.clone())).await;
        assert_eq!(answered, Err(ReadObjectError::TooLarge), "{headers:?}");
    }
    let (_, answered) =
        read(&location(KEY, None), response(200, &[("content-length", "1000")], vec![b' '; 1000])).await;
    assert_eq!(answered.map(|content| content.len()), Ok(1000));
}

#[tokio::test]
async fn a_body_that_is_cut_off_or_damaged_is_a_fault_that_passes_and_is_not_quoted() {
    let cut_off = response(200, &[("content-length", "100")], "secret");
    let damaged = response(200, &[("x-amz-checksum-crc32", "AAAAAA==")], "secret");
    for answer in [cut_off, damaged] {
        let fault = fault(answer).await;
        assert_eq!((fault.kind, fault.action), (FaultKind::Unavailable, "s3:GetObject"));
        assert!(fault.detail.contains(PLACE) && !fault.detail.contains("secret"), "{}", fault.detail);
    }
}

#[tokio::test]
async fn a_fault_names_the_object_and_the_permission() {
    for (status, code, kind) in [
        (404, "NoSuchKey", FaultKind::Refused),
        (404, "NoSuchBucket", FaultKind::Refused),
        (404, "NoSuchVersion", FaultKind::Refused),
        (403, "AccessDenied", FaultKind::AccessDenied),
        (403, "InvalidObjectState", FaultKind::Refused),
        (400, "KMS.DisabledException", FaultKind::KeyUnavailable),
        (503, "SlowDown", FaultKind::Throttled),
        (500, "InternalError", FaultKind::Unavailable),
    ] {
        let fault = fault(error(status, code)).await;
        let detail = format!("{code} (HTTP {status}): because ({PLACE})");
        assert_eq!(fault, Fault { kind, action: "s3:GetObject", detail });
    }
    let (_, answered) = read(&location(KEY, Some("v1")), error(403, "AccessDenied")).await;
    let Err(ReadObjectError::Fault(fault)) = answered else { panic!("no fault: {answered:?}") };
    assert_eq!(fault.action, "s3:GetObjectVersion");
}

#[tokio::test]
async fn a_bucket_in_another_region_is_an_error_that_says_so() {
    let body = "<Error><Code>PermanentRedirect</Code><Message>other endpoint</Message></Error>";
    let elsewhere = response(301, &[("x-amz-bucket-region", "eu-west-1")], body);
    let found = fault(elsewhere).await;
    assert_eq!(found.kind, FaultKind::Refused);
    let text = format!("{PLACE} is in the region eu-west-1; objects are read in the function's own only");
    assert_eq!(found.detail, text);
    // In its own region an error is what it says.
    let body = "<Error><Code>AccessDenied</Code><Message>because</Message></Error>";
    let here = response(403, &[("x-amz-bucket-region", "us-east-1")], body);
    assert_eq!(fault(here).await.kind, FaultKind::AccessDenied);
}
