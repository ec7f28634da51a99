//! The score of the rules: how often the culprit is named first, and among the first three.

use hydration::suspects::{BatchEvidence, EvidenceRecord, Suspect, find};

use crate::kit::MadeUpBatch;

/// Incidents that were searched, and those whose culprit was found.
#[derive(Debug, Default, Clone, Copy)]
pub struct Recall {
    pub incidents: usize,
    pub first: usize,
    pub among_three: usize,
}

impl Recall {
    pub fn at_1(self) -> f64 {
        self.first as f64 / self.incidents as f64
    }

    pub fn at_3(self) -> f64 {
        self.among_three as f64 / self.incidents as f64
    }
}

pub fn suspects(batch: &MadeUpBatch) -> Vec<Suspect> {
    let record = |(place, record): (usize, &hydration::record::StreamRecord)| EvidenceRecord {
        place,
        record: record.clone(),
        may_be_named: true,
    };
    let records: Vec<EvidenceRecord> = batch.records.iter().enumerate().map(record).collect();
    // The ends of the range are in the invocation record, and so no evidence.
    let ends = [records.first(), records.last()].into_iter().flatten();
    let not_evidence = ends.map(|end| end.record.sequence_number().as_str().to_owned()).collect();
    find(&BatchEvidence { records, log: batch.log.clone(), not_evidence, ..BatchEvidence::default() })
}

/// The recall, and a line for each incident whose culprit is not named first.
pub fn recall(batches: &[MadeUpBatch]) -> (Recall, Vec<String>) {
    let mut recall = Recall::default();
    let mut misses = Vec::new();
    for batch in batches {
        let found = suspects(batch);
        let places: Vec<usize> = found.iter().map(|suspect| suspect.place).collect();
        recall.incidents += 1;
        recall.first += usize::from(places.first() == batch.culprit.as_ref());
        recall.among_three += usize::from(places.iter().take(3).any(|place| Some(*place) == batch.culprit));
        if places.first() != batch.culprit.as_ref() {
            let reasons: Vec<_> =
                found.iter().map(|s| format!("    {} {:?} {:.1} {}", s.place, s.rule, s.bits, s.reason)).collect();
            misses.push(format!("{}: {:?}, named {places:?}\n{}", batch.name, batch.culprit, reasons.join("\n")));
        }
    }
    (recall, misses)
}

/// A line for each batch in which somebody is named.
pub fn named(batches: &[MadeUpBatch]) -> Vec<String> {
    let name = |batch: &MadeUpBatch| {
        let found = suspects(batch);
        let first = found.first()?;
        Some(format!("{}: {} of them, {:?} {:.1} {}", batch.name, found.len(), first.rule, first.bits, first.reason))
    };
    batches.iter().filter_map(name).collect()
}
