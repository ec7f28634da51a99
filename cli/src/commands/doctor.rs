//! `dlq doctor`: checks of a deployment, with the changes to make.

mod checks;
mod destination;
pub mod drill;
mod failed_batch_bucket;
mod home;
mod permissions;
mod retries;
mod rules;
mod unread;

use std::time::Duration;

use anyhow::Result;
use clap::Args;
use hydration::ports::Clock;

use crate::aws::stack::Stack;
use crate::commands::doctor::checks::Checks;
use crate::commands::doctor::drill::DrillArgs;
use crate::commands::doctor::rules::{Finding, Grade};
use crate::context::Context;
use crate::exit::Exit;
use crate::ports::{Deployment, NamedQueue, Queue};
use crate::print::progress::Progress;
use crate::print::{Output, Paint, count, printable, time};
use crate::queue::filter_args::FunctionFilter;

/// Check a deployment: mappings, destinations, permissions, retentions; say what to change
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  dlq doctor --stack hydrator
  dlq doctor --stack hydrator -o json | jq 'select(.grade == \"problem\")'
  dlq doctor --stack hydrator --drill --stream arn:aws:kinesis:eu-west-1:123456789012:stream/orders

Where a mapping is disabled, stuck behind a batch, far behind its stream or silent, it says how long the oldest unread
record has to live, as far as that is known, and prints the `dlq hydrate` that brings the records to the queue.

With --drill it does not check settings but tries the way itself. It reads the newest records of a shard, reports them
to the on-failure destination of the stream's mapping as Lambda would (`condition` is `Drill`), waits for the hydrated
message, compares it with what it read, and takes it off the queue again. No function of yours is invoked, and no alarm
rings. It prints ids and times and nothing of the records: a bug report may have all of it. Messages that are waiting on
the queue are received meanwhile, for seconds, and are visible again. Ctrl-C stops it: it waits up to 15 seconds more
for its own message, to take it off, and says what is left. It needs the permissions of docs/DEPLOY.md, \"The drill\".

Without --drill it reads and changes nothing. It needs lambda:ListEventSourceMappings, lambda:GetFunctionConfiguration,
lambda:GetEventSourceMapping, cloudwatch:GetMetricData, kinesis:DescribeStreamSummary, sqs:GetQueueAttributes and sqs:GetQueueUrl, s3:GetLifecycleConfiguration,
s3:GetEncryptionConfiguration and s3:GetBucketNotification, events:ListRuleNamesByTarget, events:DescribeRule and
events:ListTargetsByRule, and iam:SimulatePrincipalPolicy; what your credentials may not look at is listed as
unchecked, with the permission that they lack.

Exit code 3 means that it found problems, or that something could not be checked.")]
pub struct Arguments {
    /// Only look at the mappings of this function, by name or ARN
    #[arg(long, value_name = "FUNCTION", value_parser = FunctionFilter::parse)]
    function: Option<FunctionFilter>,
    /// Print what is fine, too
    #[arg(long, short)]
    verbose: bool,
    #[command(flatten)]
    drill: DrillArgs,
}

impl Arguments {
    pub fn is_drill(&self) -> bool {
        self.drill.drill
    }
}

pub async fn run<Q: Queue, D: Deployment, C: Clock>(
    context: &Context<C>,
    queues: &[NamedQueue<Q>],
    deployment: &D,
    stack: &Stack,
    arguments: Arguments,
) -> Result<Exit> {
    let progress = Progress::new("checking");
    let mut checks = Checks::new(context, deployment, stack, &progress);
    context.interrupt.race(checks.check_all(queues, arguments.function.as_ref())).await??;
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
        let took = finding
            .milliseconds
            .map_or(String::new(), |millis| format!(" ({})", time::seconds(Duration::from_millis(millis))));
        output.line(format!("           {}{took}", finding.finding.replace('\n', "\n         ")))?;
        if let Some(change) = &finding.change {
            output.line(output.paint(Paint::Cyan, format!("           → {change}")))?;
        }
        if let Some(unread) = &finding.unread {
            output.line(format!("             {}", unread.order))?;
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
