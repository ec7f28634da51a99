//! The hydrated message: the contract that others parse, version 1.
//!
//! A message's body is one JSON object: the invocation record's fields, `hydration`, the decoded view, `Records`.
//! It is also a valid Lambda event: `aws lambda invoke --payload` with the body runs the batch again.

pub mod attributes;
pub mod body;
pub mod parsed;
pub mod part;

pub use attributes::{MessageAttribute, MessageAttributeValue};
pub use body::{Body, Hydration, Origin, PartNumber};
pub use part::{Collector, Part, PartBoundary};

/// The SQS Extended Client's name for a pointer to an S3 object
/// (<https://github.com/awslabs/amazon-sqs-java-extended-client-lib>).
pub const POINTER_CLASS: &str = "software.amazon.payloadoffloading.PayloadS3Pointer";
/// The attribute that marks a pointer for the extended clients: the size of the object, in bytes.
pub const POINTER_ATTRIBUTE: &str = "ExtendedPayloadSize";

/// A message to send to the queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutgoingMessage {
    pub body: String,
    pub attributes: Vec<MessageAttribute>,
    /// Present if the queue is a FIFO queue.
    pub fifo: Option<Fifo>,
}

/// The message group and the deduplication id on a FIFO queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fifo {
    pub group: String,
    pub deduplication_id: String,
}

impl Fifo {
    /// One group a shard keeps the batches of a shard in order, and lets several shards be processed at a time. SQS takes
    /// 128 characters
    /// (<https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessage.html>).
    pub fn new(group: String, id: &str) -> Self {
        let group = if group.len() > 128 { crate::invocation_record::sha256_hex(&group) } else { group };
        Self { group, deduplication_id: id.to_owned() }
    }
}

impl OutgoingMessage {
    /// The bytes of the message as SQS counts them: the body, and each attribute's name, type and value.
    pub fn size(&self) -> usize {
        self.body.len() + attributes::size(&self.attributes)
    }
}

/// The body of a message whose content is in the overflow bucket.
pub fn pointer(bucket: &str, key: &str) -> String {
    serde_json::json!([POINTER_CLASS, { "s3BucketName": bucket, "s3Key": key }]).to_string()
}
