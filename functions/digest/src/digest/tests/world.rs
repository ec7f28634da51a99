//! The model of the world. Each call of a port stops twice, before and after its effect, and a test decides which run
//! goes on, and which one dies.

use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use hydration::error::{Fault, FaultKind};
use proptest::prelude::*;

use super::*;
use crate::report::FailureCounts;

const DELAY_MILLIS: i64 = 60_000;
const RUN_MILLIS: i64 = 60_000;
const START_MILLIS: i64 = 1_800_000_000_000;

#[derive(Debug, Clone, Copy)]
pub struct Minutes(pub i64);

/// The fate of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    Works,
    /// The call has its effect, and its answer is lost.
    WorksWithoutAnswer,
    /// The call has no effect, and nobody knows.
    Lost,
    Refused,
}

#[derive(Debug, Clone, Copy)]
pub enum WorldStep {
    LogLine,
    Advance {
        seconds: i64,
    },
    Start,
    /// A run goes on by some stops.
    Poll {
        run: usize,
        stops: usize,
    },
    Kill {
        run: usize,
    },
    KillAll,
    FailNextWrite(Fate),
    FailNextPublish(Fate),
}

pub fn step() -> impl Strategy<Value = WorldStep> {
    let fate = prop_oneof![Just(Fate::WorksWithoutAnswer), Just(Fate::Lost), Just(Fate::Refused)];
    prop_oneof![
        4 => Just(WorldStep::LogLine),
        2 => (1_i64..20).prop_map(|seconds| WorldStep::Advance { seconds }),
        2 => (61_i64..400).prop_map(|seconds| WorldStep::Advance { seconds }),
        1 => (80_000_i64..100_000).prop_map(|seconds| WorldStep::Advance { seconds }),
        4 => Just(WorldStep::Start),
        16 => (0_usize..3, 1_usize..8).prop_map(|(run, stops)| WorldStep::Poll { run, stops }),
        1 => (0_usize..3).prop_map(|run| WorldStep::Kill { run }),
        1 => fate.clone().prop_map(WorldStep::FailNextWrite),
        1 => fate.prop_map(WorldStep::FailNextPublish),
    ]
}

type RunResult = Result<DigestEnd, DigestError>;

struct RunningDigest {
    future: Pin<Box<dyn Future<Output = RunResult>>>,
    deadline: Timestamp,
}

/// A window and the lines in it, by their places in the log.
#[derive(Debug, Clone)]
pub struct ReadWindow {
    run: u64,
    pub window: DigestWindow,
    pub lines: Vec<usize>,
}

/// Everything outside the runs.
#[derive(Default)]
struct Outside {
    passed_millis: Cell<i64>,
    /// The times at which lines were taken in.
    lines: RefCell<Vec<Timestamp>>,
    object: RefCell<Option<(DigestState, u64)>>,
    versions: Cell<u64>,
    is_hidden: Cell<bool>,
    next_write: Cell<Option<Fate>>,
    next_publish: Cell<Option<Fate>>,
    runs: Cell<u64>,
    read: RefCell<Vec<ReadWindow>>,
    sent: RefCell<Vec<ReadWindow>>,
    named: RefCell<Vec<DigestWindow>>,
    /// The windows of runs that know that their message was sent.
    known: RefCell<Vec<DigestWindow>>,
    /// The beginning of the first window, once the state is written.
    begins: Cell<Option<Timestamp>>,
}

#[derive(Default)]
pub struct DigestWorld {
    outside: Rc<Outside>,
    running: RefCell<Vec<RunningDigest>>,
}

impl DigestWorld {
    pub fn take(&self, step: WorldStep) {
        match step {
            WorldStep::LogLine => self.log_line(),
            WorldStep::Advance { seconds } => self.advance_millis(seconds * 1000),
            WorldStep::Start => self.start(),
            WorldStep::Poll { run, stops } => drop((0..stops).find_map(|_| self.poll(run))),
            WorldStep::Kill { run } => {
                let mut running = self.running.borrow_mut();
                if run < running.len() {
                    running.remove(run);
                }
            }
            WorldStep::KillAll => self.running.borrow_mut().clear(),
            WorldStep::FailNextWrite(fate) => self.outside.next_write.set(Some(fate)),
            WorldStep::FailNextPublish(fate) => self.outside.next_publish.set(Some(fate)),
        }
    }

    pub fn log_line(&self) {
        self.outside.lines.borrow_mut().push(self.outside.now());
    }

    pub fn advance(&self, minutes: Minutes) {
        self.advance_millis(minutes.0 * 60_000);
    }

    /// Lambda ends each run at its deadline.
    fn advance_millis(&self, millis: i64) {
        self.outside.passed_millis.set(self.outside.passed_millis.get() + millis);
        self.running.borrow_mut().retain(|run| self.outside.now() < run.deadline);
    }

    pub fn hide_state(&self) {
        self.outside.is_hidden.set(true);
    }

    pub fn sent(&self) -> Vec<ReadWindow> {
        self.outside.sent.borrow().clone()
    }

    /// The windows that were named as unknown or skipped.
    pub fn named(&self) -> Vec<DigestWindow> {
        self.outside.named.borrow().clone()
    }

    fn start(&self) {
        let number = self.outside.runs.get();
        self.outside.runs.set(number + 1);
        let port = WorldPort { outside: Rc::clone(&self.outside), run: number };
        let deadline = self.outside.now().plus_millis(RUN_MILLIS);
        let digest = Digest {
            log: port.clone(),
            store: port.clone(),
            topic: port.clone(),
            clock: port.clone(),
            links: StackLinks { stack_name: "hydrator".to_owned(), dashboard_url: None },
            interval: Duration::from_secs(300),
            delay: Duration::from_millis(DELAY_MILLIS.unsigned_abs()),
        };
        let future = Box::pin(async move { digest.run(&number.to_string(), deadline, &port).await });
        self.running.borrow_mut().push(RunningDigest { future, deadline });
    }

    /// Lets a run go on to its next stop, and returns its result when it has ended.
    fn poll(&self, run: usize) -> Option<RunResult> {
        let mut running = self.running.borrow_mut();
        let digest = running.get_mut(run)?;
        match digest.future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Pending => None,
            Poll::Ready(result) => {
                drop(running.remove(run));
                if let Ok(DigestEnd::Sent { report, .. }) = &result {
                    self.outside.known.borrow_mut().push(report.window);
                }
                Some(result)
            }
        }
    }

    pub fn run_to_the_end(&self) -> RunResult {
        self.start();
        let last = self.running.borrow().len() - 1;
        loop {
            if let Some(result) = self.poll(last) {
                return result;
            }
        }
    }

    /// Lets one run begin, a second one run as a whole after `stops` stops of the first, and the first one end.
    pub fn run_inside_another(&self, stops: usize) {
        self.start();
        let result = (0..stops).find_map(|_| self.poll(0));
        let _ = self.run_to_the_end();
        while result.is_none() && self.poll(0).is_none() {}
    }

    pub fn run_until_publishing_and_die(&self) {
        self.start();
        while self.outside.object.borrow().as_ref().is_none_or(|(state, _)| state.pending.is_none()) {
            assert_eq!(self.poll(0), None);
        }
        self.take(WorldStep::KillAll);
    }

    /// The promise: no line in two messages, and each in one, or in a window that was named.
    pub fn check(&self) -> Result<(), TestCaseError> {
        let (sent, named) = (self.sent(), self.named());
        let (Some(begins), Some((state, _))) = (self.outside.begins.get(), self.outside.object.borrow().clone()) else {
            prop_assert!(sent.is_empty());
            return Ok(());
        };
        for (index, one) in sent.iter().enumerate() {
            for other in &sent[index + 1..] {
                let is_apart = one.window.to <= other.window.from || other.window.to <= one.window.from;
                prop_assert!(is_apart, "{one:?} and {other:?} overlap");
            }
        }
        for known in self.outside.known.borrow().iter() {
            prop_assert!(!named.contains(known), "{known:?} was sent, and named as unknown");
        }
        for (line, at) in self.outside.lines.borrow().iter().enumerate() {
            let times = sent.iter().filter(|sent| sent.lines.contains(&line)).count();
            prop_assert!(times <= 1, "line {line} was published {times} times");
            let is_due = begins <= *at && *at < state.end;
            let is_named = named.iter().any(|window| window.contains(*at));
            prop_assert!(times == 1 || is_named || !is_due, "line {line} of {} was passed over", at.rfc3339());
        }
        Ok(())
    }
}

impl Outside {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(START_MILLIS + self.passed_millis.get())
    }

    /// The window that a run has read last.
    fn read_by(&self, run: u64) -> ReadWindow {
        self.read.borrow().iter().rev().find(|read| read.run == run).unwrap().clone()
    }
}

#[derive(Clone)]
struct WorldPort {
    outside: Rc<Outside>,
    run: u64,
}

/// Stops once: the test decides who goes on.
async fn stop() {
    let mut has_stopped = false;
    poll_fn(|_| if std::mem::replace(&mut has_stopped, true) { Poll::Ready(()) } else { Poll::Pending }).await;
}

fn fault(kind: FaultKind) -> Fault {
    Fault { kind, action: "test:Call", detail: "the test asked for it".to_owned() }
}

impl Clock for WorldPort {
    fn now(&self) -> Timestamp {
        self.outside.now()
    }

    fn instant(&self) -> Instant {
        Instant::now()
    }

    async fn sleep(&self, _: Duration) {}

    fn jitter(&self) -> f64 {
        0.0
    }
}

impl DigestEvents for WorldPort {
    fn unknown(&self, window: &DigestWindow) {
        self.outside.named.borrow_mut().push(*window);
    }

    fn skipped(&self, window: &DigestWindow) {
        self.outside.named.borrow_mut().push(*window);
    }
}

impl FailureLog for WorldPort {
    async fn read(&self, window: &DigestWindow, _: Timestamp) -> Result<FailureCounts, DigestError> {
        stop().await;
        let mut counts = FailureCounts::default();
        let mut lines = Vec::new();
        for (line, at) in self.outside.lines.borrow().iter().enumerate().filter(|(_, at)| window.contains(**at)) {
            let text =
                format!(r#"{{"message":"batch hydrated","id":"{line}","status":"Complete","recovered_records":1}}"#);
            counts.add(&text, *at);
            lines.push(line);
        }
        self.outside.read.borrow_mut().push(ReadWindow { run: self.run, window: *window, lines });
        stop().await;
        Ok(counts)
    }
}

impl StateStore for WorldPort {
    async fn read(&self) -> Result<Option<StoredState>, DigestError> {
        stop().await;
        let object = self.outside.object.borrow().clone().filter(|_| !self.outside.is_hidden.get());
        stop().await;
        Ok(object.map(|(state, version)| StoredState { state, tag: version.to_string() }))
    }

    async fn write(&self, state: &DigestState, replaces: Option<&str>) -> Result<String, StateWriteError> {
        stop().await;
        let fate = self.outside.next_write.take().unwrap_or(Fate::Works);
        if matches!(fate, Fate::Lost | Fate::Refused) {
            stop().await;
            return Err(StateWriteError::Fault(fault(FaultKind::Unavailable)));
        }
        let there = self.outside.object.borrow().as_ref().map(|(_, version)| version.to_string());
        if there.as_deref() != replaces {
            stop().await;
            return Err(StateWriteError::Conflict);
        }
        if there.is_none() {
            self.outside.begins.set(Some(state.end));
        }
        let version = self.outside.versions.get() + 1;
        self.outside.versions.set(version);
        *self.outside.object.borrow_mut() = Some((state.clone(), version));
        stop().await;
        match fate {
            Fate::Works => Ok(version.to_string()),
            _ => Err(StateWriteError::Fault(fault(FaultKind::Unavailable))),
        }
    }
}

impl AlertTopic for WorldPort {
    async fn publish(&self, _: &Notification) -> Result<String, PublishError> {
        stop().await;
        let fate = self.outside.next_publish.take().unwrap_or(Fate::Works);
        if matches!(fate, Fate::Works | Fate::WorksWithoutAnswer) {
            let read = self.outside.read_by(self.run);
            self.outside.sent.borrow_mut().push(read);
        }
        stop().await;
        match fate {
            Fate::Works => Ok("m".to_owned()),
            Fate::Refused => Err(PublishError::Refused(fault(FaultKind::AccessDenied))),
            Fate::Lost | Fate::WorksWithoutAnswer => Err(PublishError::Unknown(fault(FaultKind::Unavailable))),
        }
    }
}
