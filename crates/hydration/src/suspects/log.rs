//! The log of the failed invocation, possibly of several retries.

mod cause;
mod line;
mod literal;
mod logged_error;

use std::collections::HashSet;

use crate::suspects::evidence::BatchEvidence;
use crate::suspects::judge::Clue;
use crate::suspects::path::PathId;
use crate::suspects::profile::Profile;

pub use cause::Topic;
use cause::{is_outside, topics_of};
use line::{Level, LogLine, parse_events};
pub use literal::{Literal, normal as normal_key, number_text, tokens};
use literal::{Words, read};
pub use logged_error::LoggedError;

/// The most literals that a log is searched for, of its errors and of its other lines.
const MAX_LITERALS: usize = 20_000;

/// The most bytes of errors that are kept as text.
const MAX_ERROR_TEXT_BYTES: usize = 16 * 1024;

/// What the log says: literals that may occur in records, keys, topics, causes.
#[derive(Debug, Default)]
pub struct InvocationLog {
    pub literals: Vec<Literal>,
    /// The last line before each error that may name a record, by its number.
    last_before_errors: Vec<Vec<usize>>,
    words: Words,
    topics: HashSet<Topic>,
    is_outside: bool,
    /// The first texts of errors, to look a value of several words up in.
    error_text: String,
    /// The key that a `KeyError` names.
    missing_key: Option<String>,
}

impl InvocationLog {
    pub fn parse(events: &[String], not_evidence: &[String]) -> Self {
        let lines = parse_events(events);
        let has_errors = lines.iter().any(|line| line.level == Level::Error);
        let mut log = Self { is_outside: is_outside_cause(&lines), ..Self::default() };
        let ignored = IgnoredTexts::new(&lines, not_evidence);
        let mut before: Vec<usize> = Vec::new();
        let mut was_error = false;
        for (number, line) in lines.iter().enumerate() {
            let is_error = line.level == Level::Error || !has_errors && line.level != Level::Info;
            if line.starts_invocation {
                before.clear();
            }
            if is_error && !was_error && !before.is_empty() {
                log.last_before_errors.push(std::mem::take(&mut before));
            }
            was_error = is_error;
            if is_error {
                log.read_error(line);
            } else if !line.is_frame {
                before.push(number);
            }
            if !line.is_frame && log.literals.len() < MAX_LITERALS {
                read(line, number, is_error, &ignored.of_line(line), &mut log.literals, &mut log.words);
            } else if line.is_frame {
                log.words.add_quoted(line);
            }
        }
        log
    }

    fn read_error(&mut self, line: &LogLine) {
        let text = line.text();
        self.topics.extend(topics_of(&text));
        if self.error_text.len() + text.len() < MAX_ERROR_TEXT_BYTES {
            self.error_text.push_str(&text);
            self.error_text.push('\n');
        }
        if self.missing_key.is_none() {
            let quoted = text.split_once("KeyError: '").and_then(|(_, rest)| rest.split_once('\''));
            self.missing_key = quoted.map(|(key, _)| key.to_owned());
        }
    }

    /// Returns true if the log says that the function failed for a reason that is in no record.
    pub fn names_outside_cause(&self) -> bool {
        self.is_outside
    }

    /// Returns true if an error is about the topic.
    pub fn is_about(&self, topic: Topic) -> bool {
        self.topics.contains(&topic)
    }

    /// Returns true if an error names the key.
    pub fn names_key(&self, key: &str) -> bool {
        self.words.has(key)
    }

    /// Returns true if an error has the text, from word to word.
    pub fn errors_have(&self, text: &str) -> bool {
        self.error_text.contains(text)
    }

    /// The lines before each error, of which the last that names a record counts.
    pub fn lines_before_errors(&self) -> &[Vec<usize>] {
        &self.last_before_errors
    }

    /// Returns true if the error is about a key that no record has, so that every record fails alike, and the log names
    /// no record but the first.
    pub fn blames_all_alike(&self, profile: &Profile, named: &[Clue], evidence: &BatchEvidence) -> bool {
        let Some(key) = &self.missing_key else { return false };
        let wanted = literal::normal(key);
        let is_known = profile
            .paths
            .ids()
            .filter(|path| *path != PathId::ROOT)
            .any(|path| profile.paths.last_key(path).is_some_and(|known| literal::normal(known) == wanted));
        let first = evidence.records.iter().position(|record| record.may_be_named);
        !is_known && named.iter().all(|clue| Some(clue.record) == first && !clue.quotes(key))
    }
}

/// Texts that are no evidence.
struct IgnoredTexts {
    /// Anywhere in the log: request ids.
    anywhere: HashSet<String>,
    /// The ends of the range, in a line that has both. A line with one of them names a record.
    ends: Vec<String>,
}

impl IgnoredTexts {
    fn new(lines: &[LogLine], not_evidence: &[String]) -> Self {
        let is_number = |text: &&String| text.bytes().all(|byte| byte.is_ascii_digit());
        let (ends, others): (Vec<&String>, Vec<&String>) = not_evidence.iter().partition(is_number);
        let request_ids = lines.iter().filter_map(|line| line.request_id.as_ref());
        Self {
            anywhere: others.into_iter().chain(request_ids).cloned().collect(),
            ends: ends.into_iter().cloned().collect(),
        }
    }

    fn of_line(&self, line: &LogLine) -> HashSet<&str> {
        let has = |end: &String| line.pieces.iter().any(|piece| piece.text.contains(end.as_str()));
        let has_both = self.ends.len() > 1 && self.ends.iter().all(has);
        let ends = self.ends.iter().filter(|_| has_both);
        ends.chain(&self.anywhere).map(String::as_str).collect()
    }
}

/// Returns true if every invocation that ended with an error ended with one from outside.
fn is_outside_cause(lines: &[LogLine]) -> bool {
    let (mut outside, mut other) = (0, 0);
    let mut of_invocation: Option<bool> = None;
    let mut end = |of_invocation: &mut Option<bool>| match of_invocation.take() {
        Some(true) => outside += 1,
        Some(false) => other += 1,
        None => {}
    };
    for line in lines {
        if line.starts_invocation {
            end(&mut of_invocation);
        }
        let text = line.text();
        let is_outside = (line.level == Level::Error || line.is_from_lambda) && is_outside(&text);
        if is_outside || line.level == Level::Error {
            of_invocation = Some(of_invocation.unwrap_or_default() || is_outside);
        }
    }
    end(&mut of_invocation);
    outside > 0 && other == 0
}

#[cfg(test)]
mod tests;
