//! Buckets to which Lambda writes failed batches, and the event rules that hand them to the hydrate function.

use crate::commands::doctor::checks::Checks;
use crate::commands::doctor::home::Home;
use crate::commands::doctor::permissions::{READ_ENCRYPTED, on_bucket};
use crate::commands::doctor::rules::failed_batches;
use crate::ports::{Deployment, EventRule, Permission};

/// The beginning of the keys under which Lambda writes.
const KEY_PREFIX: &str = "aws/lambda/";

impl<D: Deployment> Checks<'_, D> {
    /// Checks the failed-batch bucket of the stack, which is attached from the start.
    pub async fn check_failed_batch_bucket(&mut self) {
        let Some(bucket) = self.stack.failed_batch_bucket() else { return };
        self.check_bucket(bucket, KEY_PREFIX).await;
        let Some(name) = self.stack.failed_batch_rule() else { return };
        match self.deployment.event_rule(name).await {
            Err(fault) => self.add_unchecked(format!("event rule {name}"), &fault),
            Ok(rule) => self.check_rule(name, rule.as_ref(), bucket, KEY_PREFIX),
        }
    }

    /// Checks that the bucket sends its events and keeps its objects, and that the hydrate function may read them.
    pub async fn check_bucket(&mut self, bucket: &str, prefix: &str) {
        let subject = format!("bucket {bucket}");
        match self.deployment.sends_events(bucket).await {
            Err(fault) => self.add_unchecked(&subject, &fault),
            Ok(sends) => self.add(failed_batches::events(bucket, sends)),
        }
        match self.deployment.expiration_days(bucket, KEY_PREFIX).await {
            Err(fault) => self.add_unchecked(&subject, &fault),
            Ok(days) => self.add(failed_batches::expiration(bucket, days)),
        }
        let Some(role) = self.stack.hydrate_role_arn() else { return };
        let Some(home) = self.stack.hydrate_function_arn().and_then(Home::parse) else { return };
        let arn = home.bucket_arn(bucket);
        let mut permissions = vec![
            on_bucket(&["s3:GetObject"], &format!("{arn}/{prefix}*"), &home),
            on_bucket(&["s3:ListBucket"], &arn, &home),
        ];
        permissions.extend(self.through_bucket_key(bucket, READ_ENCRYPTED, &home).await);
        self.check_role(role, &permissions).await;
    }

    pub fn check_rule(&mut self, name: &str, rule: Option<&EventRule>, bucket: &str, prefix: &str) {
        let function = self.stack.hydrate_function_arn().unwrap_or_default();
        let found = failed_batches::rule(name, rule, function, bucket, prefix);
        found.into_iter().for_each(|finding| self.add(finding));
    }

    /// The permission on the bucket's key, where it is a customer's.
    pub async fn through_bucket_key(
        &mut self,
        bucket: &str,
        actions: &'static [&'static str],
        home: &Home,
    ) -> Option<Permission> {
        let subject = format!("bucket {bucket}");
        let key = match self.bucket_keys.get(bucket) {
            Some(known) => known.clone(),
            None => match self.deployment.bucket_key(bucket).await {
                Ok(key) => Some(home.key(key.as_deref())),
                Err(fault) => {
                    self.add_unchecked(&subject, &fault);
                    None
                }
            },
        };
        self.bucket_keys.insert(bucket.to_owned(), key.clone());
        self.through_key(&subject, actions, key?, "s3", home)
    }
}
