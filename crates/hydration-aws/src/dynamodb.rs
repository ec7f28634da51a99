//! DynamoDB Streams: `GetShardIterator` and `GetRecords`.

use aws_sdk_dynamodbstreams::Client;
use aws_sdk_dynamodbstreams::operation::get_shard_iterator::builders::GetShardIteratorFluentBuilder as Request;
use aws_sdk_dynamodbstreams::types::{AttributeValue as SdkValue, Record, ShardIteratorType};
use hydration::arn::StreamArn;
use hydration::error::Fault;
use hydration::ports::{Page, Position, ReadError, ShardIterator, StreamShard};
use hydration::record::{AttributeValue, DynamoDbRecord, Item, StreamRecord, UserIdentity};
use hydration::sequence_number::SequenceNumber;

use crate::fault::{fault, read_error, unreadable};

const GET_SHARD_ITERATOR: &str = "dynamodb:GetShardIterator";
const GET_RECORDS: &str = "dynamodb:GetRecords";
const DESCRIBE_STREAM: &str = "dynamodb:DescribeStream";

/// The iterator at a position of the shard that the request names.
pub(crate) async fn iterator(request: Request, position: &Position) -> Result<ShardIterator, ReadError> {
    let request = match position {
        Position::At(number) => {
            request.shard_iterator_type(ShardIteratorType::AtSequenceNumber).sequence_number(number.as_str())
        }
        Position::After(number) => {
            request.shard_iterator_type(ShardIteratorType::AfterSequenceNumber).sequence_number(number.as_str())
        }
        // DynamoDB Streams has no AT_TIMESTAMP
        // (<https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_streams_GetShardIterator.html>).
        Position::AtTimestamp(_) | Position::TrimHorizon => request.shard_iterator_type(ShardIteratorType::TrimHorizon),
    };
    let answer = request.send().await.map_err(|error| read_error(GET_SHARD_ITERATOR, &error))?;
    answer.shard_iterator.map(ShardIterator).ok_or_else(|| unreadable(GET_SHARD_ITERATOR, "no iterator in the answer"))
}

pub(crate) async fn page(client: &Client, iterator: &ShardIterator, limit: u32) -> Result<Page, ReadError> {
    let limit = i32::try_from(limit).unwrap_or(i32::MAX);
    let request = client.get_records().shard_iterator(&iterator.0).limit(limit);
    let answer = request.send().await.map_err(|error| read_error(GET_RECORDS, &error))?;
    if answer.records.is_none() && answer.next_shard_iterator.is_none() {
        // The SDK parses an empty body as an empty page without an iterator, which would mean the end of a closed shard.
        return Err(unreadable(GET_RECORDS, "nothing in the answer"));
    }
    let records: Vec<StreamRecord> =
        answer.records.unwrap_or_default().into_iter().map(stream_record).collect::<Result<_, _>>()?;
    let bytes = records.iter().map(size).sum();
    Ok(Page { records, next: answer.next_shard_iterator.map(ShardIterator), millis_behind_latest: None, bytes })
}

/// All shards of the stream. DynamoDB does not say when their records were written.
pub(crate) async fn shards(client: &Client, stream: &StreamArn) -> Result<Vec<StreamShard>, Fault> {
    let (mut shards, mut after) = (Vec::new(), None);
    loop {
        let request = client.describe_stream().stream_arn(stream.stream()).set_exclusive_start_shard_id(after);
        let answer = request.send().await.map_err(|error| fault(DESCRIBE_STREAM, &error))?;
        let Some(description) = answer.stream_description else { return Ok(shards) };
        shards.extend(description.shards.unwrap_or_default().into_iter().map(|shard| StreamShard {
            id: shard.shard_id.unwrap_or_default(),
            parents: shard.parent_shard_id.into_iter().collect(),
        }));
        after = description.last_evaluated_shard_id;
        if after.is_none() {
            return Ok(shards);
        }
    }
}

fn size(record: &StreamRecord) -> u64 {
    match record {
        StreamRecord::DynamoDb(change) => change.size_bytes.and_then(|size| u64::try_from(size).ok()).unwrap_or(0),
        StreamRecord::Kinesis(_) => 0,
    }
}

fn stream_record(record: Record) -> Result<StreamRecord, ReadError> {
    let change = record.dynamodb.ok_or_else(|| unreadable(GET_RECORDS, "a record describes no change"))?;
    let sequence_number = change
        .sequence_number
        .as_deref()
        .and_then(|number| SequenceNumber::parse(number).ok())
        .ok_or_else(|| unreadable(GET_RECORDS, "a record has no sequence number"))?;
    // An identity without fields is the same as none.
    let user_identity = record
        .user_identity
        .filter(|identity| identity.principal_id.is_some() || identity.r#type.is_some())
        .map(|identity| UserIdentity { principal_id: identity.principal_id, kind: identity.r#type });
    Ok(StreamRecord::DynamoDb(Box::new(DynamoDbRecord {
        sequence_number,
        event_id: record.event_id,
        event_name: record.event_name.map(|name| name.as_str().to_owned()),
        event_version: record.event_version,
        event_source: record.event_source,
        aws_region: record.aws_region,
        approximate_creation: change.approximate_creation_date_time.map(|moment| moment.secs()),
        keys: change.keys.map(item).transpose()?,
        new_image: change.new_image.map(item).transpose()?,
        old_image: change.old_image.map(item).transpose()?,
        size_bytes: change.size_bytes,
        stream_view_type: change.stream_view_type.map(|kind| kind.as_str().to_owned()),
        user_identity,
    })))
}

fn item(attributes: impl IntoIterator<Item = (String, SdkValue)>) -> Result<Item, ReadError> {
    attributes.into_iter().map(|(name, attribute)| Ok((name, value(attribute)?))).collect()
}

fn value(value_of_sdk: SdkValue) -> Result<AttributeValue, ReadError> {
    Ok(match value_of_sdk {
        SdkValue::S(text) => AttributeValue::S(text),
        SdkValue::N(number) => AttributeValue::N(number),
        SdkValue::B(bytes) => AttributeValue::B(bytes.into_inner()),
        SdkValue::Ss(texts) => AttributeValue::Ss(texts),
        SdkValue::Ns(numbers) => AttributeValue::Ns(numbers),
        SdkValue::Bs(blobs) => AttributeValue::Bs(blobs.into_iter().map(|blob| blob.into_inner()).collect()),
        SdkValue::M(attributes) => AttributeValue::M(item(attributes)?),
        SdkValue::L(values) => AttributeValue::L(values.into_iter().map(value).collect::<Result<_, _>>()?),
        SdkValue::Null(is_null) => AttributeValue::Null(is_null),
        SdkValue::Bool(truth) => AttributeValue::Bool(truth),
        // An attribute of a type that this SDK does not know must not be lost without an error.
        _ => return Err(unreadable(GET_RECORDS, "an attribute has a type unknown to this version: upgrade")),
    })
}
