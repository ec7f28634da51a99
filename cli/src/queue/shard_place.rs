//! The place of a message in its shard, for a message that is not hydrated or breaks the contract.

use hydration::arn::Source;
use hydration::incoming::{IncomingMessage, recognize};
use hydration::invocation_record::{FailedBatch, batch_key};
use hydration::json::Object;
use hydration::sequence_number::SequenceNumber;

use crate::ports::ReceivedMessage;

/// A shard, and the place in it where that is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShardPlace {
    /// The function that failed, or the pipe; `None` where the message does not say.
    pub function: Option<String>,
    pub stream: String,
    pub shard: String,
    /// The first sequence number of the batch.
    pub first: Option<SequenceNumber>,
}

impl ShardPlace {
    /// The place that the message attributes name, else the one that the body does. `None` where neither names a shard.
    pub fn of(received: &ReceivedMessage) -> Option<Self> {
        let from_body = Self::of_body(&received.body);
        match (Self::of_attributes(received), from_body) {
            (Some(named), Some(body)) if (&named.stream, &named.shard) == (&body.stream, &body.shard) => {
                Some(Self { function: named.function.or(body.function), ..body })
            }
            (named, body) => named.or(body),
        }
    }

    fn of_attributes(received: &ReceivedMessage) -> Option<Self> {
        let text = |name: &str| received.attributes.get(name).cloned();
        Some(Self { function: text("functionArn"), stream: text("streamArn")?, shard: text("shardId")?, first: None })
    }

    /// A body that breaks the contract may have its keys in another order, or be cut off.
    fn of_body(body: &str) -> Option<Self> {
        let (fields, _) = Object::split_after(body, "Records");
        let object = |key: &str| fields.get(key).and_then(|raw| Object::from_str(raw.get()).ok());
        let info = [Source::Kinesis, Source::DynamoDb].into_iter().find_map(|source| object(batch_key(source)));
        let Some(info) = info else { return Self::of_envelope(body) };
        let text = |key: &str, name: &str| object(key).and_then(|object| object.string(name));
        Some(Self {
            function: text("requestContext", "functionArn").or_else(|| text("context", "partnerResourceArn")),
            stream: info.string("streamArn")?,
            shard: info.string("shardId")?,
            first: info.string("startSequenceNumber").and_then(|text| SequenceNumber::parse(&text).ok()),
        })
    }

    /// An invocation record in the envelope of a notification, if there is one.
    fn of_envelope(body: &str) -> Option<Self> {
        let mut batches = recognize(body).into_iter().filter_map(|message| match message {
            Ok(IncomingMessage::FailedBatch(record)) => Some(record.batch),
            _ => None,
        });
        let FailedBatch { function_arn, stream, shard_id, start, .. } = batches.next()?;
        Some(Self { function: function_arn, stream: stream.as_str().to_owned(), shard: shard_id, first: start })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_support::messages::batch;

    fn place(attributes: &[(&str, &str)], body: &str) -> Option<ShardPlace> {
        let attributes = attributes.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        ShardPlace::of(&ReceivedMessage { attributes, body: body.to_owned(), ..ReceivedMessage::default() })
    }

    #[test]
    fn the_attributes_name_the_shard_or_else_the_body_does() {
        let body = batch("ab").body();
        let of_body = place(&[], &body).unwrap();
        assert_eq!(
            (of_body.stream.as_str(), of_body.shard.as_str()),
            ("arn:aws:kinesis:us-east-1:123456789012:stream/orders", "shardId-000000000000")
        );
        assert_eq!(of_body.function, Some(batch("ab").function_arn()));
        assert_eq!(of_body.first, SequenceNumber::parse("100").ok());
        let same = [("streamArn", of_body.stream.as_str()), ("shardId", of_body.shard.as_str())];
        assert_eq!(place(&same, &body), Some(of_body.clone()));
        let other = place(&[same[0], ("shardId", "shardId-7")], &body).unwrap();
        assert_eq!((other.shard.as_str(), other.first), ("shardId-7", None));
        assert_eq!(place(&same, "{").unwrap().stream, of_body.stream);
        assert_eq!(place(&same[..1], "{"), None);
    }

    #[test]
    fn a_body_that_is_cut_off_or_in_an_envelope_names_its_shard() {
        let body = batch("ab").body();
        let whole = place(&[], &body);
        let records = body.find(r#","Records""#).unwrap();
        assert_eq!(place(&[], &body[..records]), whole);
        let (bare, _) = body.split_once(r#","hydration""#).unwrap();
        let bare = format!("{bare}}}");
        assert_eq!(place(&[], &bare), whole);
        let text = serde_json::to_string(&bare).unwrap();
        let notification = format!(r#"{{"Type":"Notification","MessageId":"m","TopicArn":"t","Message":{text}}}"#);
        assert_eq!(place(&[], &notification), whole);
        for nothing in ["", "hello", "{}", r#"{"KinesisBatchInfo":7}"#, r#"{"KinesisBatchInfo":{"shardId":"s"}}"#] {
            assert_eq!(place(&[], nothing), None, "{nothing}");
        }
    }
}
