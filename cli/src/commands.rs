//! Commands, a file each. A command takes its ports and writes to the context's output; `args` connects it to AWS.

pub mod completions;
pub mod discard;
pub mod doctor;
pub mod export;
pub mod histories;
pub mod hydrate;
mod invocation_log;
pub mod isolate;
pub mod list;
pub mod man;
pub mod replay;
pub mod report;
pub mod show;
pub mod status;

#[cfg(test)]
mod tests;
