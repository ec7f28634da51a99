//! The domain: what a failed batch is, how its range is walked, and the message that carries it.
//!
//! Data walks one way: recognise → walk → verdict → compose → deliver. This crate knows no SDK, does no I/O and
//! has no clock of its own; what it needs of the world it asks for through [`ports`].

pub mod arn;
mod batch_run;
pub mod continuation;
pub mod drill;
pub mod error;
pub mod filter;
pub mod function_response;
pub mod hydrator;
pub mod incident;
pub mod incoming;
pub mod invocation_record;
pub mod json;
pub mod kpl;
pub mod message;
pub mod narrow;
pub mod object_key;
pub mod object_notification;
mod payload;
pub mod ports;
mod read;
pub mod record;
pub mod rescue;
pub mod retry;
mod sender;
pub mod sequence_number;
pub mod suspects;
#[cfg(feature = "test-support")]
pub mod test_support;
pub mod text;
pub mod timestamp;
pub mod verdict;
pub mod view;
pub mod walk;
