//! The error of an invocation, in one line of its log.

use crate::suspects::log::cause::{is_outside, without_quoted};
use crate::suspects::log::line::{Level, LogLine, parse_events};
use crate::suspects::log::literal::normal;

/// The longest line, in characters.
const MAX_CHARS: usize = 300;

/// The error that ended an invocation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoggedError {
    /// One line for a person. It may quote a record.
    pub line: String,
    /// The same without numbers, ids and quoted values: errors with the same cause have the same text.
    pub cause: String,
}

impl LoggedError {
    /// Finds the error in the lines of an invocation. `None` if no line is one.
    ///
    /// An error that Lambda reports for a reason outside the code, such as a timeout, is what ended the invocation.
    /// Else it is the last error with the name of its type, which is the innermost cause that the runtime prints; else
    /// the last that the function logged; else what Lambda reports.
    pub fn find(events: &[String]) -> Option<Self> {
        let lines = parse_events(events);
        let errors = || lines.iter().filter(|line| line.level == Level::Error && !line.is_frame);
        let of_function = || errors().filter(|line| !is_of_runtime(line));
        let from_outside = lines.iter().rev().find(|line| line.is_from_lambda && is_outside(&line.text()));
        let found = from_outside
            .or_else(|| of_function().rfind(|line| error_name(&headline(line)).is_some()))
            .or_else(|| last_start(&lines))
            .or_else(|| errors().next_back())
            .or_else(|| lines.iter().rev().find(|line| line.is_from_lambda && !line.text().trim().is_empty()))?;
        let line = headline(found);
        (!line.is_empty()).then(|| Self { cause: cause_of(&line), line })
    }
}

/// Returns true for a line of Lambda's, as `Runtime.ExitError` after the end of a process.
fn is_of_runtime(line: &LogLine) -> bool {
    line.is_from_lambda || line.text().trim_start().starts_with("Runtime.")
}

/// The first line of the last error that the function logged: the lines after it are its continuation.
fn last_start(lines: &[LogLine]) -> Option<&LogLine> {
    let is_error = |line: &LogLine| line.level == Level::Error && !line.is_frame && !is_of_runtime(line);
    let last = lines.iter().rposition(is_error)?;
    let before = lines.get(..last)?.iter().rposition(|line| !is_error(line));
    lines.get(before.map_or(0, |before| before + 1))
}

/// The text of a line in one line. Of JSON it is the type and the message of the error.
fn headline(line: &LogLine) -> String {
    let value = |keys: &[&str]| {
        let has_key = |key: &Option<String>| key.as_deref().is_some_and(|key| keys.contains(&normal(key).as_str()));
        line.pieces.iter().find(|piece| has_key(&piece.key)).map(|piece| piece.text.trim())
    };
    let name = value(&["errortype", "exceptionname", "exceptiontype"]);
    let message = value(&["errormessage", "exceptionmessage"]).or_else(|| value(&["message", "msg", "error", "err"]));
    let text = match (name, message) {
        (Some(name), Some(message)) if !message.starts_with(name) => format!("{name}: {message}"),
        (_, Some(message)) => message.to_owned(),
        (Some(name), None) => name.to_owned(),
        (None, None) => line.pieces.first().map(|piece| piece.text.clone()).unwrap_or_default(),
    };
    let words: Vec<&str> = text.split_whitespace().collect();
    let text = words.join(" ");
    let text = text.strip_prefix("Caused by: ").unwrap_or(&text);
    match text.char_indices().nth(MAX_CHARS) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or(text)),
        None => text.to_owned(),
    }
}

/// The name of the error's type, as in `KeyError: 'total'`.
fn error_name(line: &str) -> Option<&str> {
    let name = line.split(": ").next()?;
    let is_name = |c: char| c.is_ascii_alphanumeric() || "._$:".contains(c);
    let last = name.rsplit(['.', ':', '$']).next()?;
    let ends = ["Error", "Exception", "Fault", "Failure", "Exit", "Interrupt"];
    let is_error = name.chars().all(is_name) && ends.iter().any(|end| last.ends_with(end));
    (is_error && name.len() < line.len()).then_some(name)
}

/// The line without what differs from record to record. The name of the error's type stays as it is.
fn cause_of(line: &str) -> String {
    let name = error_name(line).unwrap_or_default();
    let message = without_quoted(line.get(name.len()..).unwrap_or_default());
    let mut cause = name.to_owned();
    let mut word = String::new();
    for character in message.chars().chain([' ']) {
        if character.is_alphanumeric() || "-_.".contains(character) {
            word.push(character);
            continue;
        }
        cause.push_str(if is_value(&word) { "#" } else { &word });
        word.clear();
        cause.push(character);
    }
    cause.trim_end().to_owned()
}

/// Returns true for a number or an id: a word with a digit, or of eight hexadecimal digits or more.
fn is_value(word: &str) -> bool {
    let is_hex = word.len() >= 8 && word.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_hex || word.chars().any(|character| character.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find(events: &[&str]) -> Option<LoggedError> {
        LoggedError::find(&events.iter().map(|event| (*event).to_owned()).collect::<Vec<_>>())
    }

    const START: &str = "START RequestId: 8f5b4c6e-1111-4a4a-9b9b-000000000001 Version: $LATEST";
    const END: &str = "REPORT RequestId: 8f5b4c6e-1111-4a4a-9b9b-000000000001 Duration: 3.00 ms";

    #[test]
    fn the_error_of_each_runtime_is_found() {
        for (events, expected) in [
            // Python, with a retry that it logged before.
            (
                &[
                    START,
                    "[ERROR] 2026-11-21T10:00:00Z 8f5b4c6e-1111-4a4a-9b9b-000000000001 could not write, once more",
                    "[ERROR] KeyError: 'total'\nTraceback (most recent call last):\n  File \"/var/task/app.py\", line 7",
                    END,
                ][..],
                "KeyError: 'total'",
            ),
            // Node.js.
            (
                &[
                    "2026-11-21T10:00:00.000Z\t8f5b4c6e-1111-4a4a-9b9b-000000000001\tERROR\tInvoke Error \t{\"errorType\":\"TypeError\",\"errorMessage\":\"Cannot read properties of undefined (reading 'total')\",\"stack\":[\"TypeError: Cannot read\",\"    at handler (/var/task/index.js:3:9)\"]}",
                ],
                "TypeError: Cannot read properties of undefined (reading 'total')",
            ),
            // Java.
            (
                &[
                    "java.lang.RuntimeException: of order 7\n\tat a.B.c(B.java:7)\nCaused by: java.lang.IllegalStateException: no price\n\t... 3 more",
                ],
                "java.lang.IllegalStateException: no price",
            ),
            // JSON lines.
            (
                &[r#"{"level":"ERROR","message":"order 7 failed","order":7}"#, r#"{"level":"INFO","message":"bye"}"#],
                "order 7 failed",
            ),
            (
                &[
                    "[ERROR] ValueError: handled",
                    "2026-11-21T10:00:03.000Z 8f5b4c6e-1111-4a4a-9b9b-000000000001 Task timed out after 3.00 seconds",
                ],
                "Task timed out after 3.00 seconds",
            ),
            (
                &[
                    "thread 'main' panicked at src/main.rs:7:9: no total",
                    "RequestId: 8f5b4c6e-1111-4a4a-9b9b-000000000001 Error: Runtime exited with error: exit status 101\nRuntime.ExitError",
                ],
                "thread 'main' panicked at src/main.rs:7:9: no total",
            ),
        ] {
            assert_eq!(find(events).map(|error| error.line).as_deref(), Some(expected), "{events:?}");
        }
        for without in [&[][..], &[START, "100 orders", END]] {
            assert_eq!(find(without), None);
        }
    }

    #[test]
    fn numbers_ids_and_quoted_values_make_no_other_cause() {
        for (one, other, is_same) in [
            ("KeyError: 'total'", "KeyError: 'customer'", true),
            ("KeyError: 'total'", "ValueError: 'total'", false),
            ("order 4711 of customer c-7 failed", "order 12 of customer c-19 failed", true),
            ("item 8f5b4c6e-1111-4a4a-9b9b-00000000000a not found", "item deadbeefcafe not found", true),
            ("S3Exception: denied", "EC2Exception: denied", false),
            ("invalid price \"12,50 €\"", "invalid price \"3.1\"", true),
            ("invalid price 7", "invalid date 7", false),
            ("it's broken: 7", "it's broken: 8", true),
        ] {
            assert_eq!(cause_of(one) == cause_of(other), is_same, "{one} {other}");
        }
    }

    #[test]
    fn a_long_line_is_cut_between_characters() {
        let long = format!("[ERROR] ValueError: {}", "é".repeat(1000));
        let error = find(&[&long]).unwrap();
        assert_eq!((error.line.chars().count(), error.line.ends_with('…')), (MAX_CHARS + 1, true));
    }
}
