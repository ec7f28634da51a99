//! Incoming messages, recognized by their shape alone.
//!
//! A message is an invocation record, or a notification that S3 holds one. It may be in an SNS notification or event,
//! or in Lambda's asynchronous-failure document around such an event. Any other message on the topic is delivered too,
//! because a person must see it.

use std::borrow::Borrow;

use serde_json::value::RawValue;

use crate::error::HydrateError;
use crate::invocation_record::{FailedBatch, InvocationRecord};
use crate::json::{self, BorrowedObject, Object};
use crate::object_notification::{ObjectLocation, new_objects};

/// Envelopes within envelopes: failure document, SNS event, notification, invocation record.
const MAX_ENVELOPE_LEVELS: u32 = 4;

/// More than any pointer has: the longest name of a bucket and the longest key, with every character escaped.
const MAX_POINTER_BYTES: usize = 16 * 1024;

const NO_BATCH_INFO: &str = "it has neither KinesisBatchInfo nor DDBStreamBatchInfo";

/// A message that the function or the tool is asked to hydrate.
#[derive(Debug, Clone)]
pub enum IncomingMessage {
    FailedBatch(Box<InvocationRecord>),
    /// An object that is yet to be read: see [`Hydrator::open`](crate::hydrator::Hydrator::open).
    Object(ObjectLocation),
    Unrecognized(Unrecognized),
}

impl IncomingMessage {
    pub fn batch(&self) -> Option<&FailedBatch> {
        match self {
            Self::FailedBatch(record) => Some(&record.batch),
            Self::Object(_) | Self::Unrecognized(_) => None,
        }
    }

    /// `s3://bucket/key` of the object that holds the message. `None` if it arrived without one.
    pub fn object(&self) -> Option<String> {
        match self {
            Self::FailedBatch(record) => record.object.clone(),
            Self::Object(location) => Some(location.to_string()),
            Self::Unrecognized(message) => message.object.clone(),
        }
    }
}

/// A message that is not about a failed batch.
#[derive(Debug, Clone)]
pub struct Unrecognized {
    pub text: String,
    /// The reason why it is not recognized, without a quotation.
    pub why: String,
    /// `s3://bucket/key`, if it is the content of an object. Then `text` is only its place.
    pub object: Option<String>,
}

/// One message of a text, or the error in its place.
pub type Recognized = Result<IncomingMessage, HydrateError>;

/// Recognizes the messages in a text. An SNS event or an object notification with several records holds several, and a
/// notification without a new object holds none.
pub fn recognize(text: &str) -> Vec<Recognized> {
    recognize_or_keep(text, MAX_ENVELOPE_LEVELS)
}

/// Recognizes the content of an object that a notification names. It is an invocation record, without an envelope, or
/// it is kept as an unrecognized message by its place: the object stays where it is.
pub fn recognize_object(location: &ObjectLocation, content: &[u8]) -> Recognized {
    let object = Some(location.to_string());
    let why = match str::from_utf8(content).map_err(|_| "it is not UTF-8 text".to_owned()).and_then(parse_message) {
        Ok(Parsed::AlreadyHydrated) => return Err(HydrateError::AlreadyHydrated),
        Ok(Parsed::Record(record)) => {
            return Ok(IncomingMessage::FailedBatch(Box::new(InvocationRecord { object, ..*record })));
        }
        Ok(Parsed::Other(_)) => NO_BATCH_INFO.to_owned(),
        Err(why) => why,
    };
    let text = serde_json::json!({ "object": object }).to_string();
    Ok(IncomingMessage::Unrecognized(Unrecognized { text, why, object }))
}

/// A text whose shape is known.
enum Parsed<'a> {
    AlreadyHydrated,
    Record(Box<InvocationRecord>),
    /// An object that may be an envelope.
    Other(BorrowedObject<'a>),
}

/// Parses a text, without a copy of it. The error says why it is not an invocation record, without a quotation.
fn parse_message(text: &str) -> Result<Parsed<'_>, String> {
    // Some writers begin their text with a byte order mark.
    let text = text.strip_prefix('\u{FEFF}').unwrap_or(text);
    if is_overflow_pointer(text) {
        return Ok(Parsed::AlreadyHydrated);
    }
    // The syntax is checked without a limit on nesting: fields that are not read here may nest deeply.
    if serde_json::from_str::<&RawValue>(text).is_err() {
        return Err("it is not well-formed JSON".to_owned());
    }
    let fields =
        BorrowedObject::borrow_from(text).map_err(|_| "it is not a JSON object, or has too many keys".to_owned())?;
    if is_hydrated(&fields) {
        return Ok(Parsed::AlreadyHydrated);
    }
    if InvocationRecord::has_batch_info(&fields) {
        return InvocationRecord::from_borrowed(&fields).map(|record| Parsed::Record(Box::new(record)));
    }
    Ok(Parsed::Other(fields))
}

/// Opens envelopes until it finds messages. The error says why the text has none of the shapes.
fn open_envelopes(text: &str, max_levels: u32) -> Result<Vec<Recognized>, String> {
    let fields = match parse_message(text)? {
        Parsed::AlreadyHydrated => return Ok(vec![Err(HydrateError::AlreadyHydrated)]),
        Parsed::Record(record) => return Ok(vec![Ok(IncomingMessage::FailedBatch(record))]),
        Parsed::Other(fields) => fields,
    };
    if let Some(objects) = new_objects(&fields) {
        let object = |object: Result<ObjectLocation, _>| match object {
            Ok(location) => IncomingMessage::Object(location),
            Err(_) => IncomingMessage::Unrecognized(Unrecognized {
                text: text.to_owned(),
                why: "it is an object notification that names no bucket or no key".to_owned(),
                object: None,
            }),
        };
        return Ok(objects.into_iter().map(object).map(Ok).collect());
    }
    if max_levels > 0 {
        if let Some(messages) = sns_event(&fields) {
            return Ok(messages.iter().flat_map(|message| recognize_or_keep(message, max_levels - 1)).collect());
        }
        if let Some(message) = notification(&fields) {
            return Ok(recognize_or_keep(&message, max_levels - 1));
        }
        if let Some(payload) = fields.get("requestPayload")
            && let Ok(items) = open_envelopes(payload.get(), max_levels - 1)
        {
            return Ok(items);
        }
    }
    Err(NO_BATCH_INFO.to_owned())
}

/// Recognizes the messages in a text, or keeps the text as an unrecognized message.
fn recognize_or_keep(text: &str, max_levels: u32) -> Vec<Recognized> {
    let keep = |why| IncomingMessage::Unrecognized(Unrecognized { text: text.to_owned(), why, object: None });
    open_envelopes(text, max_levels).unwrap_or_else(|why| vec![Ok(keep(why))])
}

/// The messages of an SNS event, `Records[].Sns.Message`. `None` if it is not an SNS event.
///
/// Only this field is read. The type of `aws_lambda_events` rejects an event without `UnsubscribeUrl`
/// (<https://github.com/aws/aws-lambda-rust-runtime/issues/966>), and the batch would be lost.
pub fn sns_event<V: Borrow<RawValue>>(fields: &Object<V>) -> Option<Vec<String>> {
    let records: Vec<BorrowedObject<'_>> = serde_json::from_str(fields.get("Records")?.get()).ok()?;
    let messages: Option<Vec<String>> = records
        .iter()
        .map(|record| {
            let sns = record.get("Sns")?;
            let message = BorrowedObject::borrow_from(sns.get()).ok().and_then(|sns| sns.string("Message"));
            Some(message.unwrap_or_else(|| sns.get().to_owned()))
        })
        .collect();
    messages.filter(|messages| !messages.is_empty())
}

/// The message of an SNS notification, as an SQS subscription without raw delivery receives it.
fn notification(fields: &BorrowedObject<'_>) -> Option<String> {
    (fields.string("Type")? == "Notification").then(|| fields.string("Message")).flatten()
}

/// Returns true for a hydrated message. If the hydrated queue invoked this function, messages would loop.
fn is_hydrated(fields: &BorrowedObject<'_>) -> bool {
    let hydration = fields.get("hydration").and_then(|raw| BorrowedObject::borrow_from(raw.get()).ok());
    hydration.is_some_and(|hydration| hydration.get("version").is_some() && hydration.get("id").is_some())
}

/// Returns true for a hydrated message whose content is in the overflow bucket.
fn is_overflow_pointer(text: &str) -> bool {
    if text.len() > MAX_POINTER_BYTES {
        return false;
    }
    let fields: Result<Vec<&RawValue>, _> = serde_json::from_str(text);
    fields.is_ok_and(|fields| {
        fields.first().and_then(|class| json::string_value(class)).as_deref() == Some(crate::message::POINTER_CLASS)
    })
}

#[cfg(test)]
mod tests;
