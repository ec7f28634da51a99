//! A progress bar on standard error, for work that takes longer than a second, on a terminal only.

use std::cell::Cell;
use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

const SHOW_AFTER: Duration = Duration::from_secs(1);

pub struct Progress {
    bar: ProgressBar,
    started: Instant,
    is_shown: Cell<bool>,
}

impl Progress {
    /// A bar with a text that says what is done, as in "reading the queue".
    pub fn new(text: &str) -> Self {
        let bar = ProgressBar::with_draw_target(Some(0), ProgressDrawTarget::hidden()).with_message(text.to_owned());
        if let Ok(style) = ProgressStyle::with_template("{msg}: {human_pos} of {human_len} {wide_bar} {elapsed}") {
            bar.set_style(style);
        }
        Self { bar, started: Instant::now(), is_shown: Cell::new(!std::io::stderr().is_terminal()) }
    }

    /// Sets the expected number, which may be approximate.
    pub fn expect(&self, count: u64) {
        self.bar.set_length(count);
    }

    pub fn add(&self, count: u64) {
        self.bar.inc(count);
        if self.bar.length().is_some_and(|length| length < self.bar.position()) {
            self.bar.set_length(self.bar.position());
        }
        if !self.is_shown.get() && self.started.elapsed() > SHOW_AFTER {
            self.is_shown.set(true);
            self.bar.set_draw_target(ProgressDrawTarget::stderr());
        }
    }

    /// Prints while the bar is hidden.
    pub fn aside<T>(&self, print: impl FnOnce() -> T) -> T {
        self.bar.suspend(print)
    }

    pub fn finish(&self) {
        self.bar.finish_and_clear();
    }
}
