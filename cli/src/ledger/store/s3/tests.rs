//! The S3 store on the wire: what is sent for each call, and what is made of each answer. No connection is made.

use aws_config::{BehaviorVersion, Region};
use aws_sdk_s3::config::{Credentials, SharedCredentialsProvider};
use aws_smithy_http_client::test_util::{ReplayEvent, StaticReplayClient};
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::retry::RetryConfig;

use super::*;

const E_TAG: &str = "\"5d41402abc4b2a76b9719d911017c592\"";

fn answer(status: u16, headers: &[(&str, &str)], body: &str) -> http::Response<SdkBody> {
    let response = http::Response::builder().status(status);
    let response = headers.iter().fold(response, |response, (name, value)| response.header(*name, *value));
    response.body(SdkBody::from(body)).unwrap()
}

fn refusal(status: u16, code: &str) -> http::Response<SdkBody> {
    let body = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?><Error><Code>{code}</Code><Message>what S3 says</Message></Error>"
    );
    answer(status, &[("content-type", "application/xml")], &body)
}

fn written() -> http::Response<SdkBody> {
    answer(200, &[("etag", E_TAG)], "")
}

/// A store that is given these answers one after another.
fn store(answers: Vec<http::Response<SdkBody>>) -> (S3Store, StaticReplayClient) {
    let event = |answer| ReplayEvent::new(http::Request::new(SdkBody::empty()), answer);
    let client = StaticReplayClient::new(answers.into_iter().map(event).collect());
    let config = SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("eu-west-1"))
        .credentials_provider(SharedCredentialsProvider::new(Credentials::new("AKIDEXAMPLE", "s", None, None, "test")))
        .retry_config(RetryConfig::disabled())
        .sleep_impl(aws_smithy_async::rt::sleep::TokioSleep::new())
        .http_client(client.clone())
        .build();
    let mut store = S3Store::new(&config, "overflow", "/ledger/eu-west-1/hydrated/");
    store.first_conflict_delay = Duration::from_micros(10);
    (store, client)
}

fn key() -> Key {
    Key::listed("runs/ab/orders.12.json").unwrap()
}

/// Method, URL and one header of each request.
fn sent(client: &StaticReplayClient, header: &str) -> Vec<(String, String, Option<String>)> {
    let read = |request: &aws_smithy_runtime_api::client::orchestrator::HttpRequest| {
        (request.method().to_owned(), request.uri().to_owned(), request.headers().get(header).map(str::to_owned))
    };
    client.actual_requests().map(read).collect()
}

const URL: &str = "https://overflow.s3.eu-west-1.amazonaws.com/ledger/eu-west-1/hydrated/runs/ab/orders.12.json";

#[tokio::test]
async fn a_record_is_created_only_where_there_is_none() {
    let (store, client) = store(vec![written()]);
    assert_eq!(store.create(&key(), b"{}").await.unwrap(), Write::Done(Version(E_TAG.to_owned())));
    let put = format!("{URL}?x-id=PutObject");
    assert_eq!(sent(&client, "if-none-match"), [("PUT".to_owned(), put, Some("*".to_owned()))]);
    assert_eq!(sent(&client, "content-type")[0].2.as_deref(), Some("application/json"));
    assert_eq!(client.actual_requests().next().unwrap().body().bytes(), Some(b"{}".as_slice()));
}

#[tokio::test]
async fn a_record_is_replaced_only_at_its_version() {
    let (store, client) = store(vec![written()]);
    let write = store.replace(&key(), b"{}", &Version("\"old\"".to_owned())).await.unwrap();
    assert_eq!(write, Write::Done(Version(E_TAG.to_owned())));
    assert_eq!(sent(&client, "if-match")[0].2.as_deref(), Some("\"old\""));
    assert_eq!(sent(&client, "if-none-match")[0].2, None);
}

#[tokio::test]
async fn a_failed_condition_is_a_lost_race() {
    let (store, _) = store(vec![refusal(412, "PreconditionFailed"), refusal(412, "PreconditionFailed")]);
    assert_eq!(store.create(&key(), b"{}").await.unwrap(), Write::Lost);
    assert_eq!(store.replace(&key(), b"{}", &Version("v".to_owned())).await.unwrap(), Write::Lost);
}

#[tokio::test]
async fn a_deleted_record_is_gone_and_a_missing_bucket_is_an_error() {
    let (store, _) = store(vec![refusal(404, "NoSuchKey"), refusal(404, "NoSuchBucket")]);
    let version = Version("v".to_owned());
    assert_eq!(store.replace(&key(), b"{}", &version).await.unwrap(), Write::Gone);
    let error = store.replace(&key(), b"{}", &version).await.unwrap_err().to_string();
    assert!(error.contains("NoSuchBucket") && error.contains("s3://overflow/ledger/"), "{error}");
}

#[tokio::test]
async fn a_conflict_with_another_write_is_tried_again() {
    let conflict = || refusal(409, "ConditionalRequestConflict");
    let (store, client) = store(vec![conflict(), conflict(), written()]);
    assert!(matches!(store.create(&key(), b"{}").await.unwrap(), Write::Done(_)));
    assert_eq!(client.actual_requests().count(), 3);
    assert!(sent(&client, "if-none-match").iter().all(|(_, _, condition)| condition.as_deref() == Some("*")));
}

#[tokio::test]
async fn a_conflict_that_stays_is_an_error() {
    let (store, client) = store((0..20).map(|_| refusal(409, "ConditionalRequestConflict")).collect());
    let error = store.create(&key(), b"{}").await.unwrap_err().to_string();
    assert!(error.contains("ConditionalRequestConflict"), "{error}");
    assert_eq!(client.actual_requests().count(), CONFLICT_ATTEMPTS as usize);
}

#[tokio::test]
async fn a_refused_call_says_what_to_allow() {
    let (store, _) =
        store(vec![refusal(403, "AccessDenied"), refusal(403, "AccessDenied"), refusal(403, "AccessDenied")]);
    for error in [
        store.get(&key()).await.unwrap_err(),
        store.create(&key(), b"{}").await.unwrap_err(),
        store.list("runs/").await.unwrap_err(),
    ] {
        let text = error.to_string();
        assert!(text.contains("AccessDenied") && text.contains("allow s3:GetObject, s3:PutObject"), "{text}");
    }
}

#[tokio::test]
async fn a_record_is_read_with_its_version() {
    let (store, client) = store(vec![answer(200, &[("etag", E_TAG)], "{}"), refusal(404, "NoSuchKey")]);
    let stored = Stored { bytes: b"{}".to_vec(), version: Version(E_TAG.to_owned()) };
    assert_eq!(store.get(&key()).await.unwrap(), Some(stored));
    assert_eq!(store.get(&key()).await.unwrap(), None);
    assert_eq!(sent(&client, "range")[0], ("GET".to_owned(), format!("{URL}?x-id=GetObject"), None));
}

#[tokio::test]
async fn an_answer_that_cannot_be_trusted_is_an_error() {
    let (first, _) = store(vec![answer(200, &[], "{}"), answer(200, &[], "")]);
    assert!(first.get(&key()).await.is_err());
    assert!(first.create(&key(), b"{}").await.is_err());
    let (second, _) = store(vec![refusal(404, "NoSuchBucket"), refusal(500, "InternalError")]);
    assert!(second.get(&key()).await.is_err(), "a missing bucket is no empty ledger");
    assert!(second.get(&key()).await.is_err());
    let large = (MAX_RECORD_BYTES + 1).to_string();
    let (third, _) = store(vec![answer(200, &[("etag", E_TAG), ("content-length", &large)], "{}")]);
    assert!(matches!(third.get(&key()).await, Err(StoreError::TooLarge { .. })));
}

#[tokio::test]
async fn a_listing_is_read_to_its_last_page() {
    let page = |keys: &[&str], next: &str| {
        let contents: String = keys.iter().map(|key| format!("<Contents><Key>{key}</Key></Contents>")).collect();
        let next = match next {
            "" => "<IsTruncated>false</IsTruncated>".to_owned(),
            next => format!("<IsTruncated>true</IsTruncated><NextContinuationToken>{next}</NextContinuationToken>"),
        };
        answer(200, &[], &format!("<?xml version=\"1.0\"?><ListBucketResult>{next}{contents}</ListBucketResult>"))
    };
    let prefix = "ledger/eu-west-1/hydrated/";
    let (store, client) = store(vec![
        page(&[&format!("{prefix}runs/a/f.json"), &format!("{prefix}runs/a/"), "elsewhere/f.json"], "more"),
        page(&[&format!("{prefix}runs/b/f.json")], ""),
    ]);
    let keys = store.list("runs/").await.unwrap();
    assert_eq!(keys, ["runs/a/f.json", "runs/b/f.json"].map(|name| Key::listed(name).unwrap()));
    let urls: Vec<String> = sent(&client, "range").into_iter().map(|(_, url, _)| url).collect();
    assert!(urls[0].contains("prefix=ledger%2Feu-west-1%2Fhydrated%2Fruns%2F"), "{urls:?}");
    assert!(!urls[0].contains("continuation-token") && urls[1].contains("continuation-token=more"), "{urls:?}");
}
