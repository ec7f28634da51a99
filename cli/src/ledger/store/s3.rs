//! The ledger in a bucket, by S3's conditional writes.
//!
//! `If-None-Match: *` and `If-Match` are answered with 412 when the condition fails, 409 `ConditionalRequestConflict`
//! when another write is under way, and 404 when the object to be replaced is gone
//! (<https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes.html>).

use std::time::Duration;

use aws_config::SdkConfig;
use aws_sdk_s3::Client;
use aws_sdk_s3::primitives::ByteStream;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use hydration::error::{Fault, FaultKind};
use hydration_aws::fault::fault;

use super::super::key::Key;
use super::{MAX_RECORD_BYTES, Store, StoreError, Stored, Version, Write};

const GET_OBJECT: &str = "s3:GetObject";
const PUT_OBJECT: &str = "s3:PutObject";
const LIST_BUCKET: &str = "s3:ListBucket";

/// Attempts of a write that meets another one. The last wait is about three seconds.
const CONFLICT_ATTEMPTS: u32 = 7;
const FIRST_CONFLICT_DELAY: Duration = Duration::from_millis(50);

#[derive(Debug)]
pub struct S3Store {
    client: Client,
    bucket: String,
    /// Empty, or with a `/` at its end.
    prefix: String,
    first_conflict_delay: Duration,
}

impl S3Store {
    /// A store below a prefix. `config` may retry by itself: a repeated write cannot do harm, because its condition
    /// fails the second time, and the ledger then reads what is there.
    pub fn new(config: &SdkConfig, bucket: &str, prefix: &str) -> Self {
        let prefix = prefix.trim_matches('/');
        let prefix = if prefix.is_empty() { String::new() } else { format!("{prefix}/") };
        let client = Client::from_conf(hydration_aws::outbox::s3_config(config).build());
        Self { client, bucket: bucket.to_owned(), prefix, first_conflict_delay: FIRST_CONFLICT_DELAY }
    }

    fn object_key(&self, key: &Key) -> String {
        format!("{}{}", self.prefix, key.as_str())
    }

    fn failed(&self, key: &Key, fault: Fault) -> StoreError {
        StoreError::S3 { name: self.name_of(key), fault }
    }

    /// Writes over the version given, or where there is nothing; again while another write is under way.
    async fn put(&self, key: &Key, bytes: &[u8], expected: Option<&Version>) -> Result<Write, StoreError> {
        let mut attempt = 0;
        loop {
            let request = self.client.put_object().bucket(&self.bucket).key(self.object_key(key));
            let request = match expected {
                None => request.if_none_match("*"),
                Some(version) => request.if_match(&version.0),
            };
            let request = request.content_type("application/json").body(ByteStream::from(bytes.to_vec()));
            let error = match request.send().await {
                Ok(answer) => return self.version(key, PUT_OBJECT, answer.e_tag).map(Write::Done),
                Err(error) => error,
            };
            let code = error.as_service_error().and_then(ProvideErrorMetadata::code);
            match error.raw_response().map(|raw| raw.status().as_u16()) {
                Some(412) => return Ok(Write::Lost),
                Some(404) if code == Some("NoSuchKey") => return Ok(Write::Gone),
                Some(409) if attempt + 1 < CONFLICT_ATTEMPTS => {
                    let delay = self.first_conflict_delay * (1 << attempt);
                    tokio::time::sleep(delay.mul_f64(0.5 + fastrand::f64() / 2.0)).await;
                    attempt += 1;
                }
                _ => return Err(self.failed(key, fault(PUT_OBJECT, &error))),
            }
        }
    }

    fn version(&self, key: &Key, action: &'static str, e_tag: Option<String>) -> Result<Version, StoreError> {
        e_tag.filter(|e_tag| !e_tag.is_empty()).map(Version).ok_or_else(|| {
            let detail = "an answer without an ETag".to_owned();
            self.failed(key, Fault { kind: FaultKind::Unreadable, action, detail })
        })
    }
}

impl Store for S3Store {
    async fn get(&self, key: &Key) -> Result<Option<Stored>, StoreError> {
        let request = self.client.get_object().bucket(&self.bucket).key(self.object_key(key));
        let answer = match request.send().await {
            Ok(answer) => answer,
            Err(error) if error.as_service_error().is_some_and(|error| error.is_no_such_key()) => return Ok(None),
            Err(error) => return Err(self.failed(key, fault(GET_OBJECT, &error))),
        };
        if answer.content_length.is_some_and(|bytes| usize::try_from(bytes).is_ok_and(|len| len > MAX_RECORD_BYTES)) {
            return Err(StoreError::TooLarge { name: self.name_of(key) });
        }
        let version = self.version(key, GET_OBJECT, answer.e_tag)?;
        let bytes = answer.body.collect().await.map_err(|_| {
            let detail = "the connection broke before the whole record had arrived".to_owned();
            self.failed(key, Fault { kind: FaultKind::Unavailable, action: GET_OBJECT, detail })
        })?;
        Ok(Some(Stored { bytes: bytes.to_vec(), version }))
    }

    async fn create(&self, key: &Key, bytes: &[u8]) -> Result<Write, StoreError> {
        self.put(key, bytes, None).await
    }

    async fn replace(&self, key: &Key, bytes: &[u8], expected: &Version) -> Result<Write, StoreError> {
        self.put(key, bytes, Some(expected)).await
    }

    async fn list(&self, prefix: &str) -> Result<Vec<Key>, StoreError> {
        let prefix = format!("{}{prefix}", self.prefix);
        let request = self.client.list_objects_v2().bucket(&self.bucket).prefix(&prefix);
        let mut pages = request.into_paginator().send();
        let mut keys = Vec::new();
        while let Some(page) = pages.next().await {
            let page = page.map_err(|error| StoreError::S3 {
                name: format!("s3://{}/{prefix}", self.bucket),
                fault: fault(LIST_BUCKET, &error),
            })?;
            let names = page.contents.into_iter().flatten().filter_map(|object| object.key);
            keys.extend(names.filter_map(|name| Key::listed(name.strip_prefix(&self.prefix)?)));
        }
        Ok(keys)
    }

    fn name_of(&self, key: &Key) -> String {
        format!("s3://{}/{}", self.bucket, self.object_key(key))
    }
}

#[cfg(test)]
mod tests;
