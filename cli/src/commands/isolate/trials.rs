//! Trials of a search: invocations of the function with some of a batch's records.

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;

use anyhow::{Result, bail};
use hydration::message::parsed::ParsedMessage;
use hydration::message::part::MAX_EVENT_BYTES;
use hydration::ports::Clock;
use hydration::sequence_number::SequenceNumber;
use hydration::suspects::Suspect;
use serde_json::value::RawValue;

use crate::batch_item_failures::succeeded_count;
use crate::commands::isolate::ddmin::{Smallest, Trial, smallest};
use crate::commands::replay::execute::{MAX_ATTEMPTS, is_throttled, throttled_delay};
use crate::exit::explain;
use crate::ports::{Function, InvokeOutcome, Queue};
use crate::print::progress::Progress;
use crate::queue::hydrated_message::HydratedMessage;
use crate::queue::lease::Lease;
use crate::rate_limiter::RateLimiter;
use crate::suspects::{MoreEvidence, suspects};

/// Records that are tried by themselves before a function is said to fail on everything.
const MAX_SINGLE_TRIALS: usize = 8;

/// A batch whose suspects are tried.
pub struct SuspectSearch<'a> {
    pub message: &'a HydratedMessage,
    pub received: &'a ParsedMessage,
    /// The records that may fail.
    pub places: &'a [usize],
}

/// A record of the batch: its sequence number, and its text as Lambda delivered it.
pub struct CandidateRecord<'a> {
    pub number: SequenceNumber,
    pub raw: &'a RawValue,
}

#[derive(Debug, Clone, Default)]
pub struct FunctionError {
    pub error_type: String,
    pub message: String,
}

/// Invocations of the function with some of the records.
pub struct Trials<'a, Q, F, C> {
    pub function: &'a F,
    pub clock: &'a C,
    pub name: &'a str,
    pub lease: &'a Lease<'a, Q>,
    pub records: Vec<CandidateRecord<'a>>,
    pub rate_limiter: RateLimiter,
    pub progress: Progress,
    pub max_invocations: u32,
    pub invocations: Cell<u32>,
    pub last_error: RefCell<FunctionError>,
    pub has_passed: Cell<bool>,
    /// The reason why the search ended early.
    pub stopped_by: RefCell<Option<String>>,
}

impl<Q: Queue, F: Function, C: Clock> Trials<'_, Q, F, C> {
    /// Tries the suspects alone, then the whole batch, then the suspects that its error names, and then searches.
    pub async fn search(
        &self,
        search: &SuspectSearch<'_>,
        log_lines: &[String],
    ) -> Result<(Option<Smallest>, bool, Option<Suspect>)> {
        let places = search.places;
        let mut tried = BTreeSet::new();
        let found = match self.try_suspects(search, log_lines, &mut tried).await? {
            Some(found) => Some(found),
            None => match self.run(places).await? {
                Trial::Passes => return Ok((None, true, None)),
                Trial::Stop => return Ok((Some(Smallest { places: Vec::new(), is_minimal: false }), true, None)),
                Trial::Fails => {
                    let FunctionError { error_type, message } = self.last_error.borrow().clone();
                    let lines = [log_lines, &[format!("[ERROR] {error_type}: {message}")]].concat();
                    self.try_suspects(search, &lines, &mut tried).await?
                }
            },
        };
        let smallest = match &found {
            Some((smallest, _)) => smallest.clone(),
            None => smallest(places.to_vec(), async |places: &[usize]| self.run(places).await).await?,
        };
        let is_selective = smallest.places.len() == places.len() || self.has_one_that_passes(places, &smallest).await?;
        Ok((Some(smallest), is_selective, found.map(|(_, suspect)| suspect)))
    }

    /// Runs each suspect alone. The first that fails is the smallest failing set.
    async fn try_suspects(
        &self,
        search: &SuspectSearch<'_>,
        log: &[String],
        tried: &mut BTreeSet<usize>,
    ) -> Result<Option<(Smallest, Suspect)>> {
        if search.places.len() < 2 {
            return Ok(None);
        }
        let found = suspects(search.message, search.received, MoreEvidence { log, ..MoreEvidence::default() });
        for suspect in found {
            if search.places.contains(&suspect.place)
                && tried.insert(suspect.place)
                && self.run(&[suspect.place]).await? == Trial::Fails
            {
                return Ok(Some((Smallest { places: vec![suspect.place], is_minimal: true }, suspect)));
            }
        }
        Ok(None)
    }

    async fn run(&self, places: &[usize]) -> Result<Trial> {
        for attempt in 1..=MAX_ATTEMPTS {
            self.wait(self.rate_limiter.wait(self.clock)).await;
            if self.lease.interrupt.is_requested() || self.stopped_by.borrow().is_some() {
                return Ok(Trial::Stop);
            }
            if let Err(error) = self.lease.check_extended() {
                return Ok(self.stop(format!(
                    "the message could not be kept from others, so nothing more is invoked: {error:#}"
                )));
            }
            if self.invocations.get() >= self.max_invocations {
                return Ok(self.stop(format!("--max-invocations {} is reached", self.max_invocations)));
            }
            self.invocations.set(self.invocations.get() + 1);
            self.progress.add(1);
            let invoked = self.function.invoke(self.name, self.event(places)?).await;
            if is_throttled(&invoked) && attempt < MAX_ATTEMPTS {
                self.wait(self.clock.sleep(throttled_delay(attempt, self.clock))).await;
            } else {
                return Ok(self.trial(places, invoked.outcome));
            }
        }
        Ok(Trial::Stop)
    }

    /// Waits, unless the search is interrupted.
    async fn wait(&self, until: impl Future<Output = ()>) {
        tokio::select! {
            () = until => {}
            () = self.lease.interrupt.requested() => {}
        }
    }

    fn stop(&self, reason: String) -> Trial {
        self.stopped_by.borrow_mut().get_or_insert(reason);
        Trial::Stop
    }

    fn event(&self, places: &[usize]) -> Result<String> {
        let given = places.iter().filter_map(|place| self.records.get(*place));
        let event = ParsedMessage::event(given.map(|record| record.raw));
        if event.len() > MAX_EVENT_BYTES {
            bail!("the batch is larger than the 6 MB that an invocation takes\n  → dlq export writes it to a file");
        }
        Ok(event)
    }

    fn trial(&self, places: &[usize], outcome: InvokeOutcome) -> Trial {
        let error = match outcome {
            InvokeOutcome::Failed { error_type, message } => FunctionError { error_type, message },
            InvokeOutcome::Returned(answer) => {
                let given = places.iter().filter_map(|place| self.records.get(*place));
                let numbers: Vec<SequenceNumber> = given.map(|record| record.number.clone()).collect();
                let Some(number) = numbers.get(succeeded_count(&answer, &numbers)) else {
                    self.has_passed.set(true);
                    return Trial::Passes;
                };
                let message = format!("the function named {number} as failed");
                FunctionError { error_type: "batchItemFailures".to_owned(), message }
            }
            // What was found until now is printed: a fault must not lose the search.
            InvokeOutcome::NotRun(fault) => return self.stop(format!("{:#}", explain(&fault))),
            InvokeOutcome::Unknown(reason) => {
                return self.stop(format!("{} was invoked and did not answer: {reason}", self.name));
            }
        };
        *self.last_error.borrow_mut() = error;
        Trial::Fails
    }

    /// Tells if the function passes on anything. Where no trial has passed, it may fail whatever it is given, and then
    /// the first record is as innocent as the others: the rest of the batch is tried, and some records by themselves.
    async fn has_one_that_passes(&self, all: &[usize], found: &Smallest) -> Result<bool> {
        let others: Vec<usize> = all.iter().copied().filter(|place| !found.places.contains(place)).collect();
        let step = others.len().div_ceil(MAX_SINGLE_TRIALS).max(1);
        let singles = others.iter().rev().step_by(step).map(|place| vec![*place]);
        let last_error = self.last_error.borrow().clone();
        for places in std::iter::once(others.clone()).chain(singles) {
            if self.has_passed.get() || self.run(&places).await? != Trial::Fails {
                break;
            }
        }
        *self.last_error.borrow_mut() = last_error;
        // A search that was stopped does not know.
        Ok(self.has_passed.get() || self.stopped_by.borrow().is_some() || self.lease.interrupt.is_requested())
    }
}
