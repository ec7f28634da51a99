//! What `dlq show` prints of a message, part by part.

mod diff;
pub mod facts;
pub mod logs;
mod pretty;
pub mod records;
