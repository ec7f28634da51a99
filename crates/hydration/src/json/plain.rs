//! JSON in plain text, for a search: a person looks for `Müller`, and the producer may have written `M\u00fcller`.

/// The text of a [sound](super::is_sound) value, in one line: no white space between its parts, and its strings with
/// their escapes decoded, in their quotation marks. It is for a search and cannot be parsed.
pub fn plain_text(json: &str) -> String {
    let mut plain = String::with_capacity(json.len());
    let mut rest = json;
    let mut in_string = false;
    while let Some(at) = rest.find(['"', '\\', ' ', '\n', '\r', '\t']) {
        let (before, after) = rest.split_at(at);
        plain.push_str(before);
        let mut characters = after.chars();
        let found = characters.next();
        rest = characters.as_str();
        match found {
            Some('"') => {
                in_string = !in_string;
                plain.push('"');
            }
            Some('\\') => rest = push_escape(rest, &mut plain),
            Some(white_space) if in_string => plain.push(white_space),
            _ => {}
        }
    }
    plain.push_str(rest);
    plain
}

/// Appends the character of an escape whose backslash was just read, and returns the text after it.
fn push_escape<'a>(escape: &'a str, plain: &mut String) -> &'a str {
    let mut characters = escape.chars();
    let character = match characters.next() {
        Some('n') => '\n',
        Some('r') => '\r',
        Some('t') => '\t',
        Some('b') => '\u{8}',
        Some('f') => '\u{c}',
        Some('u') => {
            let (character, rest) = unicode_escape(characters.as_str());
            plain.push(character);
            return rest;
        }
        Some(other) => other,
        None => return "",
    };
    plain.push(character);
    characters.as_str()
}

/// The character of the four digits after `\u`, or of two such escapes, and the text after it.
fn unicode_escape(digits: &str) -> (char, &str) {
    let Some((high, rest)) = code_unit(digits) else { return (char::REPLACEMENT_CHARACTER, digits) };
    let pair = rest.strip_prefix(r"\u").and_then(code_unit).filter(|_| (0xD800..0xDC00).contains(&high));
    if let Some((low, after)) = pair
        && let Some(Ok(character)) = char::decode_utf16([high, low]).next()
    {
        return (character, after);
    }
    (char::from_u32(u32::from(high)).unwrap_or(char::REPLACEMENT_CHARACTER), rest)
}

fn code_unit(text: &str) -> Option<(u16, &str)> {
    let (digits, rest) = text.split_at_checked(4)?;
    Some((u16::from_str_radix(digits, 16).ok()?, rest))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::json::write_string;

    #[test]
    fn escapes_are_decoded_and_white_space_between_the_parts_is_left_out() {
        for (json, plain) in [
            (r#"{ "name" : "M\u00fcller \"A\"" , "n": [1.10, 2] }"#, r#"{"name":"Müller "A"","n":[1.10,2]}"#),
            (r#""\ud83d\ude00 a\\b\/c\td""#, "\"😀 a\\b/c\td\""),
            ("{\r\n\t\"a b\": null}", r#"{"a b":null}"#),
            ("12345678901234567890.0", "12345678901234567890.0"),
        ] {
            assert_eq!(plain_text(json), plain);
        }
    }

    proptest! {
        #[test]
        fn a_string_is_its_text_in_quotation_marks(text in any::<String>()) {
            let mut json = String::new();
            write_string(&text, &mut json);
            prop_assert_eq!(plain_text(&json), format!("\"{text}\""));
        }

        #[test]
        fn a_text_that_is_no_json_does_no_harm(text in r#"[\\"u0-9a-fé 	]{0,40}"#) {
            plain_text(&text);
        }
    }
}
