//! `dlq doctor`: is the deployment sound, and what to change.

use std::collections::BTreeSet;

use anyhow::Result;
use clap::Args;
use hydration::arn::{Source, StreamArn};
use hydration::error::Fault;

use crate::aws::deployment::{denied, expiration, mappings, role_of, stream_retention};
use crate::aws::sqs::Sqs;
use crate::aws::stack::Stack;
use crate::doctor::{self, Finding, Grade, Mapping};
use crate::exit::{Exit, explain};
use crate::ports::Queue;
use crate::print::progress::Progress;
use crate::print::{Paint, count};
use crate::session::Session;

/// Check a deployment: mappings, permissions, retentions; say what to change
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  dlq doctor --stack hydrator
  dlq doctor --stack hydrator -o json | jq 'select(.grade == \"problem\")'

It reads and changes nothing. It needs lambda:ListEventSourceMappings, lambda:GetFunctionConfiguration,
kinesis:DescribeStreamSummary, sqs:GetQueueAttributes, s3:GetLifecycleConfiguration and iam:SimulatePrincipalPolicy; what
your credentials may not look at is told as unchecked.

Exit code 3 means that it found problems.")]
pub struct Arguments {
    /// Only look at the mappings of this function, by name or ARN
    #[arg(long, value_name = "NAME")]
    function: Option<String>,
    /// Print what is fine, too
    #[arg(long, short)]
    verbose: bool,
}

const READ_KINESIS: &[&str] = &["kinesis:GetShardIterator", "kinesis:GetRecords"];
const READ_DYNAMODB: &[&str] = &["dynamodb:GetShardIterator", "dynamodb:GetRecords"];

pub async fn run(session: &Session, arguments: Arguments) -> Result<Exit> {
    let progress = Progress::new("checking");
    let mut checkup = Checkup { session, findings: Vec::new(), progress: &progress };
    checkup.queues().await?;
    checkup.mappings(arguments.function.as_deref()).await;
    progress.done();
    let mut findings = checkup.findings;
    findings.sort_by_key(|finding| finding.grade);
    print(session, &findings, arguments.verbose)?;
    let has_problem = findings.iter().any(|finding| finding.grade == Grade::Problem);
    Ok(if has_problem { Exit::Attention } else { Exit::Fine })
}

struct Checkup<'a> {
    session: &'a Session,
    findings: Vec<Finding>,
    progress: &'a Progress,
}

impl Checkup<'_> {
    fn unchecked(&mut self, subject: impl Into<String>, fault: &Fault) {
        self.findings.push(Finding::new(Grade::Unchecked, subject, format!("{:#}", explain(fault)), ""));
    }

    async fn queues(&mut self) -> Result<()> {
        let stack = self.session.stack();
        let urls = [
            ("hydrated", Some(self.session.queue_url().await?)),
            ("retry", stack.and_then(Stack::retry_queue).map(str::to_owned)),
            ("parked", stack.and_then(Stack::parked_queue).map(str::to_owned)),
        ];
        let mut retention = None;
        for (name, url) in urls {
            let Some(url) = url else { continue };
            match Sqs::new(&self.session.config, url).describe().await {
                Err(fault) => self.unchecked(format!("{name} queue"), &fault),
                Ok(facts) => {
                    if name == "hydrated" {
                        retention = facts.retention;
                    }
                    self.findings.extend(doctor::queue(name, facts.retention, facts.max_receives));
                }
            }
            self.progress.add(1);
        }
        if let Some(bucket) = stack.and_then(Stack::overflow_bucket) {
            match expiration(&self.session.config, bucket).await {
                Err(fault) => self.unchecked(format!("bucket {bucket}"), &fault),
                Ok(days) => self.findings.push(doctor::bucket(bucket, days, retention)),
            }
        }
        Ok(())
    }

    async fn mappings(&mut self, function: Option<&str>) {
        let topic = self.session.stack().and_then(Stack::topic_arn).map(str::to_owned);
        let mut found = match mappings(&self.session.config).await {
            Err(fault) => return self.unchecked("mappings", &fault),
            Ok(found) => found,
        };
        let is_meant = |mapping: &Mapping| {
            let name = hydration::invocation_record::function_name(&mapping.function);
            function.is_none_or(|function| mapping.function == function || name == Some(function))
        };
        found.retain(is_meant);
        if found.is_empty() {
            let change = "attach one with infra/kinesis-source.yaml or infra/dynamodb-source.yaml";
            self.findings.push(Finding::new(
                Grade::Warning,
                "mappings",
                "no stream is mapped to a function here",
                change,
            ));
        }
        let mut roles = BTreeSet::new();
        for mapping in &found {
            self.progress.add(1);
            let retention = self.retention(&mapping.source).await;
            self.findings.extend(doctor::mapping(mapping, retention, topic.as_deref()));
            if let Some(topic) = topic.as_deref().filter(|topic| mapping.destination.as_deref() == Some(*topic)) {
                match role_of(&self.session.config, &mapping.function).await {
                    Err(fault) => self.unchecked(format!("role of {}", mapping.function), &fault),
                    Ok(role) if roles.insert(role.clone()) => self.role(&role, &["sns:Publish"], topic).await,
                    Ok(_) => {}
                }
                self.reader(&mapping.source).await;
            }
        }
    }

    async fn retention(&mut self, source: &str) -> Option<std::time::Duration> {
        let stream = StreamArn::parse(source).ok().filter(|stream| stream.source() == Source::Kinesis)?;
        match stream_retention(&self.session.config, stream.stream()).await {
            Ok(retention) => retention,
            Err(fault) => {
                self.unchecked(format!("retention of {}", stream.name()), &fault);
                None
            }
        }
    }

    /// Whether the hydrate function may read the stream.
    async fn reader(&mut self, source: &str) {
        let Some(role) = self.session.stack().and_then(Stack::hydrate_role_arn).map(str::to_owned) else { return };
        let Ok(stream) = StreamArn::parse(source) else { return };
        let actions = if stream.source() == Source::Kinesis { READ_KINESIS } else { READ_DYNAMODB };
        self.role(&role, actions, stream.stream()).await;
    }

    async fn role(&mut self, role: &str, actions: &[&str], resource: &str) {
        let subject = format!("role {}", role.rsplit('/').next().unwrap_or(role));
        match denied(&self.session.config, role, actions, resource).await {
            Err(fault) => self.unchecked(subject, &fault),
            Ok(denied) => self.findings.push(doctor::role(subject, &denied)),
        }
    }
}

fn print(session: &Session, findings: &[Finding], verbose: bool) -> Result<()> {
    let output = &session.output;
    if output.json {
        return findings.iter().try_for_each(|finding| output.json(finding));
    }
    for finding in findings.iter().filter(|finding| verbose || finding.grade != Grade::Fine) {
        let (paint, word) = match finding.grade {
            Grade::Problem => (Paint::Red, "problem"),
            Grade::Warning => (Paint::Yellow, "warning"),
            Grade::Unchecked => (Paint::Cyan, "unchecked"),
            Grade::Fine => (Paint::Green, "fine"),
        };
        output.line(format!(
            "{}  {}",
            output.paint(paint, format!("{word:<9}")),
            output.paint(Paint::Bold, &finding.subject)
        ))?;
        output.line(format!("           {}", finding.finding.replace('\n', "\n         ")))?;
        if let Some(change) = &finding.change {
            output.line(output.paint(Paint::Cyan, format!("           → {change}")))?;
        }
    }
    let number = |grade| findings.iter().filter(|finding| finding.grade == grade).count() as u64;
    let summary = format!(
        "{}, {}, {} unchecked, {} fine",
        count(number(Grade::Problem), "problem", "problems"),
        count(number(Grade::Warning), "warning", "warnings"),
        number(Grade::Unchecked),
        number(Grade::Fine)
    );
    output.line(output.paint(Paint::Bold, summary))
}
