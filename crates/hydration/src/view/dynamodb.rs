//! The view of a DynamoDB record: plain JSON without types.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::json;
use crate::record::{AttributeValue, DynamoDbRecord, Item};

/// Appends `{eventName, keys, newImage?, oldImage?}`. An empty image is left out.
pub fn write_dynamodb(record: &DynamoDbRecord, out: &mut String) {
    out.push_str(r#"{"eventName":"#);
    match &record.event_name {
        Some(name) => json::write_string(name, out),
        None => out.push_str("null"),
    }
    out.push_str(r#","keys":"#);
    match &record.keys {
        Some(keys) => write_item(keys, out),
        None => out.push_str("{}"),
    }
    for (name, image) in [("newImage", &record.new_image), ("oldImage", &record.old_image)] {
        if let Some(image) = image.as_ref().filter(|image| !image.is_empty()) {
            out.push(',');
            json::write_string(name, out);
            out.push(':');
            write_item(image, out);
        }
    }
    out.push('}');
}

/// Appends the value without its type: numbers with every digit, sets as arrays, bytes as base64.
pub fn write_attribute(value: &AttributeValue, out: &mut String) {
    match value {
        AttributeValue::S(text) => json::write_string(text, out),
        AttributeValue::N(number) => write_number(number, out),
        AttributeValue::B(bytes) => write_bytes(bytes, out),
        AttributeValue::Ss(texts) => write_list(texts, out, |text, out| json::write_string(text, out)),
        AttributeValue::Ns(numbers) => write_list(numbers, out, |number, out| write_number(number, out)),
        AttributeValue::Bs(blobs) => write_list(blobs, out, |bytes, out| write_bytes(bytes, out)),
        AttributeValue::M(item) => write_item(item, out),
        AttributeValue::L(values) => write_list(values, out, write_attribute),
        AttributeValue::Null(_) => out.push_str("null"),
        AttributeValue::Bool(true) => out.push_str("true"),
        AttributeValue::Bool(false) => out.push_str("false"),
    }
}

fn write_item(item: &Item, out: &mut String) {
    out.push('{');
    for (index, (name, value)) in item.iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        json::write_string(name, out);
        out.push(':');
        write_attribute(value, out);
    }
    out.push('}');
}

fn write_list<T>(values: &[T], out: &mut String, write: impl Fn(&T, &mut String)) {
    out.push('[');
    for (index, value) in values.iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        write(value, out);
    }
    out.push(']');
}

/// Writes a JSON number, or a string if JSON has no such number.
fn write_number(number: &str, out: &mut String) {
    if json::is_number(number) { out.push_str(number) } else { json::write_string(number, out) }
}

fn write_bytes(bytes: &[u8], out: &mut String) {
    out.push('"');
    STANDARD.encode_string(bytes, out);
    out.push('"');
}

#[cfg(test)]
mod tests;
