//! Amazon Resource Names of streams.

/// The service that holds the stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Source {
    Kinesis,
    DynamoDb,
}

impl Source {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Kinesis => "kinesis",
            Self::DynamoDb => "dynamodb",
        }
    }
}

/// The ARN of a Kinesis stream, of an enhanced fan-out consumer of one, or of a DynamoDB table's stream.
///
/// - `arn:aws:kinesis:us-east-1:123456789012:stream/NAME`
/// - `arn:aws:kinesis:us-east-1:123456789012:stream/NAME/consumer/CONSUMER:1789779975`
/// - `arn:aws:dynamodb:us-east-1:123456789012:table/NAME/stream/2026-11-21T02:51:00.123`
///
/// (<https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonkinesisdatastreams.html>,
/// <https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazondynamodb.html>). Any
/// partition is accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamArn {
    text: String,
    source: Source,
    region: String,
    name: String,
    /// Length of the part of `text` that names the stream. The rest names the consumer.
    stream_length: usize,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("it is not the ARN of a Kinesis stream, of a consumer of one, or of a DynamoDB stream")]
pub struct InvalidStreamArn;

impl StreamArn {
    pub fn parse(text: &str) -> Result<Self, InvalidStreamArn> {
        Self::parse_fields(text).ok_or(InvalidStreamArn)
    }

    fn parse_fields(text: &str) -> Option<Self> {
        let mut fields = text.splitn(6, ':');
        let (arn, partition, service) = (fields.next()?, fields.next()?, fields.next()?);
        let (region, account, resource) = (fields.next()?, fields.next()?, fields.next()?);
        let account_is_valid = account.len() == 12 && account.bytes().all(|byte| byte.is_ascii_digit());
        if arn != "arn" || !is_label(partition) || !is_label(region) || !account_is_valid {
            return None;
        }
        let (source, name, stream_length) = match service {
            "kinesis" => {
                let path = resource.strip_prefix("stream/")?;
                let (name, consumer) = match path.split_once('/') {
                    Some((name, rest)) => (name, Some(rest.strip_prefix("consumer/")?)),
                    None => (path, None),
                };
                let consumer_length = consumer.map_or(0, |consumer| "/consumer/".len() + consumer.len());
                (Source::Kinesis, name, text.len() - consumer_length)
            }
            "dynamodb" => {
                let (name, label) = resource.strip_prefix("table/")?.split_once("/stream/")?;
                (!label.is_empty()).then_some((Source::DynamoDb, name, text.len()))?
            }
            _ => return None,
        };
        if !is_resource_name(name) {
            return None;
        }
        Some(Self { text: text.to_owned(), source, region: region.to_owned(), name: name.to_owned(), stream_length })
    }

    /// The ARN as the invocation record names it, and as Lambda's events have it in `eventSourceARN`.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The ARN of the stream without the consumer, as the Kinesis API takes it.
    pub fn stream(&self) -> &str {
        &self.text[..self.stream_length]
    }

    /// Returns true for an enhanced fan-out consumer. Lambda de-aggregates KPL records for such a mapping.
    pub fn is_consumer(&self) -> bool {
        self.stream_length < self.text.len()
    }

    pub fn source(&self) -> Source {
        self.source
    }

    pub fn region(&self) -> &str {
        &self.region
    }

    /// The name of the stream, or of the table.
    pub fn name(&self) -> &str {
        &self.name
    }
}

/// Returns true for a DNS label. The region becomes part of a host name, so other characters are refused.
fn is_label(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= 63
        && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
}

/// Returns true for the name of a stream (up to 128 characters) or of a table (up to 255).
fn is_resource_name(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= 255
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_consumer_is_stripped_for_the_api_and_kept_for_the_event() {
        let text = "arn:aws:kinesis:us-east-1:123456789012:stream/orders/consumer/fast:1789779975";
        let arn = StreamArn::parse(text).unwrap();
        assert_eq!(arn.stream(), "arn:aws:kinesis:us-east-1:123456789012:stream/orders");
        assert_eq!((arn.as_str(), arn.name(), arn.is_consumer()), (text, "orders", true));
    }

    #[test]
    fn every_partition_and_both_services_are_read() {
        let china = StreamArn::parse("arn:aws-cn:kinesis:cn-north-1:123456789012:stream/orders").unwrap();
        assert_eq!((china.region(), china.source(), china.is_consumer()), ("cn-north-1", Source::Kinesis, false));
        let table = "arn:aws-us-gov:dynamodb:us-gov-west-1:123456789012:table/Orders/stream/2026-11-21T02:51:00.123";
        let table = StreamArn::parse(table).unwrap();
        assert_eq!((table.region(), table.source(), table.name()), ("us-gov-west-1", Source::DynamoDb, "Orders"));
        assert_eq!(table.stream(), table.as_str());
    }

    #[test]
    fn anything_else_is_refused() {
        for text in [
            "",
            "orders",
            "arn:aws:kafka:us-east-1:123456789012:cluster/c/1",
            "arn:aws:kinesis:us-east-1:123456789012:stream/",
            "arn:aws:kinesis:us-east-1:123456789012:stream/a/other/b",
            "arn:aws:kinesis::123456789012:stream/a",
            "arn:aws:kinesis:evil.example/#:123456789012:stream/a",
            "arn:aws:kinesis:us-east-1:12:stream/a",
            "arn:aws:dynamodb:us-east-1:123456789012:table/Orders",
        ] {
            assert_eq!(StreamArn::parse(text), Err(InvalidStreamArn), "{text}");
        }
    }
}
