//! Message attributes: what a consumer can filter on without opening the body.

use crate::invocation_record::FailedBatch;
use crate::message::POINTER_ATTRIBUTE;

/// A value longer than this is cut; the body has it whole. No AWS name in use here comes near it.
const LONGEST_VALUE: usize = 512;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attribute {
    pub name: &'static str,
    pub value: AttributeValue,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AttributeValue {
    String(String),
    Number(u64),
}

impl AttributeValue {
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

/// The attributes of a message. One without a value is left out: SQS refuses it.
pub fn attributes(id: &str, status: &str, batch: Option<&FailedBatch>, records: u64) -> Vec<Attribute> {
    let mut attributes = Vec::with_capacity(9);
    let mut string = |name, value: Option<&str>| {
        let value = value.map(queue_safe).filter(|value| !value.is_empty());
        attributes.extend(value.map(|value| Attribute { name, value: AttributeValue::String(value) }));
    };
    string("hydrationId", Some(id));
    string("hydrationStatus", Some(status));
    string("source", batch.map(|batch| batch.stream.source().as_str()));
    string("functionArn", batch.and_then(|batch| batch.function_arn.as_deref()));
    string("condition", batch.and_then(|batch| batch.condition.as_deref()));
    string("streamArn", batch.map(|batch| batch.stream.as_str()));
    string("shardId", batch.map(|batch| batch.shard_id.as_str()));
    attributes.push(Attribute { name: "recordCount", value: AttributeValue::Number(records) });
    attributes
}

pub fn overflow_size(bytes: usize) -> Attribute {
    Attribute { name: POINTER_ATTRIBUTE, value: AttributeValue::Number(bytes as u64) }
}

pub fn size(attributes: &[Attribute]) -> usize {
    attributes
        .iter()
        .map(|attribute| attribute.name.len() + attribute.value.data_type().len() + attribute.value.text().len())
        .sum()
}

/// Within the characters that SQS accepts
/// (<https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessage.html>).
fn queue_safe(text: &str) -> String {
    let accepted = |c: &char| matches!(c, '\t' | '\n' | '\r' | ' '..='\u{FFFD}' | '\u{10000}'..);
    let mut value: String = text.chars().filter(accepted).collect();
    while value.len() > LONGEST_VALUE {
        value.pop();
    }
    value
}
