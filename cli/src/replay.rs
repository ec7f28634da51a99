//! Running failed batches again: what is to be run, in which order, what came of it, and the record of it all.

pub mod answer;
pub mod audit;
pub mod pace;
pub mod plan;
pub mod run;

#[cfg(test)]
mod tests;
