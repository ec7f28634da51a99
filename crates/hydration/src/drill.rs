//! Drill: a batch of a shard's newest records that no function has failed on. It goes the way of a failed batch, to show
//! that the way is open.
//!
//! The request id of its invocation record is new for each drill, so that its id is never that of another batch.

mod newest;

use crate::arn::StreamArn;
use crate::invocation_record::{BatchEnds, InvocationRecord, write_batch_info};
use crate::json::{Object, sqs_safe, write_string};
use crate::message::parsed::ParsedMessage;
use crate::message::part::MAX_PART_BYTES;
use crate::record::StreamRecord;
use crate::timestamp::Timestamp;
use crate::verdict::Status;

pub use newest::{ShardReadError, newest_records};

/// The `condition` of the invocation record of a drill.
pub const CONDITION: &str = "Drill";
/// The most differences that are named one by one.
const MAX_NAMED: usize = 3;

/// Returns true for the condition of a drill.
pub fn is_drill(condition: Option<&str>) -> bool {
    condition == Some(CONDITION)
}

/// The names that a drill's invocation record has.
#[derive(Debug, Clone)]
pub struct DrillPlan {
    /// The stream, or the consumer, that the mapping names.
    pub stream: StreamArn,
    pub shard_id: String,
    /// The function of the mapping, by its whole ARN. It is not invoked.
    pub function_arn: String,
    /// A UUID that no other invocation has.
    pub request_id: String,
}

/// The batch of a drill.
#[derive(Debug, Clone)]
pub struct DrillBatch {
    pub id: String,
    /// The invocation record, as Lambda sends it to a topic.
    pub invocation_record: String,
    /// The event records, as Lambda delivers them.
    pub events: Vec<String>,
    /// The sequence numbers of the first stream record and the last.
    pub first: String,
    pub last: String,
    /// The same invocation record, parsed.
    record: InvocationRecord,
}

impl DrillBatch {
    /// A batch of the newest of these records, as many as one event of Lambda holds. `None` if there is no record.
    pub fn new(plan: &DrillPlan, records: &[StreamRecord], now: Timestamp) -> Result<Option<Self>, String> {
        let (mut newest, mut bytes) = (Vec::new(), r#"{"Records":[]}"#.len());
        for record in records.iter().rev() {
            let events = record.event_records(&plan.stream, &plan.shard_id);
            bytes += events.iter().map(|event| event.len() + ",".len()).sum::<usize>();
            if bytes > MAX_PART_BYTES && !newest.is_empty() {
                break;
            }
            newest.push((record, events));
        }
        newest.reverse();
        let end = |record: &StreamRecord| (record.sequence_number().clone(), record.arrival());
        let ends = newest.first().zip(newest.last());
        let Some((first, last)) = ends.map(|((first, _), (last, _))| (end(first), end(last))) else { return Ok(None) };
        let events: Vec<String> = newest.into_iter().flat_map(|(_, events)| events).collect();
        let ends = BatchEnds { first: &first, last: &last };
        let invocation_record = invocation_record(plan, ends, events.len() as u64, now);
        let fields =
            Object::from_str(&invocation_record).map_err(|_| "its invocation record is not JSON".to_owned())?;
        let record = InvocationRecord::from_fields(fields)?;
        Ok(Some(Self {
            id: record.batch.id(),
            invocation_record,
            events,
            first: first.0.as_str().to_owned(),
            last: last.0.as_str().to_owned(),
            record,
        }))
    }

    /// The invocation record as Lambda writes it to a bucket: with the event as a string, before the timestamp.
    pub fn with_payload(&self) -> String {
        let mut payload = r#""payload":"#.to_owned();
        write_string(&format!(r#"{{"Records":[{}]}}"#, self.events.join(",")), &mut payload);
        self.invocation_record.replacen(r#""timestamp":"#, &format!(r#"{payload},"timestamp":"#), 1)
    }

    /// The differences between the batch and the message that it was hydrated to, a sentence each. None of them quotes
    /// a record.
    pub fn differences(&self, message: &ParsedMessage) -> Vec<String> {
        let (hydration, mut found) = (&message.head.hydration, Vec::new());
        if hydration.status != Status::Complete {
            let reason = hydration.reason.as_deref().unwrap_or("no reason is given");
            found.push(format!("its status is {}, and not Complete: {reason}", hydration.status.as_str()));
        }
        let sent: Vec<_> = self.record.fields.iter().map(|(key, value)| (key, value.get())).collect();
        let came: Vec<_> = message.head.fields.iter().take(sent.len()).map(|(key, value)| (key, value.get())).collect();
        if sent != came {
            found.push("its invocation record is not the one that was sent".to_owned());
        }
        if message.records.len() != self.events.len() {
            found.push(format!("it has {} records, and {} were read", message.records.len(), self.events.len()));
        }
        let is_same = |event: &str, record: &str| event == record || sqs_safe(event.to_owned()) == record;
        let places = (1..).zip(self.events.iter().zip(&message.records));
        let differing: Vec<usize> =
            places.filter(|(_, (event, record))| !is_same(event, record.get())).map(|(place, _)| place).collect();
        let named = differing.iter().take(MAX_NAMED);
        found.extend(named.map(|place| format!("record {place} of {} is not as it was read", self.events.len())));
        if differing.len() > MAX_NAMED {
            found.push(format!("{} more records are not as they were read", differing.len() - MAX_NAMED));
        }
        found
    }
}

/// The document that Lambda sends when it gives up on records for their age: it names no answer of the function, which
/// a drill does not invoke (<https://docs.aws.amazon.com/lambda/latest/dg/kinesis-on-failure-destination.html>).
fn invocation_record(plan: &DrillPlan, ends: BatchEnds<'_>, count: u64, now: Timestamp) -> String {
    let mut out = r#"{"requestContext":{"requestId":"#.to_owned();
    write_string(&plan.request_id, &mut out);
    out.push_str(r#","functionArn":"#);
    write_string(&plan.function_arn, &mut out);
    out.push_str(&format!(
        r#","condition":"{CONDITION}","approximateInvokeCount":1}},"version":"1.0","timestamp":"{}","#,
        now.rfc3339()
    ));
    write_batch_info(&plan.stream, &plan.shard_id, ends, count, &mut out);
    out.push('}');
    out
}
