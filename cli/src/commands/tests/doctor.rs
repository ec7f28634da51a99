use std::time::Duration;

use hydration::error::{Fault, FaultKind};
use insta::assert_snapshot;

use crate::ports::{QueueAttributes, StreamMapping};
use crate::test_support::tool::{TOPIC_ARN, Tool};

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
    }
}

fn deployment(retention_days: u64) -> Tool {
    let retention = Some(Duration::from_secs(retention_days * 86_400));
    let mut tool = Tool::with_queue(QueueAttributes { retention, ..Default::default() });
    tool.deployment.mappings.push(mapping("sound"));
    tool.deployment.expiration_days = Some(30);
    tool
}

#[tokio::test]
async fn doctor_finds_nothing_in_a_sound_deployment() {
    assert_snapshot!(deployment(14).run("doctor --verbose").await.text());
}

#[tokio::test]
async fn doctor_says_what_to_change() {
    let mut tool = deployment(1);
    tool.deployment.mappings.push(StreamMapping {
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
