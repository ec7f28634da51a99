//! Incoming messages, recognized by their shape alone.
//!
//! A message is an invocation record, an SNS notification or event around one, or Lambda's asynchronous-failure
//! document around such an event. Any other message on the topic is delivered too, because a person must see it.

use serde_json::value::RawValue;

use crate::error::HydrateError;
use crate::invocation_record::{FailedBatch, InvocationRecord};
use crate::json::{self, Object};

/// Envelopes within envelopes: failure document, SNS event, notification, invocation record.
const MAX_ENVELOPE_LEVELS: u32 = 4;

/// A message that the function or the tool is asked to hydrate.
#[derive(Debug, Clone)]
pub enum IncomingMessage {
    FailedBatch(Box<InvocationRecord>),
    Unrecognized(Unrecognized),
}

impl IncomingMessage {
    pub fn batch(&self) -> Option<&FailedBatch> {
        match self {
            Self::FailedBatch(record) => Some(&record.batch),
            Self::Unrecognized(_) => None,
        }
    }
}

/// A message that is not about a failed batch.
#[derive(Debug, Clone)]
pub struct Unrecognized {
    pub text: String,
    /// The reason why it is not recognized, without a quotation.
    pub why: String,
}

/// One message of a text, or the error in its place.
pub type Recognized = Result<IncomingMessage, HydrateError>;

/// Recognizes the messages in a text. Only an SNS event with several records holds several.
pub fn recognize(text: &str) -> Vec<Recognized> {
    recognize_or_keep(text, MAX_ENVELOPE_LEVELS)
}

/// Opens envelopes until it finds messages. The error says why the text has none of the shapes.
fn open_envelopes(text: &str, max_levels: u32) -> Result<Vec<Recognized>, String> {
    // Some writers begin their text with a byte order mark.
    let text = text.strip_prefix('\u{FEFF}').unwrap_or(text);
    if is_overflow_pointer(text) {
        return Ok(vec![Err(HydrateError::AlreadyHydrated)]);
    }
    // The syntax is checked without a limit on nesting: fields that are not read here may nest deeply.
    if serde_json::from_str::<&RawValue>(text).is_err() {
        return Err("it is not well-formed JSON".to_owned());
    }
    let fields = Object::from_str(text).map_err(|_| "it is not a JSON object".to_owned())?;
    if is_hydrated(&fields) {
        return Ok(vec![Err(HydrateError::AlreadyHydrated)]);
    }
    if InvocationRecord::has_batch_info(&fields) {
        let safe = Object::from_str(&json::sqs_safe(text.to_owned())).unwrap_or(fields);
        return InvocationRecord::from_fields(safe)
            .map(|record| vec![Ok(IncomingMessage::FailedBatch(Box::new(record)))]);
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
    Err("it has neither KinesisBatchInfo nor DDBStreamBatchInfo".to_owned())
}

/// Recognizes the messages in a text, or keeps the text as an unrecognized message.
fn recognize_or_keep(text: &str, max_levels: u32) -> Vec<Recognized> {
    open_envelopes(text, max_levels)
        .unwrap_or_else(|why| vec![Ok(IncomingMessage::Unrecognized(Unrecognized { text: text.to_owned(), why }))])
}

/// The messages of an SNS event, `Records[].Sns.Message`. `None` if it is not an SNS event.
///
/// Only this field is read. The type of `aws_lambda_events` rejects an event without `UnsubscribeUrl`
/// (<https://github.com/aws/aws-lambda-rust-runtime/issues/966>), and the batch would be lost.
pub fn sns_event(fields: &Object) -> Option<Vec<String>> {
    let records: Vec<Object> = serde_json::from_str(fields.get("Records")?.get()).ok()?;
    let messages: Option<Vec<String>> = records
        .iter()
        .map(|record| {
            let sns = record.get("Sns")?;
            let message = Object::from_str(sns.get()).ok().and_then(|sns| sns.string("Message"));
            Some(message.unwrap_or_else(|| sns.get().to_owned()))
        })
        .collect();
    messages.filter(|messages| !messages.is_empty())
}

/// The message of an SNS notification, as an SQS subscription without raw delivery receives it.
fn notification(fields: &Object) -> Option<String> {
    (fields.string("Type")? == "Notification").then(|| fields.string("Message")).flatten()
}

/// Returns true for a hydrated message. If the hydrated queue invoked this function, messages would loop.
fn is_hydrated(fields: &Object) -> bool {
    let hydration = fields.get("hydration").and_then(|raw| Object::from_str(raw.get()).ok());
    hydration.is_some_and(|hydration| hydration.get("version").is_some() && hydration.get("id").is_some())
}

/// Returns true for a hydrated message whose content is in the overflow bucket.
fn is_overflow_pointer(text: &str) -> bool {
    let fields: Result<Vec<&RawValue>, _> = serde_json::from_str(text);
    fields.is_ok_and(|fields| {
        fields.first().and_then(|class| json::string_value(class)).as_deref() == Some(crate::message::POINTER_CLASS)
    })
}

#[cfg(test)]
mod tests;
