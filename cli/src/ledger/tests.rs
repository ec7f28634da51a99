//! The ledger's promises: step by step, and for two machines in any order, killed at any point.

mod claims;
mod interleaving;
mod kit;
mod locks;
mod machine;
mod records;
mod world;
