//! Log groups in memory.

use std::cell::{Cell, RefCell};

use hydration::error::{Fault, FaultKind};

use crate::ports::{FoundEvents, LogEvent, LogSearch, Logs};

/// Log groups with the same lines, whatever they are called.
#[derive(Debug, Default)]
pub struct InMemoryLogs {
    /// No search ever answers.
    pub is_hanging: Cell<bool>,
    pub events: RefCell<Vec<LogEvent>>,
    /// Groups that the caller may not read.
    pub denied_groups: RefCell<Vec<String>>,
    /// Lines after which a search is given up.
    pub max_events: Cell<Option<usize>>,
    /// Searches so far.
    pub searches: Cell<usize>,
}

impl Logs for InMemoryLogs {
    async fn log_group(&self, _function: &str) -> Result<Option<String>, Fault> {
        Ok(None)
    }

    async fn filter(&self, search: &LogSearch) -> Result<FoundEvents, Fault> {
        if self.is_hanging.get() {
            std::future::pending::<()>().await;
        }
        self.searches.set(self.searches.get() + 1);
        if self.denied_groups.borrow().contains(&search.group) {
            let (action, detail) = ("logs:FilterLogEvents", "AccessDeniedException".to_owned());
            return Err(Fault { kind: FaultKind::AccessDenied, action, detail });
        }
        let pattern = search.pattern.as_deref().unwrap_or_default().trim_matches('"').to_owned();
        let is_found = |event: &&LogEvent| {
            event.message.contains(&pattern)
                && event.timestamp.is_some_and(|time| search.from <= time && time < search.to)
                && (search.stream.is_none() || event.stream == search.stream)
        };
        let mut events: Vec<_> = self.events.borrow().iter().filter(is_found).cloned().collect();
        let cut = (events.len() > self.max_events.get().unwrap_or(usize::MAX)).then(|| Fault {
            kind: FaultKind::Refused,
            action: "logs:FilterLogEvents",
            detail: "the search was given up".to_owned(),
        });
        events.truncate(self.max_events.get().unwrap_or(usize::MAX));
        Ok(FoundEvents { events, cut })
    }
}
