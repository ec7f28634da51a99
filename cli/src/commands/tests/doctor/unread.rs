//! Mappings that do not read: why, how long their records have to live, and the rescue.

use hydration::timestamp::Timestamp;
use insta::assert_snapshot;
use serde_json::Value;

use super::{KEY, deployment, findings, mapping, problems};
use crate::ports::{EncryptedFilters, MetricPoint, StreamMapping};
use crate::test_support::clock::START;
use crate::test_support::tool::Tool;

const MINUTE: i64 = 60_000;
const HOUR: i64 = 60 * MINUTE;
const TABLE: &str = "arn:aws:dynamodb:us-east-1:123456789012:table/orders/stream/2026-11-01T00:00:00.000";

fn ago(millis: i64) -> Timestamp {
    Timestamp::parse(START).unwrap().plus_millis(-millis)
}

/// Values of a metric by the minutes that have passed since.
fn points(values: &[(i64, i64)]) -> Vec<MetricPoint> {
    values.iter().map(|(minutes, value)| MetricPoint { at: ago(minutes * MINUTE), value: *value as f64 }).collect()
}

/// A batch has blocked a shard since its first record was so old.
fn stuck(hours: i64) -> Vec<MetricPoint> {
    let age = |minutes: i64| (minutes, hours * HOUR - minutes * MINUTE);
    points(&[age(25), age(20), age(15), age(10), age(5)])
}

fn disabled(name: &str, hours_ago: i64) -> StreamMapping {
    StreamMapping {
        state: "Disabled".to_owned(),
        state_reason: Some("USER_INITIATED".to_owned()),
        last_modified: Some(ago(hours_ago * HOUR)),
        ..mapping(name)
    }
}

fn with(mapping: StreamMapping) -> Tool {
    let mut tool = deployment(14);
    tool.deployment.mappings.streams = vec![mapping];
    tool
}

/// What is not read, as JSON.
async fn unread(tool: &Tool) -> Option<Value> {
    let found = tool.run("doctor -o json").await.json().into_iter().find(|line| !line["unread"].is_null());
    found.map(|line| {
        assert_eq!(line["change"], line["unread"]["rescue"]);
        line["unread"].clone()
    })
}

#[tokio::test]
async fn a_batch_that_blocks_a_shard_without_end_is_a_problem_with_its_rescue() {
    let endless = StreamMapping { max_retries: Some(-1), max_record_age_seconds: Some(-1), ..mapping("orders") };
    let mut tool = with(endless);
    tool.deployment.iterator_ages.insert("orders", stuck(6));
    let run = tool.run("doctor --stack hydrator --region us-east-1").await;
    assert_snapshot!(run.text());
    let run = tool.run("doctor --stack hydrator --region us-east-1 -o json").await;
    let unread = run.json().into_iter().find(|line| !line["unread"].is_null()).unwrap();
    assert_snapshot!(serde_json::to_string_pretty(&unread).unwrap());
}

#[tokio::test]
async fn a_batch_that_lambda_will_give_up_is_a_warning() {
    let mut tool = with(mapping("orders"));
    tool.deployment.iterator_ages.insert("orders", stuck(6));
    assert_eq!(problems(&tool).await, [""; 0]);
    assert_eq!(unread(&tool).await.unwrap()["trouble"], "stuck");
    // Half of the life is over.
    tool.deployment.iterator_ages.insert("orders", stuck(13));
    assert_eq!(problems(&tool).await.len(), 1);
}

#[tokio::test]
async fn a_function_that_keeps_up_or_catches_up_is_not_stuck() {
    for ages in [
        points(&[(25, 900), (20, 1_200), (15, 800), (10, 1_000), (5, 900)]),
        // It works off a backlog.
        points(&[(25, 8 * HOUR), (20, 7 * HOUR), (15, 6 * HOUR), (10, 5 * HOUR), (5, 4 * HOUR)]),
        // It falls behind by half of the time that passes.
        points(&[(25, 0), (20, 150_000), (15, 300_000), (10, 450_000), (5, 600_000)]),
        // It has been blocked for ten minutes only.
        points(&[(25, 900), (20, 900), (15, 900), (10, 5 * MINUTE), (5, 10 * MINUTE)]),
        // It was, hours ago.
        points(&[(200, HOUR), (180, HOUR + 20 * MINUTE), (170, 900)]),
        Vec::new(),
    ] {
        let mut tool = with(mapping("orders"));
        tool.deployment.iterator_ages.insert("orders", ages.clone());
        assert_eq!(unread(&tool).await, None, "{ages:?}");
    }
}

#[tokio::test]
async fn a_function_with_old_records_is_behind() {
    let mut tool = with(mapping("orders"));
    tool.deployment.iterator_ages.insert("orders", points(&[(25, 15 * HOUR), (5, 14 * HOUR)]));
    let unread = unread(&tool).await.unwrap();
    assert_eq!(unread["trouble"], "behind");
    assert_eq!(unread["secondsLeft"], 24 * 3600 - 14 * 3600 - 300);
    assert_eq!(problems(&tool).await.len(), 1);
}

#[tokio::test]
async fn a_mapping_that_is_disabled_has_a_rescue_from_the_last_record_that_its_function_got() {
    let mut tool = with(disabled("orders", 3));
    tool.deployment.iterator_ages.insert("orders", points(&[(190, 30 * MINUTE)]));
    assert_snapshot!(tool.run("doctor --queue hydrated").await.text());
}

#[tokio::test]
async fn a_mapping_that_is_disabled_without_a_metric_has_a_rescue_from_its_last_change() {
    let mut tool = with(disabled("orders", 3));
    assert_snapshot!(tool.run("doctor").await.text());
    // Another mapping of the function, by an alias, has ages of its own.
    tool.deployment.mappings.streams.push(StreamMapping {
        uuid: "other".to_owned(),
        source: TABLE.to_owned(),
        function: format!("{}:live", mapping("orders").function),
        ..mapping("orders")
    });
    tool.deployment.iterator_ages.insert("orders", points(&[(5, 900)]));
    assert_eq!(unread(&tool).await.unwrap()["knownFrom"], "lastModified");
}

#[tokio::test]
async fn a_mapping_that_is_disabled_for_longer_than_the_retention_loses_records() {
    let tool = with(disabled("orders", 30));
    let unread = unread(&tool).await.unwrap();
    assert_eq!((&unread["secondsLeft"], &unread["since"]), (&0.into(), &ago(24 * HOUR).rfc3339().into()));
    let problems = problems(&tool).await;
    assert!(problems[0].ends_with("the oldest are lost, and more are with every minute"), "{problems:?}");
}

#[tokio::test]
async fn a_mapping_of_which_nothing_is_known_has_a_rescue_of_the_whole_retention() {
    let tool = with(StreamMapping { last_modified: None, source: TABLE.to_owned(), ..disabled("orders", 3) });
    let unread = unread(&tool).await.unwrap();
    assert_eq!(unread["knownFrom"], "nothing");
    assert_eq!(unread["since"], ago(24 * HOUR).rfc3339());
    assert_eq!(unread["secondsLeft"], Value::Null);
    assert_eq!(problems(&tool).await.len(), 1);
}

#[tokio::test]
async fn the_rescue_names_the_consumer_the_alias_and_the_filters_and_is_quoted() {
    let consumer = "arn:aws:kinesis:us-east-1:123456789012:stream/orders/consumer/fast:1700000000";
    let mapping = StreamMapping {
        function: "arn:aws:lambda:us-east-1:123456789012:function:orders:live".to_owned(),
        source: consumer.to_owned(),
        has_filters: true,
        ..disabled("a1b2", 3)
    };
    let tool = with(mapping);
    let run = tool.run("doctor --profile it's -o json").await;
    let unread = run.json().into_iter().find(|line| !line["unread"].is_null()).unwrap();
    let (since, until) = (ago(3 * HOUR + 15 * MINUTE).rfc3339(), ago(0).rfc3339());
    assert_eq!(
        unread["unread"]["rescue"],
        format!(
            "dlq hydrate --stream {consumer} --since {since} --until {until} --function orders:live --filter-mapping \
             a1b2 --profile 'it'\\''s' --send"
        )
    );
    assert_eq!(unread["unread"]["filterMapping"], "a1b2");
}

#[tokio::test]
async fn a_mapping_that_lambda_does_not_invoke_is_silent_where_there_is_something_to_read() {
    let refused = StreamMapping { last_result: Some("PROBLEM: access denied".to_owned()), ..mapping("orders") };
    let failed = StreamMapping { last_result: Some("PROBLEM: Function call failed".to_owned()), ..mapping("orders") };
    let filtered = StreamMapping { has_filters: true, ..mapping("orders") };
    let new = StreamMapping { state: "Creating".to_owned(), ..mapping("orders") };
    let foreign =
        StreamMapping { source: mapping("o").source.replace("123456789012", "999999999999"), ..mapping("orders") };
    let arrived = points(&[(50, 12)]);
    for (mapping, ages, arrivals, is_silent) in [
        (mapping("orders"), vec![], &arrived, true),
        (mapping("orders"), points(&[(300, 900)]), &arrived, true),
        (mapping("orders"), points(&[(10, 900)]), &arrived, false),
        (mapping("orders"), vec![], &points(&[(50, 0)]), false),
        // Lambda may still wait for more.
        (mapping("orders"), vec![], &points(&[(20, 12)]), false),
        (filtered, vec![], &arrived, false),
        (new, vec![], &arrived, false),
        (foreign, vec![], &arrived, false),
        (refused, vec![], &Vec::new(), true),
        (failed, vec![], &Vec::new(), false),
    ] {
        let mut tool = with(mapping.clone());
        tool.deployment.iterator_ages.insert("orders", ages.clone());
        tool.deployment.arrivals.insert("orders", arrivals.clone());
        let trouble = unread(&tool).await.map(|unread| unread["trouble"].clone());
        assert_eq!(trouble, is_silent.then(|| "silent".into()), "{mapping:?} {ages:?} {arrivals:?}");
    }
}

#[tokio::test]
async fn metrics_that_may_not_be_read_are_not_checked_and_a_disabled_mapping_is_found_all_the_same() {
    let mut tool = with(disabled("orders", 3));
    tool.deployment.mappings.streams.push(mapping("sound"));
    tool.deployment.refused.insert("cloudwatch:GetMetricData");
    let run = tool.run("doctor -o json").await;
    assert_eq!(findings(&run, "unchecked"), ["metrics: cloudwatch:GetMetricData: AccessDenied (HTTP 403): no"]);
    let change = "allow cloudwatch:GetMetricData to your credentials";
    assert!(run.json().iter().any(|line| line["change"] == change), "{}", run.text());
    assert_eq!(unread(&tool).await.unwrap()["knownFrom"], "lastModified");
    assert_eq!(run.code, 3);
}

#[tokio::test]
async fn a_retention_that_may_not_be_read_is_not_assumed() {
    let mut tool = with(disabled("orders", 3));
    tool.deployment.refused.insert("kinesis:DescribeStreamSummary");
    let unread = unread(&tool).await.unwrap();
    assert!(unread["secondsLeft"].is_null() && unread["retentionSeconds"].is_null(), "{unread}");
    let problems = findings(&tool.run("doctor -o json").await, "problem");
    assert!(problems[0].ends_with("how long the stream keeps records is not known"), "{problems:?}");
}

#[tokio::test]
async fn the_key_of_the_filters_is_checked() {
    let encrypted = StreamMapping { has_filters: true, filter_key: Some(KEY.to_owned()), ..mapping("orders") };
    let mut tool = with(encrypted.clone());
    tool.deployment.filters.insert("orders", EncryptedFilters { is_readable: true, error: None });
    assert_eq!(tool.run("doctor").await.code, 0);
    let error = Some("DisabledException: the key is disabled".to_owned());
    tool.deployment.filters.insert("orders", EncryptedFilters { is_readable: false, error: error.clone() });
    let subject = "filter key of mapping orders";
    let expected =
        format!("{subject}: its filters cannot be decrypted with {KEY}: DisabledException: the key is disabled");
    assert_eq!(problems(&tool).await, std::slice::from_ref(&expected));
    // What a listing says needs no second call.
    let mut tool = with(StreamMapping { filter_error: error, ..encrypted.clone() });
    tool.deployment.refused.insert("lambda:GetEventSourceMapping");
    assert_eq!(problems(&tool).await, [expected]);
    let mut tool = with(encrypted);
    tool.deployment.refused.insert("lambda:GetEventSourceMapping");
    let run = tool.run("doctor -o json").await;
    assert_eq!(
        findings(&run, "unchecked"),
        [format!("{subject}: lambda:GetEventSourceMapping: AccessDenied (HTTP 403): no")]
    );
    assert_eq!(run.code, 3);
}

#[tokio::test]
async fn ages_are_asked_for_as_long_as_the_stream_keeps_records() {
    let mut tool = with(disabled("orders", 30));
    tool.deployment.iterator_ages.insert("orders", points(&[(25 * 60, 900)]));
    assert_eq!(unread(&tool).await.unwrap()["knownFrom"], "lastModified");
}
