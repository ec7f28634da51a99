//! Histories of batches from the ledger, for the commands that only look. A ledger that cannot be read is a note, and
//! the command goes on without it to exit code 3.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;
use hydration::ports::Clock;

use crate::commands::replay::session::LedgerPlace;
use crate::context::Context;
use crate::ledger::Ledger;
use crate::ledger::history::{BatchHistory, histories_of};
use crate::ledger::store::Store;
use crate::queue::hydrated_message::HydratedMessage;

/// A ledger with its place, or the reason why it has none.
pub type OpenedLedger<S, C> = Result<(Ledger<S, C>, LedgerPlace)>;

/// Histories by message id.
#[derive(Debug, Default)]
pub struct Histories(BTreeMap<String, BatchHistory>);

impl Histories {
    /// Reads the histories of these messages.
    pub async fn read<S: Store, C: Clock>(
        context: &Context<C>,
        opened: &OpenedLedger<S, C>,
        messages: &[HydratedMessage],
    ) -> Result<Self> {
        if messages.is_empty() {
            return Ok(Self::default());
        }
        let not_read = |error: &dyn std::fmt::Display| {
            context.output.attention(format!("what was replayed before is not shown: {error}"));
            Self::default()
        };
        let (ledger, place) = match opened {
            Ok(opened) => opened,
            Err(error) => return Ok(not_read(&format_args!("{error:#}"))),
        };
        let ids: BTreeSet<&str> = messages.iter().map(|message| message.id.as_str()).collect();
        match context.interrupt.race(histories_of(ledger, &ids)).await? {
            Err(error) => Ok(not_read(&error)),
            Ok(histories) => {
                if !place.is_shared {
                    say_folder(context, place);
                }
                Ok(Self(histories))
            }
        }
    }

    /// The history of a message; `None` where it was never tried.
    pub fn of(&self, message: &HydratedMessage) -> Option<&BatchHistory> {
        self.0.get(&message.id)
    }
}

/// Says that the ledger is a folder, which need not know what other machines did.
pub fn say_folder<C>(context: &Context<C>, place: &LedgerPlace) {
    context.output.note(format!(
        "only replays that the folder {} knows are shown: other machines may have other ones\n  → give --stack, or \
         --ledger as the replays had it",
        place.ledger
    ));
}
