//! Lines of a log, without what the runtime puts around them.

use serde_json::Value;

/// The longest line that is read; the rest of it is left out.
const MAX_LINE_BYTES: usize = 256 * 1024;
/// The most lines of a log. Of more, the last are read: the error is at the end.
const MAX_LINES: usize = 100_000;

/// The level of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    Error,
    Info,
    /// The line does not say, and it has no word of an error.
    Unknown,
}

/// A text in a line, with the key that it has in a line of JSON.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Piece {
    pub key: Option<String>,
    pub text: String,
    /// A value of JSON: it counts as quoted.
    pub is_value: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogLine {
    pub level: Level,
    pub pieces: Vec<Piece>,
    /// A line of a stack trace, or of the code that it quotes.
    pub is_frame: bool,
    /// `START`, with which Lambda begins an invocation.
    pub starts_invocation: bool,
    /// Written by Lambda and not by the function.
    pub is_from_lambda: bool,
    pub request_id: Option<String>,
}

impl LogLine {
    /// All texts of the line.
    pub fn text(&self) -> String {
        self.pieces.iter().map(|piece| piece.text.as_str()).collect::<Vec<_>>().join(" ")
    }
}

/// The lines of the events. An event may be a text of several lines, a line of JSON, or the answer of the AWS CLI with
/// a list of events.
pub fn parse_events(events: &[String]) -> Vec<LogLine> {
    let mut lines = Vec::new();
    for event in events {
        parse_event(event, &mut lines);
    }
    let excess = lines.len().saturating_sub(MAX_LINES);
    lines.drain(..excess);
    continue_errors(&mut lines);
    lines
}

fn parse_event(event: &str, lines: &mut Vec<LogLine>) {
    let trimmed = event.trim();
    // JSON lines may be one text: then they are read line by line.
    if trimmed.starts_with(['{', '['])
        && let Ok(value) = serde_json::from_str::<Value>(trimmed)
    {
        parse_json_event(&value, lines);
        return;
    }
    for line in trimmed.lines() {
        let line = first_bytes(line.trim_end(), MAX_LINE_BYTES);
        match serde_json::from_str::<Value>(line.trim()) {
            Ok(value @ Value::Object(_)) if line.trim_start().starts_with('{') => parse_json_event(&value, lines),
            _ => lines.push(parse_line(line)),
        }
    }
}

fn parse_json_event(value: &Value, lines: &mut Vec<LogLine>) {
    match value {
        Value::Array(events) => events.iter().for_each(|event| parse_json_event(event, lines)),
        Value::Object(fields) => {
            if let Some(Value::Array(events)) = fields.get("events") {
                events.iter().for_each(|event| parse_json_event(event, lines));
                return;
            }
            // An event of CloudWatch Logs: the message is the line.
            let is_event = ["ingestionTime", "logStreamName", "eventId", "@ptr", "@logStream"];
            let message = fields.get("message").or(fields.get("@message")).and_then(Value::as_str);
            match message {
                Some(message)
                    if is_event.iter().any(|key| fields.contains_key(*key)) && !fields.contains_key("level") =>
                {
                    parse_event(message, lines);
                }
                Some(message) if fields.len() <= 2 && !fields.contains_key("level") => parse_event(message, lines),
                _ => lines.push(structured(value)),
            }
        }
        Value::String(message) => parse_event(message, lines),
        _ => {}
    }
}

/// A line of JSON, as logging libraries and Lambda's own JSON format write it.
fn structured(value: &Value) -> LogLine {
    let mut pieces = Vec::new();
    let mut level = None;
    let mut request_id = None;
    flatten(None, value, &mut pieces, &mut level, &mut request_id);
    let text = pieces.iter().map(|piece: &Piece| piece.text.as_str()).collect::<Vec<_>>().join(" ");
    let is_from_lambda = value.get("type").and_then(Value::as_str).is_some_and(|kind| kind.starts_with("platform."));
    let starts_invocation = value.get("type").and_then(Value::as_str) == Some("platform.start");
    let has_error =
        value.get("errorType").is_some() || value.get("errorMessage").is_some() || value.get("err").is_some();
    let level = level.unwrap_or(if has_error { Level::Error } else { level_of_words(&text) });
    if is_from_lambda {
        pieces.retain(|piece| piece.key.as_deref().is_some_and(|key| key.contains("rror") || key == "status"));
    }
    LogLine { level, pieces, is_frame: false, starts_invocation, is_from_lambda, request_id }
}

/// Keys whose values say nothing of a record.
const RUNTIME_KEYS: [&str; 34] = [
    "timestamp",
    "@timestamp",
    "time",
    "ts",
    "date",
    "asctime",
    "level",
    "loglevel",
    "severity",
    "levelname",
    "logger",
    "name",
    "service",
    "requestid",
    "awsrequestid",
    "functionrequestid",
    "functionname",
    "functionarn",
    "functionmemorysize",
    "functionversion",
    "coldstart",
    "xraytraceid",
    "traceid",
    "spanid",
    "location",
    "thread",
    "pid",
    "hostname",
    "file",
    "line",
    "lineno",
    "correlationid",
    "samplingrate",
    "logstream",
];

fn flatten(
    key: Option<&str>,
    value: &Value,
    pieces: &mut Vec<Piece>,
    level: &mut Option<Level>,
    request_id: &mut Option<String>,
) {
    let normal = key.map(super::literal::normal).unwrap_or_default();
    if matches!(normal.as_str(), "level" | "loglevel" | "severity" | "levelname") {
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        *level = level_of_name(&text).or(*level);
        return;
    }
    if matches!(normal.as_str(), "requestid" | "awsrequestid" | "functionrequestid") {
        *request_id = value.as_str().map(str::to_owned);
        return;
    }
    if RUNTIME_KEYS.contains(&normal.as_str()) {
        return;
    }
    let piece = |text: String| Piece { key: key.map(str::to_owned), text, is_value: true };
    match value {
        Value::String(text) if text.contains(char::is_whitespace) => {
            let lines = text.lines().filter(|line| !is_frame(line));
            pieces.extend(lines.map(|line| Piece { is_value: false, ..piece(line.to_owned()) }));
            if !matches!(normal.as_str(), "message" | "msg" | "errormessage" | "error" | "stack" | "stacktrace") {
                pieces.push(piece(text.clone()));
            }
        }
        Value::String(text) => pieces.push(piece(text.clone())),
        Value::Number(number) => pieces.push(piece(number.to_string())),
        Value::Array(values) => values.iter().for_each(|value| flatten(key, value, pieces, level, request_id)),
        Value::Object(fields) => {
            fields.iter().for_each(|(key, value)| flatten(Some(key), value, pieces, level, request_id));
        }
        Value::Null | Value::Bool(_) => {}
    }
}

fn parse_line(line: &str) -> LogLine {
    let is_report = ["END RequestId", "REPORT RequestId", "INIT_START", "XRAY TraceId", "EXTENSION", "TELEMETRY"];
    let after_prefix = strip_prefix(line);
    let Prefix { rest, level, request_id } = after_prefix;
    let starts_invocation = rest.starts_with("START RequestId");
    if starts_invocation || is_report.iter().any(|start| rest.starts_with(start)) {
        // A report names the reason where Lambda ended the invocation.
        let status = rest.split_once("Status: ").map(|(_, status)| status.to_owned());
        let id = rest.split_once("RequestId: ").and_then(|(_, rest)| rest.split_whitespace().next());
        return LogLine {
            level: Level::Unknown,
            pieces: status.into_iter().map(|text| Piece { key: None, text, is_value: false }).collect(),
            is_frame: false,
            starts_invocation,
            is_from_lambda: true,
            request_id: id.map(str::to_owned),
        };
    }
    let mut pieces = Vec::new();
    let mut level = level;
    let mut request_id = request_id;
    let (text, json) = match rest.find('{').map(|start| rest.split_at(start)) {
        Some((text, json)) => match serde_json::from_str::<Value>(json.trim()) {
            Ok(value) => (text, Some(value)),
            Err(_) => (rest, None),
        },
        None => (rest, None),
    };
    pieces.push(Piece { key: None, text: text.to_owned(), is_value: false });
    if let Some(value) = json {
        let mut inner = None;
        if value.get("errorType").is_some() || value.get("errorMessage").is_some() {
            inner = Some(Level::Error);
        }
        flatten(None, &value, &mut pieces, &mut inner, &mut request_id);
        level = level.or(inner);
    }
    let is_frame = is_frame(rest);
    let level = level.unwrap_or_else(|| if is_frame { Level::Unknown } else { level_of_words(rest) });
    let is_from_lambda =
        rest.contains("Task timed out after") || rest.contains("Runtime exited") || rest.contains("RequestId: ");
    LogLine { level, pieces, is_frame, starts_invocation: false, is_from_lambda, request_id }
}

/// What stands before the message: a time, a request id, the name of a log stream, a level.
struct Prefix<'a> {
    rest: &'a str,
    level: Option<Level>,
    request_id: Option<String>,
}

fn strip_prefix(line: &str) -> Prefix<'_> {
    let mut prefix = Prefix { rest: line, level: None, request_id: None };
    for _ in 0..6 {
        let trimmed = prefix.rest.trim_start();
        let Some(token) = trimmed.split_whitespace().next() else { break };
        let bare = token.trim_matches(['[', ']', ':', '|', '(', ')']);
        if let Some(level) = level_of_name(bare) {
            // "Error: connect" is a message, "ERROR connect" has a level.
            if token.ends_with(':') && !token.chars().all(|character| !character.is_lowercase()) {
                break;
            }
            prefix.level = prefix.level.or(Some(level));
        } else if is_uuid(bare) {
            prefix.request_id = Some(bare.to_owned());
        } else if !is_time(bare) && !token.contains("[$LATEST]") && bare != "undefined" && bare != "-" {
            break;
        }
        prefix.rest = trimmed.get(token.len()..).unwrap_or_default();
    }
    // The indent of a stack trace stays.
    if prefix.rest.len() == line.len() {
        prefix.rest = line;
    } else {
        prefix.rest = prefix.rest.strip_prefix([' ', '\t']).unwrap_or(prefix.rest);
    }
    prefix
}

fn is_uuid(text: &str) -> bool {
    text.len() == 36 && text.bytes().all(|byte| byte == b'-' || byte.is_ascii_hexdigit()) && text.contains('-')
}

/// Returns true for a date, a time, or both, and for milliseconds since 1970.
fn is_time(text: &str) -> bool {
    let has_digit = text.bytes().any(|byte| byte.is_ascii_digit());
    let only_time = text.bytes().all(|byte| byte.is_ascii_digit() || b"-:./,TZ+".contains(&byte));
    let parts = text.matches([':', '-', '/']).count();
    has_digit && only_time && (parts >= 2 || text.len() == 13 && text.starts_with('1'))
}

fn level_of_name(name: &str) -> Option<Level> {
    match name.trim().to_ascii_lowercase().as_str() {
        "error" | "err" | "fatal" | "critical" | "crit" | "severe" | "panic" | "50" | "60" => Some(Level::Error),
        // Unless nothing worse is in the log, a warning is what went wrong.
        "warn" | "warning" | "40" => Some(Level::Unknown),
        "info" | "debug" | "trace" | "notice" | "10" | "20" | "30" => Some(Level::Info),
        _ => None,
    }
}

/// Words of an error.
const ERROR_WORDS: [&str; 29] = [
    "error",
    "exception",
    "traceback",
    "fail",
    "fatal",
    "panic",
    "invalid",
    "cannot",
    "can't",
    "could not",
    "unable",
    "unexpected",
    "reject",
    "unhandled",
    "denied",
    "not found",
    "does not exist",
    "violat",
    "malformed",
    "duplicate",
    "missing",
    "unknown",
    "unsupported",
    "abort",
    "refused",
    "timed out",
    "too large",
    "out of range",
    "not valid",
];

fn level_of_words(text: &str) -> Level {
    let lower = first_bytes(text, 4096).to_lowercase();
    if ERROR_WORDS.iter().any(|word| lower.contains(word)) { Level::Error } else { Level::Unknown }
}

fn is_frame(line: &str) -> bool {
    let trimmed = line.trim_start();
    let is_indented = trimmed.len() < line.len();
    trimmed.starts_with("File \"")
        || trimmed.starts_with("Traceback (")
        || is_indented && (trimmed.starts_with("at ") || trimmed.starts_with("in ") || trimmed.starts_with('^'))
        || trimmed.starts_with("goroutine ")
        || is_indented && (trimmed.starts_with("...") || trimmed.starts_with("from "))
        || is_indented && line.starts_with("    ") && !trimmed.contains(": ")
}

/// Gives lines after an error without a level of their own the level of the error: a message of several lines.
fn continue_errors(lines: &mut [LogLine]) {
    let mut in_error = false;
    for line in lines {
        if line.starts_invocation || line.is_from_lambda {
            in_error = line.level == Level::Error;
            continue;
        }
        match line.level {
            Level::Error => in_error = true,
            Level::Info => in_error = false,
            Level::Unknown if in_error && line.request_id.is_none() => line.level = Level::Error,
            Level::Unknown => in_error = false,
        }
    }
}

fn first_bytes(text: &str, bytes: usize) -> &str {
    let mut end = text.len().min(bytes);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.get(..end).unwrap_or(text)
}
