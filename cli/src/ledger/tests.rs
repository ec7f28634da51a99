//! The ledger's promises: step by step, and for two machines in any order, killed at any point.

mod interleaving;
mod machine;
mod steps;
mod world;
