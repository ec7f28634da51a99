//! For any history of a shard, any number of tries that are cut short anywhere, and any trimming in between: what one
//! try has saved is there at the end, in objects that never changed, and the verdict knows what no try has saved.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use hydration::error::HydrateError;
use hydration::hydrator::{HydrationOutcome, Hydrator, Settings};
use hydration::incoming::recognize;
use hydration::invocation_record::sha256_hex;
use hydration::retry::CallStats;
use hydration::test_support::{
    DAY_MILLIS, InjectedFault, MemoryOutbox, SimulatedAws, count_history, now_or_never, sequence_numbers, settings,
};
use proptest::prelude::*;
use serde_json::Value;

use crate::case::{Case, cases};
use crate::config;
use crate::faults::{faults, is_silent, trims};

const RETRY_QUEUE: &str = "https://sqs.us-east-1.amazonaws.com/123456789012/retry";
/// Records of some 700 bytes, two or three of them in a part.
const PADDING: usize = 200;
const MAX_PART_BYTES: usize = 2_000;

/// One invocation, and what happens before it.
#[derive(Debug, Clone)]
struct Try {
    /// Records that are trimmed first, as a share of those that are left.
    trims: f64,
    /// Milliseconds that the invocation has.
    time: u64,
    faults: Vec<Option<InjectedFault>>,
    /// Records that are trimmed before each call.
    trims_during: Vec<usize>,
    /// The failure is notified once more, or the retry queue delivers a message twice.
    is_repeated: bool,
}

impl Try {
    fn trims_while_it_reads(&self) -> bool {
        self.trims_during.iter().any(|trim| *trim > 0)
    }
}

fn tries() -> impl Strategy<Value = Vec<Try>> {
    let fault = prop_oneof![
        8 => Just(None),
        2 => faults(),
        1 => Just(Some(InjectedFault::AccessDenied)),
    ];
    let one = (
        prop_oneof![3 => Just(0.0), 1 => 0.0..1.0_f64],
        prop_oneof![200_u64..4_000, 4_000_u64..60_000],
        prop::collection::vec(fault, 0..30),
        trims(),
        prop::bool::weighted(0.2),
    );
    let one = one.prop_map(|(trims, time, faults, trims_during, is_repeated)| Try {
        trims,
        time,
        faults,
        trims_during,
        is_repeated,
    });
    prop::collection::vec(one, 0..8)
}

/// The state over several tries: the shard as it is now, and everything that was saved.
struct History {
    case: Case,
    settings: Settings,
    outbox: Rc<MemoryOutbox>,
    now: i64,
    /// Bodies that wait: on the topic or on the retry queue.
    waiting: Vec<String>,
    /// Objects as they were first seen.
    objects: BTreeMap<String, bytes::Bytes>,
    /// The records of each id.
    ids: BTreeMap<String, Vec<String>>,
    /// Messages of the queue that were checked.
    checked: usize,
    /// The records in all messages of the queue; on a FIFO queue, in those that it did not drop as duplicates.
    saved: BTreeSet<String>,
    invocations: usize,
}

impl History {
    fn new(case: Case, settings: Settings) -> Self {
        let waiting = vec![case.record().to_string()];
        let now = case.now;
        Self {
            case,
            settings,
            outbox: Rc::default(),
            now,
            waiting,
            objects: BTreeMap::new(),
            ids: BTreeMap::new(),
            checked: 0,
            saved: BTreeSet::new(),
            invocations: 0,
        }
    }

    /// Trims the oldest records, which are then a day old.
    fn trim(&mut self, share: f64) {
        let shard = &mut self.case.shard;
        let left = shard.numbers.len() - shard.trimmed;
        let trimmed = (left as f64 * share) as usize;
        if trimmed > 0 {
            shard.trimmed += trimmed;
            self.now = self.now.max(shard.arrivals[shard.trimmed - 1] + DAY_MILLIS);
        }
    }

    fn attempt(&mut self, attempt: &Try) {
        self.trim(attempt.trims);
        let body = self.waiting.remove(0);
        if attempt.is_repeated {
            self.waiting.push(body.clone());
        }
        if let Err(_error) = self.invoke(&body, attempt.time, attempt.faults.clone(), &attempt.trims_during) {
            // Lambda, or the retry queue, delivers it again.
            self.waiting.push(body);
        }
        self.check();
    }

    fn invoke(
        &mut self,
        body: &str,
        time: u64,
        faults: Vec<Option<InjectedFault>>,
        trims: &[usize],
    ) -> Result<(), HydrateError> {
        self.invocations += 1;
        let mut aws = SimulatedAws::new(self.case.shard.clone(), self.now, faults);
        aws.outbox = Rc::clone(&self.outbox);
        aws.padding = PADDING;
        aws.trims.borrow_mut().extend(trims);
        let incoming = recognize(body).pop().unwrap().unwrap();
        let deadline = aws.deadline(time);
        let hydrator = Hydrator::new(&aws, &aws, &aws, self.settings.clone());
        let result = now_or_never(hydrator.hydrate(&incoming, deadline, &mut CallStats::default()));
        self.now = aws.clock.now_millis();
        self.case.shard.trimmed = aws.trimmed.get();
        let continued: Vec<_> = self.outbox.retry_queue.borrow_mut().drain(..).collect();
        if let Ok(HydrationOutcome::Continued(outcome)) = &result {
            assert!(!outcome.sent.is_empty(), "an invocation that continues has delivered a part");
        }
        self.waiting.extend(continued.into_iter().map(|(body, _)| body));
        result.map(drop)
    }

    /// Checks that no saved object has changed, and that no id names two sets of records.
    fn check(&mut self) {
        for (key, object) in self.outbox.bucket.borrow().iter() {
            let first = self.objects.entry(key.clone()).or_insert_with(|| object.clone());
            assert_eq!(first, object, "the object {key} was replaced");
        }
        for message in self.outbox.queue.borrow().iter().skip(self.checked) {
            self.checked += 1;
            let text = self.outbox.text(message);
            let body: Value = serde_json::from_str(&text).unwrap();
            let hydration = &body["hydration"];
            let records = sequence_numbers(&body);
            assert_eq!(hydration["recoveredRecords"], records.len());
            let id = hydration["id"].as_str().unwrap().to_owned();
            if hydration.get("part").is_some() {
                let known = self.ids.get(&id).unwrap_or(&records);
                assert_eq!(*known, records, "the part {id} names other records");
                assert!(id.ends_with(&format!("-{}", digest(&text))), "{id}");
            }
            let is_duplicate = self.ids.insert(id, records.clone()).is_some();
            if !(is_duplicate && self.settings.fifo) {
                self.saved.extend(records);
            }
        }
    }

    /// Without faults and with enough time, everything that waits is hydrated.
    fn finish(&mut self) {
        let mut rounds = 0;
        while let Some(body) = self.waiting.pop() {
            rounds += 1;
            assert!(rounds < 100, "it does not end");
            if let Err(error) = self.invoke(&body, 15 * 60 * 1000, vec![], &[]) {
                panic!("{error:?}");
            }
            self.check();
        }
    }
}

/// The contract's digest, from the text of a body.
fn digest(body: &str) -> String {
    let (_, records) = body.split_once(r#""Records":["#).unwrap();
    sha256_hex(records.strip_suffix("]}").unwrap())[..16].to_owned()
}

fn parts_settings(fifo: bool, max_message_bytes: usize, has_retry_queue: bool) -> Settings {
    Settings {
        max_part_bytes: MAX_PART_BYTES,
        max_message_bytes,
        fifo,
        retry_queue_url: has_retry_queue.then(|| RETRY_QUEUE.to_owned()),
        ..settings()
    }
}

proptest! {
    #![proptest_config(config(500))]

    #[test]
    fn records_that_one_try_has_saved_are_there_at_the_end(
        case in cases(),
        tries in tries(),
        fifo in any::<bool>(),
        max_message_bytes in prop_oneof![Just(1_200_usize), Just(1_048_576)],
        has_retry_queue in prop::bool::weighted(0.8),
    ) {
        let mut history = History::new(Case { faults: vec![], ..case }, parts_settings(fifo, max_message_bytes, has_retry_queue));
        let mut saved_before = BTreeSet::new();
        for attempt in &tries {
            if !history.waiting.is_empty() {
                history.attempt(attempt);
            }
            let saved = history.saved.clone();
            prop_assert!(saved.is_superset(&saved_before), "records were lost that had been saved");
            saved_before = saved;
        }
        let left_before_the_end: BTreeSet<String> = history.case.left().into_iter().collect();
        let finished_before = history.waiting.is_empty();
        history.finish();

        let saved = history.saved.clone();
        prop_assert!(saved.is_superset(&saved_before), "records were lost that had been saved");
        let has_trimmed_while_silent = is_silent(&history.case.shard) && tries.iter().any(Try::trims_while_it_reads);
        if !finished_before && !has_trimmed_while_silent {
            prop_assert!(saved.is_superset(&left_before_the_end), "records were skipped that the stream still holds");
        }
        let whole: BTreeSet<String> =
            history.case.shard.numbers[history.case.start..=history.case.end].iter().map(ToString::to_string).collect();
        prop_assert!(saved.is_subset(&whole), "records outside the range");
        // Who reads a last message that calls the range whole must find the whole range.
        for body in history.outbox.bodies() {
            let hydration = &body["hydration"];
            let is_final = hydration.get("part").is_none_or(|part| part["last"] == true);
            if is_final && matches!(hydration["status"].as_str(), Some("Complete" | "Superset")) {
                prop_assert_eq!(&saved, &whole, "{}", hydration);
            }
        }
        count_history();
    }

    #[test]
    fn a_range_longer_than_an_invocation_comes_back_in_bounded_messages(
        case in cases(),
        time in 1_500_u64..6_000,
    ) {
        let mut case = Case { faults: vec![], ..case };
        case.shard.trimmed = 0;
        case.shard.exists = true;
        case.batch_size = Some(1);
        let mut history = History::new(case, parts_settings(false, 1_200, true));
        let mut rounds = 0;
        while let Some(body) = history.waiting.pop() {
            rounds += 1;
            prop_assert!(rounds < 100, "it does not end");
            let failed = history.invoke(&body, time, vec![], &[]);
            prop_assert!(failed.is_ok() || rounds > 0);
            if failed.is_err() {
                // Not even one part fits this time: nothing bounds that but a longer timeout.
                count_history();
                return Ok(());
            }
        }
        history.check();
        let mut numbers: Vec<String> = history.outbox.bodies().iter().flat_map(sequence_numbers).collect();
        let all = numbers.len();
        numbers.sort();
        numbers.dedup();
        prop_assert_eq!(all, numbers.len(), "records were sent twice");
        prop_assert_eq!(numbers.len(), history.case.left().len());
        count_history();
    }
}
