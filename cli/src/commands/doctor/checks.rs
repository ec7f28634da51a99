//! Checks of a deployment, one after the other.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use anyhow::{Result, bail};
use hydration::arn::{Source, StreamArn};
use hydration::error::{Fault, FaultKind};
use hydration::invocation_record::function_name;
use hydration::ports::Clock;
use hydration::timestamp::Timestamp;

use crate::aws::stack::Stack;
use crate::commands::doctor::home::EncryptionKey;
use crate::commands::doctor::permissions;
use crate::commands::doctor::rules::{self, Finding, Grade};
use crate::context::Context;
use crate::exit::explain;
use crate::ports::{Deployment, EventRule, NamedQueue, Queue, QueueAttributes, QueueMapping, StreamMapping};
use crate::print::progress::Progress;
use crate::queue::filter_args::FunctionFilter;

pub struct Checks<'a, D> {
    pub deployment: &'a D,
    pub stack: &'a Stack,
    pub findings: Vec<Finding>,
    pub now: Timestamp,
    /// The flags that were typed to say where things are.
    pub location_flags: &'a str,
    /// Roles, with the resource that they were checked for.
    pub checked: BTreeSet<(String, String)>,
    /// The event rules that invoke the hydrate function, once they were read.
    pub attached_rules: Option<Vec<EventRule>>,
    /// The keys of buckets that were asked for; `None` where one could not be read.
    pub bucket_keys: BTreeMap<String, Option<EncryptionKey>>,
    progress: &'a Progress,
}

impl<'a, D: Deployment> Checks<'a, D> {
    pub fn new<C: Clock>(context: &'a Context<C>, deployment: &'a D, stack: &'a Stack, progress: &'a Progress) -> Self {
        Self {
            deployment,
            stack,
            findings: Vec::new(),
            now: context.now(),
            location_flags: &context.location_flags,
            checked: BTreeSet::new(),
            attached_rules: None,
            bucket_keys: BTreeMap::new(),
            progress,
        }
    }

    pub async fn check_all<Q: Queue>(
        &mut self,
        queues: &[NamedQueue<Q>],
        function: Option<&FunctionFilter>,
    ) -> Result<()> {
        let is_old = self.stack.hydrated_queue().is_some() && self.stack.hydrate_function_arn().is_none();
        if is_old {
            let finding = "it has no output HydrateFunctionArn, so what comes to the hydrate function is not known";
            self.add(Finding::new(
                Grade::Unchecked,
                "stack",
                finding,
                "deploy the stack with this version's template.yaml",
            ));
        }
        let retry_queue = self.check_queues(queues).await;
        self.check_failed_batch_bucket().await;
        if let Some(retry_queue) = &retry_queue {
            self.check_sends_to(retry_queue).await;
        }
        let mappings = match self.deployment.mappings().await {
            Err(fault) => {
                self.add_unchecked("mappings", &fault);
                return Ok(());
            }
            Ok(mappings) => mappings,
        };
        if let Some(retry_queue) = &retry_queue {
            self.check_retry_mapping(&retry_queue.arn, &mappings.queues);
        }
        self.check_mappings(mappings.streams, &mappings.queues, function).await
    }

    /// Adds a finding, unless another mapping has led to the same one.
    pub fn add(&mut self, finding: Finding) {
        if !self.findings.contains(&finding) {
            self.findings.push(finding);
        }
    }

    pub fn add_unchecked(&mut self, subject: impl Into<String>, fault: &Fault) {
        if fault.kind == FaultKind::AccessDenied {
            let (finding, change) =
                (format!("{}: {}", fault.action, fault.detail), format!("allow {} to your credentials", fault.action));
            return self.add(Finding::new(Grade::Unchecked, subject, finding, &change));
        }
        self.add(Finding::new(Grade::Unchecked, subject, format!("{:#}", explain(fault)), ""));
    }

    /// Checks the queues and the overflow bucket. Returns the attributes of the retry queue.
    async fn check_queues<Q: Queue>(&mut self, queues: &[NamedQueue<Q>]) -> Option<QueueAttributes> {
        let (mut hydrated_retention, mut retry_queue) = (None, None);
        for NamedQueue { name, queue, .. } in queues {
            match queue.attributes().await {
                Err(fault) => self.add_unchecked(format!("{name} queue"), &fault),
                Ok(attributes) => {
                    self.findings.extend(rules::queue(name, attributes.retention, attributes.max_receives));
                    match *name {
                        "hydrated" => hydrated_retention = attributes.retention,
                        "retry" => retry_queue = Some(attributes),
                        _ => {}
                    }
                }
            }
            self.progress.add(1);
        }
        if let Some(bucket) = self.stack.overflow_bucket() {
            match self.deployment.expiration_days(bucket, "hydrated/").await {
                Err(fault) => self.add_unchecked(format!("bucket {bucket}"), &fault),
                Ok(days) => self.findings.push(rules::bucket(bucket, days, hydrated_retention)),
            }
        }
        retry_queue
    }

    async fn check_mappings(
        &mut self,
        mut mappings: Vec<StreamMapping>,
        queue_mappings: &[QueueMapping],
        function: Option<&FunctionFilter>,
    ) -> Result<()> {
        // A metric of Lambda names the function, without a version or an alias.
        let name = |function: &str| function_name(function).unwrap_or(function).to_owned();
        let all_functions: Vec<_> = mappings.iter().map(|mapping| name(&mapping.function)).collect();
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
        for mapping in &mappings {
            self.progress.add(1);
            let of_function = all_functions.iter().filter(|function| **function == name(&mapping.function));
            self.check_mapping(mapping, queue_mappings, of_function.count() > 1).await;
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

    /// `is_shared`: its function has another stream mapping.
    async fn check_mapping(&mut self, mapping: &StreamMapping, queue_mappings: &[QueueMapping], is_shared: bool) {
        let retention = self.stream_retention(&mapping.source).await;
        // The rescue comes before the changes to make: it is to be done first.
        self.check_unread(mapping, retention, is_shared).await;
        let destination = self.destination(mapping, queue_mappings).await;
        self.findings.extend(rules::mapping(mapping, retention, &destination, self.stack.topic_arn()));
        self.check_filter_key(mapping).await;
        self.check_destination(mapping, &destination).await;
        if destination.is_hydrated()
            && let Some(role) = self.stack.hydrate_role_arn()
            && let Ok(stream) = StreamArn::parse(&mapping.source)
        {
            self.check_role(role, &[permissions::read_stream(&stream)]).await;
        }
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
}
