//! The evaluation of suspects: made-up incidents with a known culprit, and batches in which nobody is to blame.
//!
//! `make bench` prints the recall. The floors stand here.

#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod domains;
mod healthy;
mod held_back;
mod hostile;
mod incidents;
mod kit;
mod logs;
mod score;
mod wide;

use score::{named, recall};

const SEEDS: std::ops::Range<u64> = 0..2;

#[test]
fn the_culprit_is_named_first_in_four_of_five_incidents() {
    let batches: Vec<_> =
        SEEDS.flat_map(|seed| [incidents::all(seed), wide::incidents(seed), logs::incidents(seed)].concat()).collect();
    let (recall, misses) = recall(&batches);
    println!("{recall:?} {:.2} {:.2}\n{}", recall.at_1(), recall.at_3(), misses.join("\n"));
    assert!(recall.at_1() >= 0.8 && recall.at_3() >= 0.9, "{recall:?}");
}

#[test]
fn nobody_is_named_in_nineteen_of_twenty_healthy_batches() {
    let batches: Vec<_> =
        SEEDS.flat_map(|seed| [healthy::all(seed), wide::healthy(seed), logs::healthy(seed)].concat()).collect();
    let named = named(&batches);
    println!("{} of {}\n{}", named.len(), batches.len(), named.join("\n"));
    assert!(named.len() * 20 <= batches.len(), "{} of {}", named.len(), batches.len());
}

#[test]
fn nobody_is_named_where_the_log_names_a_cause_outside() {
    let batches: Vec<_> = SEEDS.flat_map(healthy::outside_causes).collect();
    let named = named(&batches);
    assert!(named.is_empty(), "{}", named.join("\n"));
}

#[test]
fn the_culprit_is_named_first_in_four_of_five_incidents_that_were_held_back() {
    let batches: Vec<_> = SEEDS.flat_map(held_back::all).collect();
    let (recall, misses) = recall(&batches);
    println!("{recall:?} {:.2} {:.2}\n{}", recall.at_1(), recall.at_3(), misses.join("\n"));
    assert!(recall.at_1() >= 0.8 && recall.at_3() >= 0.9, "{recall:?}");
}
