//! A connection to AWS: the configuration, and the adapters that are made from it.

use std::ffi::OsString;

use anyhow::{Result, bail};
use aws_config::SdkConfig;
use hydration_aws::SystemClock;

use crate::archive::{ArchiveChoice, ArchivePlace};
use crate::args::{GlobalArgs, Targets};
use crate::aws::deployment::AwsDeployment;
use crate::aws::failure_destination::AwsFailureDestination;
use crate::aws::lambda::Lambda;
use crate::aws::logs::CloudWatchLogs;
use crate::aws::s3::S3;
use crate::aws::sqs::Sqs;
use crate::aws::stack::Stack;
use crate::commands::replay::session::LedgerPlace;
use crate::context::Context;
use crate::exit::explain;
use crate::ledger::Ledger;
use crate::ledger::location::{LEDGER_FOLDER, Location, QueueName};
use crate::ledger::record::Who;
use crate::ledger::store::AnyStore;
use crate::ledger::store::folder::FolderStore;
use crate::ledger::store::s3::S3Store;
use crate::ports::{Bucket, ListFrom, ListRequest, NamedQueue};
use crate::print::Output;
use crate::queue::identity::QueueIdentity;

pub struct Connection {
    pub config: SdkConfig,
    global: GlobalArgs,
    stack: Stack,
}

impl Connection {
    pub async fn open(global: GlobalArgs, output: &Output) -> Result<Self> {
        // The SDK panics where an endpoint is empty.
        let is_empty_endpoint = |(name, value): &(OsString, OsString)| {
            name.to_string_lossy().starts_with("AWS_ENDPOINT_URL") && value.is_empty()
        };
        if let Some((name, _)) = std::env::vars_os().find(is_empty_endpoint) {
            bail!("{} is set and empty\n  → unset it", name.display());
        }
        let config = super::config(&global).await?;
        if config.region().is_none_or(|region| region.as_ref().is_empty()) {
            bail!("no region is set\n  → give --region, set AWS_REGION, or choose a --profile that has one");
        }
        let stack = match &global.stack {
            None => Stack::default(),
            Some(name) => match Stack::find(&config, name).await {
                Ok(stack) => stack,
                // The queue is known, which is enough to go on.
                Err(error) if global.queue.is_some() => {
                    output.note(format!("{error:#}"));
                    Stack::default()
                }
                Err(error) => return Err(error),
            },
        };
        Ok(Self { config, global, stack })
    }

    /// The hydrator's stack; without any output where none was named.
    pub fn stack(&self) -> &Stack {
        &self.stack
    }

    /// The URL of the queue of hydrated messages.
    pub async fn queue_url(&self) -> Result<String> {
        if let Some(name) = &self.global.queue {
            return self.find_queue(name).await;
        }
        if let Some(url) = self.stack.hydrated_queue() {
            return Ok(url.to_owned());
        }
        bail!(
            "which queue? give --stack NAME, the hydrator's CloudFormation stack, or --queue URL, or set DLQ_STACK or \
             DLQ_QUEUE"
        )
    }

    /// The URL of a queue that is given by its URL or name.
    pub async fn find_queue(&self, name: &str) -> Result<String> {
        Sqs::find(&self.config, name).await.map_err(|fault| explain(&fault))
    }

    /// Tells if the queue of hydrated messages is named.
    pub fn names_queue(&self) -> bool {
        self.global.queue.is_some() || self.stack.hydrated_queue().is_some()
    }

    /// The bucket that the hydrated messages of the queue overflow to.
    fn overflow_bucket(&self) -> Option<String> {
        let variable = || std::env::var("OVERFLOW_BUCKET").ok().filter(|name| !name.is_empty());
        self.stack.overflow_bucket().map(str::to_owned).or_else(variable)
    }

    /// The archive of what was on the queue, if there is one.
    pub fn own_archive(&self) -> Option<ArchivePlace> {
        self.overflow_bucket().map(|bucket| ArchivePlace::in_bucket(&bucket))
    }

    /// The archive to read in place of the queue.
    pub fn archive(&self) -> Result<Option<ArchivePlace>> {
        let own = self.stack.overflow_bucket();
        match (&self.global.archive, own) {
            (None, _) => Ok(None),
            (Some(ArchiveChoice::OfStack), Some(bucket)) => Ok(Some(ArchivePlace::in_bucket(bucket))),
            (Some(ArchiveChoice::OfStack), None) => bail!(
                "which bucket? --archive stack is the overflow bucket of a stack\n  → give --stack NAME, the hydrator's \
                 CloudFormation stack, or --archive s3://BUCKET/hydrated/"
            ),
            (Some(ArchiveChoice::At(place)), _) => Ok(Some(place.clone())),
        }
    }

    pub fn queue_at(&self, url: String) -> Sqs {
        Sqs::new(&self.config, url)
    }

    /// The stack's queues of hydrations that failed.
    pub fn retry_and_parked_queues(&self) -> Vec<NamedQueue<Sqs>> {
        let urls = [("retry", self.stack.retry_queue()), ("parked", self.stack.parked_queue())];
        let named = urls.into_iter().filter_map(|(name, url)| Some((name, url?.to_owned())));
        named.map(|(name, url)| self.named_queue(name, url)).collect()
    }

    /// The queue of hydrated messages, and the stack's others.
    pub fn all_queues(&self, hydrated_url: String) -> Vec<NamedQueue<Sqs>> {
        let hydrated = self.named_queue("hydrated", hydrated_url);
        std::iter::once(hydrated).chain(self.retry_and_parked_queues()).collect()
    }

    fn named_queue(&self, name: &'static str, url: String) -> NamedQueue<Sqs> {
        NamedQueue { name, queue: self.queue_at(url.clone()), url }
    }

    pub fn bucket(&self) -> S3 {
        S3::new(&self.config)
    }

    pub fn function(&self) -> Lambda {
        Lambda::new(&self.config)
    }

    /// The ledger of the queue, in the place that was typed, else in the overflow bucket, else in a folder.
    pub async fn ledger(
        &self,
        targets: &Targets,
        context: &Context<SystemClock>,
        typed: Option<&str>,
    ) -> Result<(Ledger<AnyStore, SystemClock>, LedgerPlace)> {
        let bucket = self.overflow_bucket();
        // An archive keeps what was replayed: with another ledger, all of it would run once more.
        let is_known = !targets.queue_url.is_empty() && (typed.is_some() || bucket.is_some());
        if targets.archive.is_some() && !is_known {
            bail!(
                "an archive does not say what was replayed of it: the ledger of the queue does, and that is not known\n  \
                 → give --stack NAME, or --queue with --ledger s3://OVERFLOW_BUCKET/ledger, as for the queue"
            );
        }
        if let Some(archive) = &targets.archive {
            check_queue_of(archive, &self.stack, &targets.queue_url)?;
        }
        let identity = QueueIdentity::read(&self.queue_at(targets.queue_url.clone()), &context.interrupt).await?;
        let archive = targets.archive.as_ref().map(ToString::to_string);
        let identity = QueueIdentity { archive, ..identity };
        let QueueIdentity { account, region, queue: name, .. } = identity.clone();
        let queue_name = QueueName { account, region, name };
        let location = Location::choose(typed, bucket.as_deref(), &queue_name, |name| std::env::var_os(name))?;
        if let Some(archive) = &targets.archive {
            let own = Location::choose(None, Some(&archive.bucket), &queue_name, |_| None)?;
            if location != own {
                context.interrupt.race(self.check_no_ledger_beside(archive, &location)).await??;
                context.output.note(format!(
                    "what was replayed before is looked up in {location}: the bucket of the archive has no ledger"
                ));
            }
        }
        let place = LedgerPlace { queue: identity, ledger: location.to_string(), is_shared: location.is_shared() };
        let store = match location {
            Location::S3 { bucket, prefix } => {
                AnyStore::S3(S3Store::new(&super::with_retries(&self.config), &bucket, &prefix))
            }
            Location::Folder(path) => AnyStore::Folder(FolderStore::new(path)),
        };
        Ok((Ledger::new(store, SystemClock, Who::current()), place))
    }

    /// Refuses another ledger than that in the archive's bucket, if there is one: what it knows would run once more.
    async fn check_no_ledger_beside(&self, archive: &ArchivePlace, location: &Location) -> Result<()> {
        let bucket = archive.bucket.clone();
        let request =
            ListRequest { bucket, prefix: format!("{LEDGER_FOLDER}/"), by_folder: false, from: ListFrom::First };
        let page = self.bucket().list(&request).await.map_err(|fault| explain(&fault))?;
        if page.objects.is_empty() && page.next.is_none() {
            return Ok(());
        }
        bail!(
            "s3://{}/{LEDGER_FOLDER} says what was replayed of {archive}, and {location} would be asked instead: what ran \
             would run once more\n  → give --stack or --queue of this archive's queue, and --ledger \
             s3://{}/{LEDGER_FOLDER} or none",
            archive.bucket,
            archive.bucket
        )
    }

    pub fn logs(&self) -> CloudWatchLogs {
        CloudWatchLogs::new(&self.config)
    }

    pub fn failure_destination(&self) -> AwsFailureDestination {
        AwsFailureDestination::new(&self.config)
    }

    pub fn deployment(&self) -> AwsDeployment {
        AwsDeployment::new(&self.config)
    }
}

/// Refuses the archive of a stack with another queue than the stack's own: the ledger of that queue does not know what
/// was replayed of the archive, and all of it would run once more.
fn check_queue_of(archive: &ArchivePlace, stack: &Stack, queue_url: &str) -> Result<()> {
    let Some(own) = stack.hydrated_queue().filter(|_| stack.overflow_bucket() == Some(archive.bucket.as_str())) else {
        return Ok(());
    };
    if is_same_queue(own, queue_url) {
        return Ok(());
    }
    bail!(
        "{archive} is the archive of the queue {own}, and the queue that is named, {queue_url}, has another ledger\n  \
         → give --stack alone, without --queue and DLQ_QUEUE"
    )
}

/// Compares the account and the name, at the end of a queue's URL. AWS has several host names for one queue.
fn is_same_queue(one: &str, other: &str) -> bool {
    let end = |url: &str| url.trim_end_matches('/').rsplit('/').take(2).map(str::to_owned).collect::<Vec<_>>();
    end(one) == end(other)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_archive_goes_with_the_queue_of_its_own_stack() {
        let own = "https://sqs.us-east-1.amazonaws.com/123456789012/hydrated";
        let stack = Stack::with_outputs(&[("HydratedQueueUrl", own), ("OverflowBucketName", "overflow")]);
        let check = |bucket, url| check_queue_of(&ArchivePlace::in_bucket(bucket), &stack, url);
        for same in [own, "https://queue.amazonaws.com/123456789012/hydrated"] {
            assert!(check("overflow", same).is_ok(), "{same}");
        }
        for other in
            ["https://sqs.us-east-1.amazonaws.com/123456789012/other", "http://localhost/999999999999/hydrated"]
        {
            let error = check("overflow", other).unwrap_err().to_string();
            assert!(error.contains("has another ledger") && error.contains("--stack alone"), "{error}");
            assert!(check("a-copy", other).is_ok(), "{other}");
        }
    }
}
