//! Reads of the objects that notifications name (S3).

use aws_config::SdkConfig;
use aws_sdk_s3::Client;
use aws_sdk_s3::error::SdkError;
use aws_sdk_s3::operation::get_object::{GetObjectError, GetObjectOutput};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use hydration::error::{Fault, FaultKind};
use hydration::object_notification::ObjectLocation;
use hydration::ports::{ObjectReader, ReadObjectError};

use crate::fault::fault;
use crate::outbox::s3_config;

/// The header in which S3 names the region of a bucket that was asked for in another
/// (<https://docs.aws.amazon.com/AmazonS3/latest/API/API_HeadBucket.html>).
const BUCKET_REGION: &str = "x-amz-bucket-region";

/// A reader of objects in the buckets of one region, its own.
pub struct AwsObjectReader {
    s3: Client,
    region: Option<String>,
}

impl AwsObjectReader {
    pub fn new(config: &SdkConfig) -> Self {
        let region = config.region().map(ToString::to_string);
        Self { s3: Client::from_conf(s3_config(config).build()), region }
    }

    /// The fault of a call. It names the object, because a notification may come from anywhere.
    fn fault(&self, object: &ObjectLocation, error: &SdkError<GetObjectError, HttpResponse>) -> Fault {
        let Fault { kind, action, detail } = fault(action(object), error);
        let region = error.raw_response().and_then(|response| response.headers().get(BUCKET_REGION));
        match region.filter(|region| Some(*region) != self.region.as_deref()) {
            Some(region) => {
                let detail = format!("{object} is in the region {region}; objects are read in the function's own only");
                Fault { kind: FaultKind::Refused, action, detail }
            }
            None => Fault { kind, action, detail: format!("{detail} ({object})") },
        }
    }
}

impl ObjectReader for AwsObjectReader {
    async fn read_object(&self, object: &ObjectLocation, max_bytes: usize) -> Result<Vec<u8>, ReadObjectError> {
        let request = self.s3.get_object().bucket(&object.bucket).key(&object.key);
        let answer = request.set_version_id(object.version_id.clone()).send().await;
        let answer = answer.map_err(|error| ReadObjectError::Fault(self.fault(object, &error)))?;
        read_body(object, answer, max_bytes).await
    }
}

/// Reads the body into one buffer of its size, so that no byte is in memory twice.
async fn read_body(
    object: &ObjectLocation,
    answer: GetObjectOutput,
    max_bytes: usize,
) -> Result<Vec<u8>, ReadObjectError> {
    // The text of the error is left out: it may come from the body.
    let broken = || {
        let detail = format!("the body ended early or does not match its checksum ({object})");
        ReadObjectError::Fault(Fault { kind: FaultKind::Unavailable, action: action(object), detail })
    };
    let announced = answer.content_length.and_then(|length| usize::try_from(length).ok());
    if announced.is_some_and(|length| length > max_bytes) {
        return Err(ReadObjectError::TooLarge);
    }
    let mut content = Vec::with_capacity(announced.unwrap_or_default());
    let mut body = answer.body;
    while let Some(chunk) = body.next().await {
        let chunk = chunk.map_err(|_| broken())?;
        if content.len() + chunk.len() > max_bytes {
            return Err(ReadObjectError::TooLarge);
        }
        content.extend_from_slice(&chunk);
    }
    if announced.is_some_and(|length| length != content.len()) {
        return Err(broken());
    }
    Ok(content)
}

/// The permission that the read needs.
fn action(object: &ObjectLocation) -> &'static str {
    if object.version_id.is_some() { "s3:GetObjectVersion" } else { "s3:GetObject" }
}
