//! The ports on the AWS SDK.

use std::error::Error;
use std::io;
use std::time::Duration;

use aws_config::SdkConfig;
use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_sns::error::SdkError;
use aws_smithy_runtime_api::client::dns::ResolveDnsError;
use hydration::error::{Fault, FaultKind};
use hydration::ports::Clock;
use hydration::timestamp::Timestamp;
use hydration_aws::SystemClock;
use hydration_aws::fault::fault;
use hydration_aws::outbox::s3_config;

use crate::digest::PUBLISH_MILLIS;
use crate::error::DigestError;
use crate::log_line::PATTERN;
use crate::message::Notification;
use crate::ports::{AlertTopic, FailureLog, PublishError, StateStore, StateWriteError, StoredState};
use crate::report::FailureCounts;
use crate::state::DigestState;
use crate::window::DigestWindow;

/// The key of the state in the overflow bucket. Its rule that deletes old objects is for another prefix.
const STATE_KEY: &str = "digest/state.json";
const MAX_STATE_BYTES: usize = 1024 * 1024;
/// The longest time between a line and its arrival at CloudWatch Logs for which a line is found.
const LATE_MILLIS: i64 = 60 * 60 * 1000;

const FILTER_LOG_EVENTS: &str = "logs:FilterLogEvents";
const GET_OBJECT: &str = "s3:GetObject";
const PUT_OBJECT: &str = "s3:PutObject";
const PUBLISH: &str = "sns:Publish";

/// Reads and conditional writes may be tried again. Publishing may not.
fn with_retries(config: &SdkConfig) -> SdkConfig {
    config.to_builder().retry_config(RetryConfig::standard()).build()
}

pub struct AwsFailureLog {
    logs: aws_sdk_cloudwatchlogs::Client,
    group: String,
}

impl AwsFailureLog {
    pub fn new(config: &SdkConfig, group: String) -> Self {
        Self { logs: aws_sdk_cloudwatchlogs::Client::new(&with_retries(config)), group }
    }
}

impl AwsFailureLog {
    /// Counts those of the lines of a time, by their own clock, that were taken in during the window. Returns false if
    /// it stopped before the last one.
    async fn add(
        &self,
        counts: &mut FailureCounts,
        window: &DigestWindow,
        (start, end): (i64, Option<i64>),
        stop_at: Timestamp,
    ) -> Result<bool, DigestError> {
        let mut token = None;
        loop {
            let request = self
                .logs
                .filter_log_events()
                .log_group_name(&self.group)
                .filter_pattern(PATTERN)
                .start_time(start)
                .set_end_time(end)
                .set_next_token(token);
            let answer = request.send().await.map_err(|error| DigestError::Call(fault(FILTER_LOG_EVENTS, &error)))?;
            for event in answer.events.unwrap_or_default() {
                let taken_in = event.ingestion_time.or(event.timestamp).map(Timestamp::from_millis);
                let logged_at = event.timestamp.map(Timestamp::from_millis).or(taken_in);
                if let Some((text, logged_at)) = event.message.zip(logged_at)
                    && taken_in.is_some_and(|time| window.contains(time))
                {
                    counts.add(&text, logged_at);
                }
            }
            token = answer.next_token;
            if token.is_none() {
                return Ok(true);
            }
            if SystemClock.now() >= stop_at {
                return Ok(false);
            }
        }
    }
}

impl FailureLog for AwsFailureLog {
    /// Reads the window's own time first. CloudWatch Logs gives the oldest lines first: in a storm, the hour before the
    /// window would take all the time, and no line of the window would be read.
    async fn read(&self, window: &DigestWindow, stop_at: Timestamp) -> Result<FailureCounts, DigestError> {
        let mut counts = FailureCounts::default();
        let from = window.from.millis();
        // No end: the clock of the line may be ahead of the one that took it in. An end counts as inside.
        let times = [(from, None), (from - LATE_MILLIS, Some(from - 1))];
        for time in times {
            counts.is_whole = self.add(&mut counts, window, time, stop_at).await?;
            if !counts.is_whole {
                break;
            }
        }
        Ok(counts)
    }
}

pub struct S3StateStore {
    s3: aws_sdk_s3::Client,
    bucket: String,
}

impl S3StateStore {
    pub fn new(config: &SdkConfig, bucket: String) -> Self {
        let config = s3_config(&with_retries(config)).build();
        Self { s3: aws_sdk_s3::Client::from_conf(config), bucket }
    }

    fn unreadable(&self) -> DigestError {
        DigestError::StateUnreadable(format!("s3://{}/{STATE_KEY}", self.bucket))
    }
}

impl StateStore for S3StateStore {
    /// Reads the state. A role that may not list the bucket is answered 403 for an object that is not there
    /// (<https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObject.html>), so that 403 counts as none: the write
    /// that follows creates the object, or fails because it is there.
    async fn read(&self) -> Result<Option<StoredState>, DigestError> {
        let answer = match self.s3.get_object().bucket(&self.bucket).key(STATE_KEY).send().await {
            Ok(answer) => answer,
            Err(error) => {
                let status = error.raw_response().map(|response| response.status().as_u16());
                let is_no_bucket =
                    error.as_service_error().is_some_and(|error| error.meta().code() == Some("NoSuchBucket"));
                return match status {
                    Some(403 | 404) if !is_no_bucket => Ok(None),
                    _ => Err(DigestError::Call(fault(GET_OBJECT, &error))),
                };
            }
        };
        let tag = answer.e_tag.ok_or_else(|| self.unreadable())?;
        let mut content = Vec::new();
        let mut body = answer.body;
        while let Some(chunk) = body.next().await {
            // The text of the error is left out: it may come from the body.
            let chunk = chunk.map_err(|_| DigestError::Call(cut_off()))?;
            if content.len() + chunk.len() > MAX_STATE_BYTES {
                return Err(self.unreadable());
            }
            content.extend_from_slice(&chunk);
        }
        let state = DigestState::from_json(&content).ok_or_else(|| self.unreadable())?;
        Ok(Some(StoredState { state, tag }))
    }

    async fn write(&self, state: &DigestState, replaces: Option<&str>) -> Result<String, StateWriteError> {
        let body = serde_json::to_vec(state).unwrap_or_default();
        let request = self.s3.put_object().bucket(&self.bucket).key(STATE_KEY).content_type("application/json");
        let request = match replaces {
            Some(tag) => request.if_match(tag),
            None => request.if_none_match("*"),
        };
        match request.body(ByteStream::from(body)).send().await {
            Ok(answer) => answer.e_tag.ok_or_else(|| StateWriteError::Fault(no_tag())),
            Err(error) => match error.raw_response().map(|response| response.status().as_u16()) {
                // 412: the object is another version. 409: somebody else is writing it at this moment.
                Some(409 | 412) => Err(StateWriteError::Conflict),
                _ => Err(StateWriteError::Fault(fault(PUT_OBJECT, &error))),
            },
        }
    }
}

fn cut_off() -> Fault {
    Fault { kind: FaultKind::Unavailable, action: GET_OBJECT, detail: "the body ended early".to_owned() }
}

fn no_tag() -> Fault {
    Fault { kind: FaultKind::Unreadable, action: PUT_OBJECT, detail: "no ETag in the answer".to_owned() }
}

pub struct SnsAlertTopic {
    sns: aws_sdk_sns::Client,
    arn: String,
}

impl SnsAlertTopic {
    pub fn new(config: &SdkConfig, arn: String) -> Self {
        let timeouts = TimeoutConfig::builder()
            .connect_timeout(Duration::from_secs(3))
            .operation_timeout(Duration::from_millis(PUBLISH_MILLIS.unsigned_abs()))
            .build();
        let config = config.to_builder().retry_config(RetryConfig::disabled()).timeout_config(timeouts).build();
        Self { sns: aws_sdk_sns::Client::new(&config), arn }
    }
}

impl AlertTopic for SnsAlertTopic {
    async fn publish(&self, notification: &Notification) -> Result<String, PublishError> {
        let request = self
            .sns
            .publish()
            .topic_arn(&self.arn)
            .subject(&notification.subject)
            .message_structure("json")
            .message(&notification.message);
        let error = match request.send().await {
            Ok(answer) => return Ok(answer.message_id.unwrap_or_default()),
            Err(error) => error,
        };
        let fault = fault(PUBLISH, &error);
        let is_refused = match &error {
            // An answer of SNS itself, about this request. A 5xx may come after the message was taken.
            SdkError::ServiceError(context) => context.raw().status().as_u16() < 500,
            SdkError::ConstructionFailure(_) => true,
            // No request left this machine.
            SdkError::DispatchFailure(failure) => {
                fault.kind == FaultKind::InvalidConfiguration
                    || failure.as_connector_error().is_some_and(|error| has_no_connection(error))
            }
            _ => fault.kind == FaultKind::InvalidConfiguration,
        };
        Err(if is_refused { PublishError::Refused(fault) } else { PublishError::Unknown(fault) })
    }
}

/// Returns true if no connection was made, so that nothing was sent: the name is unknown, or the server refuses.
fn has_no_connection(error: &(dyn Error + 'static)) -> bool {
    let is_refused = |error: &io::Error| error.kind() == io::ErrorKind::ConnectionRefused;
    error.is::<ResolveDnsError>()
        || error.downcast_ref().is_some_and(is_refused)
        || error.source().is_some_and(has_no_connection)
}
