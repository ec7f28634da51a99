//! The queue of hydrated messages: messages are received under a lease, read, united with their copies, and filtered.

pub mod filter;
pub mod filter_args;
pub mod hydrated_message;
pub mod identity;
pub mod lease;
pub mod queue_message;
pub mod read_queue;
pub mod read_summary;
pub mod receive_all;
pub mod record_search;
pub mod shard_place;
