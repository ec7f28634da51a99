//! One pass over the queue: what it shows, what the ledger knows of it, and the plan for it.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use anyhow::{Result, bail};
use hydration::message::parsed::ParsedMessage;
use hydration::message::part::MAX_EVENT_BYTES;
use hydration::ports::Clock;

use crate::commands::replay::Replay;
use crate::commands::replay::held_by_others::HeldByOthers;
use crate::commands::replay::narrowed::{self, LeftOutByMessage};
use crate::commands::replay::plan::{Action, Facts, OtherMessage, Plan, ReplayItem, plan, run_key};
use crate::commands::replay::refusal::RefusalReason;
use crate::ledger::claim::Known;
use crate::ledger::key::RunKey;
use crate::ledger::store::Store;
use crate::ports::{Bucket, Function, Queue};
use crate::print::count;
use crate::queue::hydrated_message::HydratedMessage;
use crate::queue::lease::Lease;
use crate::queue::read_queue::{KeepBodies, QueueContents, body_of, read_queue};
use crate::queue::read_summary::ReadSummary;
/// The plan for one pass over the queue.
pub struct PassPlan {
    pub plan: Plan,
    /// The queue has more messages than it shows.
    pub has_more: bool,
    /// The first messages of each shard are shown first.
    pub is_in_order: bool,
    pub held_by_others: HeldByOthers,
    /// Nothing is invoked, because others hold messages.
    pub is_refused: bool,
}

impl<Q: Queue, B: Bucket, F: Function, S: Store, C: Clock> Replay<'_, Q, B, F, S, C> {
    /// Reads the queue and the ledger, and plans what to run. Messages that are not run are released.
    pub async fn plan_pass(&self, lease: &Lease<'_, Q>) -> Result<PassPlan> {
        let filter = self.filter.after(&self.taken.borrow());
        let mut contents = read_queue(lease, self.resources.bucket, KeepBodies::Of(&filter)).await?;
        let held_by_others = HeldByOthers::after_read(lease, &contents.received).await?;
        let not_hydrated: Vec<OtherMessage> = contents.foreign.iter().filter_map(OtherMessage::not_hydrated).collect();
        let all: Vec<(String, OtherMessage)> = contents
            .messages
            .iter()
            .map(|message| (message.id.clone(), OtherMessage::new(message, self.on.as_ref())))
            .collect();
        let chosen = contents.choose(&filter, lease).await?;
        self.taken.borrow_mut().extend(chosen.iter().map(|message| message.batch_id().to_owned()));
        contents.warnings().iter().for_each(|warning| self.context.output.note(warning));
        self.check_archive(&contents)?;
        let ids: BTreeSet<&str> = chosen.iter().map(|message| message.id.as_str()).collect();
        let discarded = self.context.interrupt.race(self.discarded()).await??;
        let is_left = |id: &str| !ids.contains(id) && !discarded.contains(id);
        let not_chosen = all.into_iter().filter(|(id, _)| is_left(id)).map(|(_, other)| other);
        let left_behind = self.left_behind.borrow().not_among(&ids);
        let others: Vec<OtherMessage> = not_chosen.chain(not_hydrated).chain(left_behind).collect();
        let read = contents.summary();
        self.read.set(ReadSummary { in_flight: read.in_flight.max(held_by_others.in_flight), ..read });
        self.check_function(&chosen)?;
        let (known, event_bytes) = self.context.interrupt.race(self.known(&chosen, &others)).await??;
        let left_out = match &self.narrower {
            None => LeftOutByMessage::new(),
            Some(narrower) => {
                let (bucket, options) = (self.resources.bucket, &self.arguments.options);
                let asked = narrowed::left_out(narrower, bucket, &chosen, &known, self.on.as_ref(), options);
                self.context.interrupt.race(asked).await??
            }
        };
        let failed_before = self.state.failed.borrow().clone();
        let facts = Facts {
            options: &self.arguments.options,
            on: self.on.as_ref(),
            known: &known,
            event_bytes: &event_bytes,
            failed_before: &failed_before,
            is_held_by_others: self.waits_for_others() && !held_by_others.is_none(),
            left_out: &left_out,
            discarded: &discarded,
            keeps_all: lease.queue.archive().is_some(),
        };
        let plan = plan(chosen, &others, &facts);
        others
            .into_iter()
            .filter(|other| other.waits(&known))
            .for_each(|other| self.left_behind.borrow_mut().add(other));
        let is_kept = |item: &&ReplayItem| matches!(item.action, Action::Refuse(_) | Action::HoldBack { .. });
        lease.release(plan.items().filter(is_kept).flat_map(|item| item.message.message_ids())).await;
        let is_in_order = contents.received.attributes.is_fifo;
        let is_refused = plan.items().any(|item| item.action == Action::Refuse(RefusalReason::InFlight));
        let has_more = contents.received.not_looked_at() > 0;
        Ok(PassPlan { plan, has_more, is_in_order, held_by_others, is_refused })
    }

    /// Ids of the messages in the archive that were discarded from the queue. Who names a message by its id may run it.
    async fn discarded(&self) -> Result<BTreeSet<String>> {
        if self.resources.queue.archive().is_none() || !self.arguments.all {
            return Ok(BTreeSet::new());
        }
        let discards = self.ledger.discards(|_| true).await?;
        Ok(discards.into_iter().map(|discarded| discarded.id).collect())
    }

    async fn known(
        &self,
        chosen: &[HydratedMessage],
        others: &[OtherMessage],
    ) -> Result<(BTreeMap<RunKey, Known>, HashMap<String, usize>)> {
        let own = chosen.iter().filter_map(|message| run_key(message, self.on.as_ref()));
        let keys: BTreeSet<RunKey> = own.chain(others.iter().filter_map(|other| other.key.clone())).collect();
        Ok((self.ledger.known(&keys).await?, self.large_event_bytes(chosen).await?))
    }

    /// The exact size of those events that may be too large to invoke, by message id.
    async fn large_event_bytes(&self, messages: &[HydratedMessage]) -> Result<HashMap<String, usize>> {
        let mut event_bytes = HashMap::new();
        let is_large =
            |message: &&HydratedMessage| message.bytes > MAX_EVENT_BYTES as u64 && message.read_error.is_none();
        for message in messages.iter().filter(is_large) {
            if let Ok(received) = ParsedMessage::parse(&body_of(message, self.resources.bucket).await?) {
                let event = ParsedMessage::event(received.records.iter().map(AsRef::as_ref));
                event_bytes.insert(message.id.clone(), event.len());
            }
        }
        Ok(event_bytes)
    }

    /// Refuses to run an archive of which something could not be read: nobody knows of which shard it is.
    fn check_archive(&self, contents: &QueueContents) -> Result<()> {
        let Some(archive) = self.resources.queue.archive() else { return Ok(()) };
        let options = &self.arguments.options;
        let not_read = contents.objects_not_read();
        if not_read > 0 && !options.keep_going {
            let reason = format!(
                "{} of {archive} could not be read, and one may be an earlier batch of a shard that is to run",
                count(not_read, "object", "objects")
            );
            if self.arguments.execute {
                bail!("{reason}\n  → the reason is above; make them readable, or give --keep-going");
            }
            self.context
                .output
                .note(format!("--execute would run nothing: {reason}\n  → --keep-going runs the others"));
        }
        let is_cut = !self.arguments.ids.is_empty() || self.arguments.filter.has_time();
        if is_cut && !options.keep_going {
            self.context.output.note(
                "of each shard, the order is kept among the batches that are read: in the archive, ids, --since and \
                 --until leave the others unread",
            );
        }
        Ok(())
    }

    /// Refuses to run the batches of several functions on one function by mistake.
    fn check_function(&self, chosen: &[HydratedMessage]) -> Result<()> {
        let failed: BTreeSet<&str> = chosen.iter().filter_map(|message| message.function_arn.as_deref()).collect();
        if let Some(function) = &self.on
            && self.arguments.all
            && failed.len() > 1
        {
            let failed: Vec<&str> = failed.into_iter().collect();
            bail!(
                "--on {function} would run the batches of {} functions: {}\n  → --function chooses those of one",
                failed.len(),
                failed.join(", ")
            );
        }
        Ok(())
    }
}
