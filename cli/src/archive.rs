//! The archive: the hydrated messages in the overflow bucket, read as a queue is read.
//!
//! Its objects are handed out as messages whose body points to them. So all that reads a queue reads the archive: the
//! filters, the union of copies, the plan of a replay and the ledger. Nothing of it is ever hidden or deleted.

pub mod archive_queue;
pub mod key_filter;
pub mod listing;
pub mod place;

pub use archive_queue::{ArchiveQueue, MessageSource};
pub use key_filter::KeyFilter;
pub use place::{ArchiveChoice, ArchivePlace};
