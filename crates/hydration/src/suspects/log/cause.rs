//! The causes and the topics of errors.

/// Texts of errors whose cause is in no record, in small letters.
const OUTSIDE: [&str; 62] = [
    "timed out",
    "timeout",
    "etimedout",
    "esockettimedout",
    "deadline exceeded",
    "econnrefused",
    "econnreset",
    "enotfound",
    "ehostunreach",
    "enetunreach",
    "epipe",
    "eai_again",
    "getaddrinfo",
    "connection refused",
    "connection reset",
    "connection closed",
    "connection aborted",
    "broken pipe",
    "could not connect",
    "failed to connect",
    "unable to connect",
    "can't connect",
    "cannot connect",
    "socket hang up",
    "name or service not known",
    "unknownhostexception",
    "endpointconnectionerror",
    "no route to host",
    "throttl",
    "toomanyrequests",
    "too many requests",
    "rate exceeded",
    "rate limit",
    "provisionedthroughputexceeded",
    "slowdown",
    "slow down",
    "limitexceededexception",
    "service unavailable",
    "serviceunavailable",
    "bad gateway",
    "gateway timeout",
    "internal server error",
    "internalservererror",
    "out of memory",
    "outofmemory",
    "heap limit",
    "heap out of memory",
    "signal: killed",
    "memoryerror",
    "oomkilled",
    "accessdenied",
    "access denied",
    "not authorized to perform",
    "expiredtoken",
    "security token",
    "importmoduleerror",
    "unable to import module",
    "no module named",
    "cannot find module",
    "too many connections",
    "no space left on device",
    "too many open files",
];

/// More of them, which are looked for as they are.
const OUTSIDE_EXACT: [&str; 9] = [
    "Runtime.HandlerNotFound",
    "Runtime.UserCodeSyntaxError",
    "UnrecognizedClientException",
    "deadlock detected",
    "lock wait timeout",
    "CircuitBreaker",
    "circuit breaker",
    "SSLError",
    "certificate verify failed",
];

/// Returns true if the error is from outside. Quoted texts do not count: they may be of a record.
pub fn is_outside(text: &str) -> bool {
    let text = without_quoted(text);
    let lower = text.to_lowercase();
    OUTSIDE.iter().any(|cause| lower.contains(cause)) || OUTSIDE_EXACT.iter().any(|cause| text.contains(cause))
}

/// The text without what stands in quotation marks. A quotation mark within a word is an apostrophe.
pub fn without_quoted(text: &str) -> String {
    let mut kept = String::with_capacity(text.len());
    let mut open: Option<char> = None;
    let mut previous = ' ';
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        let next_is_word = characters.peek().is_some_and(|next| next.is_alphanumeric());
        match open {
            Some(quote) if character == quote && !(quote == '\'' && next_is_word) => open = None,
            Some(_) => {}
            None if matches!(character, '\'' | '"' | '`') && !previous.is_alphanumeric() => open = Some(character),
            None => kept.push(character),
        }
        previous = character;
    }
    // A quotation mark that is never closed quotes nothing.
    if open.is_some() { text.to_owned() } else { kept }
}

/// A topic of an error that some rules are about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Topic {
    Json,
    Characters,
    Absence,
    Date,
    Number,
    Duplicate,
    Size,
    Nesting,
    Type,
    Value,
}

const TOPICS: [(Topic, &[&str]); 10] = [
    (
        Topic::Json,
        &[
            "json",
            "unexpected token",
            "expecting value",
            "unterminated",
            "parse",
            "decod",
            "deserializ",
            "unmarshal",
            "gzip",
            "zlib",
            "incorrect header",
            "end of input",
            "invalid character",
            "malformed",
        ],
    ),
    (
        Topic::Characters,
        &["utf-8", "utf8", "codec", "unicode", "byte sequence", "encoding", "character", "surrogate", "charmap"],
    ),
    (
        Topic::Absence,
        &[
            "keyerror",
            "nonetype",
            "undefined",
            "of null",
            "nullpointer",
            "null value",
            "not-null",
            "required",
            "missing",
            "is null",
            "no such key",
            "nil pointer",
            "must not be null",
            "cannot be null",
            "cannot be empty",
            "not present",
        ],
    ),
    (
        Topic::Date,
        &[
            "date",
            "isoformat",
            "strptime",
            "time data",
            "timestamp",
            "day is out of range",
            "month must be",
            "invalid time",
            "parsing time",
        ],
    ),
    (
        Topic::Number,
        &[
            "overflow",
            "out of range",
            "numeric",
            "too large to convert",
            "negative",
            "must be positive",
            "greater than",
            "less than",
            "infinity",
            "exceeds",
            "decimal",
            "division by zero",
            "must be >= ",
        ],
    ),
    (
        Topic::Duplicate,
        &["duplicate", "already exists", "conditionalcheckfailed", "unique constraint", "uniqueviolation", "conflict"],
    ),
    (
        Topic::Size,
        &[
            "too large",
            "maximum allowed size",
            "exceeded the maximum",
            "size has exceeded",
            "too long",
            "entity too large",
            "max_length",
            "value too long",
            "exceeds the limit",
        ],
    ),
    (Topic::Nesting, &["recursion", "nest", "depth", "call stack", "stackoverflow", "stack overflow"]),
    (
        Topic::Type,
        &[
            "typeerror",
            "type mismatch",
            "is not a function",
            "could not convert",
            "invalid literal",
            "numberformat",
            "classcast",
            "cannot convert",
            "not iterable",
            "unsupported operand",
            "must be a",
            "must be of type",
            "expected type",
            "instance of",
            "not a number",
            "cannot unmarshal",
            "is not a valid",
            "invalid type",
            "has no attribute",
            "unable to parse string",
        ],
    ),
    (
        Topic::Value,
        &[
            "enum",
            "unknown",
            "unsupported",
            "unrecognized",
            "unrecognised",
            "not one of",
            "not a valid",
            "invalid value",
            "unexpected value",
            "no such",
            "must be one of",
            "version",
            "invalid input value",
        ],
    ),
];

/// The topics of an error.
pub fn topics_of(text: &str) -> impl Iterator<Item = Topic> {
    let lower = text.to_lowercase();
    TOPICS.iter().filter(move |(_, words)| words.iter().any(|word| lower.contains(word))).map(|(topic, _)| *topic)
}
