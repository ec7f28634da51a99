//! A DynamoDB change, from the old image to the new.

use hydration::record::{AttributeValue, Item};
use hydration::view::write_attribute;

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    Added(String, String),
    Removed(String, String),
    Changed(String, String, String),
}

/// What differs, by path, and how many attributes do not.
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
            (Some(old), None) => diff.changes.push(Change::Removed(path, value(old))),
            (None, Some(new)) => diff.changes.push(Change::Added(path, value(new))),
            (None, None) => {}
        }
    }
}

fn values(path: &str, old: &AttributeValue, new: &AttributeValue, diff: &mut Diff) {
    match (old, new) {
        (old, new) if old == new => diff.same += 1,
        (AttributeValue::M(old), AttributeValue::M(new)) => items(path, old, new, diff),
        // Lists of another length have no element that is surely the same.
        (AttributeValue::L(old), AttributeValue::L(new)) if old.len() == new.len() => {
            for (index, (old, new)) in old.iter().zip(new).enumerate() {
                values(&format!("{path}[{index}]"), old, new, diff);
            }
        }
        (old, new) => {
            let (before, after) = (value(old), value(new));
            // 9.9 and "9.9" read alike without their types.
            let differ = before != after;
            let (before, after) = if differ {
                (before, after)
            } else {
                (format!("{before} ({})", kind(old)), format!("{after} ({})", kind(new)))
            };
            diff.changes.push(Change::Changed(path.to_owned(), before, after));
        }
    }
}

fn kind(value: &AttributeValue) -> &'static str {
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
    fn only_what_differs_is_told() {
        let old = item(
            r#"{"id":{"S":"a"},"price":{"N":"9.9"},"at":{"M":{"x":{"N":"1"},"y":{"N":"2"}}},"gone":{"BOOL":true},"tags":{"L":[{"S":"a"},{"S":"b"}]},"raw":{"S":"aGk="}}"#,
        );
        let new = item(
            r#"{"id":{"S":"a"},"price":{"N":"10.9"},"at":{"M":{"x":{"N":"1"},"y":{"N":"3"}}},"new":{"NULL":true},"tags":{"L":[{"S":"a"},{"S":"c"}]},"raw":{"B":"aGk="}}"#,
        );
        let diff = diff(&old, &new);
        let changed = |path: &str, old: &str, new: &str| Change::Changed(path.into(), old.into(), new.into());
        let expected = [
            changed("at.y", "2", "3"),
            Change::Removed("gone".into(), "true".into()),
            Change::Added("new".into(), "null".into()),
            changed("price", "9.9", "10.9"),
            changed("raw", "\"aGk=\" (S)", "\"aGk=\" (B)"),
            changed("tags[1]", "\"b\"", "\"c\""),
        ];
        assert_eq!(diff, Diff { changes: expected.into(), same: 3 });
    }
}
