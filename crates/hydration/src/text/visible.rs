//! Text from outside, made safe to show on a terminal.
//!
//! A message, a log line or an answer may hold characters that move the cursor, colour the screen, or reverse the order
//! of what follows ("Trojan Source", <https://trojansource.codes>). Each is written as its escape: `\u{202e}`.

use std::fmt::{self, Display, Formatter, Write};

/// Text that is written with its invisible and controlling characters as escapes.
#[derive(Debug, Clone, Copy)]
pub struct Visible<'a> {
    text: &'a str,
    is_multi_line: bool,
}

impl<'a> Visible<'a> {
    /// One line: line feeds and tabs are escaped as well.
    pub fn line(text: &'a str) -> Self {
        Self { text, is_multi_line: false }
    }

    /// Several lines: line feeds and tabs stay as they are.
    pub fn lines(text: &'a str) -> Self {
        Self { text, is_multi_line: true }
    }
}

impl Display for Visible<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        for c in self.text.chars() {
            match c {
                '\n' | '\t' if self.is_multi_line => f.write_char(c)?,
                _ if is_unsafe(c) => write!(f, "{}", c.escape_unicode())?,
                _ => f.write_char(c)?,
            }
        }
        Ok(())
    }
}

/// JSON text with every unsafe character in a string as `\u` escapes: every parser reads the same value. Control
/// characters below U+0020 are escaped in any JSON string, so that those outside of strings are line ends and tabs.
pub fn json_escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        if is_unsafe(c) && !matches!(c, '\n' | '\r' | '\t') {
            for unit in c.encode_utf16(&mut [0; 2]) {
                // A String takes everything that is written to it.
                let _ = write!(escaped, "\\u{unit:04x}");
            }
        } else {
            escaped.push(c);
        }
    }
    escaped
}

/// Control characters, and format characters that print nothing. Variation selectors 15 and 16 stay: they choose
/// between the text form and the emoji form of the character before them.
fn is_unsafe(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' // soft hyphen
            | '\u{34f}' // combining grapheme joiner
            | '\u{61c}' // Arabic letter mark
            | '\u{115f}' | '\u{1160}' | '\u{3164}' | '\u{ffa0}' // Hangul fillers
            | '\u{17b4}' | '\u{17b5}' // Khmer inherent vowels
            | '\u{180b}'..='\u{180f}' // Mongolian selectors and vowel separator
            | '\u{200b}'..='\u{200f}' // zero width, left-to-right and right-to-left marks
            | '\u{2028}'..='\u{202e}' // line and paragraph separators, embeddings and overrides
            | '\u{2060}'..='\u{206f}' // word joiner, invisible operators, isolates
            | '\u{fe00}'..='\u{fe0d}' | '\u{e0100}'..='\u{e01ef}' // variation selectors
            | '\u{feff}' // byte order mark
            | '\u{fff0}'..='\u{fffb}' // interlinear annotation
            | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}' // shorthand and musical format controls
            | '\u{e0000}'..='\u{e00ff}' // tags
        )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn line(text: &str) -> String {
        Visible::line(text).to_string()
    }

    #[test]
    fn terminal_escapes_are_visible() {
        assert_eq!(line("a\u{1b}[2Jb\u{9b}\r\n\tc\0\u{7f}"), r"a\u{1b}[2Jb\u{9b}\u{d}\u{a}\u{9}c\u{0}\u{7f}");
    }

    #[test]
    fn line_feeds_and_tabs_stay_only_in_text_of_several_lines() {
        assert_eq!(Visible::lines("a\n\tb\rc").to_string(), "a\n\tb\\u{d}c");
        assert_eq!(line("a\n\tb"), r"a\u{a}\u{9}b");
    }

    #[test]
    fn characters_that_reorder_or_hide_text_are_visible() {
        let ranges = [
            0x202a..=0x202e,
            0x2066..=0x2069,
            0x200b..=0x200f,
            0x61c..=0x61c,
            0x2028..=0x2029,
            0x2060..=0x2064,
            0xfeff..=0xfeff,
            0xe0001..=0xe0001,
            0xe0020..=0xe007f,
            0xe0100..=0xe01ef,
            0xad..=0xad,
            0x180e..=0x180e,
            0x3164..=0x3164,
            0xfff9..=0xfffb,
        ];
        for code in ranges.into_iter().flatten() {
            let c = char::from_u32(code).unwrap();
            assert_eq!(line(&format!("a{c}b")), format!("a\\u{{{code:x}}}b"));
        }
    }

    #[test]
    fn readable_text_of_every_script_stays_as_it_is() {
        for text in ["plain", "naïve café", "注文", "заказ", "طلب", "आदेश", "❤\u{fe0f}", "a\\u{202e}", "§ 4 – “so”"]
        {
            assert_eq!(line(text), text);
        }
    }

    proptest! {
        #[test]
        fn what_is_shown_holds_no_unsafe_character(text in any::<String>()) {
            prop_assert!(!line(&text).chars().any(is_unsafe));
            let lines = Visible::lines(&text).to_string();
            prop_assert!(!lines.chars().any(|c| is_unsafe(c) && c != '\n' && c != '\t'));
            prop_assert_eq!(lines.matches('\n').count(), text.matches('\n').count());
        }
    }
}
