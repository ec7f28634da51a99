//! A queue on SQS.

use std::time::Duration;

use aws_config::SdkConfig;
use aws_sdk_sqs::Client;
use aws_sdk_sqs::types::{
    ChangeMessageVisibilityBatchRequestEntry, Message, MessageSystemAttributeName, QueueAttributeName,
};
use hydration::error::{Fault, FaultKind};
use hydration::json::Object;
use hydration::timestamp::Timestamp;
use hydration_aws::fault::fault;

use crate::ports::{Queue, QueueAttributes, Receipt, ReceivedMessage};

const CHANGE_VISIBILITY: &str = "sqs:ChangeMessageVisibility";

pub struct Sqs {
    client: Client,
    url: String,
}

impl Sqs {
    pub fn new(config: &SdkConfig, url: String) -> Self {
        Self { client: Client::new(&super::with_retries(config)), url }
    }

    /// The URL of a queue that is given by its URL or by its name.
    pub async fn find(config: &SdkConfig, name: &str) -> Result<String, Fault> {
        if name.starts_with("https://") || name.starts_with("http://") {
            return Ok(name.to_owned());
        }
        let request = Client::new(&super::with_retries(config)).get_queue_url().queue_name(name);
        let answer = request.send().await.map_err(|error| fault("sqs:GetQueueUrl", &error))?;
        answer.queue_url.ok_or_else(|| unreadable("sqs:GetQueueUrl"))
    }
}

fn unreadable(action: &'static str) -> Fault {
    Fault { kind: FaultKind::Unreadable, action, detail: "an answer that lacks what it must have".to_owned() }
}

impl Queue for Sqs {
    async fn attributes(&self) -> Result<QueueAttributes, Fault> {
        let request = self.client.get_queue_attributes().queue_url(&self.url).attribute_names(QueueAttributeName::All);
        let answer = request.send().await.map_err(|error| fault("sqs:GetQueueAttributes", &error))?;
        let attributes = answer.attributes.unwrap_or_default();
        let text = |name| attributes.get(&name).map(String::as_str);
        let count = |name| text(name).and_then(|text| text.parse().ok()).unwrap_or(0);
        let duration = |name| text(name).and_then(|text| text.parse().ok()).map(Duration::from_secs);
        let redrive = text(QueueAttributeName::RedrivePolicy).and_then(|policy| Object::from_str(policy).ok());
        // The API takes the count as a number and as a string, and gives back what it took.
        let max_receives =
            redrive.and_then(|policy| policy.get("maxReceiveCount")?.get().trim_matches('"').parse().ok());
        Ok(QueueAttributes {
            arn: text(QueueAttributeName::QueueArn).unwrap_or_default().to_owned(),
            visible: count(QueueAttributeName::ApproximateNumberOfMessages),
            in_flight: count(QueueAttributeName::ApproximateNumberOfMessagesNotVisible),
            delayed: count(QueueAttributeName::ApproximateNumberOfMessagesDelayed),
            retention: duration(QueueAttributeName::MessageRetentionPeriod),
            visibility_timeout: duration(QueueAttributeName::VisibilityTimeout),
            max_receives,
            kms_key: text(QueueAttributeName::KmsMasterKeyId).filter(|key| !key.is_empty()).map(str::to_owned),
            is_fifo: self.url.ends_with(".fifo"),
            ruled_out: 0,
        })
    }

    async fn receive(&self, visibility_timeout: Duration) -> Result<Vec<ReceivedMessage>, Fault> {
        let request = self
            .client
            .receive_message()
            .queue_url(&self.url)
            .max_number_of_messages(10)
            .visibility_timeout(seconds(visibility_timeout))
            // Without a wait, SQS asks only some of its servers, and an empty answer does not mean an empty queue
            // (<https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-short-and-long-polling.html>).
            .wait_time_seconds(1)
            .message_system_attribute_names(MessageSystemAttributeName::All)
            .message_attribute_names("All");
        let answer = request.send().await.map_err(|error| fault("sqs:ReceiveMessage", &error))?;
        Ok(answer.messages.unwrap_or_default().into_iter().map(received_message).collect())
    }

    async fn change_visibility(&self, receipts: &[Receipt], visibility_timeout: Duration) -> Result<(), Fault> {
        let mut request = self.client.change_message_visibility_batch().queue_url(&self.url);
        for (index, receipt) in receipts.iter().enumerate() {
            let entry = ChangeMessageVisibilityBatchRequestEntry::builder()
                .id(index.to_string())
                .receipt_handle(&receipt.handle)
                .visibility_timeout(seconds(visibility_timeout))
                .build()
                .map_err(|_| unreadable(CHANGE_VISIBILITY))?;
            request = request.entries(entry);
        }
        let answer = request.send().await.map_err(|error| fault(CHANGE_VISIBILITY, &error))?;
        match answer.failed.first() {
            Some(failed) if !visibility_timeout.is_zero() => {
                let detail = format!("{}: {}", failed.code, failed.message.as_deref().unwrap_or("no message"));
                Err(Fault { kind: FaultKind::Refused, action: CHANGE_VISIBILITY, detail })
            }
            _ => Ok(()),
        }
    }

    async fn delete(&self, receipt: &Receipt) -> Result<(), Fault> {
        let request = self.client.delete_message().queue_url(&self.url).receipt_handle(&receipt.handle);
        request.send().await.map(drop).map_err(|error| fault("sqs:DeleteMessage", &error))
    }
}

fn seconds(duration: Duration) -> i32 {
    i32::try_from(duration.as_secs()).unwrap_or(i32::MAX)
}

fn received_message(message: Message) -> ReceivedMessage {
    let system = message.attributes.unwrap_or_default();
    let number = |name| system.get(&name).and_then(|text| text.parse::<i64>().ok());
    let attributes = message.message_attributes.unwrap_or_default().into_iter();
    ReceivedMessage {
        message_id: message.message_id.unwrap_or_default(),
        receipt_handle: message.receipt_handle.unwrap_or_default(),
        body: message.body.unwrap_or_default(),
        attributes: attributes.filter_map(|(name, value)| Some((name, value.string_value?))).collect(),
        sent_at: number(MessageSystemAttributeName::SentTimestamp).map(Timestamp::from_millis),
        receive_count: number(MessageSystemAttributeName::ApproximateReceiveCount)
            .and_then(|count| u32::try_from(count).ok())
            .unwrap_or(1),
    }
}
