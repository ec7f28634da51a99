//! The values of a unit, one after the other. No tree of them is built.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};

use crate::record::{AttributeValue, DynamoDbRecord, Item};
use crate::suspects::content::UnitContent;

/// A value of a unit. An object or a list comes before its content, and again after it, with its size.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum WalkedValue<'a> {
    Null,
    Bool(bool),
    Number(f64),
    /// A number that no machine number holds whole, or that is written in another way: DynamoDB's, with its text.
    NumberText(&'a str),
    Text(&'a str),
    Binary(&'a [u8]),
    /// A set of DynamoDB, by its element type.
    Set(&'static str),
}

/// The receiver of a walk.
pub trait ValueSink {
    /// Enters a key of the current object.
    fn key(&mut self, key: &str);
    /// Enters an element of the current list.
    fn element(&mut self);
    /// Enters a column of a line, from 1.
    fn column(&mut self, number: u32);
    /// Leaves the key, element or column.
    fn leave(&mut self);
    fn value(&mut self, value: WalkedValue<'_>);
    fn object(&mut self, keys: usize);
    fn list(&mut self, elements: usize);
}

/// The characters that part the columns of a line of text, in the order in which they are preferred.
const DELIMITERS: [char; 4] = ['\t', ';', '|', ','];
/// The longest text whose columns are compared, and the most columns.
const MAX_LINE_BYTES: usize = 64 * 1024;
const MAX_COLUMNS: usize = 200;

/// Walks the content. False if a number in it is out of every machine's range; the values before it were walked.
pub fn walk(content: &UnitContent<'_>, sink: &mut dyn ValueSink) -> bool {
    match content {
        UnitContent::Json(text) => {
            let mut parser = serde_json::Deserializer::from_str(text);
            Seed(sink).deserialize(&mut parser).is_ok()
        }
        UnitContent::Change(change) => {
            walk_change(change, sink);
            true
        }
        UnitContent::Text(text) => {
            walk_line(text.trim_end(), sink);
            true
        }
        UnitContent::Empty | UnitContent::BrokenJson(_) | UnitContent::Binary(_) => true,
    }
}

struct Seed<'s>(&'s mut dyn ValueSink);

impl<'de> DeserializeSeed<'de> for Seed<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Seed<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        self.0.value(WalkedValue::Null);
        Ok(())
    }

    fn visit_bool<E>(self, value: bool) -> Result<(), E> {
        self.0.value(WalkedValue::Bool(value));
        Ok(())
    }

    fn visit_i64<E>(self, value: i64) -> Result<(), E> {
        self.0.value(WalkedValue::NumberText(&value.to_string()));
        Ok(())
    }

    fn visit_u64<E>(self, value: u64) -> Result<(), E> {
        self.0.value(WalkedValue::NumberText(&value.to_string()));
        Ok(())
    }

    fn visit_f64<E>(self, value: f64) -> Result<(), E> {
        self.0.value(WalkedValue::Number(value));
        Ok(())
    }

    fn visit_str<E>(self, value: &str) -> Result<(), E> {
        self.0.value(WalkedValue::Text(value));
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        let mut elements = 0;
        loop {
            self.0.element();
            let next = list.next_element_seed(Seed(&mut *self.0));
            self.0.leave();
            match next? {
                Some(()) => elements += 1,
                None => break,
            }
        }
        self.0.list(elements);
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let mut keys = 0;
        while let Some(key) = map.next_key::<std::borrow::Cow<'de, str>>()? {
            self.0.key(&key);
            let result = map.next_value_seed(Seed(&mut *self.0));
            self.0.leave();
            result?;
            keys += 1;
        }
        self.0.object(keys);
        Ok(())
    }
}

/// Walks a change as an object of its event name and its images. Keys are walked only where no image has them.
fn walk_change(change: &DynamoDbRecord, sink: &mut dyn ValueSink) {
    let images = [("newImage", &change.new_image), ("oldImage", &change.old_image)];
    let images: Vec<(&str, &Item)> = images
        .into_iter()
        .filter_map(|(name, image)| Some((name, image.as_ref().filter(|image| !image.is_empty())?)))
        .collect();
    let mut keys = images.len();
    if let Some(name) = &change.event_name {
        sink.key("eventName");
        sink.value(WalkedValue::Text(name));
        sink.leave();
        keys += 1;
    }
    let named = change.keys.iter().map(|item| ("keys", item)).chain(images);
    for (name, item) in named {
        sink.key(name);
        walk_item(item, sink);
        sink.leave();
    }
    sink.object(keys);
}

fn walk_item(item: &Item, sink: &mut dyn ValueSink) {
    for (name, value) in item {
        sink.key(name);
        walk_attribute(value, sink);
        sink.leave();
    }
    sink.object(item.len());
}

fn walk_attribute(value: &AttributeValue, sink: &mut dyn ValueSink) {
    match value {
        AttributeValue::S(text) => sink.value(WalkedValue::Text(text)),
        AttributeValue::N(number) => sink.value(WalkedValue::NumberText(number)),
        AttributeValue::B(bytes) => sink.value(WalkedValue::Binary(bytes)),
        AttributeValue::Ss(texts) => walk_set("a string set", texts, sink, |text| WalkedValue::Text(text)),
        AttributeValue::Ns(numbers) => {
            walk_set("a number set", numbers, sink, |number| WalkedValue::NumberText(number));
        }
        AttributeValue::Bs(blobs) => walk_set("a binary set", blobs, sink, |bytes| WalkedValue::Binary(bytes)),
        AttributeValue::M(item) => walk_item(item, sink),
        AttributeValue::L(values) => {
            for value in values {
                sink.element();
                walk_attribute(value, sink);
                sink.leave();
            }
            sink.list(values.len());
        }
        AttributeValue::Null(_) => sink.value(WalkedValue::Null),
        AttributeValue::Bool(value) => sink.value(WalkedValue::Bool(*value)),
    }
}

fn walk_set<T>(
    kind: &'static str,
    elements: &[T],
    sink: &mut dyn ValueSink,
    value: impl for<'v> Fn(&'v T) -> WalkedValue<'v>,
) {
    sink.value(WalkedValue::Set(kind));
    for element in elements {
        sink.element();
        sink.value(value(element));
        sink.leave();
    }
}

/// Walks the columns of the first line of text, if it has some.
fn walk_line(text: &str, sink: &mut dyn ValueSink) {
    let line = text.lines().next().unwrap_or_default();
    if line.len() > MAX_LINE_BYTES {
        return;
    }
    let Some(delimiter) = DELIMITERS.into_iter().find(|delimiter| line.matches(*delimiter).nth(1).is_some()) else {
        return;
    };
    let mut columns = 0;
    for column in line.split(delimiter) {
        columns += 1;
        if columns <= MAX_COLUMNS {
            sink.column(u32::try_from(columns).unwrap_or(u32::MAX));
            sink.value(WalkedValue::Text(column.trim()));
            sink.leave();
        }
    }
    sink.list(columns);
}
