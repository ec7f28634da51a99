//! Patterns: which fields an event must have, and the rules for their values.

use serde_json::value::RawValue;

use crate::filter::Answer;
use crate::filter::fields::{Elements, leaves};
use crate::filter::rule::Rule;
use crate::json;

/// The most combinations of `$or` that are looked at
/// (<https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-create-pattern-operators.html>).
const MAX_BRANCHES: usize = 1000;
/// The most combinations of array elements that are tried.
const MAX_TRIALS: usize = 20_000;

/// The error for a text that is no pattern, or one that is not known to mean anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it is not a pattern of Lambda's event filtering")]
pub struct InvalidPattern;

/// A pattern. An event matches if it matches one of the branches; `$or` makes several of them.
#[derive(Debug, Clone, PartialEq)]
pub struct Pattern {
    branches: Vec<Branch>,
}

/// Fields that must all match.
type Branch = Vec<FieldRules>;

#[derive(Debug, Clone, PartialEq)]
struct FieldRules {
    path: Vec<String>,
    /// One of these must match. `None` if it cannot be known what the field is compared with.
    rules: Option<Vec<Rule>>,
}

impl Pattern {
    pub fn parse(text: &str) -> Result<Self, InvalidPattern> {
        let text = json::sound_value(text).ok_or(InvalidPattern)?;
        let mut branches = vec![Vec::new()];
        parse_object(serde_json::from_str(text).map_err(|_| InvalidPattern)?, &[], false, &mut branches)?;
        // Event Ruler lets the last of two rules for one field win. It is not documented.
        let repeats = |branch: &Branch| {
            let mut paths: Vec<&[String]> = branch.iter().map(|field| field.path.as_slice()).collect();
            paths.sort_unstable();
            paths.windows(2).any(|pair| pair.first() == pair.last())
        };
        if branches.iter().any(repeats) { Err(InvalidPattern) } else { Ok(Self { branches }) }
    }

    /// Replaces the path of each field. `None` marks a field that cannot be answered.
    #[must_use]
    pub(super) fn map_paths(mut self, map: impl Fn(&[String]) -> Option<Vec<String>>) -> Self {
        for field in self.branches.iter_mut().flatten() {
            match map(&field.path) {
                Some(path) => field.path = path,
                None => field.rules = None,
            }
        }
        self
    }

    /// The answer for an event.
    pub fn answer(&self, event: &RawValue) -> Answer {
        self.branches.iter().map(|branch| answer_branch(branch, event)).max().unwrap_or(Answer::Unknown)
    }

    /// The answer for an event that has none of the fields.
    pub fn answer_without_fields(&self) -> Answer {
        RawValue::from_string("{}".to_owned()).map_or(Answer::Unknown, |event| self.answer(&event))
    }
}

/// Adds the fields of an object to every branch.
fn parse_object(
    raw: &RawValue,
    path: &[String],
    in_or: bool,
    branches: &mut Vec<Branch>,
) -> Result<(), InvalidPattern> {
    let object = json::BorrowedObject::borrow_from(raw.get()).map_err(|_| InvalidPattern)?;
    let mut names: Vec<&str> = object.entries().iter().map(|(name, _)| name.as_str()).collect();
    names.sort_unstable();
    if names.is_empty() || names.windows(2).any(|pair| pair.first() == pair.last()) {
        return Err(InvalidPattern);
    }
    for (name, value) in object.entries() {
        if name == "$or" {
            parse_or(value, path, branches)?;
            continue;
        }
        // Event Ruler takes a name with a dot for a path. And it reserves the names of operators inside $or.
        if name.contains('.') || (in_or && is_operator(name)) {
            return Err(InvalidPattern);
        }
        let path: Vec<String> = path.iter().cloned().chain([name.clone()]).collect();
        match value.get().as_bytes().first() {
            Some(b'{') => parse_object(value, &path, in_or, branches)?,
            Some(b'[') => {
                let rules: Vec<&RawValue> = serde_json::from_str(value.get()).map_err(|_| InvalidPattern)?;
                let rules = rules.into_iter().map(Rule::parse).collect::<Result<Vec<_>, _>>()?;
                if rules.is_empty() {
                    return Err(InvalidPattern);
                }
                for branch in branches.iter_mut() {
                    branch.push(FieldRules { path: path.clone(), rules: Some(rules.clone()) });
                }
            }
            _ => return Err(InvalidPattern),
        }
    }
    Ok(())
}

/// Splits every branch: one for each object in the array of `$or`.
fn parse_or(raw: &RawValue, path: &[String], branches: &mut Vec<Branch>) -> Result<(), InvalidPattern> {
    let choices: Vec<&RawValue> = serde_json::from_str(raw.get()).map_err(|_| InvalidPattern)?;
    if choices.len() < 2 {
        return Err(InvalidPattern);
    }
    let before = std::mem::take(branches);
    for choice in choices {
        let mut chosen = before.clone();
        parse_object(choice, path, true, &mut chosen)?;
        branches.append(&mut chosen);
        if branches.len() > MAX_BRANCHES {
            return Err(InvalidPattern);
        }
    }
    Ok(())
}

fn is_operator(name: &str) -> bool {
    const OPERATORS: [&str; 14] = [
        "exactly",
        "equals-ignore-case",
        "prefix",
        "suffix",
        "anything-but",
        "exists",
        "wildcard",
        "numeric",
        "cidr",
        "=",
        "<",
        "<=",
        ">",
        ">=",
    ];
    OPERATORS.contains(&name)
}

/// A value that may match a field, and the array elements that it is in.
struct FieldAnswer {
    elements: Elements,
    answer: Answer,
}

fn answer_branch(branch: &Branch, event: &RawValue) -> Answer {
    let mut certainty = Answer::Passes;
    let mut in_arrays = Vec::new();
    for field in branch {
        let candidates = field.candidates(event);
        let Some(best) = candidates.iter().map(|candidate| candidate.answer).max() else { return Answer::Fails };
        let is_settled = |candidate: &FieldAnswer| candidate.elements.is_empty() && candidate.answer == best;
        if candidates.iter().any(is_settled) {
            certainty = certainty.min(best);
        } else {
            in_arrays.push(candidates);
        }
    }
    let mut trials = 0;
    certainty.min(best_combination(&in_arrays, &Vec::new(), Answer::Passes, &mut trials))
}

/// The best answer among the choices of one value a field, where no two values are in different elements of one array.
fn best_combination(fields: &[Vec<FieldAnswer>], so_far: &Elements, answer: Answer, trials: &mut usize) -> Answer {
    let Some((candidates, others)) = fields.split_first() else { return answer };
    let mut best = Answer::Fails;
    for candidate in candidates {
        *trials += 1;
        if *trials > MAX_TRIALS {
            return best.max(Answer::Unknown);
        }
        let contradicts = |(array, index): &(usize, usize)| so_far.iter().any(|(a, i)| a == array && i != index);
        if candidate.elements.iter().any(contradicts) {
            continue;
        }
        let elements = so_far.iter().chain(&candidate.elements).copied().collect();
        best = best.max(best_combination(others, &elements, answer.min(candidate.answer), trials));
        if best == Answer::Passes {
            break;
        }
    }
    best
}

impl FieldRules {
    /// The values that match or may match.
    fn candidates(&self, event: &RawValue) -> Vec<FieldAnswer> {
        let unknown = || vec![FieldAnswer { elements: Vec::new(), answer: Answer::Unknown }];
        let Some(rules) = &self.rules else { return unknown() };
        let Ok(leaves) = leaves(event, &self.path) else { return unknown() };
        let wants_absence = rules.contains(&Rule::Absent);
        if leaves.is_empty() {
            let is_unknown = rules.contains(&Rule::Unknown);
            let answer = if wants_absence { Answer::Passes } else { unknown_or_fails(is_unknown) };
            return vec![FieldAnswer { elements: Vec::new(), answer }]
                .into_iter()
                .filter(FieldAnswer::may_match)
                .collect();
        }
        let best = |value: &RawValue| rules.iter().map(|rule| rule.answer(value)).max().unwrap_or(Answer::Fails);
        let mut candidates: Vec<FieldAnswer> =
            leaves.into_iter().map(|leaf| FieldAnswer { answer: best(leaf.value), elements: leaf.elements }).collect();
        // A field that only some elements of an array have: whether it is absent depends on the matcher.
        if wants_absence && candidates.iter().all(|candidate| !candidate.elements.is_empty()) {
            candidates.push(FieldAnswer { elements: Vec::new(), answer: Answer::Unknown });
        }
        candidates.retain(FieldAnswer::may_match);
        candidates
    }
}

impl FieldAnswer {
    fn may_match(&self) -> bool {
        self.answer != Answer::Fails
    }
}

fn unknown_or_fails(is_unknown: bool) -> Answer {
    if is_unknown { Answer::Unknown } else { Answer::Fails }
}
