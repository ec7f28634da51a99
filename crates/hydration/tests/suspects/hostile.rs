//! Data that is made to cost time or memory.

use hydration::suspects::MAX_SUSPECTS;
use hydration::test_support::gzip;

use crate::kit::{MadeUpBatch, kinesis};
use crate::score::suspects;

fn found(data: Vec<Vec<u8>>, log: &[String]) -> usize {
    let records = data.into_iter().enumerate().map(|(index, data)| kinesis(index, "k", data)).collect();
    let found = suspects(&MadeUpBatch { name: "hostile", records, log: log.to_vec(), culprit: None });
    assert!(found.len() <= MAX_SUSPECTS);
    assert!(found.iter().all(|suspect| suspect.reason.len() < 2_000), "{found:?}");
    found.len()
}

#[test]
fn huge_documents_are_compared_up_to_the_limits() {
    let long_key = format!("{{\"{}\":1}}", "k".repeat(1_000_000)).into_bytes();
    let many_keys =
        format!("{{{}}}", (0..200_000).map(|n| format!("\"{n}\":{n}")).collect::<Vec<_>>().join(",")).into_bytes();
    let many_elements = format!("[{}0]", "0,".repeat(1_500_000)).into_bytes();
    let deep = [b"[".repeat(99), b"]".repeat(99)].concat();
    let too_deep = [b"[".repeat(100_000), b"]".repeat(100_000)].concat();
    let long_text = format!("\"{}\"", "x ".repeat(500_000)).into_bytes();
    found(vec![long_key, many_keys, many_elements, deep, too_deep, long_text], &[]);
}

#[test]
fn every_record_may_have_keys_of_its_own() {
    let record = |n: usize| {
        format!("{{{}}}", (0..20).map(|k| format!("\"key-{n}-{k}\":\"v{k}\"")).collect::<Vec<_>>().join(","))
    };
    found((0..5_000).map(|n| record(n).into_bytes()).collect(), &[]);
}

#[test]
fn records_that_unpack_to_much_more_share_one_budget() {
    let bomb = gzip(&vec![b'0'; 9_000_000]);
    found(vec![bomb; 200], &[]);
}

#[test]
fn a_log_that_never_ends_its_quotes_is_read_to_its_end() {
    let data: Vec<Vec<u8>> = (0..200).map(|n| format!("{{\"id\":\"ORD-{n:05}\"}}").into_bytes()).collect();
    let quotes =
        ["“ ".repeat(100_000), "' ".repeat(100_000), "\"".repeat(200_000), "{".repeat(200_000), "[".repeat(200_000)];
    for text in quotes {
        found(data.clone(), &[format!("ERROR {text}")]);
    }
    let lines: Vec<String> =
        (0..30_000).map(|n| format!("ERROR ORD-{n:05} 'ORD-{n:05}' failed in \"ORD-{n:05}\"")).collect();
    found(data, &lines);
}

#[test]
fn a_reason_quotes_hostile_data_in_part_only() {
    let mut data: Vec<Vec<u8>> = (0..60).map(|n| format!("{{\"id\":{n},\"total\":{n}.5}}").into_bytes()).collect();
    data[30] =
        serde_json::json!({"id": 30, "total": format!("\u{1b}[2J{}", "9".repeat(1_000_000))}).to_string().into_bytes();
    assert_eq!(found(data, &[]), 1);
}
