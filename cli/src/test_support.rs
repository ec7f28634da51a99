//! In-memory queue, bucket, function and clock for the tests, and a way to run a whole command on them.

pub mod bucket;
pub mod clock;
pub mod deployment;
pub mod drill_way;
pub mod function;
pub mod logs;
pub mod messages;
pub mod queue;
pub mod tool;
