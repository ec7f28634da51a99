//! Kinesis Data Streams: `GetShardIterator` and `GetRecords`.

use std::time::Duration;

use aws_sdk_kinesis::Client;
use aws_sdk_kinesis::operation::get_shard_iterator::builders::GetShardIteratorFluentBuilder as Request;
use aws_sdk_kinesis::types::{Record, ShardFilter, ShardFilterType, ShardIteratorType};
use aws_smithy_types::DateTime;
use hydration::arn::StreamArn;
use hydration::error::{Fault, FaultKind};
use hydration::ports::{Page, Position, ReadError, ShardIterator, StreamShard};
use hydration::record::{KinesisRecord, StreamRecord};
use hydration::sequence_number::SequenceNumber;
use hydration::timestamp::Timestamp;
use hydration::walk::MIN_RETENTION;

use crate::fault::{fault, read_error, unreadable};

const GET_SHARD_ITERATOR: &str = "kinesis:GetShardIterator";
const GET_RECORDS: &str = "kinesis:GetRecords";
const LIST_SHARDS: &str = "kinesis:ListShards";
const DESCRIBE_STREAM_SUMMARY: &str = "kinesis:DescribeStreamSummary";

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

/// The shards that may hold records that arrived at that time or later
/// (<https://docs.aws.amazon.com/kinesis/latest/APIReference/API_ShardFilter.html>).
pub(crate) async fn shards(client: &Client, stream: &StreamArn, since: Timestamp) -> Result<Vec<StreamShard>, Fault> {
    let from = DateTime::from_millis(since.millis());
    let filter = ShardFilter::builder().r#type(ShardFilterType::FromTimestamp).timestamp(from).build();
    let filter = filter.map_err(|_| cannot_build(LIST_SHARDS))?;
    let mut request = client.list_shards().stream_arn(stream.stream()).shard_filter(filter);
    let mut shards = Vec::new();
    loop {
        let answer = request.send().await.map_err(|error| fault(LIST_SHARDS, &error))?;
        shards.extend(answer.shards.unwrap_or_default().into_iter().map(|shard| StreamShard {
            id: shard.shard_id,
            parents: shard.parent_shard_id.into_iter().chain(shard.adjacent_parent_shard_id).collect(),
        }));
        match answer.next_token {
            // The token names the stream and the filter, and Kinesis refuses them beside it.
            Some(token) => request = client.list_shards().next_token(token),
            None => return Ok(shards),
        }
    }
}

pub(crate) async fn retention(client: &Client, stream: &StreamArn) -> Result<Duration, Fault> {
    let answer = client.describe_stream_summary().stream_arn(stream.stream()).send().await;
    let answer = answer.map_err(|error| fault(DESCRIBE_STREAM_SUMMARY, &error))?;
    let hours = answer.stream_description_summary.map_or(0, |summary| summary.retention_period_hours);
    // Kinesis keeps records for a day at least.
    let hours = u64::try_from(hours).unwrap_or_default();
    Ok(MIN_RETENTION.max(Duration::from_secs(hours * 60 * 60)))
}

fn cannot_build(action: &'static str) -> Fault {
    Fault { kind: FaultKind::InvalidConfiguration, action, detail: "the request could not be built".to_owned() }
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
