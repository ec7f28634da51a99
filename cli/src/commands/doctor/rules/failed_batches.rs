//! Rules for the way of a failed batch to the hydrate function: buckets, event rules, and queues that are mapped to it.

use std::time::Duration;

use serde_json::Value;

use crate::commands::doctor::rules::{Finding, Grade};
use crate::ports::{EventRule, QueueAttributes, QueueMapping};
use crate::print::time;

/// EventBridge tries for a day, Lambda for six hours, and the retry queue for fourteen days to have an object read.
const MIN_EXPIRATION_DAYS: i32 = 16;
/// Six times the timeout of the hydrate function, as Lambda asks for
/// (<https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-configure.html>).
const MIN_VISIBILITY_TIMEOUT: Duration = Duration::from_secs(1800);

/// `sends`: the bucket sends its events to EventBridge.
pub fn events(bucket: &str, sends: bool) -> Finding {
    let subject = format!("bucket {bucket}");
    if sends {
        return Finding::fine(subject, "sends its events to EventBridge");
    }
    Finding::new(
        Grade::Problem,
        subject,
        "it does not send its events to EventBridge: what Lambda writes to it is never hydrated",
        "turn EventBridge on in its notifications and keep the others: docs/RUNBOOK.md, ObjectsNotAnnounced, has the \
         command",
    )
}

/// `expires`: the days after which the bucket's lifecycle deletes failed batches; `None` where no rule does.
pub fn expiration(bucket: &str, expires: Option<i32>) -> Finding {
    let subject = format!("bucket {bucket}");
    match expires {
        Some(days) if days < MIN_EXPIRATION_DAYS => Finding::new(
            Grade::Problem,
            subject,
            format!("its lifecycle deletes failed batches after {days} days, and they are retried for longer"),
            &format!("lengthen the expiration to {MIN_EXPIRATION_DAYS} days or more"),
        ),
        Some(days) => Finding::fine(subject, format!("keeps failed batches {days} days")),
        None => Finding::new(
            Grade::Warning,
            subject,
            "no lifecycle rule deletes failed batches that were hydrated: the records' data stays for ever",
            &format!("expire aws/lambda/ after {MIN_EXPIRATION_DAYS} days or more"),
        ),
    }
}

/// `rule`: `None` where there is none of that name. `prefix`: the beginning of the keys under which Lambda writes.
pub fn rule(name: &str, rule: Option<&EventRule>, function: &str, bucket: &str, prefix: &str) -> Vec<Finding> {
    let subject = format!("event rule {name}");
    let make_again = "make the rule again as its template has it (docs/DEPLOY.md)";
    let Some(rule) = rule else {
        let finding = format!("there is none of that name: what Lambda writes to {bucket} is never hydrated");
        return vec![Finding::new(Grade::Problem, subject, finding, make_again)];
    };
    let mut findings = Vec::new();
    let mut add = |grade, finding: &str, change: &str| findings.push(Finding::new(grade, &subject, finding, change));
    if !rule.is_enabled {
        add(
            Grade::Problem,
            "it is disabled: new objects are not handed to the hydrate function, also not later",
            &format!(
                "aws events enable-rule --name {name}; then hydrate what was written meanwhile (docs/RUNBOOK.md, ObjectsNotAnnounced)"
            ),
        );
    }
    if !hands_over(rule, bucket, prefix) {
        add(Grade::Problem, &format!("its pattern is not known to match what Lambda writes to {bucket}"), make_again);
    }
    match rule.targets.iter().find(|target| target.arn == function) {
        None => add(Grade::Problem, "the hydrate function is not among its targets", make_again),
        Some(target) if target.dead_letter_queue.is_none() => add(
            Grade::Warning,
            "its target has no dead-letter queue: an event that cannot be handed over is lost",
            "give the target the retry queue as its dead-letter queue, as its template has it",
        ),
        Some(_) => {}
    }
    if findings.is_empty() {
        findings.push(Finding::fine(subject, format!("hands the objects of {bucket} to the hydrate function")));
    }
    findings
}

/// Returns true where the rule's pattern matches the events of new objects whose keys begin so. It knows exact values
/// and prefixes alone; what else a pattern may hold is taken for no match
/// (<https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-create-pattern-operators.html>).
pub fn hands_over(rule: &EventRule, bucket: &str, key_prefix: &str) -> bool {
    let Ok(pattern) = serde_json::from_str::<Value>(&rule.pattern) else { return false };
    let is_any = |path: &str, matches: &dyn Fn(&Value) -> bool| match pattern.pointer(path) {
        None => true,
        Some(Value::Array(wanted)) => wanted.iter().any(matches),
        Some(_) => false,
    };
    is_any("/source", &|wanted| wanted == "aws.s3")
        && is_any("/detail-type", &|wanted| wanted == "Object Created")
        && is_any("/detail/bucket/name", &|wanted| wanted == bucket)
        && is_any("/detail/object/key", &|wanted| {
            let prefix = wanted.get("prefix").and_then(Value::as_str);
            prefix.is_some_and(|prefix| key_prefix.starts_with(prefix))
        })
}

/// `mappings`: those of the retry queue to the hydrate function.
pub fn retry_mapping(mappings: &[&QueueMapping]) -> Finding {
    let subject = "retry queue";
    if mappings.iter().any(|mapping| mapping.is_enabled()) {
        return Finding::fine(subject, "is handed to the hydrate function");
    }
    match mappings.first() {
        Some(QueueMapping { uuid, .. }) => Finding::new(
            Grade::Problem,
            subject,
            "its mapping to the hydrate function is disabled: a hydration that failed is not tried again",
            &format!("aws lambda update-event-source-mapping --uuid {uuid} --enabled"),
        ),
        None => Finding::new(
            Grade::Problem,
            subject,
            "no mapping hands it to the hydrate function: a hydration that failed is not tried again",
            "map the queue to the function again as template.yaml has it",
        ),
    }
}

pub fn attached_queue(subject: &str, mapping: &QueueMapping, attributes: &QueueAttributes) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut add = |grade, finding: &str, change: &str| findings.push(Finding::new(grade, subject, finding, change));
    if !mapping.is_enabled() {
        add(
            Grade::Problem,
            "its mapping to the hydrate function is disabled: what is reported to it is not hydrated",
            &format!("aws lambda update-event-source-mapping --uuid {} --enabled", mapping.uuid),
        );
    }
    if let Some(timeout) = attributes.visibility_timeout.filter(|timeout| *timeout < MIN_VISIBILITY_TIMEOUT) {
        let (timeout, min) = (time::duration(timeout), MIN_VISIBILITY_TIMEOUT.as_secs());
        add(
            Grade::Warning,
            &format!("its visibility timeout is {timeout}: the tries of a hydration that fails are used up too soon"),
            &format!("set VisibilityTimeout to {min}, six times the timeout of the hydrate function"),
        );
    }
    if attributes.max_receives.is_none() {
        add(
            Grade::Warning,
            "it has no redrive policy: what cannot be hydrated is tried until the queue deletes it, and never parked",
            "set its RedrivePolicy to the parked queue after 49 receives (docs/DEPLOY.md)",
        );
    }
    if findings.is_empty() {
        findings.push(Finding::fine(subject, "is handed to the hydrate function"));
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ports::EventTarget;

    const PATTERN: &str =
        r#"{"source":["aws.s3"],"detail-type":["Object Created"],"detail":{"bucket":{"name":["b"]}}}"#;

    fn sound() -> EventRule {
        let target = EventTarget { arn: "hydrate".into(), dead_letter_queue: Some("retry".into()) };
        EventRule { name: "r".into(), is_enabled: true, pattern: PATTERN.into(), targets: vec![target] }
    }

    fn grades(rule: Option<&EventRule>) -> Vec<Grade> {
        super::rule("r", rule, "hydrate", "b", "aws/lambda/").iter().map(|finding| finding.grade).collect()
    }

    #[test]
    fn each_weakness_of_a_rule_is_a_finding() {
        assert_eq!(grades(Some(&sound())), [Grade::Fine]);
        assert_eq!(grades(None), [Grade::Problem]);
        assert_eq!(grades(Some(&EventRule { is_enabled: false, ..sound() })), [Grade::Problem]);
        assert_eq!(grades(Some(&EventRule { targets: Vec::new(), ..sound() })), [Grade::Problem]);
        assert_eq!(
            grades(Some(&EventRule { pattern: PATTERN.replace("\"b\"", "\"c\""), ..sound() })),
            [Grade::Problem]
        );
        let without_queue = EventTarget { arn: "hydrate".into(), dead_letter_queue: None };
        assert_eq!(grades(Some(&EventRule { targets: vec![without_queue], ..sound() })), [Grade::Warning]);
    }

    #[test]
    fn a_pattern_is_compared_with_the_bucket_and_the_keys() {
        let hands_over = |pattern: &str| {
            let rule = EventRule { pattern: pattern.to_owned(), ..sound() };
            hands_over(&rule, "b", "aws/lambda/u/")
        };
        assert!(hands_over(PATTERN));
        let with_key =
            |key: &str| PATTERN.replace("{\"bucket\"", &format!("{{\"object\":{{\"key\":[{key}]}},\"bucket\""));
        for key in [r#"{"prefix":"aws/lambda/"}"#, r#"{"prefix":"aws/lambda/u/"}"#, r#""x",{"prefix":""}"#] {
            assert!(hands_over(&with_key(key)), "{key}");
        }
        for key in [r#"{"prefix":"aws/lambda/v/"}"#, r#"{"prefix":"aws/lambda/u/shard"}"#, r#"{"suffix":"/"}"#, "\"x\""]
        {
            assert!(!hands_over(&with_key(key)), "{key}");
        }
        for other in ["", "[]x", r#"{"source":"aws.s3"}"#, r#"{"source":["aws.sqs"]}"#] {
            assert!(!hands_over(other), "{other}");
        }
        assert!(!hands_over(&PATTERN.replace("Created", "Deleted")));
    }

    #[test]
    fn a_bucket_sends_its_events_and_keeps_objects_as_long_as_they_are_retried() {
        assert_eq!(events("b", true).grade, Grade::Fine);
        assert_eq!(events("b", false).grade, Grade::Problem);
        assert_eq!(expiration("b", Some(16)).grade, Grade::Fine);
        assert_eq!(expiration("b", Some(15)).grade, Grade::Problem);
        assert_eq!(expiration("b", None).grade, Grade::Warning);
    }

    #[test]
    fn each_weakness_of_a_mapped_queue_is_a_finding() {
        let mapping = |state: &str| QueueMapping { state: state.into(), ..QueueMapping::default() };
        let (enabled, disabled) = (mapping("Enabled"), mapping("Disabled"));
        assert_eq!(retry_mapping(&[&disabled, &enabled]).grade, Grade::Fine);
        for none_works in [&[&disabled][..], &[&mapping("Disabling")], &[&mapping("Deleting")], &[]] {
            assert_eq!(retry_mapping(none_works).grade, Grade::Problem);
        }
        let attributes = QueueAttributes {
            visibility_timeout: Some(Duration::from_secs(1800)),
            max_receives: Some(49),
            ..QueueAttributes::default()
        };
        let grades = |mapping: &QueueMapping, attributes: &QueueAttributes| {
            attached_queue("q", mapping, attributes).iter().map(|finding| finding.grade).collect::<Vec<_>>()
        };
        assert_eq!(grades(&enabled, &attributes), [Grade::Fine]);
        assert_eq!(grades(&disabled, &attributes), [Grade::Problem]);
        let short = QueueAttributes { visibility_timeout: Some(Duration::from_secs(1799)), ..attributes.clone() };
        assert_eq!(grades(&enabled, &short), [Grade::Warning]);
        assert_eq!(grades(&enabled, &QueueAttributes { max_receives: None, ..attributes }), [Grade::Warning]);
    }
}
