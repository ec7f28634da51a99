//! Permissions of roles, as IAM simulates them.

use hydration::arn::{Source, StreamArn};

use crate::commands::doctor::checks::Checks;
use crate::commands::doctor::home::{EncryptionKey, Home};
use crate::commands::doctor::rules::{self, Finding, Grade};
use crate::ports::{Deployment, Permission};

const READ_KINESIS: &[&str] = &["kinesis:GetShardIterator", "kinesis:GetRecords"];
const READ_DYNAMODB: &[&str] = &["dynamodb:GetShardIterator", "dynamodb:GetRecords"];
/// Actions that sending to an encrypted topic or queue takes
/// (<https://docs.aws.amazon.com/sns/latest/dg/sns-key-management.html>).
pub const SEND_ENCRYPTED: &[&str] = &["kms:GenerateDataKey", "kms:Decrypt"];
pub const WRITE_ENCRYPTED: &[&str] = &["kms:GenerateDataKey"];
pub const READ_ENCRYPTED: &[&str] = &["kms:Decrypt"];

pub fn on(actions: &'static [&'static str], resource: &str) -> Permission {
    Permission { actions, resource: resource.to_owned(), context: Vec::new() }
}

pub fn read_stream(stream: &StreamArn) -> Permission {
    on(if stream.source() == Source::Kinesis { READ_KINESIS } else { READ_DYNAMODB }, stream.stream())
}

/// On a bucket of the account, or on objects in it. The source templates allow writing under the condition that the
/// bucket is of their account.
pub fn on_bucket(actions: &'static [&'static str], arn: &str, home: &Home) -> Permission {
    Permission { context: vec![("s3:ResourceAccount", home.account.clone())], ..on(actions, arn) }
}

/// On a key, through a service. The templates allow no other use of a key.
pub fn through(actions: &'static [&'static str], key: &str, service: &str, home: &Home) -> Permission {
    Permission { context: vec![("kms:ViaService", home.via(service))], ..on(actions, key) }
}

impl<D: Deployment> Checks<'_, D> {
    /// The same for the key of a queue or a bucket, where it is a customer's.
    pub fn through_key(
        &mut self,
        subject: &str,
        actions: &'static [&'static str],
        key: EncryptionKey,
        service: &str,
        home: &Home,
    ) -> Option<Permission> {
        match key {
            EncryptionKey::NotOurs => None,
            EncryptionKey::Customer(arn) => Some(through(actions, &arn, service, home)),
            EncryptionKey::Alias(alias) => {
                let finding = format!("its key is named by {alias}, and which key that is was not looked up");
                let change = format!("check that the roles may {} on that key", actions.join(" and "));
                self.add(Finding::new(Grade::Unchecked, subject, finding, &change));
                None
            }
        }
    }

    /// Checks once that a role has all of these permissions. The first names what they are for.
    pub async fn check_role(&mut self, role: &str, permissions: &[Permission]) {
        let Some(purpose) = permissions.first() else { return };
        if !self.checked.insert((role.to_owned(), purpose.resource.clone())) {
            return;
        }
        let subject = format!("role {}", role.rsplit('/').next().unwrap_or(role));
        let mut lacks = Vec::new();
        for permission in permissions {
            match self.deployment.denied_actions(role, permission).await {
                Err(fault) => return self.add_unchecked(subject, &fault),
                Ok(denied) => {
                    lacks.extend(denied.into_iter().map(|action| format!("{action} on {}", permission.resource)));
                }
            }
        }
        self.add(rules::role(subject, &lacks, &purpose.resource));
    }

    /// The same for the role of a function.
    pub async fn check_role_of(&mut self, function: &str, permissions: &[Permission]) {
        match self.deployment.role_of(function).await {
            Err(fault) => self.add_unchecked(format!("role of {function}"), &fault),
            Ok(role) => self.check_role(&role, permissions).await,
        }
    }
}
