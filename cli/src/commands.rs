//! The commands, a file each.

pub mod completions;
pub mod discard;
pub mod doctor;
pub mod export;
pub mod hydrate;
pub mod isolate;
pub mod list;
pub mod replay;
pub mod show;
pub mod status;
