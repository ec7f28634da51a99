//! The order of a stream's shards: parents before their children.

use std::collections::{HashMap, HashSet};

use crate::ports::StreamShard;

/// The reason why nothing more of a shard is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ShardEnd {
    /// A record, or the position, was after the time range. Every record of the shard's children is after it, too.
    AfterRange,
    /// The shard is closed, and its last record was read.
    Closed,
    /// The shard is open, and no record was left.
    Tip,
    /// The shard does not exist any more.
    Gone,
}

/// The shards of a stream that are still to be read, and the ends of the others.
#[derive(Debug, Default)]
pub struct Lineage {
    waiting: Vec<StreamShard>,
    ends: HashMap<String, ShardEnd>,
}

impl Lineage {
    pub fn new(shards: Vec<StreamShard>) -> Self {
        Self { waiting: shards, ends: HashMap::new() }
    }

    /// The next shard to read: one whose parents were read, or are not among the shards. Children of a shard that ended
    /// after the range are left out.
    pub fn next_shard(&mut self) -> Option<StreamShard> {
        loop {
            let waiting: HashSet<&str> = self.waiting.iter().map(|shard| shard.id.as_str()).collect();
            let is_ready = |shard: &StreamShard| !shard.parents.iter().any(|parent| waiting.contains(parent.as_str()));
            // Shards that name each other as parents do not exist. If they did, any order would be as good.
            let index = self.waiting.iter().position(is_ready).unwrap_or(0);
            if self.waiting.is_empty() {
                return None;
            }
            let shard = self.waiting.remove(index);
            let is_after = |parent: &String| self.ends.get(parent) == Some(&ShardEnd::AfterRange);
            if !shard.parents.iter().any(is_after) {
                return Some(shard);
            }
            self.ends.insert(shard.id, ShardEnd::AfterRange);
        }
    }

    pub fn ended(&mut self, shard_id: &str, end: ShardEnd) {
        self.ends.insert(shard_id.to_owned(), end);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shard(id: &str, parents: &[&str]) -> StreamShard {
        StreamShard { id: id.to_owned(), parents: parents.iter().map(|&parent| parent.to_owned()).collect() }
    }

    fn order(shards: &[StreamShard], ends: &[(&str, ShardEnd)]) -> String {
        let (mut lineage, mut order) = (Lineage::new(shards.to_vec()), String::new());
        while let Some(shard) = lineage.next_shard() {
            order.push_str(&shard.id);
            let end = ends.iter().find(|(id, _)| *id == shard.id).map_or(ShardEnd::Closed, |(_, end)| *end);
            lineage.ended(&shard.id, end);
        }
        order
    }

    #[test]
    fn parents_come_first() {
        // `a` was split into `b` and `c`, and they were merged to `d`. The parent of `e` has expired.
        let shards =
            [shard("d", &["b", "c"]), shard("c", &["a"]), shard("e", &["z"]), shard("b", &["a"]), shard("a", &[])];
        assert_eq!(order(&shards, &[]), "eacbd");
    }

    #[test]
    fn children_of_a_shard_that_ended_after_the_range_are_not_read() {
        let shards =
            [shard("a", &[]), shard("b", &["a"]), shard("c", &["b"]), shard("d", &["x", "b"]), shard("x", &[])];
        assert_eq!(order(&shards, &[("b", ShardEnd::AfterRange)]), "abx");
        assert_eq!(order(&shards, &[("a", ShardEnd::AfterRange)]), "ax");
        assert_eq!(order(&shards, &[("a", ShardEnd::Gone)]), "abcxd");
    }

    #[test]
    fn shards_that_name_each_other_as_parents_are_read_once() {
        assert_eq!(order(&[shard("a", &["b"]), shard("b", &["a"])], &[]), "ab");
    }
}
