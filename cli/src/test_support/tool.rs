//! The tool with everything in memory: a line of words goes in, the output and the exit code come out.

use std::cell::{Cell, RefCell};
use std::io::Write;
use std::rc::Rc;
use std::time::{Duration, Instant};

use clap::Parser;

use crate::archive::{ArchiveChoice, ArchivePlace, ArchiveQueue, MessageSource};
use crate::args::{AwsCommand, Cli, Command, OutputFormat};
use crate::aws::stack::Stack;
use crate::commands;
use crate::commands::doctor::drill::DrillPorts;
use crate::commands::histories::OpenedLedger;
use crate::commands::replay::Resources;
use crate::commands::replay::session::LedgerPlace;
use crate::commands::replay::session::PlacedLedger;
use crate::commands::status::BesideQueue;
use crate::context::Context;
use crate::exit::{self, Exit};
use crate::interrupt::{Interrupt, InterruptSender, StopSignal};
use crate::ledger::Ledger;
use crate::ledger::key::Key;
use crate::ledger::record::Who;
use crate::ledger::store::StoreError;
use crate::ledger::store::memory::{Hook, Memory, MemoryStore};
use crate::ports::{NamedQueue, QueueAttributes};
use crate::print::Output;
use crate::queue::identity::QueueIdentity;
use crate::test_support::bucket::InMemoryBucket;
use crate::test_support::clock::YieldingClock;
use crate::test_support::deployment::InMemoryDeployment;
use crate::test_support::drill_way::{DrillWay, InMemoryHydrator};
use crate::test_support::function::ScriptedFunction;
use crate::test_support::logs::InMemoryLogs;
use crate::test_support::messages::BUCKET;
use crate::test_support::queue::InMemoryQueue;

/// The topic of failed batches in the stack.
pub const TOPIC_ARN: &str = "arn:aws:sns:us-east-1:123456789012:failed-batches";
/// The outputs of the stack that name what `dlq doctor` checks.
const STACK_OUTPUTS: [(&str, &str); 7] = [
    ("FailedBatchTopicArn", TOPIC_ARN),
    ("TopicKeyArn", "arn:aws:kms:us-east-1:123456789012:key/topics"),
    ("FailedBatchBucketName", "failed-batches"),
    ("FailedBatchRuleName", "hydrator-failed-batches"),
    ("HydrateFunctionArn", HYDRATE_ARN),
    ("HydrateRoleArn", "arn:aws:iam::123456789012:role/hydrate"),
    ("OverflowBucketName", "overflow"),
];
/// The hydrate function.
pub const HYDRATE_ARN: &str = "arn:aws:lambda:us-east-1:123456789012:function:hydrate";
/// The width of tables in the tests that choose none.
const WIDTH: u16 = 120;

pub struct Tool {
    pub clock: YieldingClock,
    /// The width of tables.
    pub width: u16,
    pub queue: InMemoryQueue,
    pub bucket: InMemoryBucket,
    pub function: ScriptedFunction,
    pub logs: InMemoryLogs,
    pub deployment: InMemoryDeployment,
    pub stack_outputs: &'static [(&'static str, &'static str)],
    pub way: DrillWay,
    pub retry_and_parked: Vec<NamedQueue<InMemoryQueue>>,
    /// Standard output takes no more bytes than that.
    pub max_answer_bytes: Option<usize>,
    /// The records of the ledger.
    pub records: Memory,
    runs: Cell<u32>,
    /// The ledger is a folder, which other machines may not see.
    pub has_folder: bool,
    /// The overflow bucket of the queue is known.
    pub knows_bucket: bool,
    /// Nothing says which queue the archive is of.
    pub is_queue_unknown: bool,
    /// Calls that the ledger's store takes before its disk is full.
    pub ledger_calls_left: Cell<Option<u32>>,
    /// A folder for what commands write.
    pub state: tempfile::TempDir,
    interrupt: (InterruptSender, Interrupt),
}

/// Output and exit code of a command.
#[derive(Debug)]
pub struct ToolRun {
    pub code: u8,
    pub answers: String,
    pub notes: String,
}

impl ToolRun {
    /// JSON lines of the answer.
    pub fn json(&self) -> Vec<serde_json::Value> {
        self.answers.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// Everything, for a snapshot.
    pub fn text(&self) -> String {
        format!("{}--- stderr\n{}--- exit code {}\n", self.answers, self.notes, self.code)
    }
}

impl Default for Tool {
    fn default() -> Self {
        Self::with_queue(QueueAttributes::default())
    }
}

impl Tool {
    pub fn with_queue(attributes: QueueAttributes) -> Self {
        let clock = YieldingClock::default();
        Self {
            queue: InMemoryQueue::new(clock.clone(), attributes),
            clock,
            width: WIDTH,
            bucket: InMemoryBucket::default(),
            function: ScriptedFunction::default(),
            logs: InMemoryLogs::default(),
            deployment: InMemoryDeployment::default(),
            stack_outputs: &STACK_OUTPUTS,
            way: DrillWay::default(),
            retry_and_parked: Vec::new(),
            max_answer_bytes: None,
            records: Memory::default(),
            runs: Cell::new(0),
            has_folder: false,
            knows_bucket: false,
            is_queue_unknown: false,
            ledger_calls_left: Cell::new(None),
            state: tempfile::tempdir().unwrap(),
            interrupt: Interrupt::manual(),
        }
    }

    /// Adds the stack's retry queue or parked queue.
    pub fn add_queue(&mut self, name: &'static str, attributes: QueueAttributes) -> &InMemoryQueue {
        let queue = InMemoryQueue::new(self.clock.clone(), attributes);
        self.retry_and_parked.push(NamedQueue { name, url: format!("https://sqs.test/{name}"), queue });
        &self.retry_and_parked.last().unwrap().queue
    }

    /// Runs a command, sends Ctrl-C after that time, and returns the time that the command needed to stop.
    pub async fn run_and_interrupt(&self, line: &str, after: Duration) -> (ToolRun, Duration) {
        let interrupt = async {
            tokio::time::sleep(after).await;
            self.interrupt();
            Instant::now()
        };
        let (run, interrupted_at) = tokio::join!(self.run(line), interrupt);
        (run, interrupted_at.elapsed())
    }

    /// Sends Ctrl-C.
    pub fn interrupt(&self) {
        self.interrupt.0.request(StopSignal::Interrupt);
    }

    /// Runs a command to its end. Output is text unless `-o json` is among the words.
    pub async fn run(&self, line: &str) -> ToolRun {
        let words: Vec<&str> = line.split_whitespace().collect();
        let parsed = Cli::try_parse_from(std::iter::once("dlq").chain(words.iter().copied()));
        let cli = match parsed.and_then(Cli::checked) {
            Ok(cli) => cli,
            Err(error) => {
                let code = u8::try_from(error.exit_code()).unwrap();
                return ToolRun { code, answers: String::new(), notes: error.to_string() };
            }
        };
        let (answers, notes) =
            (Captured { max_bytes: self.max_answer_bytes, ..Captured::default() }, Captured::default());
        let is_json = cli.global.output == Some(OutputFormat::Json);
        let mut output = Output::to(is_json, Box::new(answers.clone()), Box::new(notes.clone()));
        output.width = Some(self.width);
        let context = Context {
            output,
            interrupt: self.interrupt.1.clone(),
            clock: self.clock.clone(),
            words: words.iter().map(|word| (*word).to_owned()).collect(),
            location_flags: cli.global.location_flags(),
        };
        let outcome =
            self.dispatch(&context, cli.global.archive, cli.command).await.map(|exit| context.output.exit(exit));
        if let Err(error) = &outcome {
            context.output.progress(format!("{error:#}"));
        }
        let without_paths = |text: String| text.replace(self.state.path().to_str().unwrap(), "<state>");
        ToolRun {
            code: exit::number(&outcome),
            answers: without_paths(answers.text()),
            notes: without_paths(notes.text()),
        }
    }

    /// The ledger, in the name of a new run.
    pub fn ledger(&self, user: &str) -> Ledger<MemoryStore<'_, FullDisk<'_>>, YieldingClock> {
        let run = self.runs.get() + 1;
        self.runs.set(run);
        let store = MemoryStore { memory: &self.records, hook: FullDisk(&self.ledger_calls_left) };
        Ledger::new(store, self.clock.clone(), Who::new(user, "laptop", &format!("run-{run}")))
    }

    /// The ledger's record of a message that was discarded.
    pub fn discarded(&self, id: &str) -> Option<serde_json::Value> {
        let records = self.records.records.borrow();
        records.get(&Key::discard(id)).map(|stored| serde_json::from_slice(&stored.bytes).unwrap())
    }

    fn place(&self, archive: Option<&ArchivePlace>) -> LedgerPlace {
        let queue = QueueIdentity::parse("arn:aws:sqs:us-east-1:123456789012:hydrated").unwrap();
        let queue = QueueIdentity { archive: archive.map(ToString::to_string), ..queue };
        let ledger = if self.has_folder { "/srv/ledger" } else { "s3://overflow/ledger/us-east-1/hydrated" };
        LedgerPlace { queue, ledger: ledger.to_owned(), is_shared: !self.has_folder }
    }

    /// The same for commands that look.
    fn opened_ledger(
        &self,
        archive: Option<&ArchivePlace>,
    ) -> OpenedLedger<MemoryStore<'_, FullDisk<'_>>, YieldingClock> {
        if self.is_queue_unknown {
            anyhow::bail!("the queue is not known");
        }
        Ok((self.ledger("ana"), self.place(archive)))
    }

    async fn dispatch(
        &self,
        context: &Context<YieldingClock>,
        archive: Option<ArchiveChoice>,
        command: Command,
    ) -> anyhow::Result<Exit> {
        let Command::OnAws(command) = command else { panic!("it needs no AWS: see tests/usage.rs") };
        let Self { queue, bucket, function, .. } = self;
        let archive = archive.map(|choice| match choice {
            ArchiveChoice::OfStack => ArchivePlace::in_bucket(BUCKET),
            ArchiveChoice::At(place) => place,
        });
        let messages = &match archive.clone() {
            None => MessageSource::Queue(queue),
            Some(place) => MessageSource::Archive(ArchiveQueue::new(bucket, place, command.key_filter(context.now()))),
        };
        let archive = archive.as_ref();
        let others = if archive.is_none() { self.retry_and_parked.as_slice() } else { &[] };
        match command {
            AwsCommand::Status(arguments) => {
                let ledger = self.opened_ledger(archive);
                let archive = self.knows_bucket.then(|| ArchivePlace::in_bucket(BUCKET));
                let beside = BesideQueue { retry_and_parked: others, archive };
                commands::status::run(context, messages, bucket, &self.logs, &ledger, beside, arguments).await
            }
            AwsCommand::List(arguments) => {
                commands::list::run(context, messages, bucket, &self.opened_ledger(archive), arguments).await
            }
            AwsCommand::Report(arguments) => {
                let ledger = self.opened_ledger(archive);
                commands::report::run(context, messages, bucket, &ledger, others, arguments).await
            }
            AwsCommand::Show(arguments) => {
                let ledger = &self.opened_ledger(archive);
                let resources = Resources { queue: messages, bucket, function, ledger };
                commands::show::run(context, resources, &self.logs, arguments).await
            }
            AwsCommand::Replay(arguments) => {
                let (ledger, place) = self.opened_ledger(archive)?;
                let ledger = PlacedLedger { ledger: &ledger, place: &place };
                let resources = Resources { queue: messages, bucket, function, ledger };
                commands::replay::run(context, resources, arguments).await
            }
            AwsCommand::Discard(arguments) => {
                let (ledger, place) = self.opened_ledger(None)?;
                commands::discard::run(context, queue, bucket, &ledger, &place, arguments).await
            }
            AwsCommand::Isolate(arguments) => {
                let (ledger, place) = self.opened_ledger(archive)?;
                let ledger = PlacedLedger { ledger: &ledger, place: &place };
                let resources = Resources { queue: messages, bucket, function, ledger };
                commands::isolate::run(context, resources, arguments).await
            }
            AwsCommand::Export(arguments) => commands::export::run(context, messages, bucket, arguments).await,
            AwsCommand::Doctor(arguments) if arguments.is_drill() => {
                let destination = InMemoryHydrator { way: &self.way, queue, bucket, clock: self.clock.clone() };
                let ports = DrillPorts {
                    queue,
                    bucket,
                    deployment: &self.deployment,
                    reader: &&self.way,
                    destination: &destination,
                };
                let stack = Stack::with_outputs(self.stack_outputs);
                commands::doctor::drill::Drill::run(context, ports, &stack, &arguments).await
            }
            AwsCommand::Doctor(arguments) => {
                let hydrated = NamedQueue { name: "hydrated", url: "https://sqs.test/hydrated".to_owned(), queue };
                let others = self.retry_and_parked.iter().map(|NamedQueue { name, url, queue }| NamedQueue {
                    name,
                    url: url.clone(),
                    queue,
                });
                let queues: Vec<_> = std::iter::once(hydrated).chain(others).collect();
                let stack = Stack::with_outputs(self.stack_outputs);
                commands::doctor::run(context, &queues, &self.deployment, &stack, arguments).await
            }
            AwsCommand::Hydrate(_) => panic!("it reads a stream: see the end-to-end tests"),
        }
    }
}

/// A hook that lets some calls pass, and then behaves as a full disk.
pub struct FullDisk<'a>(&'a Cell<Option<u32>>);

impl Hook for FullDisk<'_> {
    async fn before(&self) -> Result<(), StoreError> {
        match self.0.get() {
            Some(0) => {
                let source = std::io::ErrorKind::StorageFull.into();
                Err(StoreError::File { path: "ledger".into(), source })
            }
            left => {
                self.0.set(left.map(|left| left - 1));
                Ok(())
            }
        }
    }

    async fn after(&self) -> Result<(), StoreError> {
        Ok(())
    }
}

/// A writer that keeps what is written.
#[derive(Debug, Clone, Default)]
pub struct Captured {
    bytes: Rc<RefCell<Vec<u8>>>,
    /// A reader that closes the pipe after that.
    max_bytes: Option<usize>,
}

impl Captured {
    pub fn text(&self) -> String {
        String::from_utf8(self.bytes.borrow().clone()).unwrap()
    }
}

impl Write for Captured {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        if self.max_bytes.is_some_and(|max| self.bytes.borrow().len() > max) {
            return Err(std::io::ErrorKind::BrokenPipe.into());
        }
        self.bytes.borrow_mut().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
