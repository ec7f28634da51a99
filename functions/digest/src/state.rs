//! The memory of the function between two runs: one small object in the overflow bucket.
//!
//! It is replaced by conditional writes only. A run that finds that somebody else has replaced it stops.

use std::collections::BTreeMap;

use hydration::incident::{Incident, IncidentKey};
use hydration::invocation_record::sha256_hex;
use hydration::timestamp::Timestamp;
use serde::{Deserialize, Serialize};

use crate::window::DigestWindow;

/// The time for which a kind of incident is remembered. The next one of its kind is new again.
const REMEMBERED_MILLIS: i64 = 60 * 60 * 1000;
/// The most kinds that are remembered, those that were seen last.
const MOST_KINDS: usize = 500;

/// The most that two clocks may differ.
const AHEAD_MILLIS: i64 = 60 * 1000;
/// The longest that Lambda lets a run take.
const LONGEST_RUN_MILLIS: i64 = 15 * 60 * 1000;

/// A message that is being published. If its run ends without removing it, nobody knows if it was sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PendingDigest {
    pub window: DigestWindow,
    /// The latest time at which the run can still be at work.
    #[serde(with = "rfc3339")]
    pub until: Timestamp,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DigestState {
    version: u32,
    /// The run that wrote it: a run recognizes its own writing after an answer that was lost.
    pub run: String,
    /// The end of the last window that is done with.
    #[serde(with = "rfc3339")]
    pub end: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pending: Option<PendingDigest>,
    /// The kinds of incident that were seen lately, and when.
    #[serde(default)]
    kinds: BTreeMap<String, KindSeen>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
struct KindSeen(#[serde(with = "rfc3339")] Timestamp);

impl DigestState {
    const VERSION: u32 = 1;

    /// The state before the first run.
    pub fn starting_at(end: Timestamp) -> Self {
        Self { version: Self::VERSION, run: String::new(), end, pending: None, kinds: BTreeMap::new() }
    }

    pub fn from_json(text: &[u8]) -> Option<Self> {
        serde_json::from_slice(text).ok().filter(|state: &Self| state.version == Self::VERSION)
    }

    /// The state as `run` writes it while it publishes.
    pub fn publishing(&self, run: &str, pending: PendingDigest) -> Self {
        Self { run: run.to_owned(), pending: Some(pending), ..self.clone() }
    }

    /// The state as `run` writes it when nothing is being published, and all is done with up to `end`.
    pub fn settled(&self, run: &str, end: Timestamp) -> Self {
        Self { run: run.to_owned(), end, pending: None, ..self.clone() }
    }

    /// Returns true if the state is from a later time than a run can have written. It would silence the digest until
    /// that time.
    pub fn is_ahead_of(&self, now: Timestamp) -> bool {
        let is_after = |time: Timestamp, most: i64| time.millis_since(now) > most;
        is_after(self.end, AHEAD_MILLIS)
            || self.pending.as_ref().is_some_and(|pending| {
                is_after(pending.until, LONGEST_RUN_MILLIS + AHEAD_MILLIS) || is_after(pending.window.to, AHEAD_MILLIS)
            })
    }

    /// Returns true for the first incident of its kind in the hour before the window.
    pub fn is_new(&self, key: &IncidentKey, window: &DigestWindow) -> bool {
        let since = window.from.plus_millis(-REMEMBERED_MILLIS);
        self.kinds.get(&kind(key)).is_none_or(|seen| seen.0 < since)
    }

    /// Remembers the kinds of a window's incidents, and forgets old ones.
    #[must_use]
    pub fn remembering(mut self, incidents: &[Incident], window: &DigestWindow) -> Self {
        for incident in incidents {
            self.kinds.insert(kind(&incident.key), KindSeen(window.to));
        }
        let since = window.to.plus_millis(-REMEMBERED_MILLIS);
        let mut latest: Vec<(String, KindSeen)> = self.kinds.into_iter().filter(|(_, seen)| seen.0 >= since).collect();
        latest.sort_by_key(|(_, seen)| std::cmp::Reverse(*seen));
        latest.truncate(MOST_KINDS);
        Self { kinds: latest.into_iter().collect(), ..self }
    }
}

/// A short name of a kind of incident, which does not grow with the texts in it.
fn kind(key: &IncidentKey) -> String {
    let mut digest = sha256_hex(&format!("{key:?}"));
    digest.truncate(16);
    digest
}

/// Times as text that people can read.
pub mod rfc3339 {
    use hydration::timestamp::Timestamp;
    use serde::{Deserialize, Deserializer, Serializer, de};

    pub fn serialize<S: Serializer>(time: &Timestamp, out: S) -> Result<S::Ok, S::Error> {
        out.serialize_str(&time.rfc3339())
    }

    pub fn deserialize<'a, D: Deserializer<'a>>(input: D) -> Result<Timestamp, D::Error> {
        let text = String::deserialize(input)?;
        Timestamp::parse(&text).ok_or_else(|| de::Error::custom("not a time"))
    }
}

#[cfg(test)]
mod tests {
    use hydration::incident::IncidentResult;

    use super::*;

    fn at(minutes: i64) -> Timestamp {
        Timestamp::from_millis(minutes * 60_000)
    }

    fn window(from: i64, to: i64) -> DigestWindow {
        DigestWindow { from: at(from), to: at(to) }
    }

    fn incident(function: &str) -> Incident {
        let key = IncidentKey {
            function: function.to_owned(),
            version: None,
            condition: "RetryAttemptsExhausted".to_owned(),
            error: "Unhandled".to_owned(),
            result: IncidentResult::NotHydrated("AccessDenied".to_owned()),
        };
        Incident {
            key,
            batches: 1,
            messages: 1,
            records: 0,
            missing: 0,
            shards: 1,
            first: None,
            last: None,
            oldest_record_seconds: None,
            example: String::new(),
            reason: None,
        }
    }

    #[test]
    fn a_kind_is_new_once_an_hour() {
        let a = incident("a");
        let state = DigestState::starting_at(at(0)).remembering(std::slice::from_ref(&a), &window(0, 5));
        assert!(!state.is_new(&a.key, &window(5, 10)));
        assert!(!state.is_new(&a.key, &window(65, 70)));
        assert!(state.is_new(&a.key, &window(66, 70)));
        assert!(state.is_new(&incident("b").key, &window(5, 10)));
        assert!(state.remembering(&[], &window(60, 66)).kinds.is_empty());
    }

    #[test]
    fn a_state_of_a_later_time_is_ahead() {
        let state = DigestState::starting_at(at(5));
        assert!(!state.is_ahead_of(at(4)));
        assert!(state.is_ahead_of(at(3)));
        let publishing = |until| state.publishing("run", PendingDigest { window: window(5, 6), until: at(until) });
        assert!(!publishing(21).is_ahead_of(at(5)));
        assert!(publishing(22).is_ahead_of(at(5)));
    }

    #[test]
    fn a_storm_of_kinds_does_not_grow_the_state_without_end() {
        let many: Vec<Incident> = (0..2000).map(|number| incident(&number.to_string())).collect();
        let state = DigestState::starting_at(at(0)).remembering(&many, &window(0, 5));
        assert_eq!(state.kinds.len(), MOST_KINDS);
        assert!(serde_json::to_vec(&state).unwrap().len() < 32_000);
    }

    #[test]
    fn a_state_is_read_as_it_was_written_and_nothing_else_is() {
        let pending = PendingDigest { window: window(0, 5), until: at(7) };
        let state = DigestState::starting_at(at(0)).publishing("run", pending);
        let text = serde_json::to_string(&state).unwrap();
        assert_eq!(DigestState::from_json(text.as_bytes()), Some(state));
        for other in ["", "{}", "null", &text.replace("\"version\":1", "\"version\":2")] {
            assert_eq!(DigestState::from_json(other.as_bytes()), None, "{other}");
        }
    }
}
