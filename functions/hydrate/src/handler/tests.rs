//! The handler with ports in memory, on tokio's paused clock, which moves only while everything waits.

mod objects;
mod time;

use std::cell::Cell;
use std::rc::Rc;

use hydration::arn::StreamArn;
use hydration::error::{Fault, FaultKind};
use hydration::hydrator::Settings;
use hydration::message::MessageAttributeValue;
use hydration::object_notification::ObjectLocation;
use hydration::ports::{Page, Position, ReadError, ReadObjectError, ShardIterator};
use hydration::test_support::{
    InvocationRecordBuilder, KINESIS_STREAM_ARN, MemoryOutbox, START_MILLIS, kinesis_record, settings,
};
use lambda_runtime::{Context, Diagnostic};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::*;

/// The seconds that an invocation has.
const TIME: u64 = 60;

/// AWS with shards that behave as their names say.
#[derive(Clone)]
struct NamedShards {
    start: Instant,
    outbox: Rc<MemoryOutbox>,
    reads: Rc<Cell<u32>>,
    /// Milliseconds by which the system's clock was set forward.
    step: Rc<Cell<i64>>,
}

fn fault(kind: FaultKind) -> Fault {
    Fault { kind, action: "kinesis:GetRecords", detail: "as the shard's name says".to_owned() }
}

impl ShardReader for NamedShards {
    async fn iterator(&self, _: &StreamArn, shard: &str, _: &Position) -> Result<ShardIterator, ReadError> {
        if shard.starts_with("once") && self.reads.get() > 0 {
            return std::future::pending().await;
        }
        Ok(ShardIterator(shard.to_owned()))
    }

    async fn page(&self, _: &StreamArn, iterator: &ShardIterator, _: u32) -> Result<Page, ReadError> {
        self.reads.set(self.reads.get() + 1);
        let page = |records, behind| Page {
            records,
            next: Some(iterator.clone()),
            millis_behind_latest: Some(behind),
            bytes: 10,
        };
        let kind = iterator.0.split('-').next().unwrap_or_default();
        match kind {
            "good" => Ok(page(vec![kinesis_record(1, "{}"), kinesis_record(2, "{}")], 0)),
            // After it the shard is left to its other readers for ten seconds.
            "heavy" | "once" => {
                Ok(Page { bytes: 10 * 1024 * 1024, ..page(vec![kinesis_record(1, "{}"), kinesis_record(2, "{}")], 0) })
            }
            "stalling" if self.reads.get() == 1 => {
                Ok(page(vec![kinesis_record(1, "{}"), kinesis_record(2, "{}")], 1000))
            }
            "hanging" | "stalling" => std::future::pending().await,
            // It advances, and never arrives.
            "endless" => Ok(page(vec![], 86_000_000 - u64::from(self.reads.get()))),
            "denied" => Err(ReadError::Fault(fault(FaultKind::AccessDenied))),
            "throttled" => Err(ReadError::Fault(fault(FaultKind::Throttled))),
            _ => panic!("a shard of an unknown kind"),
        }
    }
}

/// Objects that behave as their keys say: the rest of the key names the shard of the record in them.
impl ObjectReader for NamedShards {
    async fn read_object(&self, object: &ObjectLocation, _: usize) -> Result<Vec<u8>, ReadObjectError> {
        let fault = |kind| {
            let detail = format!("as the key of {object} says");
            Err(ReadObjectError::Fault(Fault { kind, action: "s3:GetObject", detail }))
        };
        match object.key.split_once('/').unwrap_or_default() {
            ("record", shard) => Ok(failed(shard).into_bytes()),
            ("text", _) => Ok(b"no record".to_vec()),
            ("hydrated", _) => Ok(HYDRATED.as_bytes().to_vec()),
            ("large", _) => Err(ReadObjectError::TooLarge),
            ("denied", _) => fault(FaultKind::AccessDenied),
            ("missing", _) => fault(FaultKind::Refused),
            ("hanging", _) => std::future::pending().await,
            _ => panic!("an object of an unknown kind"),
        }
    }
}

impl Clock for NamedShards {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(
            START_MILLIS + self.step.get() + i64::try_from(self.start.elapsed().as_millis()).unwrap(),
        )
    }

    fn instant(&self) -> std::time::Instant {
        Instant::now().into_std()
    }

    async fn sleep(&self, duration: Duration) {
        tokio::time::sleep(duration).await;
    }

    fn jitter(&self) -> f64 {
        0.5
    }
}

impl NamedShards {
    fn new() -> Self {
        Self { start: Instant::now(), outbox: Rc::default(), reads: Rc::default(), step: Rc::default() }
    }

    /// One invocation. It must end before its deadline.
    async fn invoke(&self, event: &Value) -> Result<Value, Diagnostic> {
        self.invoke_with(event, settings()).await
    }

    async fn invoke_with(&self, event: &Value, settings: Settings) -> Result<Value, Diagnostic> {
        let deadline = u64::try_from(self.now().millis()).unwrap() + TIME * 1000;
        let started = Instant::now();
        let answer = self.invoke_until(event, settings, deadline).await;
        assert!(started.elapsed() < Duration::from_secs(TIME), "the answer came too late: {:?}", started.elapsed());
        answer
    }

    async fn invoke_until(&self, event: &Value, settings: Settings, deadline: u64) -> Result<Value, Diagnostic> {
        let hydrator = Hydrator::new(self.clone(), &*self.outbox, self.clone(), settings);
        let handler = Handler { hydrator, telemetry: Telemetry::for_tests() };
        let mut context = Context::default();
        context.deadline = deadline;
        let payload = RawValue::from_string(event.to_string()).unwrap();
        let answer = handler.handle(LambdaEvent::new(payload, context)).await;
        answer.map(|answer| serde_json::to_value(answer).unwrap()).map_err(Diagnostic::from)
    }

    /// The shards of the messages on the queue, in order.
    fn shards(&self) -> Vec<String> {
        self.attributes("shardId")
    }

    fn attributes(&self, name: &str) -> Vec<String> {
        let queue = self.outbox.queue.borrow();
        let values = queue.iter().flat_map(|message| &message.attributes).filter(|attribute| attribute.name == name);
        values
            .map(|attribute| match &attribute.value {
                MessageAttributeValue::String(text) => text.clone(),
                MessageAttributeValue::Number(number) => number.to_string(),
            })
            .collect()
    }
}

/// An invocation record of two records in a shard.
fn failed(shard: &str) -> String {
    let mut record = InvocationRecordBuilder::new(KINESIS_STREAM_ARN, 1, 2, Timestamp::from_millis(START_MILLIS));
    record.shard_id = shard.to_owned();
    record.batch_size = Some(2);
    record.to_json().to_string()
}

const HYDRATED: &str = r#"{"KinesisBatchInfo":{},"hydration":{"version":1,"id":"x"},"Records":[]}"#;

fn sns(messages: &[&str]) -> Value {
    let record = |message: &&str| json!({"EventSource": "aws:sns", "Sns": {"Message": message}});
    json!({"Records": messages.iter().map(record).collect::<Vec<_>>()})
}

/// Messages are called 0, 1, 2, …
fn sqs(bodies: &[&str]) -> Value {
    let message =
        |(index, body): (usize, &&str)| json!({"messageId": index.to_string(), "eventSource": "aws:sqs", "body": body});
    json!({"Records": bodies.iter().enumerate().map(message).collect::<Vec<_>>()})
}

fn failures(answer: Result<Value, Diagnostic>) -> Vec<String> {
    let answer = answer.expect("a queue's event is always answered");
    let failures = answer["batchItemFailures"].as_array().expect("an array");
    failures.iter().map(|failure| failure["itemIdentifier"].as_str().unwrap().to_owned()).collect()
}

fn error_type(answer: Result<Value, Diagnostic>) -> String {
    answer.expect_err("it fails as a whole").error_type
}

#[tokio::test(start_paused = true)]
async fn the_answer_names_every_message_that_was_sent() {
    let aws = NamedShards::new();
    let answer = aws.invoke(&sns(&[&failed("good-1"), &failed("good-2")])).await.unwrap();
    let ids = aws.attributes("hydrationId");
    let batch = |index: usize| {
        let message = format!("message-{}", index + 1);
        json!({"id": ids[index], "status": "Complete", "recoveredRecords": 2, "messageId": message})
    };
    assert_eq!(answer, json!({"batches": [batch(0), batch(1)]}));
}

#[tokio::test(start_paused = true)]
async fn the_answer_has_the_location_of_an_overflow_object() {
    let aws = NamedShards::new();
    let settings = Settings { max_message_bytes: 1024, overflow_bucket: Some("b".to_owned()), ..settings() };
    let event: Value = serde_json::from_str(&failed("good-1")).unwrap();
    let answer = aws.invoke_with(&event, settings).await.unwrap();
    let key = aws.outbox.bucket.borrow().keys().next().unwrap().clone();
    assert_eq!(answer["batches"][0]["overflow"], json!(format!("s3://b/{key}")));
    assert!(key.starts_with("hydrated/orders/2026/11/21/"), "{key}");
}

#[tokio::test(start_paused = true)]
async fn a_failed_batch_fails_the_notification_and_the_others_are_delivered() {
    let aws = NamedShards::new();
    let event = sns(&[&failed("good-1"), &failed("denied-1"), &failed("good-2")]);
    let error = aws.invoke(&event).await.unwrap_err();
    assert_eq!(error.error_type, "AccessDenied");
    assert!(error.error_message.starts_with("1 of 3 batches failed"), "{}", error.error_message);
    assert_eq!(aws.shards(), ["good-1", "good-2"]);
}

#[tokio::test(start_paused = true)]
async fn a_repetition_sends_the_same_ids_again() {
    let aws = NamedShards::new();
    let event = sns(&[&failed("good-1"), &failed("denied-1"), &failed("good-2")]);
    aws.invoke(&event).await.unwrap_err();
    aws.invoke(&event).await.unwrap_err();
    let ids = aws.attributes("hydrationId");
    assert_eq!(ids[..2], ids[2..]);
    assert_ne!(ids[0], ids[1]);
}

#[tokio::test(start_paused = true)]
async fn the_error_s_type_is_the_one_kind_of_error_there_was() {
    for (shards, expected) in [
        (&["denied-1"][..], "AccessDenied"),
        (&["throttled-1"], "Throttled"),
        (&["denied-1", "denied-2"], "AccessDenied"),
        (&["denied-1", "throttled-1"], "SeveralBatchesFailed"),
        (&["good-1", "throttled-1", "hanging-1"], "SeveralBatchesFailed"),
    ] {
        let records: Vec<String> = shards.iter().map(|shard| failed(shard)).collect();
        let records: Vec<&str> = records.iter().map(String::as_str).collect();
        assert_eq!(error_type(NamedShards::new().invoke(&sns(&records)).await), expected, "{shards:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_sqs_response_names_only_the_messages_that_failed() {
    let aws = NamedShards::new();
    let event = sqs(&[&failed("good-1"), &failed("denied-1"), &failed("good-2"), HYDRATED, "not a record"]);
    assert_eq!(failures(aws.invoke(&event).await), ["1", "3"]);
    assert_eq!(aws.attributes("hydrationStatus"), ["Complete", "Complete", "Unrecognized"]);
}

#[tokio::test(start_paused = true)]
async fn a_message_fails_if_one_of_its_batches_fails() {
    let aws = NamedShards::new();
    let inner = sns(&[&failed("denied-1"), &failed("good-1")]);
    let document = json!({"version": "1.0", "requestPayload": inner, "responsePayload": null}).to_string();
    assert_eq!(failures(aws.invoke(&sqs(&[&failed("good-2"), &document])).await), ["1"]);
    assert_eq!(aws.shards(), ["good-2", "good-1"]);
}

#[tokio::test(start_paused = true)]
async fn a_message_that_is_hydrated_already_is_refused() {
    let aws = NamedShards::new();
    let direct: Value = serde_json::from_str(HYDRATED).unwrap();
    assert_eq!(error_type(aws.invoke(&direct).await), "AlreadyHydrated");
    assert_eq!(error_type(aws.invoke(&sns(&[HYDRATED, &failed("good-1")])).await), "AlreadyHydrated");
    assert_eq!(aws.shards(), ["good-1"]);
}

#[tokio::test(start_paused = true)]
async fn a_direct_invocation_with_an_unknown_event_is_an_error() {
    for event in [json!({}), json!({"KinesisBatchInfo": {"shardId": "a"}}), json!({"Records": []}), json!("text")] {
        let aws = NamedShards::new();
        assert_eq!(error_type(aws.invoke(&event).await), "NotRecognized", "{event}");
        assert!(aws.outbox.queue.borrow().is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn every_message_of_the_topic_is_delivered() {
    let aws = NamedShards::new();
    let messages = ["not JSON", r#"{"AlarmName":"orders","n":1.10}"#, r#"{"KinesisBatchInfo":{"shardId":"a"}}"#];
    let answer = aws.invoke(&sns(&messages)).await.unwrap();
    for batch in answer["batches"].as_array().unwrap() {
        assert_eq!((&batch["status"], &batch["recoveredRecords"]), (&json!("Unrecognized"), &json!(0)));
    }
    let queue = aws.outbox.queue.borrow();
    let kept: Vec<Value> = queue.iter().map(|message| serde_json::from_str(&message.body).unwrap()).collect();
    assert_eq!(kept[0]["unrecognized"], "not JSON");
    assert!(queue[1].body.contains(r#""unrecognized":{"AlarmName":"orders","n":1.10}"#), "{}", queue[1].body);
    assert_eq!(kept[2]["unrecognized"]["KinesisBatchInfo"]["shardId"], "a");
    assert_eq!(aws.reads.get(), 0);
}
