//! Rules: what a pattern asks of one value.

use std::net::Ipv6Addr;

use serde_json::value::RawValue;

use crate::filter::Answer;
use crate::filter::decimal::Decimal;
use crate::filter::pattern::InvalidPattern;
use crate::json::{BorrowedObject, string_value};

/// A rule for a value.
#[derive(Debug, Clone, PartialEq)]
pub enum Rule {
    /// `null`, `true` or `false`.
    Word(String),
    Number(String),
    Text(String),
    EqualsIgnoreCase(String),
    Prefix(String),
    Suffix(String),
    Numeric(Vec<Comparison>),
    Exists,
    Absent,
    /// No listed rule may match.
    AnythingBut(Vec<Rule>),
    /// An operator that is not known here.
    Unknown,
}

/// A comparison with a number: one end of a range, or equality.
#[derive(Debug, Clone, PartialEq)]
pub struct Comparison {
    operator: Operator,
    number: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operator {
    Equal,
    Less,
    AtMost,
    Greater,
    AtLeast,
}

impl Rule {
    /// Reads an element of a field's array.
    pub fn parse(raw: &RawValue) -> Result<Self, InvalidPattern> {
        match raw.get().as_bytes().first() {
            Some(b'{') => Self::parse_operator(raw),
            Some(b'[') | None => Err(InvalidPattern),
            _ => Self::parse_literal(raw),
        }
    }

    fn parse_literal(raw: &RawValue) -> Result<Self, InvalidPattern> {
        match raw.get().as_bytes().first() {
            Some(b'"') => text(raw).map(Self::Text),
            Some(b'-' | b'0'..=b'9') => Ok(Self::Number(raw.get().to_owned())),
            Some(b't' | b'f' | b'n') => Ok(Self::Word(raw.get().to_owned())),
            _ => Err(InvalidPattern),
        }
    }

    fn parse_operator(raw: &RawValue) -> Result<Self, InvalidPattern> {
        let (name, operand) = only_entry(raw)?;
        match (name.as_str(), operand.get().as_bytes().first()) {
            ("equals-ignore-case", _) => text(operand).map(Self::EqualsIgnoreCase),
            // {"prefix": {"equals-ignore-case": …}} is EventBridge's, and not in Lambda's list.
            ("prefix" | "suffix", Some(b'{')) => Ok(Self::Unknown),
            ("prefix", _) => text(operand).map(Self::Prefix),
            ("suffix", _) => text(operand).map(Self::Suffix),
            ("exists", _) => match operand.get() {
                "true" => Ok(Self::Exists),
                "false" => Ok(Self::Absent),
                _ => Err(InvalidPattern),
            },
            ("numeric", _) => numeric(operand),
            ("anything-but", _) => anything_but(operand).map(Self::AnythingBut),
            _ => Ok(Self::Unknown),
        }
    }

    /// The answer for a value that is there.
    pub fn answer(&self, value: &RawValue) -> Answer {
        let json = value.get();
        let number = json.starts_with(|first: char| first == '-' || first.is_ascii_digit());
        match self {
            Self::Unknown => Answer::Unknown,
            Self::Exists => Answer::Passes,
            Self::Absent => Answer::Fails,
            Self::Word(word) => Answer::of(json == word),
            Self::Number(wanted) if number => same_number(wanted, json),
            Self::Numeric(comparisons) if number => compare_all(comparisons, json),
            Self::Number(_) | Self::Numeric(_) => Answer::Fails,
            Self::AnythingBut(rules) => {
                match rules.iter().map(|rule| rule.answer_in_list(value)).max().unwrap_or(Answer::Unknown) {
                    Answer::Passes => Answer::Fails,
                    Answer::Unknown => Answer::Unknown,
                    Answer::Fails => Answer::Passes,
                }
            }
            Self::Text(_) | Self::EqualsIgnoreCase(_) | Self::Prefix(_) | Self::Suffix(_) => {
                if !json.starts_with('"') {
                    return Answer::Fails;
                }
                string_value(value).map_or(Answer::Unknown, |text| self.answer_text(&text))
            }
        }
    }

    /// The answer for a value against an element of `anything-but`, where texts are compared exactly.
    fn answer_in_list(&self, value: &RawValue) -> Answer {
        match (self, string_value(value)) {
            (Self::Text(wanted), Some(text)) => Answer::of(&text == wanted),
            _ => self.answer(value),
        }
    }

    fn answer_text(&self, text: &str) -> Answer {
        match self {
            Self::Text(wanted) if text == wanted => Answer::Passes,
            // Event Ruler takes two spellings of one IP address for equal. Lambda's page says that texts must be equal.
            Self::Text(wanted) if is_same_address(wanted, text) => Answer::Unknown,
            Self::EqualsIgnoreCase(wanted) if text.eq_ignore_ascii_case(wanted) => Answer::Passes,
            // Upper and lower case of other alphabets depend on the version of Unicode.
            Self::EqualsIgnoreCase(wanted) if !text.is_ascii() || !wanted.is_ascii() => Answer::Unknown,
            // Event Ruler matches the quotes of a text too: the prefix a" matches the text a.
            Self::Prefix(prefix) if prefix.ends_with('"') && !text.starts_with(prefix) => {
                Answer::of(false).max(unknown_if(prefix.strip_suffix('"') == Some(text)))
            }
            Self::Suffix(suffix) if suffix.starts_with('"') && !text.ends_with(suffix) => {
                Answer::of(false).max(unknown_if(suffix.strip_prefix('"') == Some(text)))
            }
            Self::Prefix(prefix) => Answer::of(text.starts_with(prefix)),
            Self::Suffix(suffix) => Answer::of(text.ends_with(suffix)),
            _ => Answer::Fails,
        }
    }
}

fn unknown_if(condition: bool) -> Answer {
    if condition { Answer::Unknown } else { Answer::Fails }
}

fn text(raw: &RawValue) -> Result<String, InvalidPattern> {
    string_value(raw).ok_or(InvalidPattern)
}

/// The entry of an object that has exactly one.
fn only_entry(raw: &RawValue) -> Result<(String, &RawValue), InvalidPattern> {
    let object = BorrowedObject::borrow_from(raw.get()).map_err(|_| InvalidPattern)?;
    let [(name, operand)] = object.entries() else { return Err(InvalidPattern) };
    Ok((name.clone(), operand))
}

fn list(raw: &RawValue) -> Result<Vec<&RawValue>, InvalidPattern> {
    match raw.get().as_bytes().first() {
        Some(b'[') => serde_json::from_str(raw.get()).map_err(|_| InvalidPattern),
        _ => Ok(vec![raw]),
    }
}

/// The rules of `anything-but`: a value or a list of one type, or texts under an operator.
fn anything_but(operand: &RawValue) -> Result<Vec<Rule>, InvalidPattern> {
    let rules: Vec<Rule> = if operand.get().starts_with('{') {
        let (name, operand) = only_entry(operand)?;
        let texts = list(operand)?.into_iter().map(text).collect::<Result<Vec<_>, _>>()?;
        let rule = match name.as_str() {
            "prefix" => Rule::Prefix,
            "suffix" => Rule::Suffix,
            "equals-ignore-case" => Rule::EqualsIgnoreCase,
            _ => return Ok(vec![Rule::Unknown]),
        };
        if name != "equals-ignore-case" && texts.iter().any(String::is_empty) {
            return Err(InvalidPattern);
        }
        texts.into_iter().map(rule).collect()
    } else {
        let rules = list(operand)?.into_iter().map(Rule::parse_literal).collect::<Result<Vec<_>, _>>()?;
        let are_texts = rules.iter().all(|rule| matches!(rule, Rule::Text(_)));
        let are_numbers = rules.iter().all(|rule| matches!(rule, Rule::Number(_)));
        if !are_texts && !are_numbers {
            return Err(InvalidPattern);
        }
        rules
    };
    if rules.is_empty() { Err(InvalidPattern) } else { Ok(rules) }
}

/// `["=", n]`, one of the other operators with a number, or a range with its lower end first.
fn numeric(operand: &RawValue) -> Result<Rule, InvalidPattern> {
    if !operand.get().starts_with('[') {
        return Err(InvalidPattern);
    }
    let comparisons = list(operand)?.chunks(2).map(comparison).collect::<Result<Vec<_>, _>>()?;
    let operators: Vec<Operator> = comparisons.iter().map(|comparison| comparison.operator).collect();
    match operators.as_slice() {
        [_] | [Operator::Greater | Operator::AtLeast, Operator::Less | Operator::AtMost] => {
            Ok(Rule::Numeric(comparisons))
        }
        _ => Err(InvalidPattern),
    }
}

fn comparison(pair: &[&RawValue]) -> Result<Comparison, InvalidPattern> {
    let [operator, number] = pair else { return Err(InvalidPattern) };
    let operator = match text(operator)?.as_str() {
        "=" => Operator::Equal,
        "<" => Operator::Less,
        "<=" => Operator::AtMost,
        ">" => Operator::Greater,
        ">=" => Operator::AtLeast,
        _ => return Err(InvalidPattern),
    };
    Decimal::parse(number.get()).ok_or(InvalidPattern)?;
    Ok(Comparison { operator, number: number.get().to_owned() })
}

/// The answer for two numbers that should be equal.
///
/// Lambda's page says that 300, 300.0 and 3.0e2 are not equal. Event Ruler says that they are.
fn same_number(wanted: &str, number: &str) -> Answer {
    match (Decimal::parse(wanted), Decimal::parse(number)) {
        _ if wanted == number => Answer::Passes,
        (Some(wanted), Some(number)) if wanted != number => Answer::Fails,
        _ => Answer::Unknown,
    }
}

fn compare_all(comparisons: &[Comparison], number: &str) -> Answer {
    comparisons.iter().map(|comparison| comparison.answer(number)).min().unwrap_or(Answer::Unknown)
}

impl Comparison {
    fn answer(&self, number: &str) -> Answer {
        if self.operator == Operator::Equal {
            return same_number(&self.number, number);
        }
        let millionths = |text| Decimal::parse(text).and_then(|number| number.millionths());
        let (Some(limit), Some(number)) = (millionths(&self.number), millionths(number)) else {
            return Answer::Unknown;
        };
        Answer::of(match self.operator {
            Operator::Equal => number == limit,
            Operator::Less => number < limit,
            Operator::AtMost => number <= limit,
            Operator::Greater => number > limit,
            Operator::AtLeast => number >= limit,
        })
    }
}

/// Returns true if both texts are the same IP address.
fn is_same_address(left: &str, right: &str) -> bool {
    let four = |text: &str| -> Option<Vec<u64>> {
        let parts = text.split('.').map(|part| part.parse().ok()).collect::<Option<Vec<u64>>>()?;
        (parts.len() == 4).then_some(parts)
    };
    let six = |text: &str| text.parse::<Ipv6Addr>().ok();
    match (four(left), four(right)) {
        (Some(left), Some(right)) => left == right,
        _ => six(left).is_some_and(|left| six(right) == Some(left)),
    }
}
