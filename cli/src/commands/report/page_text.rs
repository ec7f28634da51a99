//! Text of the page: short, with every invisible character as an escape. The template escapes what HTML reads.

use std::fmt::{self, Display, Formatter};

use hydration::timestamp::Timestamp;

use crate::print::thousands;
use crate::print::visible::Visible;

/// The most characters of a name, of a sentence and of one record.
pub const MAX_NAME: usize = 140;
pub const MAX_SENTENCE: usize = 400;
pub const MAX_RECORD: usize = 4_000;

/// Text from outside, cut and made visible.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct PageText(String);

impl PageText {
    pub fn name(text: &str) -> Self {
        Self::cut(text, MAX_NAME, |piece| Visible::line(piece).to_string())
    }

    pub fn sentence(text: &str) -> Self {
        Self::cut(text, MAX_SENTENCE, |piece| Visible::line(piece).to_string())
    }

    /// A record. Its line feeds stay.
    pub fn record(text: &str) -> Self {
        Self::cut(text, MAX_RECORD, |piece| Visible::lines(piece).to_string())
    }

    fn cut(text: &str, max_chars: usize, visible: impl Fn(&str) -> String) -> Self {
        let (mut shown, mut chars) = (String::new(), 0);
        for (start, c) in text.char_indices() {
            let (piece, rest) = (text.get(start..start + c.len_utf8()).unwrap_or(""), text.get(start..).unwrap_or(""));
            let piece = visible(piece);
            chars += piece.chars().count();
            if chars > max_chars {
                shown += &format!("… ({} more characters)", thousands(rest.chars().count() as u64));
                break;
            }
            shown.push_str(&piece);
        }
        Self(shown)
    }

    /// The bytes that the text has on the page.
    pub fn escaped_bytes(&self) -> usize {
        let bytes = |c: char| if matches!(c, '<' | '>' | '&' | '"' | '\'') { "&#38;".len() } else { c.len_utf8() };
        self.0.chars().map(bytes).sum()
    }
}

impl Display for PageText {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// `2026-11-21 20:01 UTC`.
pub fn minute(time: Timestamp) -> String {
    format!("{} UTC", minute_without_zone(time))
}

/// `2026-11-21 20:01`.
pub fn minute_without_zone(time: Timestamp) -> String {
    let text = time.rfc3339();
    format!("{} {}", text.get(..10).unwrap_or(""), text.get(11..16).unwrap_or(""))
}

/// The same, or a dash.
pub fn minute_or_dash(moment: Option<Timestamp>) -> String {
    moment.map_or_else(|| "-".to_owned(), minute)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_text_is_cut_and_says_how_much_is_missing() {
        let text = PageText::name(&"k".repeat(1_000_000));
        assert!(text.0.starts_with("kkk") && text.0.ends_with("k… (999,860 more characters)"), "{text}");
        assert_eq!(PageText::name("orders").0, "orders");
    }

    #[test]
    fn controls_are_visible_and_count_with_their_escapes() {
        assert_eq!(PageText::name("a\u{202e}b\n").0, r"a\u{202e}b\u{a}");
        let text = PageText::name(&"\u{e0001}".repeat(1000));
        assert!(text.0.chars().count() < 200, "{text}");
        assert_eq!(PageText::record("a\n\tb").0, "a\n\tb");
    }

    #[test]
    fn markup_counts_as_it_is_escaped() {
        assert_eq!(PageText::name("<é>").escaped_bytes(), 12);
    }

    #[test]
    fn times_are_in_utc() {
        let time = Timestamp::parse("2026-11-21T02:51:59.123Z").unwrap();
        assert_eq!(minute(time), "2026-11-21 02:51 UTC");
    }
}
