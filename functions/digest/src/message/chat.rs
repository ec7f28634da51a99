//! The custom notification of Amazon Q Developer in chat applications
//! (<https://docs.aws.amazon.com/chatbot/latest/adminguide/custom-notifs.html>).

use serde::Serialize;

use super::{Excerpt, words};
use crate::report::ReportedIncident;

/// The most characters of the description: what is longer is no message for a chat.
const MAX_DESCRIPTION_CHARS: usize = 4_000;
/// The most functions that are named as keywords.
const MAX_KEYWORDS: usize = 5;

#[derive(Serialize)]
struct CustomNotification {
    version: &'static str,
    source: &'static str,
    content: ChatContent,
    metadata: Metadata,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ChatContent {
    text_type: &'static str,
    title: String,
    description: String,
    next_steps: Vec<String>,
    keywords: Vec<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Metadata {
    summary: String,
    event_type: &'static str,
}

pub fn notification(excerpt: &Excerpt<'_>) -> String {
    let (report, links) = (excerpt.report, excerpt.links);
    let title = escaped(&words::subject(report));
    let incidents = report.incidents.iter().take(excerpt.listed);
    let mut paragraphs: Vec<String> = incidents.map(|reported| paragraph(reported, &links.stack_name)).collect();
    paragraphs.extend(words::left_out(excerpt));
    paragraphs.push(format!("Logged on {}.", words::window(&report.window)));
    let mut next_steps: Vec<String> =
        words::next_steps(excerpt).into_iter().map(|(command, what)| format!("`{command}` {what}")).collect();
    next_steps.extend(links.dashboard_url.as_ref().map(|url| format!("<{url}|Dashboard>")));
    let notification = CustomNotification {
        version: "1.0",
        source: "custom",
        content: ChatContent {
            text_type: "client-markdown",
            title: title.clone(),
            description: joined(&paragraphs),
            next_steps,
            keywords: report
                .functions()
                .into_iter()
                .take(MAX_KEYWORDS)
                .map(|name| escaped(&words::text(name)))
                .collect(),
        },
        metadata: Metadata { summary: title, event_type: "FailedBatchDigest" },
    };
    // A structure of strings cannot fail to become JSON.
    serde_json::to_string(&notification).unwrap_or_default()
}

fn paragraph(reported: &ReportedIncident, stack: &str) -> String {
    let incident = &reported.incident;
    let lines = [
        format!("*{}*", escaped(&words::title(reported))),
        escaped(&words::counts(incident)),
        escaped(&words::reason(incident)),
        escaped(&words::cause_and_age(incident)),
        format!("`{}`", escaped(&words::command(incident, stack))),
    ];
    lines.into_iter().filter(|line| !line.is_empty()).collect::<Vec<_>>().join("\n")
}

/// The paragraphs that fit, whole.
fn joined(paragraphs: &[String]) -> String {
    let mut text = String::new();
    for paragraph in paragraphs {
        if text.chars().count() + paragraph.chars().count() > MAX_DESCRIPTION_CHARS {
            text.push_str("\n\nThe mail has more.");
            break;
        }
        if !text.is_empty() {
            text.push_str("\n\n");
        }
        text.push_str(paragraph);
    }
    text
}

/// Text without the characters that a chat takes for links, mentions and layout.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '`' | '*' | '~' => out.push('\''),
            // A link of Microsoft Teams: [text](address).
            '[' => out.push('('),
            ']' => out.push(')'),
            _ => out.push(c),
        }
    }
    out
}
