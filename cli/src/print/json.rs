//! JSON with line breaks and indentation; numbers and strings are not changed.

/// Adds line breaks. The text must be JSON.
pub fn pretty_json(text: &str) -> String {
    let mut out = String::with_capacity(text.len() * 2);
    let mut depth = 0_usize;
    let mut chars = text.chars().peekable();
    let newline = |out: &mut String, depth: usize| {
        out.push('\n');
        out.extend(std::iter::repeat_n("  ", depth));
    };
    while let Some(c) = chars.next() {
        match c {
            '"' => {
                out.push(c);
                while let Some(c) = chars.next() {
                    out.push(c);
                    match c {
                        '\\' => out.extend(chars.next()),
                        '"' => break,
                        _ => {}
                    }
                }
            }
            '{' | '[' => {
                out.push(c);
                while chars.next_if(|c| c.is_ascii_whitespace()).is_some() {}
                match chars.next_if(|c| matches!(c, '}' | ']')) {
                    Some(end) => out.push(end),
                    None => {
                        depth += 1;
                        newline(&mut out, depth);
                    }
                }
            }
            '}' | ']' => {
                depth = depth.saturating_sub(1);
                newline(&mut out, depth);
                out.push(c);
            }
            ',' => {
                out.push(c);
                newline(&mut out, depth);
            }
            ':' => out.push_str(": "),
            c if c.is_ascii_whitespace() => {}
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::pretty_json;

    #[test]
    fn only_line_breaks_are_added() {
        let text = r#"{"a" : 1.10,"b":[ ],"c":[1,{"d":"x, {y}: \"z\\"}]}"#;
        let broken = "{\n  \"a\": 1.10,\n  \"b\": [],\n  \"c\": [\n    1,\n    {\n      \"d\": \"x, {y}: \\\"z\\\\\"\n    }\n  ]\n}";
        assert_eq!(pretty_json(text), broken);
        assert_eq!(
            (pretty_json("12345678901234567890.0"), pretty_json("{ }")),
            ("12345678901234567890.0".into(), "{}".into())
        );
    }

    proptest::proptest! {
        #[test]
        fn it_stays_the_same_json(numbers: Vec<(String, i64)>) {
            let text = serde_json::to_string(&numbers).unwrap();
            let again: Vec<(String, i64)> = serde_json::from_str(&pretty_json(&text)).unwrap();
            assert_eq!(again, numbers);
        }
    }
}
