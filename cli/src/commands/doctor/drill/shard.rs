//! The shard of a drill: the first that has a record.

use std::collections::BTreeSet;

use anyhow::{Result, bail};
use hydration::arn::StreamArn;
use hydration::drill::{ShardReadError, newest_records};
use hydration::ports::{Clock, ShardReader, StreamReader, StreamShard};
use hydration::record::StreamRecord;
use hydration::walk::MIN_RETENTION;

use crate::commands::doctor::drill::DrillArgs;
use crate::exit::explain;

/// Shards that are read, until one has a record.
const MAX_SHARDS: usize = 20;

pub struct NewestOfShard {
    pub shard_id: String,
    /// Empty if none of the shards has a record.
    pub records: Vec<StreamRecord>,
    /// Number of shards that were read.
    pub shards: u64,
}

pub async fn newest<R: ShardReader + StreamReader, C: Clock>(
    reader: &R,
    clock: &C,
    stream: &StreamArn,
    arguments: &DrillArgs,
) -> Result<NewestOfShard> {
    let since = clock.now().plus_millis(-i64::try_from(MIN_RETENTION.as_millis()).unwrap_or(i64::MAX));
    let shards = reader.shards(stream, since).await.map_err(|fault| explain(&fault))?;
    let chosen: Vec<String> = open_first(shards)
        .into_iter()
        .filter(|id| arguments.shard.as_ref().is_none_or(|shard| shard.takes_shard(stream.name(), id)))
        .take(MAX_SHARDS)
        .collect();
    let most = usize::try_from(arguments.records).unwrap_or(usize::MAX);
    let mut newest = NewestOfShard { shard_id: String::new(), records: Vec::new(), shards: chosen.len() as u64 };
    if chosen.is_empty() {
        bail!("{} has no such shard\n  → check --stream, --shard and --region", stream.as_str());
    }
    for shard_id in chosen {
        newest.records = match newest_records(reader, clock, stream, &shard_id, most).await {
            Ok(records) => records,
            Err(ShardReadError::Fault(fault)) => return Err(explain(&fault)),
            Err(ShardReadError::NotFound) => bail!("{shard_id} is gone\n  → run the command again"),
            Err(ShardReadError::Rejected) => bail!("{shard_id} cannot be read\n  → name another with --shard"),
        };
        newest.shard_id = shard_id;
        if !newest.records.is_empty() {
            break;
        }
    }
    Ok(newest)
}

/// Ids of the shards: those that get records now before those that were split or merged.
fn open_first(shards: Vec<StreamShard>) -> Vec<String> {
    let parents: BTreeSet<String> = shards.iter().flat_map(|shard| shard.parents.clone()).collect();
    let (closed, open): (Vec<_>, Vec<_>) =
        shards.into_iter().map(|shard| shard.id).partition(|id| parents.contains(id));
    open.into_iter().chain(closed).collect()
}
