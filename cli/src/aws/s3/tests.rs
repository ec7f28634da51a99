//! Listing on the wire: what is sent for each page, and what is made of the answer. No connection is made.

use aws_config::{BehaviorVersion, Region};
use aws_sdk_s3::config::{Credentials, SharedCredentialsProvider};
use aws_smithy_http_client::test_util::{ReplayEvent, StaticReplayClient};
use aws_smithy_types::body::SdkBody;

use super::*;

const PAGE: &str = r#"<?xml version="1.0" encoding="UTF-8"?>
<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Name>b</Name><Prefix>hydrated/</Prefix>
<KeyCount>2</KeyCount><MaxKeys>1000</MaxKeys><IsTruncated>true</IsTruncated>
<NextContinuationToken>1ueGcxLPRx1Tr/XYExHnhbYLgveDs2J/wm36Hy4vbOwM=</NextContinuationToken>
<Contents><Key>hydrated/a&amp;b.json</Key><LastModified>2026-11-21T12:00:01.000Z</LastModified><Size>434</Size></Contents>
<CommonPrefixes><Prefix>hydrated/orders/</Prefix></CommonPrefixes></ListBucketResult>"#;
const LAST_PAGE: &str = r#"<?xml version="1.0" encoding="UTF-8"?>
<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Name>b</Name><IsTruncated>false</IsTruncated>
</ListBucketResult>"#;
const ELSEWHERE: &str = r#"<?xml version="1.0" encoding="UTF-8"?>
<Error><Code>PermanentRedirect</Code><Message>The bucket must be addressed using the specified endpoint.</Message>
</Error>"#;

fn bucket(answers: &[(u16, &'static str)]) -> (S3, StaticReplayClient) {
    let event = |(status, body): &(u16, &'static str)| {
        let answer = http::Response::builder().status(*status).body(SdkBody::from(*body)).unwrap();
        ReplayEvent::new(http::Request::new(SdkBody::empty()), answer)
    };
    let client = StaticReplayClient::new(answers.iter().map(event).collect());
    let config = SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("eu-west-1"))
        .credentials_provider(SharedCredentialsProvider::new(Credentials::new("AKIDEXAMPLE", "s", None, None, "test")))
        .sleep_impl(aws_smithy_async::rt::sleep::TokioSleep::new())
        .http_client(client.clone())
        .build();
    (S3::new(&config), client)
}

fn request(by_folder: bool, from: ListFrom) -> ListRequest {
    ListRequest { bucket: "b".to_owned(), prefix: "hydrated/".to_owned(), by_folder, from }
}

#[tokio::test]
async fn a_page_names_the_next_one_until_the_last() {
    let (s3, client) = bucket(&[(200, PAGE), (200, LAST_PAGE), (200, LAST_PAGE)]);
    let page = s3.list(&request(true, ListFrom::First)).await.unwrap();
    let object = ListedObject {
        key: "hydrated/a&b.json".to_owned(),
        bytes: 434,
        last_modified: Timestamp::parse("2026-11-21T12:00:01Z"),
    };
    assert_eq!((page.objects, page.folders), (vec![object], vec!["hydrated/orders/".to_owned()]));
    let next = ListFrom::Next(page.next.unwrap());
    assert_eq!(s3.list(&request(false, next)).await.unwrap(), ListPage::default());
    s3.list(&request(false, ListFrom::After("hydrated/a&b.json".to_owned()))).await.unwrap();
    let sent: Vec<String> = client.actual_requests().map(|request| request.uri().to_owned()).collect();
    assert!(sent[0].contains("delimiter=%2F") && sent[0].contains("prefix=hydrated%2F"), "{}", sent[0]);
    let token = "continuation-token=1ueGcxLPRx1Tr%2FXYExHnhbYLgveDs2J%2Fwm36Hy4vbOwM%3D";
    assert!(sent[1].contains(token) && !sent[1].contains("delimiter"), "{}", sent[1]);
    assert!(sent[2].contains("start-after=hydrated%2Fa%26b.json"), "{}", sent[2]);
}

#[tokio::test]
async fn a_bucket_in_another_region_is_explained() {
    let (s3, _) = bucket(&[(301, ELSEWHERE)]);
    let fault = s3.list(&request(false, ListFrom::First)).await.unwrap_err();
    let text = format!("{:#}", crate::exit::explain(&fault));
    assert!(text.contains("another region: give it with --region"), "{text}");
}

#[tokio::test]
async fn a_listing_that_goes_on_and_does_not_say_where_is_an_error() {
    let unnamed: &'static str = "<ListBucketResult><IsTruncated>true</IsTruncated></ListBucketResult>";
    let (s3, _) = bucket(&[(200, unnamed), (200, PAGE)]);
    let repeated = ListFrom::Next("1ueGcxLPRx1Tr/XYExHnhbYLgveDs2J/wm36Hy4vbOwM=".to_owned());
    for from in [ListFrom::First, repeated] {
        let fault = s3.list(&request(false, from)).await.unwrap_err();
        assert!(fault.detail.contains("does not name its next page"), "{fault:?}");
    }
}

#[tokio::test]
async fn an_empty_object_has_no_first_bytes() {
    let refusal = "<Error><Code>InvalidRange</Code><Message>The requested range is not satisfiable</Message></Error>";
    let (s3, _) = bucket(&[(416, refusal)]);
    let pointer = Pointer { bucket: "b".to_owned(), key: "hydrated/orders_$folder$".to_owned() };
    assert_eq!(s3.get(&pointer, Some(100)).await, Ok(Vec::new()));
}

#[tokio::test]
async fn keys_that_xml_cannot_hold_are_asked_for_encoded() {
    let page = "<ListBucketResult><IsTruncated>false</IsTruncated><EncodingType>url</EncodingType>\
                <Contents><Key>hydrated/a%01+b%2Bc%25.json</Key><Size>1</Size></Contents>\
                <CommonPrefixes><Prefix>hydrated/%C3%BC%1B%5B31m/</Prefix></CommonPrefixes></ListBucketResult>";
    let (s3, client) = bucket(&[(200, page)]);
    let page = s3.list(&request(true, ListFrom::First)).await.unwrap();
    assert_eq!(page.objects[0].key, "hydrated/a\u{1} b+c%.json");
    assert_eq!(page.folders, ["hydrated/\u{fc}\u{1b}[31m/"]);
    assert!(client.actual_requests().all(|request| request.uri().contains("encoding-type=url")));
}
