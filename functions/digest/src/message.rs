//! The message to the alerts topic: one text for each kind of subscriber.

mod chat;
mod email;
mod program;
mod words;

use serde::Serialize;

use crate::report::{DigestReport, StackLinks};

/// The most incidents that a message names; the others are counted.
const MOST_LISTED: usize = 10;
/// The limit of SNS for a message, all texts together
/// (<https://docs.aws.amazon.com/sns/latest/api/API_Publish.html>), less a reserve.
const MAX_BYTES: usize = 262_144 - 2_048;

/// A message as SNS takes it with `MessageStructure: json`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notification {
    /// ASCII, one line, under 100 characters.
    pub subject: String,
    /// A JSON object with a text for each protocol.
    pub message: String,
}

/// The texts by the protocol of the subscriber. SNS sends `default` to all others, for example to a phone.
#[derive(Serialize)]
struct ProtocolTexts<'a> {
    default: &'a str,
    email: &'a str,
    sms: &'a str,
    https: &'a str,
    sqs: &'a str,
    lambda: &'a str,
    firehose: &'a str,
}

/// A report with the incidents that fit into the message.
#[derive(Clone, Copy)]
struct Excerpt<'a> {
    report: &'a DigestReport,
    links: &'a StackLinks,
    listed: usize,
}

impl Notification {
    pub fn of(report: &DigestReport, links: &StackLinks) -> Self {
        let mut listed = report.incidents.len().min(MOST_LISTED);
        loop {
            let excerpt = Excerpt { report, links, listed };
            let message = message(&excerpt);
            if message.len() <= MAX_BYTES || listed == 0 {
                return Self { subject: words::subject(report), message };
            }
            listed -= 1;
        }
    }
}

fn message(excerpt: &Excerpt<'_>) -> String {
    let subject = words::subject(excerpt.report);
    let (email, chat, program) = (email::text(excerpt), chat::notification(excerpt), program::json(excerpt));
    let texts = ProtocolTexts {
        default: &email,
        email: &email,
        sms: &subject,
        https: &chat,
        sqs: &program,
        lambda: &program,
        firehose: &program,
    };
    // Seven strings cannot fail to become JSON.
    serde_json::to_string(&texts).unwrap_or_default()
}

#[cfg(test)]
mod tests;
