//! `dlq hydrate --stream`: batches of the records that Lambda dropped without a report, or is about to lose.

pub mod args;
mod plan;
mod progress_file;

use anyhow::{Result, anyhow};
use hydration::incoming::IncomingMessage;
use hydration::ports::{Clock, ObjectReader, Outbox, ShardReader, StreamReader};
use hydration::rescue::{Lineage, RescuedBatch, ShardEnd, ShardRescue};

use self::args::{WantedRecords, time_flags};
use self::plan::PlannedRescue;
use self::progress_file::{ProgressFile, RescueHeader, ShardProgress};
use super::HydrateRun;
use crate::exit::Exit;
use crate::ports::Function;
use crate::print::count;
use crate::print::progress::Progress;

/// Counts of what a rescue has done.
#[derive(Debug, Default)]
struct RescueTotals {
    batches: u64,
    records: u64,
    filtered: u64,
    /// Shards that do not exist any more.
    gone: Vec<String>,
    /// Shards of which records may have expired while they were read.
    gaps: Vec<String>,
}

impl RescueTotals {
    /// Adds what is lost of a shard, whether this run noticed it or an earlier one.
    fn add_losses(&mut self, shard_id: &str, end: ShardEnd, may_have_gap: bool) {
        if may_have_gap {
            self.gaps.push(shard_id.to_owned());
        }
        if end == ShardEnd::Gone {
            self.gone.push(shard_id.to_owned());
        }
    }
}

impl<R: ShardReader + ObjectReader + StreamReader, O: Outbox, C: Clock> HydrateRun<'_, R, O, C> {
    pub(super) async fn rescue<F: Function>(&self, function: &F, wanted: WantedRecords) -> Result<Exit> {
        let arguments = &self.arguments.rescue;
        let output = &self.context.output;
        let planned = PlannedRescue::make(self.context, &self.hydrator.reader, function, arguments, wanted).await?;
        let now = self.context.now();
        if !self.arguments.send && !arguments.print {
            planned.print(output, now)?;
            output.note(format!(
                "nothing was read; to do it, give --send, or --print to see it, with {}",
                time_flags(planned.plan.range)
            ));
            return Ok(if planned.is_expired(now) { Exit::Attention } else { Exit::Done });
        }
        // Standard output is for what is sent or printed.
        planned.lines(now).iter().for_each(|line| output.note(line));
        let mut progress = match &self.queue_url {
            None => None,
            Some(queue) => Some(self.open_progress(queue, &planned)?),
        };
        let totals = self.rescue_shards(&planned, progress.as_mut()).await?;
        self.print_totals(&totals);
        let is_whole = totals.gone.is_empty() && totals.gaps.is_empty() && !planned.is_expired(now);
        Ok(if is_whole { Exit::Done } else { Exit::Attention })
    }

    fn open_progress(&self, queue: &str, planned: &PlannedRescue) -> Result<ProgressFile> {
        let header = RescueHeader::new(queue, &planned.plan, planned.patterns.as_deref());
        let path = match &self.arguments.rescue.progress {
            Some(path) => path.clone(),
            None => header.path(|name| std::env::var_os(name))?,
        };
        let progress = ProgressFile::open(&path, &header)?;
        let (batches, records) = progress.sent_before();
        let note = match batches {
            0 => format!("progress is kept in {}", progress.path().display()),
            _ => format!(
                "{} with {} were sent before and are skipped: {} says so",
                count(batches, "batch", "batches"),
                count(records, "record", "records"),
                progress.path().display()
            ),
        };
        self.context.output.note(note);
        Ok(progress)
    }

    async fn rescue_shards(
        &self,
        planned: &PlannedRescue,
        mut progress: Option<&mut ProgressFile>,
    ) -> Result<RescueTotals> {
        let mut totals = RescueTotals::default();
        let mut lineage = Lineage::new(planned.shards.clone());
        let bar = Progress::new("rescuing shards");
        bar.expect(planned.shards.len() as u64);
        while let Some(shard) = lineage.next_shard() {
            let before = progress.as_deref().map(|progress| progress.of(&shard.id)).unwrap_or_default();
            let end = match before.end {
                Some(end) => {
                    totals.add_losses(&shard.id, end, before.may_have_gap);
                    end
                }
                None => self.rescue_shard(planned, &shard.id, before, progress.as_deref_mut(), &mut totals).await?,
            };
            lineage.ended(&shard.id, end);
            bar.add(1);
        }
        bar.finish();
        Ok(totals)
    }

    async fn rescue_shard(
        &self,
        planned: &PlannedRescue,
        shard_id: &str,
        before: ShardProgress,
        mut progress: Option<&mut ProgressFile>,
        totals: &mut RescueTotals,
    ) -> Result<ShardEnd> {
        let (reader, clock) = (&self.hydrator.reader, &self.context.clock);
        let mut rescue = ShardRescue::new(&planned.plan, shard_id, before.point.clone());
        loop {
            let next = self.context.interrupt.race(rescue.next_batch(reader, clock)).await?;
            let Some(batch) = next.map_err(|error| self.stopped(totals, &error))? else { break };
            self.deliver(&batch).await.map_err(|error| match error.downcast::<crate::exit::Interrupted>() {
                Ok(interrupted) => interrupted.into(),
                Err(error) => self.stopped(totals, &error),
            })?;
            if let Some(progress) = progress.as_deref_mut() {
                progress.sent(shard_id, &batch, rescue.may_have_gap())?;
            }
            self.print_failure.check()?;
            totals.batches += 1;
            totals.records += batch.records;
        }
        totals.filtered += rescue.filtered();
        let may_have_gap = before.may_have_gap || rescue.may_have_gap();
        // A rescue ends with a reason.
        let end = rescue.end().unwrap_or(ShardEnd::Tip);
        if let Some(progress) = progress {
            progress.ended(shard_id, end, may_have_gap)?;
        }
        totals.add_losses(shard_id, end, may_have_gap);
        Ok(end)
    }

    /// Sends or prints one batch. What has begun is finished, so that it can be written down; a second signal does not
    /// wait for it.
    async fn deliver(&self, batch: &RescuedBatch) -> Result<()> {
        self.check_interrupt()?;
        let interrupt = &self.context.interrupt;
        let message = IncomingMessage::FailedBatch(Box::new(batch.record.clone()));
        tokio::select! {
            biased;
            () = interrupt.requested_twice() => Err(interrupt.error()),
            hydrated = self.hydrate(message) => Ok(hydrated?),
        }
    }

    /// The error of a rescue that stopped, with what to do next.
    fn stopped(&self, totals: &RescueTotals, error: &dyn std::fmt::Display) -> anyhow::Error {
        let done = count(totals.batches, "batch", "batches");
        let next = match self.arguments.send {
            true => "run the same command again: it goes on behind them",
            false => "run it again",
        };
        anyhow!("{error}\n  {done} done before that\n  → {next}")
    }

    fn print_totals(&self, totals: &RescueTotals) {
        let RescueTotals { batches, records, filtered, gone, gaps } = totals;
        let output = &self.context.output;
        let verb = if self.arguments.send { "sent" } else { "printed" };
        let (batches, records) = (count(*batches, "batch", "batches"), count(*records, "record", "records"));
        output.note(format!("{batches} with {records} rescued and {verb}"));
        if *filtered > 0 {
            output.note(format!("{} left out by the filters", count(*filtered, "record", "records")));
        }
        for shard in gone {
            output.note(format!("{shard} does not exist any more: its records have expired"));
        }
        if !gaps.is_empty() {
            output.note(format!("records may have expired before they were read in {}", gaps.join(", ")));
        }
    }
}
