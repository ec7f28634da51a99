mod drill;
mod unread;

use std::time::Duration;

use hydration::error::{Fault, FaultKind};
use insta::assert_snapshot;

use crate::ports::{EventRule, EventTarget, QueueAttributes, QueueMapping, StreamMapping};
use crate::test_support::tool::{HYDRATE_ARN, TOPIC_ARN, Tool, ToolRun};

const RETRY_QUEUE: &str = "arn:aws:sqs:us-east-1:123456789012:retry";
const ATTACHED_QUEUE: &str = "arn:aws:sqs:us-east-1:123456789012:orders-dlq";
const KEY: &str = "arn:aws:kms:us-east-1:123456789012:key/ours";

fn mapping(name: &str) -> StreamMapping {
    StreamMapping {
        uuid: name.to_owned(),
        function: format!("arn:aws:lambda:us-east-1:123456789012:function:{name}"),
        source: "arn:aws:kinesis:us-east-1:123456789012:stream/orders".to_owned(),
        state: "Enabled".to_owned(),
        last_result: Some("OK".to_owned()),
        destination: Some(TOPIC_ARN.to_owned()),
        max_retries: Some(3),
        max_record_age_seconds: Some(3600),
        bisects: true,
        ..StreamMapping::default()
    }
}

fn mapping_to(name: &str, destination: &str) -> StreamMapping {
    StreamMapping { destination: Some(destination.to_owned()), ..mapping(name) }
}

fn queue_mapping(queue_arn: &str) -> QueueMapping {
    QueueMapping {
        uuid: format!("of-{}", queue_arn.rsplit(':').next().unwrap()),
        function: HYDRATE_ARN.to_owned(),
        queue_arn: queue_arn.to_owned(),
        state: "Enabled".to_owned(),
    }
}

/// A rule as the templates make it.
fn event_rule(name: &str, bucket: &str, key_filter: &str) -> EventRule {
    let detail = format!(r#"{{"bucket":{{"name":["{bucket}"]}}{key_filter}}}"#);
    EventRule {
        name: name.to_owned(),
        is_enabled: true,
        pattern: format!(r#"{{"source":["aws.s3"],"detail-type":["Object Created"],"detail":{detail}}}"#),
        targets: vec![EventTarget { arn: HYDRATE_ARN.to_owned(), dead_letter_queue: Some(RETRY_QUEUE.to_owned()) }],
    }
}

fn deployment(retention_days: u64) -> Tool {
    let retention = Some(Duration::from_secs(retention_days * 86_400));
    let mut tool = Tool::with_queue(QueueAttributes { retention, ..Default::default() });
    tool.add_queue(
        "retry",
        QueueAttributes { arn: RETRY_QUEUE.to_owned(), max_receives: Some(49), ..Default::default() },
    );
    let deployment = &mut tool.deployment;
    deployment.mappings.streams.push(mapping("sound"));
    deployment.mappings.queues.push(queue_mapping(RETRY_QUEUE));
    deployment.expirations = [("overflow", 30), ("failed-batches", 30)].into();
    deployment.announcing_buckets = ["failed-batches"].into();
    deployment.event_rules.push(event_rule("hydrator-failed-batches", "failed-batches", ""));
    // The conditions in the policies of the templates.
    deployment.conditions = vec![
        ("s3:PutObject", "s3:ResourceAccount", "123456789012"),
        ("s3:ListBucket", "s3:ResourceAccount", "123456789012"),
    ];
    tool
}

/// A deployment with a mapping to a bucket and one to a queue, which two other stacks have attached.
fn attached() -> Tool {
    let mut tool = deployment(14);
    let deployment = &mut tool.deployment;
    deployment.mappings.streams =
        vec![mapping_to("to-own-bucket", "arn:aws:s3:::failed-orders"), mapping_to("to-queue", ATTACHED_QUEUE)];
    deployment.mappings.queues.push(queue_mapping(ATTACHED_QUEUE));
    deployment.expirations.insert("failed-orders", 16);
    deployment.announcing_buckets.insert("failed-orders");
    let key_filter = r#","object":{"key":[{"prefix":"aws/lambda/"}]}"#;
    deployment.event_rules.push(event_rule("failed-orders", "failed-orders", key_filter));
    let attributes = QueueAttributes {
        arn: ATTACHED_QUEUE.to_owned(),
        visibility_timeout: Some(Duration::from_secs(1800)),
        max_receives: Some(49),
        ..Default::default()
    };
    deployment.queues.insert(ATTACHED_QUEUE, attributes);
    tool
}

/// The findings of one grade, as "subject: finding".
fn findings(run: &ToolRun, grade: &str) -> Vec<String> {
    let lines = run.json().into_iter().filter(|line| line["grade"] == grade);
    lines.map(|line| format!("{}: {}", line["subject"].as_str().unwrap(), line["finding"].as_str().unwrap())).collect()
}

async fn problems(tool: &Tool) -> Vec<String> {
    let run = tool.run("doctor -o json").await;
    let problems = findings(&run, "problem");
    assert_eq!(run.code, if problems.is_empty() { 0 } else { 3 }, "{}", run.text());
    problems
}

#[tokio::test]
async fn doctor_finds_nothing_in_a_sound_deployment() {
    assert_snapshot!(deployment(14).run("doctor --verbose").await.text());
}

#[tokio::test]
async fn doctor_says_what_to_change() {
    let mut tool = deployment(1);
    tool.deployment.mappings.streams.push(StreamMapping {
        destination: None,
        max_retries: Some(-1),
        max_record_age_seconds: Some(-1),
        ..mapping("lossy")
    });
    tool.deployment.denied = vec!["sns:Publish", "kinesis:GetRecords"];
    assert_snapshot!(tool.run("doctor").await.text());
    assert_eq!(tool.run("doctor --function sound -o json").await.code, 3);
}

#[tokio::test]
async fn doctor_lists_what_it_may_not_read() {
    let mut tool = deployment(14);
    tool.deployment.fault =
        Some(Fault { kind: FaultKind::AccessDenied, action: "lambda:List", detail: "AccessDenied: no".to_owned() });
    assert_snapshot!(tool.run("doctor").await.text());
    let unchecked = tool.run("doctor -o json").await;
    assert_eq!(unchecked.code, 3, "what was not checked is not known to be good");
    let changes: Vec<_> =
        unchecked.json().iter().filter_map(|line| line["change"].as_str().map(str::to_owned)).collect();
    assert!(changes.contains(&"allow lambda:List to your credentials".to_owned()), "{changes:?}");
}

#[tokio::test]
async fn doctor_tells_a_function_without_a_mapping_from_one_that_does_not_exist() {
    let mut tool = deployment(14);
    tool.deployment.missing_functions = vec!["nosuch"];
    let run = tool.run("doctor --function nosuch").await;
    assert!(run.code == 1 && run.notes.contains("there is no function nosuch here"), "{}", run.text());
    let run = tool.run("doctor --function unmapped").await;
    assert!(run.code == 0 && run.answers.contains("no stream is mapped to it here"), "{}", run.text());
}

#[tokio::test]
async fn every_destination_that_comes_to_the_hydrator_is_accepted() {
    let mut tool = attached();
    tool.deployment.mappings.streams.push(mapping("to-topic"));
    tool.deployment.mappings.streams.push(mapping_to("to-bucket", "arn:aws:s3:::failed-batches"));
    assert_snapshot!(tool.run("doctor --verbose").await.text());
}

#[tokio::test]
async fn a_destination_that_nothing_hands_to_the_hydrator_is_a_warning() {
    let mut tool = attached();
    tool.deployment.event_rules.pop();
    tool.deployment.mappings.queues.pop();
    tool.deployment.mappings.streams.push(mapping_to("to-topic", "arn:aws:sns:us-east-1:123456789012:other"));
    assert_snapshot!(tool.run("doctor").await.text());
}

#[tokio::test]
async fn a_rule_for_the_keys_of_another_mapping_hands_over_nothing_of_this_one() {
    let mut tool = attached();
    let pattern = &mut tool.deployment.event_rules.last_mut().unwrap().pattern;
    *pattern = pattern.replace("aws/lambda/", "aws/lambda/to-own-bucket/");
    tool.deployment.mappings.streams.push(mapping_to("other", "arn:aws:s3:::failed-orders"));
    let run = tool.run("doctor -o json").await;
    let destination =
        "its on-failure destination is arn:aws:s3:::failed-orders, and nothing hands that to the hydrator";
    let subject = "mapping other of arn:aws:lambda:us-east-1:123456789012:function:other";
    assert_eq!(findings(&run, "warning"), [format!("{subject}: {destination}")]);
}

#[tokio::test]
async fn a_role_needs_the_key_of_the_topic() {
    for denied in ["kms:GenerateDataKey", "kms:Decrypt"] {
        let mut tool = deployment(14);
        tool.deployment.denied = vec![denied];
        let finding = format!("role sound: it may not {denied} on arn:aws:kms:us-east-1:123456789012:key/topics");
        assert_eq!(problems(&tool).await, [finding]);
    }
    let mut tool = deployment(14);
    for action in ["kms:GenerateDataKey", "kms:Decrypt"] {
        tool.deployment.conditions.push((action, "kms:ViaService", "sns.us-east-1.amazonaws.com"));
    }
    assert_eq!(problems(&tool).await, [""; 0]);
}

#[tokio::test]
async fn roles_need_the_bucket_and_its_key() {
    let bucket = "arn:aws:s3:::failed-batches";
    for (denied, expected) in [
        ("s3:PutObject", vec![format!("role sound: it may not s3:PutObject on {bucket}/*")]),
        ("s3:GetObject", vec![format!("role hydrate: it may not s3:GetObject on {bucket}/aws/lambda/*")]),
        (
            "s3:ListBucket",
            vec![
                format!("role hydrate: it may not s3:ListBucket on {bucket}"),
                format!("role sound: it may not s3:ListBucket on {bucket}"),
            ],
        ),
        ("kms:GenerateDataKey", vec![format!("role sound: it may not kms:GenerateDataKey on {KEY}")]),
        ("kms:Decrypt", vec![format!("role hydrate: it may not kms:Decrypt on {KEY}")]),
    ] {
        let mut tool = deployment(14);
        tool.deployment.mappings.streams = vec![mapping_to("sound", bucket)];
        tool.deployment.bucket_keys.insert("failed-batches", KEY);
        for action in ["kms:GenerateDataKey", "kms:Decrypt"] {
            tool.deployment.conditions.push((action, "kms:ViaService", "s3.us-east-1.amazonaws.com"));
        }
        assert_eq!(problems(&tool).await, [""; 0]);
        tool.deployment.denied = vec![denied];
        assert_eq!(problems(&tool).await, expected);
    }
}

#[tokio::test]
async fn a_key_that_is_named_by_an_alias_is_not_checked() {
    let mut tool = deployment(14);
    tool.deployment.bucket_keys.insert("failed-batches", "arn:aws:kms:us-east-1:123456789012:alias/ours");
    let run = tool.run("doctor -o json").await;
    let finding = "its key is named by arn:aws:kms:us-east-1:123456789012:alias/ours, and which key that is was not \
                   looked up";
    assert_eq!(findings(&run, "unchecked"), [format!("bucket failed-batches: {finding}")]);
    assert_eq!(run.code, 3);
}

#[tokio::test]
async fn the_hydrate_role_needs_the_retry_queue_and_its_key() {
    for (denied, on) in [
        ("sqs:SendMessage", RETRY_QUEUE),
        ("sqs:ReceiveMessage", RETRY_QUEUE),
        ("kms:GenerateDataKey", KEY),
        ("kms:Decrypt", KEY),
    ] {
        let mut tool = deployment(14);
        tool.deployment.mappings.streams = vec![mapping_to("sound", "arn:aws:s3:::failed-batches")];
        tool.retry_and_parked.clear();
        let kms_key = Some("ours".to_owned());
        tool.add_queue("retry", QueueAttributes { arn: RETRY_QUEUE.to_owned(), kms_key, ..Default::default() });
        for action in ["kms:GenerateDataKey", "kms:Decrypt"] {
            tool.deployment.conditions.push((action, "kms:ViaService", "sqs.us-east-1.amazonaws.com"));
        }
        assert_eq!(problems(&tool).await, [""; 0]);
        tool.deployment.denied = vec![denied];
        assert_eq!(problems(&tool).await, [format!("role hydrate: it may not {denied} on {on}")]);
    }
}

#[tokio::test]
async fn the_way_from_the_bucket_and_the_retry_queue_to_the_function_is_checked() {
    let mut tool = deployment(14);
    tool.deployment.announcing_buckets.clear();
    tool.deployment.expirations.insert("failed-batches", 15);
    tool.deployment.event_rules[0].is_enabled = false;
    tool.deployment.event_rules[0].targets[0].dead_letter_queue = None;
    tool.deployment.mappings.queues[0].state = "Disabled".to_owned();
    assert_snapshot!(tool.run("doctor").await.text());
    tool.deployment.event_rules.clear();
    tool.deployment.mappings.queues.clear();
    assert_snapshot!(tool.run("doctor").await.text());
}

#[tokio::test]
async fn a_mapping_of_the_retry_queue_to_another_function_does_not_count() {
    let mut tool = deployment(14);
    tool.deployment.mappings.queues[0].function = HYDRATE_ARN.replace("hydrate", "other");
    let finding = "no mapping hands it to the hydrate function: a hydration that failed is not tried again";
    assert_eq!(problems(&tool).await, [format!("retry queue: {finding}")]);
}

#[tokio::test]
async fn an_attached_queue_is_checked() {
    let mut tool = attached();
    tool.deployment.mappings.queues[1].state = "Disabled".to_owned();
    let attributes = tool.deployment.queues.get_mut(ATTACHED_QUEUE).unwrap();
    attributes.visibility_timeout = Some(Duration::from_secs(300));
    attributes.max_receives = None;
    attributes.kms_key = Some(KEY.to_owned());
    tool.deployment.denied = vec!["sqs:SendMessage", "sqs:DeleteMessage", "kms:Decrypt"];
    assert_snapshot!(tool.run("doctor --function to-queue").await.text());
}

#[tokio::test]
async fn a_call_that_is_refused_is_named_and_what_it_would_say_is_not_checked() {
    for (refused, subjects) in [
        ("s3:GetBucketNotification", vec!["bucket failed-batches", "bucket failed-orders"]),
        ("s3:GetEncryptionConfiguration", vec!["bucket failed-batches", "bucket failed-orders"]),
        ("s3:GetLifecycleConfiguration", vec!["bucket overflow", "bucket failed-batches", "bucket failed-orders"]),
        ("events:DescribeRule", vec!["event rule hydrator-failed-batches"]),
        ("events:ListRuleNamesByTarget", vec!["event rules"]),
        ("sqs:GetQueueAttributes", vec!["attached queue orders-dlq"]),
        ("lambda:ListEventSourceMappings", vec!["mappings"]),
    ] {
        let mut tool = attached();
        tool.deployment.mappings.streams.push(mapping_to("again", "arn:aws:s3:::failed-orders"));
        tool.deployment.refused.insert(refused);
        let run = tool.run("doctor -o json").await;
        let unchecked: Vec<_> = run.json().into_iter().filter(|line| line["grade"] == "unchecked").collect();
        let change = format!("allow {refused} to your credentials");
        assert!(unchecked.iter().all(|line| line["change"] == change.as_str()), "{}", run.text());
        assert_eq!(unchecked.iter().map(|line| &line["subject"]).collect::<Vec<_>>(), subjects);
        assert!(findings(&run, "warning").is_empty() && findings(&run, "problem").is_empty(), "{}", run.text());
        assert_eq!(run.code, 3);
    }
}
