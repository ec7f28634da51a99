use proptest::prelude::*;

use super::*;

fn object(text: &str) -> Object {
    Object::from_str(text).unwrap()
}

fn string(text: &str) -> String {
    let mut out = String::new();
    write_string(text, &mut out);
    out
}

#[test]
fn every_kind_of_value_is_sound_and_keeps_its_digits() {
    for text in ["0", "-0.10e+07", "12345678901234567890.000000000000000000001", "true", "null", r#""x""#, "[]", "{}"] {
        assert_eq!(sound_value(text), Some(text));
    }
    assert_eq!(sound_value(" \r\n\t[1, 2]\n"), Some("[1, 2]"));
}

#[test]
fn text_that_is_not_one_json_value_is_not_sound() {
    for text in
        ["", " ", "01", "1.", ".5", "+1", "NaN", "{a:1}", "[1,]", "1 2", "{}\n{}", "\u{FEFF}{}", "\"\n\"", r#""\x""#]
    {
        assert!(!is_sound(text), "{text}");
    }
}

#[test]
fn nesting_counts_levels_and_not_brackets() {
    let nested = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
    assert!(is_sound(&nested(MAX_NESTING_LEVELS)));
    assert!(!is_sound(&nested(MAX_NESTING_LEVELS + 1)));
    assert!(is_sound(&format!("[{}]", vec!["{}"; 1000].join(","))));
    assert!(is_sound(&format!("\"{}\\\"{}\"", "[".repeat(1000), "{".repeat(1000))));
}

#[test]
fn depth_costs_no_stack() {
    let depth = 5_000_000;
    assert!(!is_sound(&format!("{}{}", "[".repeat(depth), "]".repeat(depth))));
    assert!(!is_sound(&"[".repeat(depth)));
}

#[test]
fn surrogates_come_in_pairs() {
    for text in [r#""\ud83d\ude00""#, r#""\uD83D\uDE00x\u00e9""#, r#""\\ud800""#, r#"{"\ud83d\ude00":"\uFFFF"}"#] {
        assert!(is_sound(text), "{text}");
    }
    for text in [
        r#""\ud83d""#,
        r#""\ude00""#,
        r#""\ud83dx""#,
        r#""\ud83d\n""#,
        r#""\ud83d\ud83d\ude00""#,
        r#""\ude00\ud83d""#,
        r#"{"\udfff":1}"#,
    ] {
        assert!(!is_sound(text), "{text}");
    }
}

#[test]
fn a_number_follows_the_grammar_to_the_letter() {
    for text in ["0", "-0", "12", "1.50", "1E5", "1e-05", "99999999999999999999999999999999999999", "1e400"] {
        assert!(is_number(text), "{text}");
    }
    for text in
        ["", "-", "01", "1.", ".1", "+1", " 1", "1\n", "Infinity", "1e", "1 2", "true", "\"1\"", "[1]", "1,1", "٣"]
    {
        assert!(!is_number(text), "{text}");
    }
}

#[test]
fn characters_that_sqs_refuses_are_escaped() {
    assert_eq!(string("plain ü\u{7f}"), "\"plain ü\u{7f}\"");
    assert_eq!(string("a\"b\\c\n\u{0}\u{FFFE}\u{FFFF}"), r#""a\"b\\c\n\u0000\ufffe\uffff""#);
    assert_eq!(sqs_safe("[\"\u{FFFF}\u{FFFD}\"]".to_owned()), "[\"\\uffff\u{FFFD}\"]");
}

#[test]
fn characters_near_those_that_sqs_refuses_are_not_escaped() {
    for (text, is_safe) in [("", true), ("\u{FFFD}\u{F000}\u{FEFF}ü", true), ("a\u{FFFE}", false), ("\u{FFFF}", false)]
    {
        assert_eq!((is_sqs_safe(text), sqs_safe(text.to_owned()) == text), (is_safe, is_safe), "{text:?}");
    }
}

#[test]
fn safe_text_is_not_copied() {
    let text = "x".repeat(100);
    let address = text.as_ptr();
    let safe = sqs_safe(text);
    assert_eq!(safe.as_ptr(), address);
}

#[test]
fn an_object_keeps_order_text_and_repetitions() {
    let object = object(r#"{"b": 1.50, "a":{"x" : [ ]}, "b":"last"}"#);
    let entries: Vec<_> = object.iter().map(|(key, value)| (key, value.get())).collect();
    assert_eq!(entries, [("b", "1.50"), ("a", r#"{"x" : [ ]}"#), ("b", r#""last""#)]);
    assert_eq!(object.string("b").as_deref(), Some("last"));
    assert_eq!((object.string("a"), object.string("c")), (None, None));
    assert!(Object::from_str("[]").is_err());
}

proptest! {
    #[test]
    fn a_written_string_reads_back_and_is_safe(text in any::<String>()) {
        let written = string(&text);
        let is_safe = !written.contains(|character| character < ' ' || matches!(character, '\u{FFFE}' | '\u{FFFF}'));
        prop_assert!(is_safe);
        prop_assert_eq!(string_length(&text), written.len());
        prop_assert_eq!(serde_json::from_str::<String>(&written).unwrap(), text);
        prop_assert!(is_sound(&written));
    }

    /// The result of a parser that builds values, except for numbers too large for a double.
    #[test]
    fn sound_text_can_be_parsed(pieces in prop::collection::vec(prop::sample::select(PIECES), 0..12)) {
        let string = format!("\"{}\"", pieces.concat());
        for text in [pieces.concat(), format!("[{string}]"), string] {
            let is_read = serde_json::from_str::<serde_json::Value>(&text).is_ok();
            prop_assert_eq!(is_sound(&text), is_read, "{}", text);
        }
    }
}

const PIECES: &[&str] = &[
    "[", "]", "{", "}", "\"", ",", ":", "\\", "\\\\", "\\u", "\\ud83d", "\\uDE00", "00e9", "-", "1.0", "E+5", " ", "é",
];

#[test]
fn objects_and_arrays_of_records_have_a_most() {
    let array = |count: usize| format!("[{}]", vec!["1"; count].join(" ,"));
    assert_eq!(elements(&array(MAX_ENTRIES)).unwrap().len(), MAX_ENTRIES);
    assert!(elements(&array(MAX_ENTRIES + 1)).is_none());
    for text in ["", "[", "[1", "[1,]", "[1] 2", "{}", "null"] {
        assert!(elements(text).is_none(), "{text}");
    }
    let object = |count: usize| format!("{{{}}}", vec![r#""a":1"#; count].join(","));
    assert!(Object::from_str(&object(MAX_ENTRIES)).is_ok());
    assert!(Object::from_str(&object(MAX_ENTRIES + 1)).is_err());
}

#[test]
fn line_breaks_between_tokens_become_spaces_and_those_in_strings_stay() {
    let mut text = "{\r\n\t\"a\": \"x\\ny\",\n\n\"b\":\r[1.10,\n\"\u{2028}é\"]}\n".to_owned().into_bytes();
    join_lines(&mut text);
    assert_eq!(String::from_utf8(text).unwrap(), "{  \t\"a\": \"x\\ny\",  \"b\": [1.10, \"\u{2028}é\"]} ");
}
