//! The on-failure destination of a mapping, and what it takes to report there.

use crate::commands::doctor::checks::Checks;
use crate::commands::doctor::home::Home;
use crate::commands::doctor::permissions::{SEND_ENCRYPTED, WRITE_ENCRYPTED, on, on_bucket, through};
use crate::commands::doctor::rules::failed_batches;
use crate::ports::{Deployment, EventRule, Permission, QueueMapping, StreamMapping};

/// The on-failure destination of an event source mapping.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MappingDestination {
    None,
    /// The hydrator's topic, by its ARN.
    Topic(String),
    /// The failed-batch bucket of the hydrator's stack.
    Bucket(String),
    /// Another bucket, whose objects this event rule hands to the hydrate function.
    AttachedBucket {
        bucket: String,
        rule: EventRule,
    },
    /// A queue that this mapping hands to the hydrate function.
    AttachedQueue(QueueMapping),
    /// It is not known to come to the hydrator.
    Other(String),
    /// The hydrator is not known, or what is attached to it could not be read.
    Unknown,
}

impl MappingDestination {
    /// Returns true where the hydrator gets what is reported.
    pub fn is_hydrated(&self) -> bool {
        !matches!(self, Self::None | Self::Other(_) | Self::Unknown)
    }
}

/// The name in the ARN of a bucket, `arn:PARTITION:s3:::NAME`.
pub fn bucket_name(arn: &str) -> Option<&str> {
    arn.split_once(":s3:::").map(|(_, name)| name)
}

/// The beginning of the keys under which Lambda writes what a mapping reports
/// (<https://docs.aws.amazon.com/lambda/latest/dg/kinesis-on-failure-destination.html>).
pub fn key_prefix(mapping: &StreamMapping) -> String {
    format!("aws/lambda/{}/", mapping.uuid)
}

impl<D: Deployment> Checks<'_, D> {
    pub async fn destination(
        &mut self,
        mapping: &StreamMapping,
        queue_mappings: &[QueueMapping],
    ) -> MappingDestination {
        let Some(arn) = mapping.destination.as_deref() else { return MappingDestination::None };
        let Some(topic) = self.stack.topic_arn() else { return MappingDestination::Unknown };
        if arn == topic {
            return MappingDestination::Topic(arn.to_owned());
        }
        if let Some(bucket) = bucket_name(arn) {
            if self.stack.failed_batch_bucket() == Some(bucket) {
                return MappingDestination::Bucket(bucket.to_owned());
            }
            let Some(rules) = self.attached_rules().await else { return MappingDestination::Unknown };
            let hands_over = |rule: &&EventRule| failed_batches::hands_over(rule, bucket, &key_prefix(mapping));
            return match rules.iter().find(hands_over) {
                Some(rule) => MappingDestination::AttachedBucket { bucket: bucket.to_owned(), rule: rule.clone() },
                None => MappingDestination::Other(arn.to_owned()),
            };
        }
        let attached = queue_mappings.iter().find(|found| found.queue_arn == arn && self.is_hydrate(&found.function));
        attached.map_or_else(
            || MappingDestination::Other(arn.to_owned()),
            |attached| MappingDestination::AttachedQueue(attached.clone()),
        )
    }

    /// Returns true for the hydrate function.
    pub fn is_hydrate(&self, function: &str) -> bool {
        self.stack.hydrate_function_arn() == Some(function)
    }

    /// The rules that invoke the hydrate function; `None` where they could not be read, which is reported once.
    async fn attached_rules(&mut self) -> Option<&[EventRule]> {
        if self.attached_rules.is_none() {
            let function = self.stack.hydrate_function_arn()?;
            let names = match self.deployment.rules_with_target(function).await {
                Ok(names) => names,
                Err(fault) => {
                    self.add_unchecked("event rules", &fault);
                    return None;
                }
            };
            let mut rules = Vec::new();
            for name in names {
                match self.deployment.event_rule(&name).await {
                    Ok(rule) => rules.extend(rule),
                    Err(fault) => {
                        self.add_unchecked(format!("event rule {name}"), &fault);
                        return None;
                    }
                }
            }
            self.attached_rules = Some(rules);
        }
        self.attached_rules.as_deref()
    }

    /// Checks the destination, and the role of the function that reports there.
    pub async fn check_destination(&mut self, mapping: &StreamMapping, destination: &MappingDestination) {
        let Some(home) = Home::parse(&mapping.function) else { return };
        let permissions = match destination {
            MappingDestination::None | MappingDestination::Other(_) | MappingDestination::Unknown => return,
            MappingDestination::Topic(topic) => {
                let key = self.stack.topic_key_arn();
                let publish = on(&["sns:Publish"], topic);
                std::iter::once(publish).chain(key.map(|key| through(SEND_ENCRYPTED, key, "sns", &home))).collect()
            }
            MappingDestination::Bucket(bucket) => self.writing(bucket, &home).await,
            MappingDestination::AttachedBucket { bucket, rule } => {
                let prefix = key_prefix(mapping);
                self.check_bucket(bucket, &prefix).await;
                self.check_rule(&rule.name, Some(rule), bucket, &prefix);
                self.writing(bucket, &home).await
            }
            MappingDestination::AttachedQueue(attached) => match self.check_attached_queue(attached).await {
                Some(attributes) => self.sending(&attached.queue_arn, &attributes, &home),
                None => vec![on(&["sqs:SendMessage"], &attached.queue_arn)],
            },
        };
        self.check_role_of(&mapping.function, &permissions).await;
    }

    /// Actions that Lambda asks of a role for a bucket as destination.
    async fn writing(&mut self, bucket: &str, home: &Home) -> Vec<Permission> {
        let arn = home.bucket_arn(bucket);
        let mut permissions =
            vec![on_bucket(&["s3:PutObject"], &format!("{arn}/*"), home), on_bucket(&["s3:ListBucket"], &arn, home)];
        permissions.extend(self.through_bucket_key(bucket, WRITE_ENCRYPTED, home).await);
        permissions
    }
}
