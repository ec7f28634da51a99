//! `dlq replay`: run failed batches again, and delete what has succeeded.

mod report;

use std::cell::{Cell, RefCell};
use std::collections::{BTreeSet, HashMap};
use std::path::PathBuf;

use anyhow::{Result, bail};
use clap::Args;
use hydration::message::part::MAX_EVENT_BYTES;
use hydration::message::received::Received;
use hydration_aws::SystemClock;

use crate::aws::lambda::Lambda;
use crate::commands::list::warn;
use crate::commands::replay::report::{Line, line};
use crate::entry::Entry;
use crate::exit::{Exit, Interrupted};
use crate::filter::{Filter, FilterArguments};
use crate::gather::{gather, text_of};
use crate::hold::{Hold, holding};
use crate::ports::{Bucket, Queue};
use crate::print::progress::Progress;
use crate::print::{Paint, count, thousands};
use crate::replay::audit::{Audit, path_for};
use crate::replay::pace::Pace;
use crate::replay::plan::{InDoubt, Plan, Refusal, Unit, Wishes, plan};
use crate::replay::run::{Limits, Outcome, Runner};
use crate::session::Session;

/// Run failed batches again on their function, and delete each message whose records have all succeeded
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  dlq replay --all                                what would be run; nothing is invoked
  dlq replay 4f1c --execute                       one batch
  dlq replay --all --failed-function orders --execute --rate 2
  dlq replay --all --execute --function orders:fixed

The function is invoked with exactly the Records that Lambda delivered. A shard's batches run in its order, one after
the other; when one fails, those behind it are held back (--keep-going runs them). An answer with batchItemFailures is
honoured: only what remains is run the next time. Each step is on record in the audit file before the next is taken, so
that a second run never repeats what is done, whatever ended the first. Ctrl-C lets running invocations finish and puts
everything else back; a second one leaves them, in doubt.

Exit code 3 means that something was left undone; what, and why, is listed.")]
pub struct Arguments {
    /// Ids, or the beginnings of some
    #[arg(value_name = "ID", required_unless_present = "all", conflicts_with = "all")]
    ids: Vec<String>,
    /// Every message that the filters let pass
    #[arg(long)]
    all: bool,
    /// Invoke; without it, only say what would be done
    #[arg(long)]
    execute: bool,
    #[command(flatten)]
    filter: FilterArguments,
    /// Only batches that this function failed on, by name or ARN
    #[arg(long, value_name = "NAME", help_heading = "Filters")]
    failed_function: Option<String>,
    /// Invoke this function instead of the one that failed: a name, name:alias, or an ARN
    #[arg(long, value_name = "NAME", help_heading = "How")]
    function: Option<String>,
    /// Run supersets too, with the records between that may have succeeded before
    #[arg(long, help_heading = "How")]
    include_superset: bool,
    /// Run the batches behind a failed one of the same shard too
    #[arg(long, help_heading = "How")]
    keep_going: bool,
    /// What to do with a batch whose invocation may or may not have run
    #[arg(long, value_enum, default_value = "keep", value_name = "WHAT", help_heading = "How")]
    in_doubt: InDoubt,
    /// Invocations a second, at most
    #[arg(long, value_name = "N", default_value_t = 5.0, value_parser = rate, help_heading = "How")]
    rate: f64,
    /// Shards side by side
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=100), help_heading = "How")]
    concurrency: u16,
    /// Stop when so many batches have failed
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..), help_heading = "How")]
    max_failures: u32,
    /// The audit file; by default one for the queue in $XDG_STATE_HOME/dlq
    #[arg(long, value_name = "FILE", help_heading = "How")]
    audit: Option<PathBuf>,
}

pub fn rate(text: &str) -> Result<f64, String> {
    let rate = text.parse().ok().filter(|rate| (0.001..=1000.0).contains(rate));
    rate.ok_or_else(|| "a rate is a number from 0.001 to 1000".to_owned())
}

pub async fn run(session: &Session, arguments: Arguments) -> Result<Exit> {
    let filter = Filter::new(arguments.filter.clone(), arguments.failed_function.clone(), arguments.ids.clone())?;
    let url = session.queue_url().await?;
    let path = path_for(arguments.audit.as_deref(), &url)?;
    let wishes = Wishes {
        function: arguments.function.clone(),
        include_superset: arguments.include_superset,
        in_doubt: arguments.in_doubt,
    };
    let replay = Replay { session, arguments, filter, wishes, path, left: Cell::new(0), done: Cell::new(0) };
    if replay.arguments.execute { replay.execute().await } else { replay.dry_run().await }
}

struct Replay<'a> {
    session: &'a Session,
    arguments: Arguments,
    filter: Filter,
    wishes: Wishes,
    path: PathBuf,
    /// Messages that were left undone, and those that are done.
    left: Cell<u64>,
    done: Cell<u64>,
}

impl Replay<'_> {
    async fn plan<Q: Queue, B: Bucket>(
        &self,
        hold: &Hold<'_, Q>,
        bucket: &B,
        known: &HashMap<(String, String), crate::replay::audit::Progress>,
    ) -> Result<(Plan, bool)> {
        let gathered = gather(hold, bucket, |entry| self.filter.takes(entry)).await?;
        self.filter.check_ids(&gathered.entries)?;
        warn(self.session, &gathered);
        let has_more = gathered.pass.facts.fifo && gathered.pass.facts.visible > gathered.pass.seen;
        let (chosen, others): (Vec<Entry>, Vec<Entry>) =
            gathered.entries.into_iter().partition(|entry| self.filter.takes(entry));
        self.check_function(&chosen)?;
        let ids = |entries: &[Entry]| -> Vec<String> {
            entries.iter().flat_map(|entry| &entry.copies).map(|copy| copy.message_id.clone()).collect()
        };
        let foreign = gathered.foreign.iter().map(|foreign| foreign.message_id.clone());
        let unchosen: Vec<String> = ids(&others).into_iter().chain(foreign).collect();
        hold.put_back(unchosen.iter().map(String::as_str)).await;
        let mut event_bytes = HashMap::new();
        for entry in chosen.iter().filter(|entry| entry.bytes > MAX_EVENT_BYTES as u64 && entry.trouble.is_none()) {
            if let Ok(received) = Received::read(&text_of(entry, bucket).await?) {
                let event = Received::event(received.records.iter().map(AsRef::as_ref));
                event_bytes.insert(entry.id.clone(), event.len());
            }
        }
        let plan = plan(chosen, &self.wishes, known, &event_bytes);
        let refused: Vec<Entry> = plan.refused.iter().map(|(entry, _)| entry.clone()).collect();
        hold.put_back(ids(&refused).iter().map(String::as_str)).await;
        Ok((plan, has_more))
    }

    /// A function named for one failure must not be given the batches of another by mistake.
    fn check_function(&self, chosen: &[Entry]) -> Result<()> {
        let failed: BTreeSet<&str> = chosen.iter().filter_map(|entry| entry.function_arn.as_deref()).collect();
        if let Some(function) = &self.wishes.function
            && self.arguments.all
            && failed.len() > 1
        {
            let failed: Vec<&str> = failed.into_iter().collect();
            bail!(
                "--function {function} would run the batches of {} functions: {}\n  → --failed-function chooses those of \
                 one",
                failed.len(),
                failed.join(", ")
            );
        }
        Ok(())
    }

    async fn dry_run(&self) -> Result<Exit> {
        let (queue, bucket) = (self.session.queue().await?, self.session.bucket());
        let known = Audit::look(&self.path);
        let (plan, _) =
            holding(&queue, &self.session.interrupt, async |hold| self.plan(hold, &bucket, &known).await).await?;
        let output = &self.session.output;
        if output.json {
            for unit in plan.units() {
                let in_doubt = unit.is_in_doubt.then_some(Refusal::InDoubt.as_str());
                let action = if unit.is_in_doubt { "wouldRefuse" } else { "wouldInvoke" };
                output.json(&Line { reason: in_doubt, ..line(&unit.entry, action, Some(&unit.function)) })?;
            }
            for (entry, refusal) in &plan.refused {
                output.json(&Line { reason: Some(refusal.as_str()), ..line(entry, "wouldRefuse", None) })?;
            }
            return Ok(Exit::Fine);
        }
        report::dry_run(output, &plan, self.arguments.rate, &self.path)?;
        Ok(Exit::Fine)
    }

    async fn execute(&self) -> Result<Exit> {
        let (queue, bucket) = (self.session.queue().await?, self.session.bucket());
        let function = Lambda::new(&self.session.config);
        let audit = RefCell::new(Audit::open(&self.path)?);
        let failures = Cell::new(0);
        let passes = async {
            loop {
                let before = self.done.get();
                self.left.set(0);
                let has_more = holding(&queue, &self.session.interrupt, async |hold| {
                    let known = audit.borrow().known().clone();
                    let (plan, has_more) = self.plan(hold, &bucket, &known).await?;
                    let runner = Runner {
                        hold,
                        bucket: &bucket,
                        function: &function,
                        clock: &SystemClock,
                        audit: &audit,
                        pace: Pace::new(self.arguments.rate),
                        limits: self.limits(),
                        failures: Cell::new(failures.get()),
                    };
                    self.run(&runner, plan).await?;
                    failures.set(runner.failures.get());
                    Ok(has_more)
                })
                .await?;
                // Of a FIFO queue the next ten of a shard can be seen when these are deleted.
                let advanced = self.done.get() > before && failures.get() < self.limits().max_failures;
                if !(has_more && self.arguments.all && advanced) || self.session.interrupt.is_asked() {
                    return anyhow::Ok(());
                }
            }
        };
        let told = async {
            self.session.interrupt.asked().await;
            eprintln!("dlq: stopping after the invocations that are running now; Ctrl-C again leaves them, in doubt");
            std::future::pending::<Result<()>>().await
        };
        tokio::select! {
            outcome = passes => outcome?,
            outcome = told => outcome?,
        }
        if self.session.interrupt.is_asked() {
            return Err(Interrupted.into());
        }
        self.summary()?;
        Ok(if self.left.get() > 0 { Exit::Attention } else { Exit::Fine })
    }

    fn limits(&self) -> Limits {
        Limits {
            concurrency: usize::from(self.arguments.concurrency),
            max_failures: self.arguments.max_failures as usize,
            keep_going: self.arguments.keep_going,
            in_doubt: self.arguments.in_doubt,
        }
    }

    async fn run<Q: Queue, B: Bucket>(&self, runner: &Runner<'_, Q, B, Lambda, SystemClock>, plan: Plan) -> Result<()> {
        let output = &self.session.output;
        self.left.set(self.left.get() + plan.refused.len() as u64);
        if output.json {
            for (entry, refusal) in &plan.refused {
                output.json(&Line { reason: Some(refusal.as_str()), ..line(entry, "refused", None) })?;
            }
        }
        let progress = Progress::new("replaying");
        progress.expect(plan.units().count() as u64);
        let tell = |unit: &Unit, outcome: &Outcome| {
            match outcome {
                Outcome::Done { .. } => self.done.set(self.done.get() + 1),
                _ => self.left.set(self.left.get() + 1),
            }
            progress.add(1);
            progress.aside(|| report::tell(output, unit, outcome))
        };
        runner.run(plan.lanes, tell).await?;
        progress.done();
        if !output.json {
            report::refused(output, &plan.refused)?;
        }
        Ok(())
    }

    fn summary(&self) -> Result<()> {
        let output = &self.session.output;
        if output.json {
            return Ok(());
        }
        let (done, left) = (self.done.get(), self.left.get());
        let done = count(done, "message is done and deleted", "messages are done and deleted");
        let left = if left == 0 { String::new() } else { format!(", {} left", thousands(left)) };
        output.line(output.paint(Paint::Bold, format!("\n{done}{left}")))?;
        output.line(output.paint(Paint::Dim, format!("Audit: {}", self.path.display())))
    }
}
