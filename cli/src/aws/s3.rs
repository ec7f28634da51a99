//! The overflow bucket on S3.

use aws_config::SdkConfig;
use aws_sdk_s3::Client;
use aws_sdk_s3::error::ProvideErrorMetadata;
use aws_sdk_s3::types::{EncodingType, Object};
use hydration::error::{Fault, FaultKind};
use hydration::message::parsed::Pointer;
use hydration::object_key::url_decoded;
use hydration::timestamp::Timestamp;
use hydration_aws::fault::fault;

use crate::ports::{Bucket, GetObjectError, ListFrom, ListPage, ListRequest, ListedObject};

const GET_OBJECT: &str = "s3:GetObject";
const LIST_BUCKET: &str = "s3:ListBucket";

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
        let answer = request.send().await;
        // An empty object has no first bytes.
        if first_bytes.is_some() && answer.as_ref().is_err_and(|error| error.code() == Some("InvalidRange")) {
            return Ok(Vec::new());
        }
        let answer = answer.map_err(|error| {
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

    async fn list(&self, request: &ListRequest) -> Result<ListPage, Fault> {
        let ListRequest { bucket, prefix, by_folder, from } = request;
        // As plain XML, one key with a control character would make the whole page unreadable
        // (<https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectsV2.html>).
        let call = self.0.list_objects_v2().bucket(bucket).prefix(prefix).encoding_type(EncodingType::Url);
        let call = call.set_delimiter(by_folder.then(|| "/".to_owned()));
        let call = match from.clone() {
            ListFrom::First => call,
            ListFrom::After(key) => call.start_after(key),
            ListFrom::Next(page) => call.continuation_token(page),
        };
        let answer = call.send().await.map_err(|error| fault(LIST_BUCKET, &error))?;
        let next = next_page(answer.is_truncated, answer.next_continuation_token, from)?;
        let is_encoded = answer.encoding_type == Some(EncodingType::Url);
        let plain = |key: String| if is_encoded { url_decoded(&key).unwrap_or(key) } else { key };
        let objects = answer.contents.into_iter().flatten().filter_map(listed);
        Ok(ListPage {
            next,
            objects: objects.map(|object| ListedObject { key: plain(object.key), ..object }).collect(),
            folders: answer
                .common_prefixes
                .into_iter()
                .flatten()
                .filter_map(|folder| folder.prefix.map(plain))
                .collect(),
        })
    }
}

/// The name of the page behind one. A page that has another behind it, and does not name it, must not end a listing: what
/// follows would count as absent.
fn next_page(is_truncated: Option<bool>, token: Option<String>, from: &ListFrom) -> Result<Option<String>, Fault> {
    if !is_truncated.unwrap_or(token.is_some()) {
        return Ok(None);
    }
    match token.filter(|token| !matches!(from, ListFrom::Next(page) if page == token)) {
        Some(token) => Ok(Some(token)),
        None => {
            let detail = "the listing goes on, and the answer does not name its next page".to_owned();
            Err(Fault { kind: FaultKind::Unreadable, action: LIST_BUCKET, detail })
        }
    }
}

fn listed(object: Object) -> Option<ListedObject> {
    let modified = object.last_modified.map(|time| Timestamp::from_secs_and_nanos(time.secs(), time.subsec_nanos()));
    let bytes = object.size.and_then(|bytes| u64::try_from(bytes).ok()).unwrap_or(0);
    Some(ListedObject { key: object.key?, bytes, last_modified: modified })
}

#[cfg(test)]
mod tests;
