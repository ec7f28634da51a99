//! Takes the invocation's event apart, by its shape alone.

use aws_lambda_events::sqs::SqsEvent;
use hydration::error::HydrateError;
use hydration::intake::{self, Intake};
use hydration::json::Object;

/// One invocation record, or what was sent in the place of one.
pub type Item = Result<Intake, HydrateError>;

pub enum Event {
    /// From the topic, or by hand: everything in it stands or falls together.
    Whole(Vec<Item>),
    /// From the RetryQueue, or from any queue of records: each message is answered for by itself.
    Queue(Vec<QueueMessage>),
}

pub struct QueueMessage {
    pub message_id: String,
    pub items: Vec<Item>,
}

impl Event {
    pub fn read(text: &str) -> Result<Self, HydrateError> {
        let not_recognized = |why: &str| HydrateError::NotRecognized(why.to_owned());
        let fields = Object::from_str(text).map_err(|_| not_recognized("the event is not a JSON object"))?;
        if let Some(messages) = intake::sns_event(&fields) {
            return Ok(Self::Whole(messages.iter().flat_map(|message| intake::recognize(message)).collect()));
        }
        if is_sqs_event(&fields) {
            let event: SqsEvent =
                serde_json::from_str(text).map_err(|_| not_recognized("the SQS event is not well-formed"))?;
            return event
                .records
                .into_iter()
                .map(QueueMessage::read)
                .collect::<Option<_>>()
                .map(Self::Queue)
                .ok_or_else(|| {
                    not_recognized("a message of the SQS event has no messageId, so that no failure could be reported")
                });
        }
        // Whoever invokes the function by hand is there to read the answer.
        let items = intake::recognize(text).into_iter().map(|item| match item {
            Ok(Intake::Unrecognized(message)) => Err(HydrateError::NotRecognized(message.why)),
            item => item,
        });
        Ok(Self::Whole(items.collect()))
    }
}

impl QueueMessage {
    fn read(message: aws_lambda_events::sqs::SqsMessage) -> Option<Self> {
        let items = intake::recognize(message.body.as_deref().unwrap_or_default());
        Some(Self { message_id: message.message_id?, items })
    }
}

fn is_sqs_event(fields: &Object) -> bool {
    let records: Option<Vec<Object>> = fields.get("Records").and_then(|raw| serde_json::from_str(raw.get()).ok());
    records.is_some_and(|records| {
        let is_message = |record: &Object| record.string("eventSource").as_deref() == Some("aws:sqs");
        !records.is_empty() && records.iter().all(is_message)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(text: &str) -> HydrateError {
        match Event::read(text) {
            Err(error) => error,
            Ok(Event::Whole(items)) => items.into_iter().find_map(Result::err).unwrap(),
            Ok(Event::Queue(_)) => panic!("read as a queue's event"),
        }
    }

    #[test]
    fn a_caller_hears_what_is_wrong_with_a_direct_event() {
        for text in ["[]", "1", "{}", r#"{"Records":[]}"#, r#"{"Records":[{"eventSource":"aws:kinesis"}]}"#] {
            assert_eq!(refused(text).kind(), "NotRecognized", "{text}");
        }
        let hydrated = r#"{"KinesisBatchInfo":{},"hydration":{"version":1,"id":"x"}}"#;
        assert_eq!(refused(hydrated), HydrateError::AlreadyHydrated);
    }

    #[test]
    fn a_queue_s_message_without_an_id_cannot_be_answered_for() {
        let text = r#"{"Records":[{"eventSource":"aws:sqs","body":"{}"}]}"#;
        assert_eq!(refused(text).kind(), "NotRecognized");
    }
}
