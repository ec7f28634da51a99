//! Rules for a sound deployment.

pub mod failed_batches;
pub mod filter_key;
pub mod unread;

use std::time::Duration;

use serde::Serialize;
use serde_with::skip_serializing_none;

use crate::commands::doctor::destination::MappingDestination;
use crate::commands::doctor::drill::DrillFacts;
use crate::commands::doctor::rules::unread::UnreadRecords;
use crate::ports::StreamMapping;
use crate::print::time;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Grade {
    /// Records will be lost, or are being lost.
    Problem,
    /// It works, until something else goes wrong.
    Warning,
    /// The credentials may not read it.
    Unchecked,
    Fine,
}

#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    pub grade: Grade,
    /// The part of the deployment that was checked.
    pub subject: String,
    pub finding: String,
    /// The change to make.
    pub change: Option<String>,
    /// The records that a mapping does not read. The change is then their rescue.
    pub unread: Option<Box<UnreadRecords>>,
    /// The time that a step of a drill took.
    pub milliseconds: Option<u64>,
    /// The names that a drill had, beside its result.
    pub drill: Option<Box<DrillFacts>>,
}

impl Finding {
    pub fn new(grade: Grade, subject: impl Into<String>, finding: impl Into<String>, change: &str) -> Self {
        let change = (!change.is_empty()).then(|| change.to_owned());
        let (subject, finding) = (subject.into(), finding.into());
        Self { grade, subject, finding, change, unread: None, milliseconds: None, drill: None }
    }

    pub fn fine(subject: impl Into<String>, finding: impl Into<String>) -> Self {
        Self::new(Grade::Fine, subject, finding, "")
    }
}

/// The retention of a DynamoDB stream, and of a Kinesis stream by default.
const MIN_STREAM_RETENTION: Duration = Duration::from_secs(24 * 60 * 60);
/// A long weekend, in which nobody may look at an alarm.
const MIN_QUEUE_RETENTION: Duration = Duration::from_secs(4 * 24 * 60 * 60);

/// `topic`: the hydrator's, to name in the change to make.
pub fn mapping(
    mapping: &StreamMapping,
    retention: Option<Duration>,
    destination: &MappingDestination,
    topic: Option<&str>,
) -> Vec<Finding> {
    let subject = format!("mapping {} of {}", mapping.uuid, mapping.function);
    let mut findings = Vec::new();
    let mut add = |grade, finding: String, change: &str| findings.push(Finding::new(grade, &subject, finding, change));
    let update = |options: &str| format!("aws lambda update-event-source-mapping --uuid {} {options}", mapping.uuid);
    let report_to_topic =
        || update(&format!("--destination-config OnFailure={{Destination={}}}", topic.unwrap_or("TOPIC")));
    match destination {
        MappingDestination::None => add(
            Grade::Problem,
            "it has no on-failure destination: what it gives up on is lost, without a report".to_owned(),
            &report_to_topic(),
        ),
        MappingDestination::Other(destination) => {
            let attach = match destination.split(':').nth(2) {
                Some("s3") => "attach the bucket with infra/bucket-source.yaml, or ",
                Some("sqs") => "attach the queue with infra/dead-letter-queue.yaml, or ",
                _ => "",
            };
            add(
                Grade::Warning,
                format!("its on-failure destination is {destination}, and nothing hands that to the hydrator"),
                &format!("{attach}{}", report_to_topic()),
            );
        }
        _ => {}
    }
    let retention = retention.unwrap_or(MIN_STREAM_RETENTION);
    if mapping.retries_for_ever() {
        add(
            Grade::Problem,
            "it retries for ever: a poison record blocks its shard until the records behind it expire, unreported"
                .to_owned(),
            &update("--maximum-retry-attempts 3 --maximum-record-age-in-seconds 3600"),
        );
    } else if let Some(age) = mapping.max_record_age_seconds.filter(|age| *age > 0)
        && Duration::from_secs(age.unsigned_abs().into()) * 2 > retention
    {
        add(
            Grade::Warning,
            format!(
                "it gives up when records are {} old, and the stream keeps them {}: little time is left to read them \
                 back",
                time::duration(Duration::from_secs(age.unsigned_abs().into())),
                time::duration(retention)
            ),
            &update("--maximum-record-age-in-seconds 3600"),
        );
    }
    if !mapping.bisects {
        add(
            Grade::Warning,
            "it does not bisect: one poison record fails its whole batch".to_owned(),
            &update("--bisect-batch-on-function-error"),
        );
    }
    if let Some(problem) = mapping.last_result.as_ref().filter(|result| result.starts_with("PROBLEM")) {
        add(Grade::Problem, format!("Lambda says: {problem}"), "fix what it names; often the role's permissions");
    }
    if mapping.is_disabled() {
        add(Grade::Warning, "it is disabled: its records wait, and expire".to_owned(), &update("--enabled"));
    }
    if findings.is_empty() {
        findings.push(Finding::fine(subject, format!("{}: bounded, and its failures are reported", mapping.source)));
    }
    findings
}

pub fn queue(name: &str, retention: Option<Duration>, max_receives: Option<u32>) -> Vec<Finding> {
    let subject = format!("{name} queue");
    let mut findings = Vec::new();
    if let Some(retention) = retention.filter(|retention| *retention < MIN_QUEUE_RETENTION) {
        findings.push(Finding::new(
            Grade::Problem,
            &subject,
            format!(
                "SQS deletes its messages after {}: a weekend without anybody at the alarm loses them",
                time::duration(retention)
            ),
            "set MessageRetentionPeriod to 1209600, fourteen days",
        ));
    }
    if let Some(max) = max_receives.filter(|_| name == "hydrated") {
        findings.push(Finding::new(
            Grade::Warning,
            &subject,
            format!("its redrive policy moves a message after {max} receives, and looking at it is one"),
            "remove the redrive policy, or look seldom",
        ));
    }
    if findings.is_empty() {
        let kept = retention.map_or_else(|| "?".to_owned(), time::duration);
        findings.push(Finding::fine(subject, format!("keeps messages {kept}")));
    }
    findings
}

/// `expires`: the days after which the bucket's lifecycle deletes hydrated messages; `None` where no rule does.
pub fn bucket(name: &str, expires: Option<i32>, queue_retention: Option<Duration>) -> Finding {
    let subject = format!("bucket {name}");
    match (expires, queue_retention) {
        (Some(days), Some(retention)) if u64::try_from(days).unwrap_or(0) * 86_400 < retention.as_secs() => {
            Finding::new(
                Grade::Problem,
                subject,
                format!(
                    "its lifecycle deletes objects after {days} days, and the queue keeps the messages that point to them \
                     {}",
                    time::duration(retention)
                ),
                "lengthen the expiration to more than the queue's retention",
            )
        }
        (Some(days), _) => Finding::fine(subject, format!("keeps objects {days} days")),
        (None, _) => Finding::new(
            Grade::Warning,
            subject,
            "no lifecycle rule deletes what was dealt with: the records' data stays for ever",
            "expire hydrated/ after some days more than the queue's retention",
        ),
    }
}

/// `lacks`: the actions that the role needs and may not do, each with its resource. `purpose`: what they are for.
pub fn role(subject: String, lacks: &[String], purpose: &str) -> Finding {
    if lacks.is_empty() {
        return Finding::fine(subject, format!("may do what it must for {purpose}"));
    }
    let finding = format!("it may not {}", lacks.join(", nor "));
    Finding::new(
        Grade::Problem,
        subject,
        finding,
        "allow it in the role's policy; a KMS key's and a resource's policy count too",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sound() -> StreamMapping {
        StreamMapping {
            uuid: "u".into(),
            function: "f".into(),
            source: "stream/s".into(),
            state: "Enabled".into(),
            last_result: Some("OK".into()),
            destination: Some("topic".into()),
            max_retries: Some(3),
            max_record_age_seconds: Some(3600),
            bisects: true,
            ..StreamMapping::default()
        }
    }

    fn grades(mapping: &StreamMapping) -> Vec<Grade> {
        let destination = match mapping.destination.as_deref() {
            None => MappingDestination::None,
            Some("topic") => MappingDestination::Topic("topic".to_owned()),
            Some(other) => MappingDestination::Other(other.to_owned()),
        };
        super::mapping(mapping, None, &destination, Some("topic")).iter().map(|finding| finding.grade).collect()
    }

    #[test]
    fn each_weakness_of_a_mapping_is_a_finding() {
        assert_eq!(grades(&sound()), [Grade::Fine]);
        assert_eq!(grades(&StreamMapping { destination: None, ..sound() }), [Grade::Problem]);
        assert_eq!(grades(&StreamMapping { destination: Some("other".into()), ..sound() }), [Grade::Warning]);
        assert_eq!(
            grades(&StreamMapping { max_retries: Some(-1), max_record_age_seconds: Some(-1), ..sound() }),
            [Grade::Problem]
        );
        assert_eq!(
            grades(&StreamMapping { max_retries: None, max_record_age_seconds: None, ..sound() }),
            [Grade::Problem]
        );
        assert_eq!(grades(&StreamMapping { max_retries: Some(-1), ..sound() }), [Grade::Fine]);
        assert_eq!(grades(&StreamMapping { max_record_age_seconds: Some(80_000), ..sound() }), [Grade::Warning]);
        assert_eq!(grades(&StreamMapping { bisects: false, state: "Disabled".into(), ..sound() }), [Grade::Warning; 2]);
        assert_eq!(grades(&StreamMapping { last_result: Some("PROBLEM: no".into()), ..sound() }), [Grade::Problem]);
    }

    #[test]
    fn retentions_are_compared() {
        let days = |days: u64| Some(Duration::from_secs(days * 86_400));
        assert_eq!(queue("hydrated", days(14), None)[0].grade, Grade::Fine);
        assert_eq!(queue("hydrated", days(1), None)[0].grade, Grade::Problem);
        assert_eq!(queue("hydrated", days(14), Some(3))[0].grade, Grade::Warning);
        assert_eq!(queue("retry", days(14), Some(3))[0].grade, Grade::Fine);
        assert_eq!(bucket("b", Some(7), days(14)).grade, Grade::Problem);
        assert_eq!(bucket("b", Some(30), days(14)).grade, Grade::Fine);
        assert_eq!(bucket("b", None, days(14)).grade, Grade::Warning);
    }
}
