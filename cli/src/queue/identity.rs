//! Identity of a queue: the account, the region and the name that every dry run and every --execute begins with.

use anyhow::{Context, Result};
use serde::Serialize;

use crate::exit::explain;
use crate::interrupt::Interrupt;
use crate::ports::Queue;
use crate::print::progress::during;
use crate::print::{Output, Paint};

/// The fields of a queue's ARN. The account is the queue's, which need not be the caller's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct QueueIdentity {
    pub account: String,
    pub region: String,
    pub queue: String,
    /// The archive that is read in place of the queue.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub archive: Option<String>,
}

impl QueueIdentity {
    /// Reads it from the queue itself: a name that was typed says neither account nor region.
    pub async fn read<Q: Queue>(queue: &Q, interrupt: &Interrupt) -> Result<Self> {
        let attributes = interrupt.race(during("looking at the queue", queue.attributes())).await?;
        let arn = attributes.map_err(|fault| explain(&fault))?.arn;
        Self::parse(&arn).context("the queue's attributes hold no ARN\n  → check --queue and --endpoint-url")
    }

    /// `arn:PARTITION:sqs:REGION:ACCOUNT:NAME`
    pub fn parse(arn: &str) -> Option<Self> {
        let mut fields = arn.splitn(6, ':').skip(3).map(str::to_owned);
        let (region, account, queue) = (fields.next()?, fields.next()?, fields.next()?);
        Some(Self { account, region, queue, archive: None })
    }

    /// Prints it as a line of text.
    pub fn print(&self, output: &Output) -> Result<()> {
        let Self { account, region, queue, archive } = self;
        let source = match archive {
            None => format!("queue {queue}"),
            Some(archive) => format!("archive {archive} of the queue {queue}"),
        };
        output.line(output.paint(Paint::Bold, format!("Account {account}, region {region}, {source}")))
    }
}

#[test]
fn an_identity_is_the_end_of_the_queue_s_arn() {
    let identity = QueueIdentity::parse("arn:aws-cn:sqs:cn-north-1:123456789012:hydrated.fifo").unwrap();
    assert_eq!(
        (identity.account.as_str(), identity.region.as_str(), identity.queue.as_str()),
        ("123456789012", "cn-north-1", "hydrated.fifo")
    );
    assert_eq!(QueueIdentity::parse(""), None);
}
