//! `dlq hydrate`: bare invocation records, hydrated with the caller's own credentials.

mod documents;
mod rescue;

use std::cell::{Cell, RefCell};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Result, bail};
use bytes::Bytes;
use clap::Args;
use hydration::error::{Fault, FaultKind, HydrateError};
use hydration::hydrator::{Deadline, Hydrator, Settings};
use hydration::incoming::{self, IncomingMessage};
use hydration::message::OutgoingMessage;
use hydration::message::part::MAX_PART_BYTES;
use hydration::ports::{Clock, ObjectReader, Outbox, PutOutcome, SendError, ShardReader, StreamReader};
use hydration::retry::CallStats;
use hydration_aws::AwsOutbox;

use self::documents::read_documents;
use self::rescue::args::RescueArgs;
use crate::args::Targets;
use crate::aws::connection::Connection;
use crate::context::Context;
use crate::exit::{Exit, explain};
use crate::ports::{Function, Queue};
use crate::print::progress::{Progress, during};
use crate::print::{Output, count, short_id};
use crate::queue::lease::{Lease, with_lease};
use crate::queue::read_summary::ReadSummary;
use crate::queue::receive_all::{Next, receive_all};

/// The longest time for one batch: ten minutes to read, one more to deliver.
const READ_TIMEOUT: Duration = Duration::from_secs(10 * 60);
const DELIVERY_TIMEOUT: Duration = Duration::from_secs(60);
/// The largest message that SQS takes
/// (<https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/quotas-messages.html>).
const MAX_MESSAGE_BYTES: usize = 1_048_576;

/// Hydrate bare invocation records, or the records of a stream that nobody reported
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  dlq hydrate failure.json                           one record, printed as the hydrated message
  aws sqs receive-message … | dlq hydrate -          from standard input, one JSON document or one a line
  dlq hydrate --from-queue old-stream-dlq            an old dead-letter queue, printed; nothing leaves it
  dlq hydrate --from-queue old-stream-dlq --send --delete --stack hydrator
  dlq hydrate --stream ARN --since 3h --until 1h --function orders        a rescue: only the plan; no record is read
  dlq hydrate --stream ARN --since 2026-11-21T09:00:00Z --until 2026-11-21T11:00:00Z --function orders --send

An SNS notification, an SNS event or a failure document may be around a record. With --send the messages go to the
queue that --stack or --queue names, as the function would have sent them, and the overflow to the stack's bucket.
They are not archived.
--delete takes a message off --from-queue once all that it held has been sent.

A rescue is for records that Lambda dropped with no destination, or is about to lose behind a batch that blocks its
shard. It reads the shards of the time range, split and merged ones in their order, and cuts their records into batches
as a mapping would, each with the invocation record that Lambda did not send (`condition` is `Rescued`). The same
rescue has the same batches with the same ids: interrupted, it goes on where it stopped.

It needs kinesis:GetShardIterator and kinesis:GetRecords, or the same of dynamodb:, on the stream, and for a rescue
kinesis:ListShards and kinesis:DescribeStreamSummary, or dynamodb:DescribeStream, too. The policies of
infra/operator.yaml do not give all of these; docs/DEPLOY.md has a policy for it.

Exit code 3 means that some could not be hydrated; which, and why, is listed.")]
pub struct Arguments {
    /// A file with invocation records; - for standard input
    #[arg(
        value_name = "FILE", required_unless_present_any = ["from_queue", "stream"],
        conflicts_with_all = ["from_queue", "stream"]
    )]
    file: Option<PathBuf>,
    /// A queue that holds invocation records, by URL or name
    #[arg(long, value_name = "URL|NAME", conflicts_with = "stream")]
    from_queue: Option<String>,
    /// Send to the hydrated queue instead of printing
    #[arg(long)]
    send: bool,
    /// Delete from --from-queue what was sent
    #[arg(long, requires = "from_queue", requires = "send")]
    delete: bool,
    /// The overflow bucket, where no --stack names it [env: OVERFLOW_BUCKET]
    #[arg(long, value_name = "BUCKET", requires = "send")]
    overflow_bucket: Option<String>,
    #[command(flatten)]
    pub rescue: RescueArgs,
}

/// The place where hydrated messages go.
pub enum Destination<O> {
    Print,
    Send { outbox: O, queue_url: String, overflow_bucket: Option<String> },
}

impl Destination<AwsOutbox> {
    /// The queue and the bucket that the command line names.
    pub fn open(
        aws: &Connection,
        arguments: &Arguments,
        targets: &Targets,
        default_bucket: Option<String>,
    ) -> Result<Self> {
        if !arguments.send {
            return Ok(Self::Print);
        }
        let url = targets.queue_url.clone();
        if targets.from_queue_url.as_ref() == Some(&url) {
            bail!("--from-queue is the queue to send to\n  → name the other with --queue or --stack");
        }
        let overflow_bucket = arguments.overflow_bucket.as_deref().or_else(|| aws.stack().overflow_bucket());
        let overflow_bucket = overflow_bucket.map(str::to_owned).or(default_bucket);
        Ok(Self::Send { outbox: AwsOutbox::new(&aws.config, url.clone()), queue_url: url, overflow_bucket })
    }
}

impl Arguments {
    /// Messages are sent to the queue of hydrated messages.
    pub fn sends(&self) -> bool {
        self.send
    }

    /// The queue to read from, by URL or name.
    pub fn source_queue(&self) -> Option<&str> {
        self.from_queue.as_deref()
    }
}

/// The error of a line that could not be printed, until the run stops for it.
#[derive(Debug, Default)]
struct PrintFailure(RefCell<Option<anyhow::Error>>);

impl PrintFailure {
    fn keep(&self, printed: Result<()>) {
        if let Err(error) = printed {
            *self.0.borrow_mut() = Some(error);
        }
    }

    fn check(&self) -> Result<()> {
        self.0.take().map_or(Ok(()), Err)
    }
}

/// An outbox that prints messages instead of sending them.
struct Printer<'a> {
    output: &'a Output,
    failure: &'a PrintFailure,
}

impl Outbox for Printer<'_> {
    async fn send(&self, message: &OutgoingMessage) -> Result<String, SendError> {
        // The error of a standard output is no fault of a call: nothing retries it, and the run stops for it.
        self.failure.keep(self.output.line(&message.body));
        Ok(String::new())
    }

    async fn put(&self, _: &str, _: &str, _: &Bytes) -> Result<PutOutcome, Fault> {
        Ok(PutOutcome::Created)
    }

    async fn send_to_retry_queue(&self, _: &str, _: &str, _: Duration) -> Result<(), Fault> {
        let detail = "the tool has no retry queue".to_owned();
        Err(Fault { kind: FaultKind::Refused, action: "sqs:SendMessage", detail })
    }
}

pub async fn run<R: ShardReader + ObjectReader + StreamReader, F: Function, Q: Queue, O: Outbox, C: Clock + Clone>(
    context: &Context<C>,
    reader: R,
    function: &F,
    from_queue: Option<&Q>,
    destination: Destination<O>,
    arguments: Arguments,
) -> Result<Exit> {
    let (clock, totals) = (context.clock.clone(), HydrateTotals::default());
    let failure = PrintFailure::default();
    let print_failure = &failure;
    match destination {
        Destination::Print => {
            let settings = Settings { max_message_bytes: usize::MAX, ..settings(None, false) };
            let hydrator =
                Hydrator::new(reader, Printer { output: &context.output, failure: &failure }, clock, settings);
            HydrateRun { context, arguments, hydrator, totals, print_failure, queue_url: None }
                .run(function, from_queue)
                .await
        }
        Destination::Send { outbox, queue_url, overflow_bucket } => {
            let hydrator =
                Hydrator::new(reader, outbox, clock, settings(overflow_bucket, queue_url.ends_with(".fifo")));
            let queue_url = Some(queue_url);
            HydrateRun { context, arguments, hydrator, totals, print_failure, queue_url }
                .run(function, from_queue)
                .await
        }
    }
}

/// The function's settings, except that the tool waits for the whole range itself instead of leaving it to a retry
/// queue, and archives nothing.
fn settings(overflow_bucket: Option<String>, is_fifo: bool) -> Settings {
    Settings {
        max_message_bytes: MAX_MESSAGE_BYTES,
        decoded_view: true,
        overflow_bucket,
        archive: false,
        retry_queue_url: None,
        fifo: is_fifo,
        max_part_bytes: MAX_PART_BYTES,
    }
}

/// Numbers of documents.
#[derive(Debug, Default)]
struct HydrateTotals {
    hydrated: Cell<u64>,
    failed: Cell<u64>,
}

impl HydrateTotals {
    fn add(&self, is_hydrated: bool) {
        let total = if is_hydrated { &self.hydrated } else { &self.failed };
        total.set(total.get() + 1);
    }
}

struct HydrateRun<'a, R, O, C> {
    context: &'a Context<C>,
    arguments: Arguments,
    hydrator: Hydrator<R, O, C>,
    totals: HydrateTotals,
    print_failure: &'a PrintFailure,
    /// The queue that messages are sent to.
    queue_url: Option<String>,
}

impl<R: ShardReader + ObjectReader + StreamReader, O: Outbox, C: Clock> HydrateRun<'_, R, O, C> {
    async fn run<F: Function, Q: Queue>(self, function: &F, from_queue: Option<&Q>) -> Result<Exit> {
        let sends = self.arguments.send;
        if let Some(wanted) = self.arguments.rescue.wanted(sends, self.context.now())? {
            return self.rescue(function, wanted).await;
        }
        let mut unseen = ReadSummary::default();
        if let Some(path) = &self.arguments.file {
            self.hydrate_file(path).await?;
        }
        if let Some(queue) = from_queue {
            unseen = with_lease(self.context, queue, async |lease| self.hydrate_queue(lease).await).await?;
        }
        let (hydrated, failed) = (self.totals.hydrated.get(), self.totals.failed.get());
        let verb = if self.arguments.send { "sent" } else { "printed" };
        let documents = count(hydrated, "document", "documents");
        self.context.output.note(format!("{documents} hydrated and {verb}, {failed} not"));
        if from_queue.is_some() && self.arguments.send {
            ReadSummary { shown: hydrated + failed, ..unseen }.print(&self.context.output)?;
        } else {
            // Standard output has hydrated messages only, for other programs to read.
            unseen.lines().iter().for_each(|line| self.context.output.note(line));
        }
        Ok(if failed > 0 { Exit::Attention } else { unseen.exit() })
    }

    async fn hydrate_file(&self, path: &Path) -> Result<()> {
        // A read of standard input cannot be cancelled: a thread waits for it, and ends with the process.
        let (path, (sender, receiver)) = (path.to_owned(), tokio::sync::oneshot::channel());
        std::thread::spawn(move || sender.send(read_documents(&path)));
        let documents = self.context.interrupt.race(during("reading the documents", receiver)).await???;
        for (index, document) in documents.iter().enumerate() {
            self.check_interrupt()?;
            let name = format!("document {}", index + 1);
            let hydration = self.hydrate_document(&name, document);
            self.totals.add(self.context.interrupt.race(during("hydrating", hydration)).await?);
            self.print_failure.check()?;
        }
        Ok(())
    }

    async fn hydrate_queue<Q: Queue>(&self, lease: &Lease<'_, Q>) -> Result<ReadSummary> {
        let messages = RefCell::new(Vec::new());
        let reading = Progress::new("reading the queue");
        let summary = receive_all(lease, &reading, |message| {
            messages.borrow_mut().push(message);
            Ok(Next::Continue)
        })
        .await?;
        let messages = messages.into_inner();
        let progress = Progress::new("hydrating");
        progress.expect(messages.len() as u64);
        for message in &messages {
            self.check_interrupt()?;
            let name = format!("message {}", message.message_id);
            let is_hydrated = lease.interrupt.race(self.hydrate_document(&name, &message.body)).await?;
            self.totals.add(is_hydrated);
            progress.add(1);
            if is_hydrated && self.arguments.delete {
                lease.delete(&message.message_id).await.map_err(|fault| explain(&fault))?;
            }
            self.print_failure.check()?;
        }
        progress.finish();
        summary.warnings().iter().for_each(|warning| self.context.output.note(warning));
        Ok(ReadSummary {
            in_flight: summary.in_flight(),
            delayed: summary.attributes.delayed,
            not_looked_at: summary.not_looked_at(),
            ..ReadSummary::default()
        })
    }

    fn check_interrupt(&self) -> Result<()> {
        self.context.interrupt.check()
    }

    /// Hydrates every record in a document; `false` when some were not hydrated.
    async fn hydrate_document(&self, name: &str, text: &str) -> bool {
        let mut is_hydrated = true;
        for item in incoming::recognize(text) {
            let outcome = match item {
                Ok(message) => self.hydrate(message).await,
                Err(error) => Err(error),
            };
            if let Err(error) = outcome {
                self.context.output.note(format!("{name}: {error}"));
                is_hydrated = false;
            }
        }
        is_hydrated
    }

    async fn hydrate(&self, message: IncomingMessage) -> Result<(), HydrateError> {
        let read = self.context.clock.instant() + READ_TIMEOUT;
        let deadline = Deadline { read, deliver: read + DELIVERY_TIMEOUT };
        let mut stats = CallStats::default();
        let message = self.hydrator.open(message, deadline, &mut stats).await?;
        if let IncomingMessage::Unrecognized(message) = message {
            return Err(HydrateError::NotRecognized(message.why));
        }
        let sent = self.hydrator.hydrate(&message, deadline, &mut stats).await?.sent();
        if !self.arguments.send {
            return Ok(());
        }
        let output = &self.context.output;
        for sent in &sent {
            let printed = if output.json {
                output.json(&serde_json::json!({
                    "id": sent.id, "status": sent.status, "records": sent.recovered_records,
                    "messageId": sent.message_id, "overflow": sent.overflow,
                }))
            } else {
                let records = count(sent.recovered_records, "record", "records");
                output.line(format!("{} {} {records}", short_id(&sent.id), sent.status.as_str()))
            };
            // The message is sent, even if its line cannot be printed: the run stops once that is written down.
            self.print_failure.keep(printed);
        }
        Ok(())
    }
}
