//! The queue of hydrated messages and the retry queue (SQS), and the overflow bucket (S3).

use std::time::Duration;

use aws_config::SdkConfig;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_sqs::types::MessageAttributeValue;
use bytes::Bytes;
use hydration::error::{Fault, FaultKind};
use hydration::message::{MessageAttribute, OutgoingMessage};
use hydration::ports::{Outbox, PutOutcome, SendError};

use crate::fault::fault;

const SEND_MESSAGE: &str = "sqs:SendMessage";
const PUT_OBJECT: &str = "s3:PutObject";

pub struct AwsOutbox {
    sqs: aws_sdk_sqs::Client,
    s3: aws_sdk_s3::Client,
    queue_url: String,
}

impl AwsOutbox {
    pub fn new(config: &SdkConfig, queue_url: String) -> Self {
        let s3 = s3_config(config).build();
        Self { sqs: aws_sdk_sqs::Client::new(config), s3: aws_sdk_s3::Client::from_conf(s3), queue_url }
    }
}

/// The configuration of S3. An emulator has one host name for all buckets, so it needs path-style addresses.
pub fn s3_config(config: &SdkConfig) -> aws_sdk_s3::config::Builder {
    let is_set = |name: &&str| std::env::var_os(name).is_some();
    let is_emulated = config.endpoint_url().is_some() || ["AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3"].iter().any(is_set);
    aws_sdk_s3::config::Builder::from(config).force_path_style(is_emulated)
}

impl Outbox for AwsOutbox {
    async fn send(&self, message: &OutgoingMessage) -> Result<String, SendError> {
        let mut request = self.sqs.send_message().queue_url(&self.queue_url).message_body(&message.body);
        for attribute in &message.attributes {
            let value = value(attribute)?;
            request = request.message_attributes(attribute.name, value);
        }
        if let Some(fifo) = &message.fifo {
            request = request.message_group_id(&fifo.group).message_deduplication_id(&fifo.deduplication_id);
        }
        let answer = request.send().await.map_err(|error| {
            let message = error.as_service_error().and_then(|error| error.meta().message()).unwrap_or_default();
            // Only the message tells this error apart. Its code is the one of any invalid parameter.
            let is_too_large = message.contains("must be shorter than");
            let fault = fault(SEND_MESSAGE, &error);
            if is_too_large { SendError::TooLarge(fault) } else { SendError::Fault(fault) }
        })?;
        message_id(answer.message_id).map_err(SendError::Fault)
    }

    async fn put(&self, bucket: &str, key: &str, body: &Bytes) -> Result<PutOutcome, Fault> {
        let body = ByteStream::from(body.clone());
        let request = self.s3.put_object().bucket(bucket).key(key).content_type("application/json").body(body);
        match request.if_none_match("*").send().await {
            Ok(_) => Ok(PutOutcome::Created),
            // 412 Precondition Failed: the object is there.
            Err(error) if error.raw_response().is_some_and(|raw| raw.status().as_u16() == 412) => {
                Ok(PutOutcome::AlreadyExists)
            }
            Err(error) => Err(fault(PUT_OBJECT, &error)),
        }
    }

    async fn send_to_retry_queue(&self, queue_url: &str, body: &str, delay: Duration) -> Result<(), Fault> {
        let seconds = i32::try_from(delay.as_secs()).unwrap_or(i32::MAX);
        let request = self.sqs.send_message().queue_url(queue_url).message_body(body).delay_seconds(seconds);
        let answer = request.send().await.map_err(|error| fault(SEND_MESSAGE, &error))?;
        message_id(answer.message_id).map(drop)
    }
}

/// Without a message id it is unknown if the queue has the message. Sending it a second time does no harm.
fn message_id(id: Option<String>) -> Result<String, Fault> {
    id.filter(|id| !id.is_empty()).ok_or_else(|| {
        let detail = "no message id in the answer".to_owned();
        Fault { kind: FaultKind::Unreadable, action: SEND_MESSAGE, detail }
    })
}

fn value(attribute: &MessageAttribute) -> Result<MessageAttributeValue, SendError> {
    MessageAttributeValue::builder()
        .data_type(attribute.value.data_type())
        .string_value(attribute.value.text())
        .build()
        .map_err(|_| {
            let detail = format!("the attribute {} could not be built", attribute.name);
            SendError::Fault(Fault { kind: FaultKind::Refused, action: SEND_MESSAGE, detail })
        })
}
