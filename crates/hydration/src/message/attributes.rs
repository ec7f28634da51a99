//! Message attributes. Consumers can filter on them without reading the body.

use crate::invocation_record::FailedBatch;
use crate::message::POINTER_ATTRIBUTE;

/// The limit for the bytes of an attribute's value. A longer value is cut; the body has all of it. AWS names are shorter.
const MAX_ATTRIBUTE_VALUE_BYTES: usize = 512;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MessageAttribute {
    pub name: &'static str,
    pub value: MessageAttributeValue,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MessageAttributeValue {
    String(String),
    Number(u64),
}

impl MessageAttributeValue {
    /// `String` or `Number`, as SQS names its data types.
    pub fn data_type(&self) -> &'static str {
        match self {
            Self::String(_) => "String",
            Self::Number(_) => "Number",
        }
    }

    pub fn text(&self) -> String {
        match self {
            Self::String(text) => text.clone(),
            Self::Number(number) => number.to_string(),
        }
    }
}

/// The attributes of a message. An attribute without a value is left out, because SQS refuses it.
pub fn attributes(id: &str, status: &str, batch: Option<&FailedBatch>, records: u64) -> Vec<MessageAttribute> {
    let mut attributes = Vec::with_capacity(9);
    let mut string = |name, value: Option<&str>| {
        let value = value.map(queue_safe).filter(|value| !value.is_empty());
        attributes.extend(value.map(|value| MessageAttribute { name, value: MessageAttributeValue::String(value) }));
    };
    string("hydrationId", Some(id));
    string("hydrationStatus", Some(status));
    string("source", batch.map(|batch| batch.stream.source().as_str()));
    string("functionArn", batch.and_then(|batch| batch.function_arn.as_deref()));
    string("condition", batch.and_then(|batch| batch.condition.as_deref()));
    string("streamArn", batch.map(|batch| batch.stream.as_str()));
    string("shardId", batch.map(|batch| batch.shard_id.as_str()));
    attributes.push(MessageAttribute { name: "recordCount", value: MessageAttributeValue::Number(records) });
    attributes
}

/// The attribute that marks a pointer for the SQS Extended Client.
pub fn overflow_size(bytes: usize) -> MessageAttribute {
    MessageAttribute { name: POINTER_ATTRIBUTE, value: MessageAttributeValue::Number(bytes as u64) }
}

/// The bytes of attributes as SQS counts them: name, data type and value.
pub fn size(attributes: &[MessageAttribute]) -> usize {
    attributes
        .iter()
        .map(|attribute| attribute.name.len() + attribute.value.data_type().len() + attribute.value.text().len())
        .sum()
}

/// Removes the characters that SQS refuses
/// (<https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessage.html>).
fn queue_safe(text: &str) -> String {
    let accepted = |c: &char| matches!(c, '\t' | '\n' | '\r' | ' '..='\u{FFFD}' | '\u{10000}'..);
    let mut value: String = text.chars().filter(accepted).collect();
    while value.len() > MAX_ATTRIBUTE_VALUE_BYTES {
        value.pop();
    }
    value
}
