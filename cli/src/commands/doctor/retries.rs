//! The retry queue, and queues that are attached to the hydrate function.

use crate::commands::doctor::checks::Checks;
use crate::commands::doctor::home::Home;
use crate::commands::doctor::permissions::{READ_ENCRYPTED, SEND_ENCRYPTED, on};
use crate::commands::doctor::rules::failed_batches;
use crate::ports::{Deployment, Permission, QueueAttributes, QueueMapping};

/// Actions that a mapping of a queue calls with the function's role
/// (<https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-configure.html>).
const RECEIVE: &[&str] = &["sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"];

impl<D: Deployment> Checks<'_, D> {
    /// Checks that the hydrate function may send to the retry queue and receive from it.
    pub async fn check_sends_to(&mut self, retry_queue: &QueueAttributes) {
        let Some(role) = self.stack.hydrate_role_arn() else { return };
        let Some(home) = Home::parse(&retry_queue.arn) else { return };
        let mut permissions = self.sending(&retry_queue.arn, retry_queue, &home);
        permissions.push(on(RECEIVE, &retry_queue.arn));
        self.check_role(role, &permissions).await;
    }

    /// Checks that the retry queue is handed to the hydrate function.
    pub fn check_retry_mapping(&mut self, queue_arn: &str, mappings: &[QueueMapping]) {
        if self.stack.hydrate_function_arn().is_none() {
            return;
        }
        let found = mappings.iter().filter(|found| found.queue_arn == queue_arn && self.is_hydrate(&found.function));
        let finding = failed_batches::retry_mapping(&found.collect::<Vec<_>>());
        self.add(finding);
    }

    /// Checks a queue that is attached, and returns its attributes.
    pub async fn check_attached_queue(&mut self, attached: &QueueMapping) -> Option<QueueAttributes> {
        let name = attached.queue_arn.rsplit(':').next().unwrap_or(&attached.queue_arn);
        let subject = format!("attached queue {name}");
        let attributes = match self.deployment.queue_attributes(&attached.queue_arn).await {
            Ok(attributes) => attributes,
            Err(fault) => {
                self.add_unchecked(subject, &fault);
                return None;
            }
        };
        failed_batches::attached_queue(&subject, attached, &attributes).into_iter().for_each(|found| self.add(found));
        let home = Home::parse(&attached.queue_arn);
        if let (Some(role), Some(home)) = (self.stack.hydrate_role_arn(), home) {
            let key = home.key(attributes.kms_key.as_deref());
            let mut permissions = vec![on(RECEIVE, &attached.queue_arn)];
            permissions.extend(self.through_key(&subject, READ_ENCRYPTED, key, "sqs", &home));
            self.check_role(role, &permissions).await;
        }
        Some(attributes)
    }

    /// Actions that sending to a queue takes, with its key where it is a customer's.
    pub fn sending(&mut self, queue_arn: &str, attributes: &QueueAttributes, home: &Home) -> Vec<Permission> {
        let name = queue_arn.rsplit(':').next().unwrap_or(queue_arn);
        let key = home.key(attributes.kms_key.as_deref());
        let mut permissions = vec![on(&["sqs:SendMessage"], queue_arn)];
        permissions.extend(self.through_key(&format!("queue {name}"), SEND_ENCRYPTED, key, "sqs", home));
        permissions
    }
}
