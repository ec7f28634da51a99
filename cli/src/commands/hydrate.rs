//! `dlq hydrate`: bare invocation records, hydrated with the caller's own credentials.

use std::cell::{Cell, RefCell};
use std::io::Read;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use clap::Args;
use hydration::error::{Fault, FaultKind, HydrateError};
use hydration::hydrator::{Deadline, Hydrator, Settings};
use hydration::intake::{self, Intake};
use hydration::json::Object;
use hydration::message::Message;
use hydration::message::part::MAX_PART_BYTES;
use hydration::ports::{Clock, Outbox, PutOutcome, SendError, ShardReader};
use hydration::retry::Tally;
use hydration_aws::{QueueAndBucket, Shards, SystemClock};
use serde_json::value::RawValue;

use crate::aws::sqs::Sqs;
use crate::aws::stack::Stack;
use crate::exit::{Exit, Interrupted, explain};
use crate::hold::holding;
use crate::look::look;
use crate::print::progress::Progress;
use crate::print::{Output, count, short_id};
use crate::session::Session;

/// Time for one batch; nobody waits for an answer but you.
const PATIENCE: Duration = Duration::from_secs(10 * 60);
const DELIVERY: Duration = Duration::from_secs(60);
const LARGEST_MESSAGE: usize = 1_048_576;

/// Hydrate bare invocation records: from a file, standard input, or a queue that holds them
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  dlq hydrate failure.json                           one record, printed as the hydrated message
  aws sqs receive-message … | dlq hydrate -          from standard input, one JSON document or one a line
  dlq hydrate --from-queue old-stream-dlq            an old dead-letter queue, printed; nothing leaves it
  dlq hydrate --from-queue old-stream-dlq --send --delete --stack hydrator

An SNS notification, an SNS event or a failure document around a record are opened. With --send the messages go to the
queue that --stack or --queue names, as the function would have sent them, and the overflow to the stack's bucket.
--delete takes a message off --from-queue once all that it held has been sent.

Exit code 3 means that some could not be hydrated; which, and why, is listed.")]
pub struct Arguments {
    /// A file with invocation records; - for standard input
    #[arg(value_name = "FILE", required_unless_present = "from_queue", conflicts_with = "from_queue")]
    file: Option<PathBuf>,
    /// A queue that holds invocation records, by URL or name
    #[arg(long, value_name = "URL|NAME")]
    from_queue: Option<String>,
    /// Send to the hydrated queue instead of printing
    #[arg(long)]
    send: bool,
    /// Delete from --from-queue what was sent
    #[arg(long, requires = "from_queue", requires = "send")]
    delete: bool,
    /// The overflow bucket, where no --stack names it
    #[arg(long, value_name = "BUCKET", requires = "send")]
    overflow_bucket: Option<String>,
}

/// Prints instead of sending.
struct Printer<'a>(&'a Output);

impl Outbox for Printer<'_> {
    async fn send(&self, message: &Message) -> Result<String, SendError> {
        // Standard output that is closed is noticed by the next print; no message is lost by it.
        let _ = self.0.line(&message.body);
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

pub async fn run(session: &Session, arguments: Arguments) -> Result<Exit> {
    let reader = Shards::new(&session.config);
    if !arguments.send {
        let settings = Settings { max_message_bytes: usize::MAX, ..settings(None, false) };
        let hydrator = Hydrator::new(reader, Printer(&session.output), SystemClock, settings);
        return Work { session, arguments, hydrator }.run().await;
    }
    let url = session.queue_url().await?;
    if let Some(from) = &arguments.from_queue
        && Sqs::find(&session.config, from).await.map_err(|fault| explain(&fault))? == url
    {
        bail!("--from-queue is the queue to send to\n  → name the other with --queue or --stack");
    }
    let bucket = arguments.overflow_bucket.clone();
    let bucket = bucket.or_else(|| session.stack().and_then(Stack::overflow_bucket).map(str::to_owned));
    let settings = settings(bucket, url.ends_with(".fifo"));
    let hydrator = Hydrator::new(reader, QueueAndBucket::new(&session.config, url), SystemClock, settings);
    Work { session, arguments, hydrator }.run().await
}

/// The function's settings, but that the tool waits for the whole range itself instead of leaving it to a retry queue.
fn settings(overflow_bucket: Option<String>, fifo: bool) -> Settings {
    Settings {
        max_message_bytes: LARGEST_MESSAGE,
        decoded_view: true,
        overflow_bucket,
        retry_queue_url: None,
        fifo,
        max_part_bytes: MAX_PART_BYTES,
    }
}

struct Work<'a, R, O> {
    session: &'a Session,
    arguments: Arguments,
    hydrator: Hydrator<R, O, SystemClock>,
}

impl<R: ShardReader, O: Outbox> Work<'_, R, O> {
    async fn run(self) -> Result<Exit> {
        let (done, failed) = (Cell::new(0), Cell::new(0));
        let tally = |is_done: bool| if is_done { done.set(done.get() + 1) } else { failed.set(failed.get() + 1) };
        match &self.arguments.from_queue {
            None => {
                for (place, text) in self.documents()?.iter().enumerate() {
                    if self.session.interrupt.is_asked() {
                        return Err(Interrupted.into());
                    }
                    tally(self.document(&format!("document {}", place + 1), text).await);
                }
            }
            Some(from) => self.queue(from, &tally).await?,
        }
        let (done, failed): (u64, u64) = (done.get(), failed.get());
        let verb = if self.arguments.send { "sent" } else { "printed" };
        self.session.output.note(format!("{} hydrated and {verb}, {failed} not", count(done, "document", "documents")));
        Ok(if failed > 0 { Exit::Attention } else { Exit::Fine })
    }

    async fn queue(&self, from: &str, tally: &impl Fn(bool)) -> Result<()> {
        let url = Sqs::find(&self.session.config, from).await.map_err(|fault| explain(&fault))?;
        let queue = Sqs::new(&self.session.config, url);
        holding(&queue, &self.session.interrupt, async |hold| {
            let (bodies, reading) = (RefCell::new(Vec::new()), Progress::new("reading the queue"));
            let pass =
                look(hold, &reading, |delivery| bodies.borrow_mut().push((delivery.message_id, delivery.body))).await?;
            let bodies = bodies.into_inner();
            let progress = Progress::new("hydrating");
            progress.expect(bodies.len() as u64);
            for (message_id, body) in &bodies {
                if self.session.interrupt.is_asked() {
                    return Err(Interrupted.into());
                }
                let is_done = self.document(&format!("message {message_id}"), body).await;
                tally(is_done);
                progress.add(1);
                if is_done && self.arguments.delete {
                    hold.delete(message_id).await.map_err(|fault| explain(&fault))?;
                }
            }
            progress.done();
            pass.warnings().iter().for_each(|warning| self.session.output.note(warning));
            Ok(())
        })
        .await
    }

    /// Hydrates all that a document holds; `false` when some of it was not.
    async fn document(&self, name: &str, text: &str) -> bool {
        let mut is_done = true;
        for item in intake::recognize(text) {
            let outcome = match &item {
                Ok(Intake::Unrecognized(message)) => Err(HydrateError::NotRecognized(message.why.clone())),
                Err(error) => Err(error.clone()),
                Ok(intake) => self.hydrate(intake).await,
            };
            if let Err(error) = outcome {
                self.session.output.note(format!("{name}: {error}"));
                is_done = false;
            }
        }
        is_done
    }

    async fn hydrate(&self, intake: &Intake) -> Result<(), HydrateError> {
        let read = SystemClock.instant() + PATIENCE;
        let deadline = Deadline { read, deliver: read + DELIVERY };
        let sent = self.hydrator.hydrate(intake, deadline, &mut Tally::default()).await?.sent();
        if self.arguments.send {
            for sent in &sent {
                let line = format!(
                    "{} {} {}",
                    short_id(&sent.id),
                    sent.status.as_str(),
                    count(sent.recovered_records, "record", "records")
                );
                let json = serde_json::json!({"id": sent.id, "status": sent.status, "records": sent.recovered_records,
                    "messageId": sent.message_id, "overflow": sent.overflow});
                // It is sent, whether it can be told or not.
                let _ = if self.session.output.json {
                    self.session.output.json(&json)
                } else {
                    self.session.output.line(line)
                };
            }
        }
        Ok(())
    }

    fn documents(&self) -> Result<Vec<String>> {
        let Some(path) = &self.arguments.file else { return Ok(Vec::new()) };
        let text = if path.as_os_str() == "-" {
            let mut text = String::new();
            std::io::stdin().read_to_string(&mut text).context("standard input")?;
            text
        } else {
            std::fs::read_to_string(path).with_context(|| path.display().to_string())?
        };
        let documents = split(&text);
        if documents.is_empty() {
            bail!("there is no document in it\n  → give invocation records as JSON: one, an array, or one a line");
        }
        Ok(documents)
    }
}

/// One document, an array of them, one a line, or what `aws sqs receive-message` prints.
fn split(text: &str) -> Vec<String> {
    if let Ok(array) = serde_json::from_str::<Vec<Box<RawValue>>>(text) {
        return array.iter().map(|document| document.get().to_owned()).collect();
    }
    if let Ok(object) = Object::from_str(text) {
        let messages = object.get("Messages").and_then(|raw| serde_json::from_str::<Vec<Object>>(raw.get()).ok());
        return match messages {
            Some(messages) => messages.iter().filter_map(|message| message.string("Body")).collect(),
            None => vec![text.to_owned()],
        };
    }
    text.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::split;

    #[test]
    fn documents_come_in_four_ways() {
        assert_eq!(split("{\n\"a\":1}\n"), ["{\n\"a\":1}\n"]);
        assert_eq!(split("[{\"a\":1}, {\"b\":2}]"), ["{\"a\":1}", "{\"b\":2}"]);
        assert_eq!(split("{\"a\":1}\n\n{\"b\":2}\n"), ["{\"a\":1}", "{\"b\":2}"]);
        assert_eq!(split(r#"{"Messages":[{"MessageId":"m","Body":"{\"a\":1}"}]}"#), ["{\"a\":1}"]);
        assert!(split(" \n").is_empty());
    }
}
