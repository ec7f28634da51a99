//! The way of a failed batch of the stream: its mapping, and the place to which Lambda reports what that gives up on.

use anyhow::{Result, bail};
use hydration::arn::StreamArn;
use hydration::ports::Clock;

use crate::aws::stack::Stack;
use crate::commands::doctor::Arguments;
use crate::commands::doctor::checks::Checks;
use crate::commands::doctor::destination::{MappingDestination, bucket_name, key_prefix};
use crate::commands::doctor::drill::report::DrillReport;
use crate::context::Context;
use crate::exit::explain;
use crate::ports::{Deployment, StreamMapping};
use crate::print::progress::Progress;

/// The place to which the mapping reports a failed batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReportPlace {
    Topic(String),
    /// `key_prefix`: the beginning of the keys of the mapping's objects.
    Bucket {
        bucket: String,
        key_prefix: String,
    },
}

impl ReportPlace {
    pub fn name(&self) -> String {
        match self {
            Self::Topic(arn) => arn.clone(),
            Self::Bucket { bucket, .. } => format!("s3://{bucket}"),
        }
    }

    /// The change to make where the report is refused.
    pub fn advice(&self) -> &'static str {
        match self {
            Self::Topic(_) => {
                "allow sns:Publish to your credentials, and kms:GenerateDataKey and kms:Decrypt on the topic's key; the \
                 topic of the hydrator's stack takes reports of roles alone, not of users"
            }
            Self::Bucket { .. } => {
                "allow s3:PutObject to your credentials, and kms:GenerateDataKey on the bucket's key"
            }
        }
    }
}

#[derive(Debug, Clone)]
pub struct DrillRoute {
    /// The function of the mapping, by its ARN.
    pub function: String,
    /// The stream, or the consumer, that the mapping names.
    pub stream: StreamArn,
    pub place: ReportPlace,
}

/// The route of the stream's mapping. `None` where that has a problem, which was noted.
pub async fn find_route<D: Deployment, C: Clock>(
    context: &Context<C>,
    deployment: &D,
    stack: &Stack,
    arguments: &Arguments,
    report: &mut DrillReport<'_, C>,
) -> Result<Option<DrillRoute>> {
    let Some(wanted) = &arguments.drill.stream else { bail!("give --stream, the ARN of a stream") };
    report.facts.stream = wanted.as_str().to_owned();
    let mappings = context.interrupt.race(deployment.mappings()).await?;
    let mappings = mappings.map_err(|fault| explain(&fault))?;
    let mapping = choose(wanted, arguments, mappings.streams)?;
    let stream = StreamArn::parse(&mapping.source)?;
    report.facts.function = Some(mapping.function.clone());
    report.facts.mapping = Some(mapping.uuid.clone());
    let progress = Progress::new("checking the destination");
    let mut checks = Checks::new(context, deployment, stack, &progress);
    let destination = checks.destination(&mapping, &mappings.queues);
    let destination = context.interrupt.race(destination).await?;
    progress.finish();
    let bucket = |bucket: String| ReportPlace::Bucket { bucket, key_prefix: key_prefix(&mapping) };
    let place = match destination {
        MappingDestination::Topic(topic) => Ok(ReportPlace::Topic(topic)),
        MappingDestination::Bucket(name) | MappingDestination::AttachedBucket { bucket: name, .. } => Ok(bucket(name)),
        // Without the stack, or without a look at its rules, the drill itself shows if the hydrator gets it.
        MappingDestination::Unknown => match mapping.destination.as_deref() {
            Some(arn) if arn.contains(":sns:") => Ok(ReportPlace::Topic(arn.to_owned())),
            Some(arn) => bucket_name(arn).map(|name| bucket(name.to_owned())).ok_or_else(|| only_these(arn)),
            None => Err("the mapping has no on-failure destination".to_owned()),
        },
        MappingDestination::None => {
            Err("the mapping has no on-failure destination: what it gives up on is lost, without a report".to_owned())
        }
        MappingDestination::AttachedQueue(attached) => Err(only_these(&attached.queue_arn)),
        MappingDestination::Other(arn) => {
            Err(format!("the mapping reports to {arn}, and nothing hands that to the hydrator"))
        }
    };
    match place {
        Ok(place) => {
            report.facts.destination = Some(place.name());
            let (uuid, function) = (&mapping.uuid, &mapping.function);
            report.fine(format!("mapping {uuid} of {function} reports to {}", place.name()));
            Ok(Some(DrillRoute { function: mapping.function, stream, place }))
        }
        Err(problem) => {
            let advice = format!("dlq doctor{} says what to change", context.location_flags);
            report.problem(problem, &advice);
            Ok(None)
        }
    }
}

/// The mapping of the stream, and of the function that was typed.
fn choose(wanted: &StreamArn, arguments: &Arguments, mut mappings: Vec<StreamMapping>) -> Result<StreamMapping> {
    let function = arguments.function.as_ref();
    let is_wanted = |mapping: &StreamMapping| {
        let source = StreamArn::parse(&mapping.source);
        let is_source = source.is_ok_and(|source| source == *wanted || source.stream() == wanted.as_str());
        is_source && function.is_none_or(|function| function.takes_function(&mapping.function, None))
    };
    mappings.retain(is_wanted);
    let place = wanted.as_str();
    if mappings.len() > 1 {
        let names: Vec<String> =
            mappings.iter().map(|mapping| format!("{} of {}", mapping.function, mapping.source)).collect();
        bail!(
            "{place} has several mappings: {}\n  → name one with --function, or its consumer with --stream",
            names.join(", ")
        );
    }
    match mappings.pop() {
        Some(mapping) => Ok(mapping),
        None => bail!(
            "no event source mapping reads {place} here{}\n  → check --stream, --function and --region, or attach it \
             with infra/kinesis-source.yaml or infra/dynamodb-source.yaml",
            function.map_or(String::new(), |function| format!(" for {}", function.as_typed()))
        ),
    }
}

fn only_these(arn: &str) -> String {
    format!("the mapping reports to {arn}, and a drill reports to a topic or a bucket alone")
}
