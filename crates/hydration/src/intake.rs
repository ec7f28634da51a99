//! Recognition of a message by its shape alone.
//!
//! A message is an invocation record, an SNS notification or event around one, or Lambda's asynchronous-failure
//! document around such an event. Whatever else it is was still sent to the topic by somebody, and is delivered
//! too: a person must see it.

use serde_json::value::RawValue;

use crate::error::HydrateError;
use crate::invocation_record::{FailedBatch, InvocationRecord};
use crate::json::{self, Object};

/// Envelopes inside envelopes that are opened: failure document, SNS event, notification, record.
const MAX_ENVELOPES: u32 = 4;

/// What a message holds.
#[derive(Debug, Clone)]
pub enum Intake {
    Batch(Box<InvocationRecord>),
    Unrecognized(Unrecognized),
}

impl Intake {
    pub fn batch(&self) -> Option<&FailedBatch> {
        match self {
            Self::Batch(record) => Some(&record.batch),
            Self::Unrecognized(_) => None,
        }
    }
}

/// A message that is not a stream failure.
#[derive(Debug, Clone)]
pub struct Unrecognized {
    pub text: String,
    /// What is wrong with it, for a person; never a quotation.
    pub why: String,
}

/// Takes a message apart. Several items come only of an SNS event with several records.
pub fn recognize(text: &str) -> Vec<Result<Intake, HydrateError>> {
    open_or_keep(text, MAX_ENVELOPES)
}

/// `Err` says why the text is none of the shapes.
fn open(text: &str, envelopes: u32) -> Result<Vec<Result<Intake, HydrateError>>, String> {
    // Some writers open their text with a byte order mark.
    let text = text.strip_prefix('\u{FEFF}').unwrap_or(text);
    if is_overflow_pointer(text) {
        return Ok(vec![Err(HydrateError::AlreadyHydrated)]);
    }
    // Fields that nobody reads here are passed on as they are, however deep they nest.
    if serde_json::from_str::<&RawValue>(text).is_err() {
        return Err("it is not well-formed JSON".to_owned());
    }
    let fields = Object::from_str(text).map_err(|_| "it is not a JSON object".to_owned())?;
    if is_hydrated(&fields) {
        return Ok(vec![Err(HydrateError::AlreadyHydrated)]);
    }
    if InvocationRecord::is_meant_by(&fields) {
        let safe = Object::from_str(&json::sqs_safe(text.to_owned())).unwrap_or(fields);
        return InvocationRecord::read(safe).map(|record| vec![Ok(Intake::Batch(Box::new(record)))]);
    }
    if envelopes > 0 {
        if let Some(messages) = sns_event(&fields) {
            return Ok(messages.iter().flat_map(|message| open_or_keep(message, envelopes - 1)).collect());
        }
        if let Some(message) = notification(&fields) {
            return Ok(open_or_keep(&message, envelopes - 1));
        }
        if let Some(payload) = fields.get("requestPayload")
            && let Ok(items) = open(payload.get(), envelopes - 1)
        {
            return Ok(items);
        }
    }
    Err("it has neither KinesisBatchInfo nor DDBStreamBatchInfo".to_owned())
}

fn open_or_keep(text: &str, envelopes: u32) -> Vec<Result<Intake, HydrateError>> {
    open(text, envelopes)
        .unwrap_or_else(|why| vec![Ok(Intake::Unrecognized(Unrecognized { text: text.to_owned(), why }))])
}

/// The messages of an SNS event, `Records[].Sns.Message`; `None` when it is no SNS event.
///
/// The one field is read by hand: a typed envelope refuses an event that lacks a trifle, an `UnsubscribeUrl`
/// (<https://github.com/aws/aws-lambda-rust-runtime/issues/966>), and with it the batch.
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

/// A queue wired to the function that fills it must not loop.
fn is_hydrated(fields: &Object) -> bool {
    let hydration = fields.get("hydration").and_then(|raw| Object::from_str(raw.get()).ok());
    hydration.is_some_and(|hydration| hydration.get("version").is_some() && hydration.get("id").is_some())
}

/// The same message, when it lies in the overflow bucket.
fn is_overflow_pointer(text: &str) -> bool {
    let fields: Result<Vec<&RawValue>, _> = serde_json::from_str(text);
    fields.is_ok_and(|fields| {
        fields.first().and_then(|class| json::string_value(class)).as_deref() == Some(crate::message::POINTER_CLASS)
    })
}

#[cfg(test)]
mod tests;
