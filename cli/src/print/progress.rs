//! A count on stderr for what takes longer than a second, on a terminal only.

use std::cell::Cell;
use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

const QUIET: Duration = Duration::from_secs(1);

pub struct Progress {
    bar: ProgressBar,
    started: Instant,
    shown: Cell<bool>,
}

impl Progress {
    /// `what` is being done, as in "reading the queue".
    pub fn new(what: &str) -> Self {
        let bar = ProgressBar::with_draw_target(Some(0), ProgressDrawTarget::hidden()).with_message(what.to_owned());
        if let Ok(style) = ProgressStyle::with_template("{msg}: {human_pos} of {human_len} {wide_bar} {elapsed}") {
            bar.set_style(style);
        }
        Self { bar, started: Instant::now(), shown: Cell::new(!std::io::stderr().is_terminal()) }
    }

    /// How many there will be, about.
    pub fn expect(&self, count: u64) {
        self.bar.set_length(count);
    }

    pub fn add(&self, count: u64) {
        self.bar.inc(count);
        if self.bar.length().is_some_and(|length| length < self.bar.position()) {
            self.bar.set_length(self.bar.position());
        }
        if !self.shown.get() && self.started.elapsed() > QUIET {
            self.shown.set(true);
            self.bar.set_draw_target(ProgressDrawTarget::stderr());
        }
    }

    /// Prints with the bar out of the way.
    pub fn aside<T>(&self, print: impl FnOnce() -> T) -> T {
        self.bar.suspend(print)
    }

    pub fn done(&self) {
        self.bar.finish_and_clear();
    }
}
