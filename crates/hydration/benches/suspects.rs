//! The evaluation of suspects, printed: how often the culprit of a made-up incident is named first and among the first
//! three, how often somebody is named in a healthy batch, and the time that it takes.
//!
//! `cargo bench -p hydration --bench suspects`, a part of `make bench`. The floors are in `tests/suspects`.

#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

#[path = "../tests/suspects/domains.rs"]
mod domains;
#[path = "../tests/suspects/healthy.rs"]
mod healthy;
#[path = "../tests/suspects/held_back.rs"]
mod held_back;
#[path = "../tests/suspects/incidents.rs"]
mod incidents;
#[path = "../tests/suspects/kit.rs"]
mod kit;
#[path = "../tests/suspects/logs.rs"]
mod logs;
#[path = "../tests/suspects/score.rs"]
mod score;
#[path = "../tests/suspects/wide.rs"]
mod wide;

use std::time::Instant;

use kit::MadeUpBatch;

/// The batches of a seed.
type Batches = fn(u64) -> Vec<MadeUpBatch>;

const SEEDS: std::ops::Range<u64> = 0..20;

fn main() {
    println!("\n| suspects | batches | named first | among three |\n| --- | --- | --- | --- |");
    let sets: [(&str, Batches); 4] = [
        ("incidents", incidents::all),
        ("incidents held back", held_back::all),
        ("incidents in data that varies more", wide::incidents),
        ("incidents as logs tell them", logs::incidents),
    ];
    for (name, incidents) in sets {
        let (recall, _) = score::recall(&SEEDS.flat_map(incidents).collect::<Vec<_>>());
        println!("| {name} | {} | {:.2} | {:.2} |", recall.incidents, recall.at_1(), recall.at_3());
    }
    let sets: [(&str, Batches); 4] = [
        ("healthy", healthy::all),
        ("healthy, with more variety", wide::healthy),
        ("healthy, with logs that tell nothing", logs::healthy),
        ("a cause outside the records", healthy::outside_causes),
    ];
    println!("\n| nobody to blame | batches | somebody named |\n| --- | --- | --- |");
    for (name, batches) in sets {
        let batches: Vec<MadeUpBatch> = SEEDS.flat_map(batches).collect();
        println!("| {name} | {} | {} |", batches.len(), score::named(&batches).len());
    }
    let orders = kit::batch("orders", 1, 10_000, domains::order).build();
    let started = Instant::now();
    score::suspects(&orders);
    println!("\nsuspects of 10,000 orders: {:.0} ms", started.elapsed().as_secs_f64() * 1000.0);
}
