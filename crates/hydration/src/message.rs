//! The hydrated message: the contract that others parse, version 1.
//!
//! A message's body is one JSON object: the invocation record's fields, `hydration`, the decoded view, `Records`.
//! It is itself a valid Lambda event, so `aws lambda invoke --payload` with the body runs the batch again.

pub mod attributes;
pub mod body;
pub mod part;
pub mod received;

pub use attributes::{Attribute, AttributeValue};
pub use body::{Body, Hydration, Origin, PartNumber};
pub use part::{Collector, CutAfter, Part};

/// The SQS Extended Client's name for a pointer to an S3 object
/// (<https://github.com/awslabs/amazon-sqs-java-extended-client-lib>).
pub const POINTER_CLASS: &str = "software.amazon.payloadoffloading.PayloadS3Pointer";
/// The attribute by which the extended clients know a pointer: the size of what it points to, in bytes.
pub const POINTER_ATTRIBUTE: &str = "ExtendedPayloadSize";

/// What goes to the queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    pub body: String,
    pub attributes: Vec<Attribute>,
    /// The group and the deduplication id, on a FIFO queue.
    pub fifo: Option<Fifo>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fifo {
    pub group: String,
    pub deduplication_id: String,
}

impl Fifo {
    /// Batches of one shard stay in order; those of several need not wait for each other. SQS takes 128 characters
    /// (<https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessage.html>).
    pub fn new(group: String, id: &str) -> Self {
        let group = if group.len() > 128 { crate::invocation_record::sha256_hex(&group) } else { group };
        Self { group, deduplication_id: id.to_owned() }
    }
}

impl Message {
    /// Bytes as SQS counts them: the body, and every attribute's name, type and value.
    pub fn size(&self) -> usize {
        self.body.len() + attributes::size(&self.attributes)
    }
}

/// The body that stands in for a message in the overflow bucket.
pub fn pointer(bucket: &str, key: &str) -> String {
    serde_json::json!([POINTER_CLASS, { "s3BucketName": bucket, "s3Key": key }]).to_string()
}
