//! `dlq doctor --drill`: the newest records of a shard go the way of a failed batch, to show that the way is open.
//!
//! Nothing of it stays. A request to stop, or an error, ends the waiting; then the message is waited for a little longer,
//! to be taken off the queue. What could not be removed is named, with the command that removes it.

mod args;
mod report;
mod route;
mod search;
mod shard;

use std::time::Duration;

use anyhow::Result;
use hydration::drill::{DrillBatch, DrillPlan};
use hydration::error::{Fault, FaultKind};
use hydration::ports::{Clock, ShardReader, StreamReader};

pub use self::args::DrillArgs;
pub use self::report::DrillFacts;
use self::report::DrillReport;
use self::route::{DrillRoute, ReportPlace, find_route};
use self::search::{Arrived, MessageSearch, SearchState};
use crate::aws::stack::Stack;
use crate::commands::doctor::Arguments;
use crate::context::Context;
use crate::exit::{Exit, explain};
use crate::interrupt::{Interrupt, StopSignal};
use crate::ports::{Bucket, Deployment, FailureDestination, Queue};
use crate::print::progress::during;
use crate::print::{count, time};

/// The wait for the message after a request to stop or an error. A function that has to start takes a few seconds.
const CLEAN_UP_WAIT: Duration = Duration::from_secs(15);

/// Everything outside that a drill works with.
pub struct DrillPorts<'a, Q, B, D, R, F> {
    /// The queue of hydrated messages.
    pub queue: &'a Q,
    pub bucket: &'a B,
    pub deployment: &'a D,
    pub reader: &'a R,
    pub destination: &'a F,
}

pub struct Drill<'a, Q, B, D, R, F, C> {
    context: &'a Context<C>,
    ports: DrillPorts<'a, Q, B, D, R, F>,
    stack: &'a Stack,
    arguments: &'a Arguments,
    report: DrillReport<'a, C>,
}

/// An object that the drill has put into the bucket of the mapping.
struct DrillObject {
    bucket: String,
    key: String,
    version: Option<String>,
}

impl DrillObject {
    fn command(&self) -> String {
        let version = self.version.as_ref().map_or(String::new(), |version| format!(" --version-id {version}"));
        format!("aws s3api delete-object --bucket {} --key {}{version}", self.bucket, self.key)
    }
}

impl<'a, Q, B, D, R, F, C> Drill<'a, Q, B, D, R, F, C>
where
    Q: Queue,
    B: Bucket,
    D: Deployment,
    R: ShardReader + StreamReader,
    F: FailureDestination,
    C: Clock,
{
    pub async fn run(
        context: &'a Context<C>,
        ports: DrillPorts<'a, Q, B, D, R, F>,
        stack: &'a Stack,
        arguments: &'a Arguments,
    ) -> Result<Exit> {
        let mut drill = Self { context, ports, stack, arguments, report: DrillReport::new(&context.clock) };
        let outcome = drill.execute().await;
        // Printed last, so that a reader that closes its pipe leaves nothing behind.
        let holds = drill.report.finish(outcome.is_ok()).print(&context.output)?;
        outcome?;
        Ok(if holds { Exit::Done } else { Exit::Attention })
    }

    /// Goes on until a step has found a problem. An error means that the drill itself failed, or was interrupted.
    async fn execute(&mut self) -> Result<()> {
        self.report.begin("way");
        let route = find_route(self.context, self.ports.deployment, self.stack, self.arguments, &mut self.report);
        let Some(route) = route.await? else { return Ok(()) };
        let Some(max_receives) = self.check_queue().await? else { return Ok(()) };
        self.report.begin("read");
        let Some(batch) = self.read(&route).await? else { return Ok(()) };
        self.report.begin("report");
        let Ok(object) = self.report_failure(&route, &batch).await else { return Ok(()) };
        self.report.begin("arrive");
        let search = MessageSearch {
            context: self.context,
            queue: self.ports.queue,
            bucket: self.ports.bucket,
            destination: self.ports.destination,
            batch: &batch,
            max_receives,
            state: SearchState::default(),
        };
        let waited = search.wait(&self.context.interrupt, self.arguments.drill.wait).await;
        let (arrived, error) = match waited {
            // A request to stop counts, even if the message came while a call was awaited.
            Ok(arrived) => (arrived, self.context.interrupt.check().err()),
            Err(error) => (self.clean_up_after(&search).await, Some(error)),
        };
        let earlier = search.earlier();
        if earlier > 0 {
            let messages = count(earlier, "message", "messages");
            self.context.output.note(format!("{messages} of earlier drills taken off the queue"));
        }
        let (refusal, unseen) = (search.refusal(), search.unseen());
        match arrived {
            Some(arrived) => self.judge(&batch, &arrived, error.is_some()),
            None => self.note_missing(&batch, refusal, unseen, error.is_some()),
        }
        if let Some(object) = object {
            self.remove(object).await;
        }
        error.map_or(Ok(()), Err)
    }

    /// The number of receives after which the queue moves a message. The outer `None` is a problem that was noted.
    async fn check_queue(&mut self) -> Result<Option<Option<u32>>> {
        let attributes = self.context.interrupt.race(self.ports.queue.attributes()).await?;
        let attributes = attributes.map_err(|fault| explain(&fault))?;
        if let Some(max) = attributes.max_receives.filter(|_| attributes.visible > 0) {
            let messages = count(attributes.visible, "message", "messages");
            let finding = format!(
                "the queue has {messages} and a redrive policy: after {max} receives SQS moves a message away, and a drill \
                 receives all of them again and again"
            );
            self.report.problem(finding, "remove the redrive policy, or drill when the queue is empty");
            return Ok(None);
        }
        Ok(Some(attributes.max_receives))
    }

    async fn read(&mut self, route: &DrillRoute) -> Result<Option<DrillBatch>> {
        let read = shard::newest(self.ports.reader, &self.context.clock, &route.stream, &self.arguments.drill);
        let newest = self.context.interrupt.race(during("reading the shard", read)).await??;
        let plan = DrillPlan {
            stream: route.stream.clone(),
            shard_id: newest.shard_id,
            function_arn: route.function.clone(),
            request_id: uuid(),
        };
        let batch = DrillBatch::new(&plan, &newest.records, self.context.now()).map_err(anyhow::Error::msg)?;
        let Some(batch) = batch else {
            let shards = count(newest.shards, "shard", "shards");
            self.report.problem(format!("no record is in the {shards} that were read"), "put a record on the stream");
            return Ok(None);
        };
        let records = count(batch.events.len() as u64, "record", "records");
        let finding = format!("{records} of {}, {} to {}", plan.shard_id, batch.first, batch.last);
        self.report.facts.read(&plan, &batch);
        self.report.fine(finding);
        Ok(Some(batch))
    }

    /// Reports the batch as Lambda does. `Err` means that nothing was sent, which was noted as a problem.
    async fn report_failure(&mut self, route: &DrillRoute, batch: &DrillBatch) -> Result<Option<DrillObject>, ()> {
        let (destination, interrupt) = (self.ports.destination, &self.context.interrupt);
        let (sent, object) = match &route.place {
            ReportPlace::Topic(topic) => {
                let sent =
                    in_time(interrupt, "sns:Publish", destination.publish(topic, &batch.invocation_record)).await;
                (sent.map(|message| format!("published to {topic} as message {message}")), None)
            }
            ReportPlace::Bucket { bucket, key_prefix } => {
                let shard = self.report.facts.shard.as_deref().unwrap_or_default();
                let key = format!("{key_prefix}{shard}/{}-{}", self.context.now().object_time(), uuid());
                let put = in_time(interrupt, "s3:PutObject", destination.put(bucket, &key, batch.with_payload())).await;
                let version = put.as_ref().ok().cloned().flatten();
                let sent = put.map(|_| format!("written to s3://{bucket}/{key}"));
                (sent, Some(DrillObject { bucket: bucket.clone(), key, version }))
            }
        };
        match sent {
            Ok(finding) => {
                self.report.fine(format!("{finding}; its id is {}", batch.id));
                let wait = time::duration(self.arguments.drill.wait);
                self.context.output.progress(format!("reported; waiting up to {wait} for the hydrated message"));
                Ok(object)
            }
            // The report may have come all the same.
            Err(fault) if fault.kind.is_transient() => {
                self.report.warning(format!("{:#}", explain(&fault)));
                Ok(object)
            }
            Err(fault) => {
                self.report.problem(format!("{}: {}", fault.action, fault.detail), route.place.advice());
                Err(())
            }
        }
    }

    /// Waits a little longer for the message, to take it off the queue.
    async fn clean_up_after(&self, search: &MessageSearch<'_, Q, B, F, C>) -> Option<Arrived> {
        let wait = time::duration(CLEAN_UP_WAIT);
        let output = &self.context.output;
        output.progress(format!(
            "stopping: waiting up to {wait} for the drill's own message, to take it off; a second request stops at once"
        ));
        let (sender, interrupt) = Interrupt::manual();
        let next = self.context.interrupt.next();
        let stop = async {
            tokio::select! {
                () = next.requested() => {}
                () = tokio::time::sleep(CLEAN_UP_WAIT) => {}
            }
            sender.request(StopSignal::Interrupt);
            std::future::pending().await
        };
        tokio::select! {
            biased;
            found = search.wait(&interrupt, CLEAN_UP_WAIT) => found.unwrap_or_default(),
            never = stop => never,
        }
    }

    fn judge(&mut self, batch: &DrillBatch, arrived: &Arrived, is_stopped: bool) {
        let records = count(batch.events.len() as u64, "record", "records");
        self.report.facts.arrived(arrived);
        if !is_stopped {
            self.report.fine_at(format!("message {} is on the queue", arrived.message_ids.join(", ")), arrived.at);
            self.report.begin("compare");
            match arrived.differences.as_slice() {
                [] => self.report.fine(format!("{records}, byte for byte as read")),
                differences => self.report.problem(differences.join("; "), ""),
            }
        }
        self.report.begin("clean up");
        match arrived.left.as_slice() {
            [] => self.report.fine("the message is off the queue again".to_owned()),
            left => left.iter().for_each(|left| self.report.problem(left.what.clone(), &left.command)),
        }
    }

    fn note_missing(&mut self, batch: &DrillBatch, refusal: Option<String>, unseen: Option<String>, is_stopped: bool) {
        let flags = &self.context.location_flags;
        if let Some(refusal) = refusal {
            self.report.problem(refusal, "remove the redrive policy, or drill when the queue is empty");
        } else if let Some(unseen) = unseen.filter(|_| !is_stopped) {
            let finding = format!(
                "no hydrated message with the id {} was found, and not every message was looked at: {unseen}",
                batch.id
            );
            self.report.problem(finding, "drill when nothing else works with the queue, or when it is empty");
        } else if !is_stopped {
            let wait = time::duration(self.arguments.drill.wait);
            let finding = format!("no hydrated message with the id {} came within {wait}", batch.id);
            let advice = format!("dlq doctor{flags}, and the log of the hydrate function, say why");
            self.report.problem(finding, &advice);
        }
        self.report.begin("clean up");
        let finding = "the message may still come, and then lies on the queue until it is discarded".to_owned();
        self.report.problem(finding, &format!("dlq discard {} --execute{flags}", batch.id));
    }

    /// Removes the object. One that the function may not have read yet is left: its hydration would fail.
    async fn remove(&mut self, object: DrillObject) {
        let name = format!("s3://{}/{}", object.bucket, object.key);
        if self.report.facts.message_ids.is_empty() {
            return self
                .report
                .problem(format!("{name} is left, since the function may still read it"), &object.command());
        }
        let DrillObject { bucket, key, version } = &object;
        match self.ports.destination.delete(bucket, key, version.as_deref()).await {
            Ok(()) => self.report.fine(format!("{name} is deleted")),
            Err(fault) => {
                let finding = format!("{name} is left: {}: {}", fault.action, fault.detail);
                self.report.problem(finding, &object.command());
            }
        }
    }
}

/// The answer of a call, which is not cut off by the first request to stop: nobody would know what it has done.
async fn in_time<T>(
    interrupt: &Interrupt,
    action: &'static str,
    call: impl Future<Output = Result<T, Fault>>,
) -> Result<T, Fault> {
    let detail = "the answer was not waited for".to_owned();
    tokio::select! {
        biased;
        answer = during("reporting", call) => answer,
        () = interrupt.requested_twice() => Err(Fault { kind: FaultKind::Unavailable, action, detail }),
    }
}

/// A random UUID, version 4.
fn uuid() -> String {
    let bits = (fastrand::u128(..) & !(0xf << 76) & !(0x3 << 62)) | (0x4 << 76) | (0x2 << 62);
    let hex = format!("{bits:032x}");
    let parts = [0..8, 8..12, 12..16, 16..20, 20..32].map(|range| hex.get(range).unwrap_or_default().to_owned());
    parts.join("-")
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_uuid_is_random_and_of_version_4() {
        let (one, other) = (super::uuid(), super::uuid());
        assert_ne!(one, other);
        let lengths: Vec<usize> = one.split('-').map(str::len).collect();
        assert_eq!(lengths, [8, 4, 4, 4, 12]);
        assert_eq!(&one[14..15], "4");
        assert!(matches!(&one[19..20], "8" | "9" | "a" | "b"), "{one}");
    }
}
