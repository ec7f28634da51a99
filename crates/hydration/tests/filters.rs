//! Patterns, against the verdicts of AWS's Event Ruler in ruler/verdicts.json. scripts/ruler/record.py wrote that file.

#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use hydration::filter::{Answer, Pattern};
use serde::Deserialize;
use serde_json::value::RawValue;

const VERDICTS: &str = include_str!("ruler/verdicts.json");

#[derive(Deserialize)]
struct Case {
    pattern: String,
    event: String,
    ruler: Verdict,
    /// The reason why no answer is given. docs/SEMANTICS.md has them all.
    open: Option<String>,
}

#[derive(Deserialize, PartialEq, Debug)]
#[serde(rename_all = "lowercase")]
enum Verdict {
    Passes,
    Fails,
    Refused,
}

fn cases() -> Vec<Case> {
    serde_json::from_str(VERDICTS).unwrap()
}

/// The answer, and `Unknown` for a pattern that cannot be read.
fn answer(case: &Case) -> Answer {
    let event: Box<RawValue> = serde_json::from_str(&case.event).unwrap();
    Pattern::parse(&case.pattern).map_or(Answer::Unknown, |pattern| pattern.answer(&event))
}

/// Generated cases that touch two of the points that are left open.
fn may_be_open(case: &Case) -> bool {
    let absence_in_arrays = case.pattern.contains(r#""exists": false"#) && case.event.contains("[{");
    let other_alphabets = case.pattern.contains("equals-ignore-case") && !case.event.is_ascii();
    absence_in_arrays || other_alphabets
}

#[test]
fn no_answer_contradicts_event_ruler() {
    for case in cases() {
        let agrees = match answer(&case) {
            Answer::Passes => case.ruler == Verdict::Passes,
            Answer::Fails => case.ruler == Verdict::Fails,
            Answer::Unknown => true,
        };
        assert!(agrees, "{} {}: {:?} and not {:?}", case.pattern, case.event, answer(&case), case.ruler);
    }
}

#[test]
fn there_is_an_answer_wherever_the_case_is_not_left_open() {
    let cases = cases();
    let closed: Vec<&Case> = cases.iter().filter(|case| case.open.is_none()).collect();
    assert!(closed.len() > 700, "{}", closed.len());
    for case in closed.iter().filter(|case| !may_be_open(case)) {
        assert_ne!(answer(case), Answer::Unknown, "{} {}", case.pattern, case.event);
    }
    let unanswered = closed.iter().filter(|case| answer(case) == Answer::Unknown).count();
    assert!(unanswered * 20 < closed.len(), "{unanswered} of {} cases have no answer", closed.len());
}

#[test]
fn what_is_left_open_has_no_answer() {
    let cases = cases();
    let open: Vec<&Case> = cases.iter().filter(|case| case.open.is_some()).collect();
    assert!(open.len() > 40, "{}", open.len());
    for case in open {
        assert_eq!(answer(case), Answer::Unknown, "{} {}: {:?}", case.pattern, case.event, case.open);
    }
}
