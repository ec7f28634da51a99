//! The number of random histories: as the environment says, and counted as they run.

use std::cell::RefCell;
use std::env;
use std::io::Write as _;

use proptest::prelude::*;

/// The configuration of a property, with the number of histories in `HISTORIES` or else this one.
pub fn config(cases: u32) -> ProptestConfig {
    let cases = env::var("HISTORIES").map_or(cases, |text| text.parse().expect("HISTORIES is a number"));
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

/// Counts the histories of one test. A test has a thread of its own, and the count is printed when the thread ends.
#[derive(Default)]
struct Counter {
    histories: u64,
}

impl Drop for Counter {
    fn drop(&mut self) {
        if env::var_os("HISTORIES").is_some() {
            // Nobody is left to handle an error, and scripts.soak misses a count that was not printed.
            let _ = writeln!(std::io::stdout(), "\ncounted {}", self.histories);
        }
    }
}

thread_local! {
    static COUNTER: RefCell<Counter> = RefCell::default();
}

/// Counts a history. Each property calls it at its end, so that only a history that kept it counts.
pub fn count() {
    COUNTER.with_borrow_mut(|counter| counter.histories += 1);
}
