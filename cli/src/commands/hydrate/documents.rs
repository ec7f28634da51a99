//! The documents of a file or of standard input.

use std::io::Read;
use std::path::Path;

use anyhow::{Context as _, Result, bail};
use hydration::json::Object;
use serde_json::value::RawValue;

pub fn read_documents(path: &Path) -> Result<Vec<String>> {
    let text = if path.as_os_str() == "-" {
        let mut text = String::new();
        std::io::stdin().read_to_string(&mut text).context("standard input")?;
        text
    } else {
        std::fs::read_to_string(path).with_context(|| path.display().to_string())?
    };
    let documents = split(&text);
    if documents.is_empty() {
        bail!("there is no document in it\n  → give invocation records as JSON: one, an array, or one a line");
    }
    Ok(documents)
}

/// Splits the text: one document, an array of them, one a line, or the output of `aws sqs receive-message`.
fn split(text: &str) -> Vec<String> {
    if let Ok(array) = serde_json::from_str::<Vec<Box<RawValue>>>(text) {
        return array.iter().map(|document| document.get().to_owned()).collect();
    }
    if let Ok(object) = Object::from_str(text) {
        let messages = object.get("Messages").and_then(|raw| serde_json::from_str::<Vec<Object>>(raw.get()).ok());
        return match messages {
            Some(messages) => messages.iter().filter_map(|message| message.string("Body")).collect(),
            None => vec![text.to_owned()],
        };
    }
    text.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::split;

    #[test]
    fn documents_have_four_forms() {
        assert_eq!(split("{\n\"a\":1}\n"), ["{\n\"a\":1}\n"]);
        assert_eq!(split("[{\"a\":1}, {\"b\":2}]"), ["{\"a\":1}", "{\"b\":2}"]);
        assert_eq!(split("{\"a\":1}\n\n{\"b\":2}\n"), ["{\"a\":1}", "{\"b\":2}"]);
        assert_eq!(split(r#"{"Messages":[{"MessageId":"m","Body":"{\"a\":1}"}]}"#), ["{\"a\":1}"]);
        assert!(split(" \n").is_empty());
    }
}
