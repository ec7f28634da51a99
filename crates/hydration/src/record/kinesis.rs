//! A Kinesis record and the Lambda event record made of it.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::arn::StreamArn;
use crate::json::write_string;
use crate::kpl::UserRecord;
use crate::sequence_number::SequenceNumber;
use crate::timestamp::Timestamp;

/// A record as `GetRecords` returns it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KinesisRecord {
    pub sequence_number: SequenceNumber,
    pub partition_key: String,
    pub data: Vec<u8>,
    pub approximate_arrival: Option<Timestamp>,
}

impl KinesisRecord {
    /// One of the user records of this aggregate, as a record of its own. It has the aggregate's sequence number.
    pub(crate) fn opened(&self, user_record: &UserRecord<'_>) -> Self {
        Self {
            sequence_number: self.sequence_number.clone(),
            partition_key: user_record.partition_key.to_owned(),
            data: user_record.data.to_vec(),
            approximate_arrival: self.approximate_arrival,
        }
    }

    /// Appends the record as Lambda delivered it to the function
    /// (<https://docs.aws.amazon.com/lambda/latest/dg/with-kinesis.html>).
    ///
    /// `invokeIdentityArn` is left out: it is the failed function's role, which the invocation record does not name.
    /// `encryptionType` is left out because Lambda leaves it out. `eventSourceARN` is the ARN that the mapping uses,
    /// which may be a consumer's.
    pub fn write_event(&self, stream: &StreamArn, shard_id: &str, out: &mut String) {
        let sequence_number = self.sequence_number.as_str();
        out.push_str(r#"{"kinesis":{"kinesisSchemaVersion":"1.0","partitionKey":"#);
        write_string(&self.partition_key, out);
        out.push_str(r#","sequenceNumber":"#);
        write_string(sequence_number, out);
        out.push_str(r#","data":""#);
        STANDARD.encode_string(&self.data, out);
        out.push('"');
        if let Some(arrival) = self.approximate_arrival {
            out.push_str(r#","approximateArrivalTimestamp":"#);
            write_seconds(arrival.millis(), out);
        }
        out.push_str(r#"},"eventSource":"aws:kinesis","eventVersion":"1.0","eventID":"#);
        write_string(&format!("{shard_id}:{sequence_number}"), out);
        out.push_str(r#","eventName":"aws:kinesis:record","awsRegion":"#);
        write_string(stream.region(), out);
        out.push_str(r#","eventSourceARN":"#);
        write_string(stream.as_str(), out);
        out.push('}');
    }
}

/// Writes milliseconds as a JSON number of seconds, without trailing zeros. It uses no float, because a rounding error
/// would be printed with seventeen digits.
fn write_seconds(millis: i64, out: &mut String) {
    let (seconds, rest) = (millis.unsigned_abs() / 1000, millis.unsigned_abs() % 1000);
    if millis < 0 {
        out.push('-');
    }
    out.push_str(&seconds.to_string());
    if rest > 0 {
        out.push_str(format!(".{rest:03}").trim_end_matches('0'));
    }
}

#[cfg(test)]
mod tests;
