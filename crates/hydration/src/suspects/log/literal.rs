//! Literals of a log: texts that may be a value, a key or an id of a record.

use std::collections::HashSet;

use crate::suspects::log::line::LogLine;

/// The longest literal, in bytes. A longer one is cut.
const MAX_LITERAL_BYTES: usize = 1024;
/// The longest text in quotation marks, in characters.
const MAX_QUOTED_CHARS: usize = 2_000;
/// The most literals of one line.
const MAX_LITERALS_OF_LINE: usize = 400;

/// A literal of a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Literal {
    pub text: String,
    /// In quotation marks, or a value of JSON.
    pub is_quoted: bool,
    /// The word before it, as in `quantity=-3`, in its normal form.
    pub key: Option<String>,
    /// The number of its line.
    pub line: usize,
    pub is_error: bool,
    /// The text is cut off: it may be the beginning of a value.
    pub is_cut: bool,
}

/// The words of errors that may be keys of records, in their normal form.
#[derive(Debug, Default)]
pub struct Words(HashSet<String>);

/// Words of prose that are common keys too. Unless they are quoted, they say nothing.
const PROSE: [&str; 40] = [
    "error", "message", "type", "value", "time", "data", "record", "records", "name", "key", "user", "event", "status",
    "state", "number", "string", "null", "code", "order", "item", "items", "object", "list", "field", "for", "the",
    "date", "index", "text", "input", "version", "body", "table", "function", "request", "source", "detail", "details",
    "path", "id",
];

impl Words {
    pub fn has(&self, key: &str) -> bool {
        self.0.contains(&normal(key))
    }

    /// Adds the quoted words of a line of code in a stack trace.
    pub fn add_quoted(&mut self, line: &LogLine) {
        for piece in line.pieces.iter().filter(|_| !line.text().contains("File \"")) {
            for literal in quoted(&piece.text) {
                self.add(literal.text, true);
            }
        }
    }

    fn add(&mut self, text: &str, is_quoted: bool) {
        if text.len() > 100 {
            return;
        }
        for word in text.split(['.', '/', '[', ']']).filter(|word| word.len() > 1) {
            let is_compound = word.contains('_') || word.chars().skip(1).any(char::is_uppercase);
            if word.chars().any(char::is_alphabetic) && (is_quoted || is_compound || !PROSE.contains(&word)) {
                self.0.insert(normal(word));
            }
        }
    }
}

/// A key as it is compared: `Customer_ID` is `customerid`.
pub fn normal(key: &str) -> String {
    key.chars().filter(|character| character.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

/// A number as it is compared: `19.90` is `19.9`. `None` for another text.
pub fn number_text(text: &str) -> Option<String> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let is_number = digits.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.')
        && digits.starts_with(|first: char| first.is_ascii_digit())
        && digits.matches('.').count() < 2;
    if !is_number {
        return None;
    }
    let shortest = if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { text };
    Some(shortest.to_owned())
}

/// Reads the literals of a line, and of an error the words that may be keys.
pub fn read(
    line: &LogLine,
    number: usize,
    is_error: bool,
    ignored: &HashSet<&str>,
    literals: &mut Vec<Literal>,
    words: &mut Words,
) {
    let mut found: Vec<Literal> = Vec::new();
    for piece in &line.pieces {
        let key = piece.key.as_deref().map(normal);
        if piece.is_value {
            found.push(literal(&piece.text, true, key.clone(), number, is_error));
        }
        if let (Some(key), true) = (&piece.key, is_error) {
            words.add(key, false);
        }
        for part in quoted(&piece.text) {
            found.push(literal(part.text, true, part.key.or_else(|| key.clone()), number, is_error));
            if is_error {
                words.add(part.text, true);
            }
        }
        let mut previous: Option<&str> = None;
        for token in tokens(&piece.text) {
            if is_error {
                words.add(token, false);
            }
            if token.len() > 1 || token.bytes().all(|byte| byte.is_ascii_digit()) {
                found.push(literal(token, false, previous.map(normal), number, is_error));
            }
            // `Currency.XBT`, `status:lost`: the last part may be the value.
            if let Some((before, last)) = token.rsplit_once(['.', ':', '/']).filter(|(_, last)| last.len() > 2) {
                found.push(literal(last, false, Some(normal(before)), number, is_error));
            }
            previous = Some(token);
        }
    }
    found.truncate(MAX_LITERALS_OF_LINE);
    literals.extend(
        found.into_iter().filter(|literal| !ignored.contains(literal.text.as_str()) && !is_of_runtime(&literal.text)),
    );
}

fn literal(text: &str, is_quoted: bool, key: Option<String>, line: usize, is_error: bool) -> Literal {
    let shown = text.trim().trim_end_matches("...").trim_end_matches('…');
    let mut end = shown.len().min(MAX_LITERAL_BYTES);
    while !shown.is_char_boundary(end) {
        end -= 1;
    }
    let is_cut = shown.len() < text.trim().len() || end < shown.len();
    Literal { text: shown.get(..end).unwrap_or(shown).to_owned(), is_quoted, key, line, is_error, is_cut }
}

/// Texts that the runtime writes: ARNs, memory sizes, places in code.
fn is_of_runtime(text: &str) -> bool {
    text.is_empty() || text.starts_with("arn:aws") || text.contains("/var/task") || text.contains("node:internal")
}

/// A text in quotation marks, with the word before it.
struct Quoted<'a> {
    text: &'a str,
    key: Option<String>,
}

/// The texts in quotation marks. One that begins within a word is an apostrophe.
fn quoted(text: &str) -> Vec<Quoted<'_>> {
    let mut found = Vec::new();
    let mut rest = text;
    let mut previous = ' ';
    let mut not_closed = 0;
    while let Some((start, quote)) = rest.char_indices().find(|(_, character)| closing(*character).is_some()) {
        let before = rest.get(..start).unwrap_or_default();
        let inner = rest.get(start + quote.len_utf8()..).unwrap_or_default();
        let opens = !before.chars().next_back().unwrap_or(previous).is_alphanumeric();
        let end = closing(quote).filter(|_| opens).and_then(|closing| {
            let closes = |(at, character): &(usize, char)| {
                let after = inner.get(at + character.len_utf8()..).and_then(|after| after.chars().next());
                *character == closing && (closing != '\'' || !after.is_some_and(char::is_alphanumeric))
            };
            inner.char_indices().take(MAX_QUOTED_CHARS).find(closes)
        });
        previous = quote;
        match end {
            Some((end, closing)) => {
                let key = tokens(before).last().map(normal);
                found.push(Quoted { text: inner.get(..end).unwrap_or_default(), key });
                rest = inner.get(end + closing.len_utf8()..).unwrap_or_default();
            }
            None => {
                not_closed += usize::from(opens);
                rest = inner;
            }
        }
        if found.len() == MAX_LITERALS_OF_LINE || not_closed == MAX_LITERALS_OF_LINE {
            break;
        }
    }
    found.retain(|part| !part.text.trim().is_empty());
    found
}

fn closing(opening: char) -> Option<char> {
    match opening {
        '\'' | '"' | '`' => Some(opening),
        '“' => Some('”'),
        '«' => Some('»'),
        '‘' => Some('’'),
        _ => None,
    }
}

/// The words of a text, without the punctuation around them.
pub fn tokens(text: &str) -> impl DoubleEndedIterator<Item = &str> {
    let splits = |character: char| character.is_whitespace() || ",;()[]{}=<>\"'`|“”«»".contains(character);
    text.split(splits)
        .map(|token| token.trim_matches(['.', ':', '!', '?', '#', '*', '…']))
        .filter(|token| !token.is_empty())
}
