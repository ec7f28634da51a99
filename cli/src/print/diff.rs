//! A DynamoDB change, from the old image to the new.

use hydration::record::{AttributeValue, Item};
use hydration::view::write_attribute;

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    Added { path: String, new: String },
    Removed { path: String, old: String },
    Changed { path: String, old: String, new: String },
}

/// Changed attributes by path, and the number of attributes that are the same.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Diff {
    pub changes: Vec<Change>,
    pub same: usize,
}

pub fn diff(old: &Item, new: &Item) -> Diff {
    let mut diff = Diff::default();
    items("", old, new, &mut diff);
    diff
}

pub fn value(value: &AttributeValue) -> String {
    let mut text = String::new();
    write_attribute(value, &mut text);
    text
}

fn items(path: &str, old: &Item, new: &Item, diff: &mut Diff) {
    let names: std::collections::BTreeSet<_> = old.keys().chain(new.keys()).collect();
    for name in names {
        let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
        match (old.get(name), new.get(name)) {
            (Some(old), Some(new)) => values(&path, old, new, diff),
            (Some(old), None) => diff.changes.push(Change::Removed { path, old: value(old) }),
            (None, Some(new)) => diff.changes.push(Change::Added { path, new: value(new) }),
            (None, None) => {}
        }
    }
}

fn values(path: &str, old: &AttributeValue, new: &AttributeValue, diff: &mut Diff) {
    match (old, new) {
        (old, new) if old == new => diff.same += 1,
        (AttributeValue::M(old), AttributeValue::M(new)) => items(path, old, new, diff),
        // Elements of lists with different lengths cannot be matched.
        (AttributeValue::L(old), AttributeValue::L(new)) if old.len() == new.len() => {
            for (index, (old, new)) in old.iter().zip(new).enumerate() {
                values(&format!("{path}[{index}]"), old, new, diff);
            }
        }
        (old, new) => {
            let (before, after) = (value(old), value(new));
            // A string and a binary value may have the same text: their types tell them apart.
            let (old, new) = if before == after {
                (format!("{before} ({})", type_name(old)), format!("{after} ({})", type_name(new)))
            } else {
                (before, after)
            };
            diff.changes.push(Change::Changed { path: path.to_owned(), old, new });
        }
    }
}

fn type_name(value: &AttributeValue) -> &'static str {
    match value {
        AttributeValue::S(_) => "S",
        AttributeValue::N(_) => "N",
        AttributeValue::B(_) => "B",
        AttributeValue::Ss(_) => "SS",
        AttributeValue::Ns(_) => "NS",
        AttributeValue::Bs(_) => "BS",
        AttributeValue::M(_) => "M",
        AttributeValue::L(_) => "L",
        AttributeValue::Null(_) => "NULL",
        AttributeValue::Bool(_) => "BOOL",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(json: &str) -> Item {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn only_differences_are_listed() {
        let old = item(
            r#"{"id":{"S":"a"},"price":{"N":"9.9"},"at":{"M":{"x":{"N":"1"},"y":{"N":"2"}}},"gone":{"BOOL":true},"tags":{"L":[{"S":"a"},{"S":"b"}]},"raw":{"S":"aGk="}}"#,
        );
        let new = item(
            r#"{"id":{"S":"a"},"price":{"N":"10.9"},"at":{"M":{"x":{"N":"1"},"y":{"N":"3"}}},"new":{"NULL":true},"tags":{"L":[{"S":"a"},{"S":"c"}]},"raw":{"B":"aGk="}}"#,
        );
        let diff = diff(&old, &new);
        let changed =
            |path: &str, old: &str, new: &str| Change::Changed { path: path.into(), old: old.into(), new: new.into() };
        let expected = [
            changed("at.y", "2", "3"),
            Change::Removed { path: "gone".into(), old: "true".into() },
            Change::Added { path: "new".into(), new: "null".into() },
            changed("price", "9.9", "10.9"),
            changed("raw", "\"aGk=\" (S)", "\"aGk=\" (B)"),
            changed("tags[1]", "\"b\"", "\"c\""),
        ];
        assert_eq!(diff, Diff { changes: expected.into(), same: 3 });
    }
}
