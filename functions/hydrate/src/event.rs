//! The invocation's event, recognized by its shape alone.

use hydration::error::HydrateError;
use hydration::incoming::{self, IncomingMessage, Recognized};
use hydration::json::Object;

pub enum Event {
    /// An event of SNS or a direct invocation. If one message fails, the invocation fails.
    AllOrNothing(Vec<Recognized>),
    /// An event of SQS. The response names each message that failed.
    Sqs(Vec<SqsMessage>),
}

/// A message of an SQS event, with what it holds.
pub struct SqsMessage {
    pub message_id: String,
    pub messages: Vec<Recognized>,
}

impl Event {
    pub fn parse(text: &str) -> Result<Self, HydrateError> {
        let not_recognized = |why: &str| HydrateError::NotRecognized(why.to_owned());
        let fields = Object::from_str(text).map_err(|_| not_recognized("the event is not a JSON object"))?;
        if let Some(messages) = incoming::sns_event(&fields) {
            return Ok(Self::AllOrNothing(messages.iter().flat_map(|message| incoming::recognize(message)).collect()));
        }
        if let Some(messages) = sqs_messages(&fields) {
            return messages.iter().map(SqsMessage::parse).collect::<Option<_>>().map(Self::Sqs).ok_or_else(|| {
                not_recognized("a message of the SQS event has no messageId, so that no failure could be reported")
            });
        }
        // The caller of a direct invocation reads the response, so an unknown event is an error.
        let messages = incoming::recognize(text).into_iter().map(|item| match item {
            Ok(IncomingMessage::Unrecognized(message)) => Err(HydrateError::NotRecognized(message.why)),
            message => message,
        });
        Ok(Self::AllOrNothing(messages.collect()))
    }
}

impl SqsMessage {
    fn parse(message: &Object) -> Option<Self> {
        let messages = incoming::recognize(&message.string("body").unwrap_or_default());
        Some(Self { message_id: message.string("messageId")?, messages })
    }
}

/// The messages of an SQS event. `None` if it is not an SQS event.
///
/// Only two fields are read. The type of `aws_lambda_events` rejects the whole event, and every batch in it, for one
/// attribute that it does not expect.
fn sqs_messages(fields: &Object) -> Option<Vec<Object>> {
    let messages: Vec<Object> = serde_json::from_str(fields.get("Records")?.get()).ok()?;
    let is_message = |message: &Object| message.string("eventSource").as_deref() == Some("aws:sqs");
    (!messages.is_empty() && messages.iter().all(is_message)).then_some(messages)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(text: &str) -> HydrateError {
        match Event::parse(text) {
            Err(error) => error,
            Ok(Event::AllOrNothing(messages)) => messages.into_iter().find_map(Result::err).unwrap(),
            Ok(Event::Sqs(_)) => panic!("read as a queue's event"),
        }
    }

    #[test]
    fn a_direct_event_that_is_not_recognized_is_an_error() {
        for text in ["[]", "1", "{}", r#"{"Records":[]}"#, r#"{"Records":[{"eventSource":"aws:kinesis"}]}"#] {
            assert_eq!(refused(text).kind(), "NotRecognized", "{text}");
        }
        let hydrated = r#"{"KinesisBatchInfo":{},"hydration":{"version":1,"id":"x"}}"#;
        assert_eq!(refused(hydrated), HydrateError::AlreadyHydrated);
    }

    #[test]
    fn an_sqs_message_without_an_id_is_an_error() {
        let text = r#"{"Records":[{"eventSource":"aws:sqs","body":"{}"}]}"#;
        assert_eq!(refused(text).kind(), "NotRecognized");
    }

    #[test]
    fn one_unusual_sqs_message_does_not_stop_the_others() {
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
        let Ok(Event::Sqs(messages)) = Event::parse(&text) else { panic!("not read as a queue's event") };
        let ids: Vec<&str> = messages.iter().map(|message| message.message_id.as_str()).collect();
        assert_eq!(ids, ["1", "2", "3", "4"]);
    }
}
