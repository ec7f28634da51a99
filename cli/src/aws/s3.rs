//! The overflow bucket on S3.

use aws_config::SdkConfig;
use aws_sdk_s3::Client;
use hydration::error::{Fault, FaultKind};
use hydration::message::parsed::Pointer;
use hydration_aws::fault::fault;

use crate::ports::{Bucket, GetObjectError};

const GET_OBJECT: &str = "s3:GetObject";

pub struct S3(Client);

impl S3 {
    pub fn new(config: &SdkConfig) -> Self {
        let config = hydration_aws::outbox::s3_config(&super::with_retries(config)).build();
        Self(Client::from_conf(config))
    }
}

impl Bucket for S3 {
    async fn get(&self, pointer: &Pointer, first_bytes: Option<usize>) -> Result<Vec<u8>, GetObjectError> {
        let range = first_bytes.map(|bytes| format!("bytes=0-{}", bytes.saturating_sub(1)));
        let request = self.0.get_object().bucket(&pointer.bucket).key(&pointer.key).set_range(range);
        let answer = request.send().await.map_err(|error| {
            if error.as_service_error().is_some_and(|error| error.is_no_such_key()) {
                GetObjectError::Missing
            } else {
                GetObjectError::Fault(fault(GET_OBJECT, &error))
            }
        })?;
        let broken = |_| {
            let detail = "the connection broke before the whole object had come".to_owned();
            GetObjectError::Fault(Fault { kind: FaultKind::Unavailable, action: GET_OBJECT, detail })
        };
        Ok(answer.body.collect().await.map_err(broken)?.to_vec())
    }
}
