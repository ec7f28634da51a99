//! Takes the invocation's event apart, by its shape alone.

use hydration::error::HydrateError;
use hydration::intake::{self, Intake};
use hydration::json::Object;

/// One invocation record, or what was sent in the place of one.
pub type Item = Result<Intake, HydrateError>;

pub enum Event {
    /// From the topic, or by hand: everything in it stands or falls together.
    Whole(Vec<Item>),
    /// From the retry queue, or from any queue of invocation records: each message is answered for by itself.
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
        if let Some(messages) = sqs_messages(&fields) {
            return messages.iter().map(QueueMessage::read).collect::<Option<_>>().map(Self::Queue).ok_or_else(|| {
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
    fn read(message: &Object) -> Option<Self> {
        let items = intake::recognize(&message.string("body").unwrap_or_default());
        Some(Self { message_id: message.string("messageId")?, items })
    }
}

/// The messages of an SQS event; `None` when it is no SQS event.
///
/// Two fields are read by hand: a typed envelope refuses the whole event, and with it every batch, for an attribute of
/// one message that it does not expect.
fn sqs_messages(fields: &Object) -> Option<Vec<Object>> {
    let messages: Vec<Object> = serde_json::from_str(fields.get("Records")?.get()).ok()?;
    let is_message = |message: &Object| message.string("eventSource").as_deref() == Some("aws:sqs");
    (!messages.is_empty() && messages.iter().all(is_message)).then_some(messages)
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

    #[test]
    fn one_odd_message_of_a_queue_stops_none_of_its_neighbours() {
        let message = |id: &str, attributes: &str| {
            format!(r#"{{"messageId":"{id}","eventSource":"aws:sqs","body":"{{}}","messageAttributes":{attributes}}}"#)
        };
        let odd = [
            message("1", r#"{"a":{"stringValue":"x","stringListValues":null,"dataType":"String"}}"#),
            message("2", r#"{"a":{"binaryValue":"not base64!","dataType":"Binary"}}"#),
            message("3", r#"{"a":7}"#),
            message("4", "null"),
        ];
        let text = format!(r#"{{"Records":[{}]}}"#, odd.join(","));
        let Ok(Event::Queue(messages)) = Event::read(&text) else { panic!("not read as a queue's event") };
        let ids: Vec<&str> = messages.iter().map(|message| message.message_id.as_str()).collect();
        assert_eq!(ids, ["1", "2", "3", "4"]);
    }
}
