//! The values of an event at a path.
//!
//! Arrays are transparent: `{"a": [{"b": 1}, {"b": 2}]}` has two values at `a.b`. Each remembers the array elements that
//! it was found in, because values of different elements of one array do not belong together.

use serde_json::value::RawValue;

use crate::json::BorrowedObject;

/// The elements of arrays that a value was found in: the place of the array in the text, and the element's index.
pub type Elements = Vec<(usize, usize)>;

/// A value that is no object and no array.
pub struct Leaf<'a> {
    pub value: &'a RawValue,
    pub elements: Elements,
}

/// The reason why it cannot be known which values are at a path: a key is repeated, or holds a dot.
pub struct Ambiguous;

/// The leaves at a path.
pub fn leaves<'a>(event: &'a RawValue, path: &[String]) -> Result<Vec<Leaf<'a>>, Ambiguous> {
    let mut leaves = Vec::new();
    collect(event, path, &Vec::new(), &mut leaves)?;
    Ok(leaves)
}

fn collect<'a>(
    value: &'a RawValue,
    path: &[String],
    elements: &Elements,
    leaves: &mut Vec<Leaf<'a>>,
) -> Result<(), Ambiguous> {
    match value.get().as_bytes().first() {
        Some(b'[') => {
            let items: Vec<&RawValue> = serde_json::from_str(value.get()).map_err(|_| Ambiguous)?;
            let array = value.get().as_ptr() as usize;
            for (index, item) in items.into_iter().enumerate() {
                if matches!(item.get().as_bytes().first(), Some(b'[' | b'{')) {
                    let inside: Elements = elements.iter().copied().chain([(array, index)]).collect();
                    collect(item, path, &inside, leaves)?;
                } else {
                    collect(item, path, elements, leaves)?;
                }
            }
        }
        Some(b'{') => {
            let Some((name, rest)) = path.split_first() else { return Ok(()) };
            let object = BorrowedObject::borrow_from(value.get()).map_err(|_| Ambiguous)?;
            let entries = object.entries();
            let mut found = entries.iter().filter(|(key, _)| key == name);
            let inside = found.next();
            // Event Ruler joins names with dots: it takes {"a.b": 1} for {"a": {"b": 1}}.
            let is_joined = |key: &str| key.strip_prefix(name.as_str()).is_some_and(|after| after.starts_with('.'));
            if found.next().is_some() || entries.iter().any(|(key, _)| is_joined(key)) {
                return Err(Ambiguous);
            }
            if let Some((_, inside)) = inside {
                collect(inside, rest, elements, leaves)?;
            }
        }
        _ if path.is_empty() => leaves.push(Leaf { value, elements: elements.clone() }),
        _ => {}
    }
    Ok(())
}
