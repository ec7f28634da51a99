//! The number of random histories that a property runs: as the environment says, and counted.

use std::cell::RefCell;
use std::env;
use std::io::Write as _;

/// The variable with the number of histories of each property. `make soak` sets it.
const VARIABLE: &str = "HISTORIES";

/// The number of histories to run: that of the environment, or else this one. A property calls it on its own thread,
/// whose count starts with it: a property that counts nothing prints 0.
pub fn histories_to_run(default: u32) -> u32 {
    COUNTER.with_borrow_mut(|counter| counter.0 = 0);
    env::var(VARIABLE).map_or(default, |text| text.parse().expect("HISTORIES is a number of histories"))
}

/// Counts the histories of one test. Each test has its own thread, and the count is printed when that thread ends.
#[derive(Default)]
struct Counter(u64);

impl Drop for Counter {
    fn drop(&mut self) {
        if env::var_os(VARIABLE).is_some() {
            // `make soak` fails if this line is missing.
            let _ = writeln!(std::io::stdout(), "\ncounted {}", self.0);
        }
    }
}

thread_local! {
    static COUNTER: RefCell<Counter> = RefCell::default();
}

/// Counts one history. A property calls it at its end, so that only a history that has kept it counts.
pub fn count_history() {
    COUNTER.with_borrow_mut(|counter| counter.0 += 1);
}
