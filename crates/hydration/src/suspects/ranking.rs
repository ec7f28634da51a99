//! The order of the suspects, from all that was found.

use std::collections::BTreeMap;

use crate::suspects::evidence::BatchEvidence;
use crate::suspects::judge::Clue;
use crate::suspects::profile::Profile;
use crate::suspects::reason::Reasons;
use crate::suspects::{MAX_SUSPECTS, Suspect, SuspectRule, THRESHOLD};

/// The share of its bits that a second mark of a record adds, and the most bits that all further marks add.
const FURTHER_SHARE: f64 = 0.2;
const MAX_FURTHER_BITS: f64 = 3.0;
/// A record with less than this share of the best one's bits is not named beside it.
const MIN_SHARE: f64 = 0.6;
/// In a batch where more records than this share stand out, each in its own way, standing out is usual.
const MAX_STANDING_OUT: f64 = 0.05;
/// Bits by which the log must name a record more clearly than many others.
const CLEARER_BITS: f64 = 4.0;
/// Bits that are asked for on top of the threshold then.
const DIVERSE_BITS: f64 = 3.0;

/// The suspects, best first.
pub fn suspects(evidence: &BatchEvidence, profile: &Profile, mut clues: Vec<Clue>) -> Vec<Suspect> {
    drop_common_names(&mut clues);
    let mut by_record: BTreeMap<usize, Vec<Clue>> = BTreeMap::new();
    for clue in clues {
        by_record.entry(clue.record).or_default().push(clue);
    }
    let mut ranked: Vec<(f64, Clue)> = by_record.into_values().filter_map(unite).collect();
    ranked.sort_by(|(a, _), (b, _)| b.total_cmp(a));
    let threshold = threshold(&ranked, evidence.records.len());
    let best = ranked.first().map_or(0.0, |(bits, _)| *bits);
    ranked.retain(|(bits, _)| *bits >= threshold && *bits >= best * MIN_SHARE);
    ranked.truncate(MAX_SUSPECTS);
    let mut reasons = Reasons::new(evidence, profile);
    let suspect = |(bits, clue): (f64, Clue)| {
        let record = evidence.records.get(clue.record)?;
        Some(Suspect {
            place: record.place,
            sequence_number: record.record.sequence_number().clone(),
            rule: clue.rule,
            reason: reasons.reason(&clue),
            bits,
        })
    };
    ranked.into_iter().filter_map(suspect).collect()
}

/// Drops what the log says of many records alike: a function that logs each of its records names none. A record that it
/// names more clearly than the others stays.
fn drop_common_names(clues: &mut Vec<Clue>) {
    let mut best: BTreeMap<usize, f64> = BTreeMap::new();
    for clue in clues.iter().filter(|clue| is_from_log(clue)) {
        let bits = best.entry(clue.record).or_default();
        *bits = bits.max(clue.bits);
    }
    let mut all: Vec<f64> = best.into_values().filter(|bits| *bits >= THRESHOLD).collect();
    all.sort_by(|a, b| b.total_cmp(a));
    if let Some(common) = all.get(MAX_SUSPECTS) {
        clues.retain(|clue| !is_from_log(clue) || clue.bits >= common + CLEARER_BITS);
    }
}

fn is_from_log(clue: &Clue) -> bool {
    matches!(clue.rule, SuspectRule::LoggedId | SuspectRule::LoggedValue)
}

/// The strongest clue of a record, and the bits of all.
fn unite(mut clues: Vec<Clue>) -> Option<(f64, Clue)> {
    clues.sort_by(|a, b| b.bits.total_cmp(&a.bits));
    let mut clues = clues.into_iter();
    let best = clues.next()?;
    let further: f64 = clues.filter(|clue| clue.rule != best.rule).map(|clue| clue.bits.max(0.0)).sum();
    Some((best.bits + (further * FURTHER_SHARE).min(MAX_FURTHER_BITS), best))
}

fn threshold(ranked: &[(f64, Clue)], records: usize) -> f64 {
    let standing_out = ranked.iter().filter(|(bits, clue)| *bits >= THRESHOLD && !is_from_log(clue));
    let mut claims: Vec<&str> = standing_out.map(|(_, clue)| clue.claim.as_str()).collect();
    claims.sort_unstable();
    claims.dedup();
    if claims.len() > 3 && claims.len() as f64 > records as f64 * MAX_STANDING_OUT {
        THRESHOLD + DIVERSE_BITS
    } else {
        THRESHOLD
    }
}
