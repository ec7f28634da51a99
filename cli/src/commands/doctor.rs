//! `dlq doctor`: checks of a deployment, with the changes to make.

mod rules;

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Result, bail};
use clap::Args;
use hydration::arn::{Source, StreamArn};
use hydration::error::{Fault, FaultKind};

use crate::aws::stack::Stack;
use crate::commands::doctor::rules::{Finding, Grade};
use crate::context::Context;
use crate::exit::{Exit, explain};
use crate::ports::{Deployment, NamedQueue, Queue, StreamMapping};
use crate::print::progress::Progress;
use crate::print::{Output, Paint, count, printable};
use crate::queue::filter_args::FunctionFilter;

/// Check a deployment: mappings, permissions, retentions; say what to change
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  dlq doctor --stack hydrator
  dlq doctor --stack hydrator -o json | jq 'select(.grade == \"problem\")'

It reads and changes nothing. It needs lambda:ListEventSourceMappings, lambda:GetFunctionConfiguration,
kinesis:DescribeStreamSummary, sqs:GetQueueAttributes, s3:GetLifecycleConfiguration and iam:SimulatePrincipalPolicy;
what your credentials may not look at is listed as unchecked, with the permission that they lack.

Exit code 3 means that it found problems, or that something could not be checked.")]
pub struct Arguments {
    /// Only look at the mappings of this function, by name or ARN
    #[arg(long, value_name = "FUNCTION", value_parser = FunctionFilter::parse)]
    function: Option<FunctionFilter>,
    /// Print what is fine, too
    #[arg(long, short)]
    verbose: bool,
}

const READ_KINESIS: &[&str] = &["kinesis:GetShardIterator", "kinesis:GetRecords"];
const READ_DYNAMODB: &[&str] = &["dynamodb:GetShardIterator", "dynamodb:GetRecords"];

pub async fn run<Q: Queue, D: Deployment, C>(
    context: &Context<C>,
    queues: &[NamedQueue<Q>],
    deployment: &D,
    stack: &Stack,
    arguments: Arguments,
) -> Result<Exit> {
    let progress = Progress::new("checking");
    let mut checks = Checks { deployment, stack, findings: Vec::new(), progress: &progress };
    let check_all = async {
        checks.check_queues(queues).await;
        checks.check_mappings(arguments.function.as_ref()).await
    };
    context.interrupt.race(check_all).await??;
    progress.finish();
    let mut findings = checks.findings;
    findings.sort_by_key(|finding| finding.grade);
    if context.output.json {
        findings.iter().try_for_each(|finding| context.output.json(finding))?;
    } else {
        print_text(&context.output, &findings, arguments.verbose)?;
    }
    // What was not checked must not pass as good.
    let is_sound = |finding: &Finding| matches!(finding.grade, Grade::Warning | Grade::Fine);
    Ok(if findings.iter().all(is_sound) { Exit::Done } else { Exit::Attention })
}

struct Checks<'a, D> {
    deployment: &'a D,
    stack: &'a Stack,
    findings: Vec<Finding>,
    progress: &'a Progress,
}

impl<D: Deployment> Checks<'_, D> {
    fn add_unchecked(&mut self, subject: impl Into<String>, fault: &Fault) {
        if fault.kind == FaultKind::AccessDenied {
            let (finding, change) =
                (format!("{}: {}", fault.action, fault.detail), format!("allow {} to your credentials", fault.action));
            return self.findings.push(Finding::new(Grade::Unchecked, subject, finding, &change));
        }
        self.findings.push(Finding::new(Grade::Unchecked, subject, format!("{:#}", explain(fault)), ""));
    }

    async fn check_queues<Q: Queue>(&mut self, queues: &[NamedQueue<Q>]) {
        let mut hydrated_retention = None;
        for NamedQueue { name, queue, .. } in queues {
            match queue.attributes().await {
                Err(fault) => self.add_unchecked(format!("{name} queue"), &fault),
                Ok(attributes) => {
                    if *name == "hydrated" {
                        hydrated_retention = attributes.retention;
                    }
                    self.findings.extend(rules::queue(name, attributes.retention, attributes.max_receives));
                }
            }
            self.progress.add(1);
        }
        if let Some(bucket) = self.stack.overflow_bucket() {
            match self.deployment.expiration_days(bucket).await {
                Err(fault) => self.add_unchecked(format!("bucket {bucket}"), &fault),
                Ok(days) => self.findings.push(rules::bucket(bucket, days, hydrated_retention)),
            }
        }
    }

    async fn check_mappings(&mut self, function: Option<&FunctionFilter>) -> Result<()> {
        let mut mappings = match self.deployment.mappings().await {
            Err(fault) => {
                self.add_unchecked("mappings", &fault);
                return Ok(());
            }
            Ok(mappings) => mappings,
        };
        if let Some(function) = function {
            mappings.retain(|mapping| function.takes_function(&mapping.function, None));
            if mappings.is_empty() {
                return self.check_exists(function).await;
            }
        }
        if mappings.is_empty() {
            let change = "attach one with infra/kinesis-source.yaml or infra/dynamodb-source.yaml";
            let finding = "no stream is mapped to a function here";
            self.findings.push(Finding::new(Grade::Warning, "mappings", finding, change));
        }
        let mut checked_roles = BTreeSet::new();
        for mapping in &mappings {
            self.progress.add(1);
            self.check_mapping(mapping, &mut checked_roles).await;
        }
        Ok(())
    }

    /// Tells a function that has no mapping from one that does not exist.
    async fn check_exists(&mut self, function: &FunctionFilter) -> Result<()> {
        let name = function.as_typed();
        match self.deployment.role_of(&name).await {
            Err(fault) if fault.detail.contains("ResourceNotFound") => {
                bail!("there is no function {name} here\n  → check --function, --region and --profile")
            }
            Err(fault) => self.add_unchecked(format!("function {name}"), &fault),
            Ok(_) => {
                let change = "attach a stream with infra/kinesis-source.yaml or infra/dynamodb-source.yaml";
                let finding = "no stream is mapped to it here";
                self.findings.push(Finding::new(Grade::Warning, format!("function {name}"), finding, change));
            }
        }
        Ok(())
    }

    async fn check_mapping(&mut self, mapping: &StreamMapping, checked_roles: &mut BTreeSet<String>) {
        let topic = self.stack.topic_arn();
        let retention = self.stream_retention(&mapping.source).await;
        self.findings.extend(rules::mapping(mapping, retention, topic));
        let Some(topic) = topic.filter(|topic| mapping.destination.as_deref() == Some(*topic)) else { return };
        match self.deployment.role_of(&mapping.function).await {
            Err(fault) => self.add_unchecked(format!("role of {}", mapping.function), &fault),
            Ok(role) if checked_roles.insert(role.clone()) => self.check_role(&role, &["sns:Publish"], topic).await,
            Ok(_) => {}
        }
        self.check_hydrate_role(&mapping.source).await;
    }

    async fn stream_retention(&mut self, source: &str) -> Option<Duration> {
        let stream = StreamArn::parse(source).ok().filter(|stream| stream.source() == Source::Kinesis)?;
        match self.deployment.stream_retention(stream.stream()).await {
            Ok(retention) => retention,
            Err(fault) => {
                self.add_unchecked(format!("retention of {}", stream.name()), &fault);
                None
            }
        }
    }

    /// Checks that the hydrate function may read the stream.
    async fn check_hydrate_role(&mut self, source: &str) {
        let Some(role) = self.stack.hydrate_role_arn() else { return };
        let Ok(stream) = StreamArn::parse(source) else { return };
        let actions = if stream.source() == Source::Kinesis { READ_KINESIS } else { READ_DYNAMODB };
        self.check_role(role, actions, stream.stream()).await;
    }

    async fn check_role(&mut self, role: &str, actions: &[&str], resource: &str) {
        let subject = format!("role {}", role.rsplit('/').next().unwrap_or(role));
        match self.deployment.denied_actions(role, actions, resource).await {
            Err(fault) => self.add_unchecked(subject, &fault),
            Ok(denied) => self.findings.push(rules::role(subject, &denied, resource)),
        }
    }
}

fn print_text(output: &Output, findings: &[Finding], verbose: bool) -> Result<()> {
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
            output.paint(Paint::Bold, printable(&finding.subject))
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
