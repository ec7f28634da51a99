//! Progress on standard error, for work that takes longer than a second and a half: a bar on a terminal, a line now and
//! then elsewhere.

use std::future::Future;
use std::io::{IsTerminal, Write};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use tokio::task::JoinHandle;

const SHOW_AFTER: Duration = Duration::from_millis(1500);
/// The time between two drawings of the bar, so that its clock goes on while nothing comes.
const REDRAW_INTERVAL: Duration = Duration::from_millis(500);
/// The time between two lines where standard error is not a terminal.
const LINE_INTERVAL: Duration = Duration::from_secs(10);

pub struct Progress {
    bar: ProgressBar,
    ticker: JoinHandle<()>,
}

impl Progress {
    /// A bar with a text that says what is done, as in "reading the queue".
    pub fn new(text: &str) -> Self {
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::hidden()).with_message(text.to_owned());
        set_style(&bar, "{msg}: {human_pos} {elapsed}");
        Self { ticker: tokio::spawn(show(bar.clone())), bar }
    }

    /// Sets the expected number, which may be approximate.
    pub fn expect(&self, count: u64) {
        self.bar.set_length(count);
        set_style(&self.bar, "{msg}: {human_pos} of {human_len} {wide_bar} {elapsed}");
    }

    pub fn add(&self, count: u64) {
        self.bar.inc(count);
        if self.bar.length().is_some_and(|length| length < self.bar.position()) {
            self.bar.set_length(self.bar.position());
        }
    }

    /// Prints while the bar is hidden.
    pub fn aside<T>(&self, print: impl FnOnce() -> T) -> T {
        self.bar.suspend(print)
    }

    pub fn finish(&self) {
        self.ticker.abort();
        self.bar.finish_and_clear();
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.finish();
    }
}

/// The result of the future, with progress while it is waited for.
pub async fn during<T>(text: &str, future: impl Future<Output = T>) -> T {
    let _progress = Progress::new(text);
    future.await
}

fn set_style(bar: &ProgressBar, template: &str) {
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
}

/// Shows the bar, once the work takes long, until it is aborted.
async fn show(bar: ProgressBar) {
    tokio::time::sleep(SHOW_AFTER).await;
    let is_terminal = std::io::stderr().is_terminal();
    if is_terminal {
        bar.set_draw_target(ProgressDrawTarget::stderr());
    }
    loop {
        if is_terminal {
            bar.tick();
            tokio::time::sleep(REDRAW_INTERVAL).await;
        } else {
            // A standard error that is closed must not stop the work.
            let _ = writeln!(std::io::stderr(), "dlq: {}", line(&bar));
            tokio::time::sleep(LINE_INTERVAL).await;
        }
    }
}

fn line(bar: &ProgressBar) -> String {
    let (text, seconds) = (bar.message(), bar.elapsed().as_secs());
    match (bar.length(), bar.position()) {
        (Some(length), position) => format!("{text}: {position} of {length}, {seconds}s"),
        (None, 0) => format!("{text}, {seconds}s"),
        (None, position) => format!("{text}: {position}, {seconds}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_line_says_what_is_done_and_how_far_it_is() {
        let progress = Progress::new("reading the queue");
        assert_eq!(line(&progress.bar), "reading the queue, 0s");
        progress.expect(5);
        progress.add(2);
        assert_eq!(line(&progress.bar), "reading the queue: 2 of 5, 0s");
        progress.add(4);
        assert_eq!(line(&progress.bar), "reading the queue: 6 of 6, 0s");
    }
}
