//! Kinesis Data Streams: `GetShardIterator` and `GetRecords`.

use aws_sdk_kinesis::Client;
use aws_sdk_kinesis::operation::get_shard_iterator::builders::GetShardIteratorFluentBuilder as Request;
use aws_sdk_kinesis::types::{Record, ShardIteratorType};
use aws_smithy_types::DateTime;
use hydration::arn::StreamArn;
use hydration::ports::{Page, Position, ReadError, ShardIterator};
use hydration::record::{KinesisRecord, StreamRecord};
use hydration::sequence_number::SequenceNumber;
use hydration::timestamp::Timestamp;

use crate::fault::{read_error, unreadable};

const GET_SHARD_ITERATOR: &str = "kinesis:GetShardIterator";
const GET_RECORDS: &str = "kinesis:GetRecords";

/// The iterator at a position of the shard that the request names.
pub(crate) async fn iterator(request: Request, position: &Position) -> Result<ShardIterator, ReadError> {
    let request = match position {
        Position::At(number) => {
            request.shard_iterator_type(ShardIteratorType::AtSequenceNumber).starting_sequence_number(number.as_str())
        }
        Position::After(number) => request
            .shard_iterator_type(ShardIteratorType::AfterSequenceNumber)
            .starting_sequence_number(number.as_str()),
        Position::AtTimestamp(moment) => request
            .shard_iterator_type(ShardIteratorType::AtTimestamp)
            .timestamp(DateTime::from_millis(moment.millis())),
        Position::TrimHorizon => request.shard_iterator_type(ShardIteratorType::TrimHorizon),
    };
    let answer = request.send().await.map_err(|error| read_error(GET_SHARD_ITERATOR, &error))?;
    answer.shard_iterator.map(ShardIterator).ok_or_else(|| unreadable(GET_SHARD_ITERATOR, "no iterator in the answer"))
}

pub(crate) async fn page(
    client: &Client,
    stream: &StreamArn,
    iterator: &ShardIterator,
    limit: u32,
) -> Result<Page, ReadError> {
    let limit = i32::try_from(limit).unwrap_or(i32::MAX);
    let request = client.get_records().stream_arn(stream.stream()).shard_iterator(&iterator.0).limit(limit);
    let answer = request.send().await.map_err(|error| read_error(GET_RECORDS, &error))?;
    if answer.records.is_empty() && answer.next_shard_iterator.is_none() && answer.millis_behind_latest.is_none() {
        // The SDK parses an empty body as an empty page without an iterator, which would mean the end of a closed shard.
        return Err(unreadable(GET_RECORDS, "nothing in the answer"));
    }
    let bytes = answer.records.iter().map(|record| record.data.as_ref().len() as u64).sum();
    let records = answer.records.into_iter().map(stream_record).collect::<Result<_, _>>()?;
    Ok(Page {
        records,
        next: answer.next_shard_iterator.map(ShardIterator),
        millis_behind_latest: answer.millis_behind_latest.map(|millis| u64::try_from(millis).unwrap_or(0)),
        bytes,
    })
}

fn stream_record(record: Record) -> Result<StreamRecord, ReadError> {
    let sequence_number = SequenceNumber::parse(&record.sequence_number)
        .map_err(|_| unreadable(GET_RECORDS, "a record's sequence number is not one"))?;
    Ok(StreamRecord::Kinesis(KinesisRecord {
        sequence_number,
        partition_key: record.partition_key.unwrap_or_default(),
        data: record.data.into_inner(),
        approximate_arrival: record
            .approximate_arrival_timestamp
            .map(|moment| Timestamp::from_secs_and_nanos(moment.secs(), moment.subsec_nanos())),
    }))
}
