//! Event source mappings of a function and a stream.

use aws_sdk_lambda::Client;
use aws_sdk_lambda::primitives::DateTime;
use aws_sdk_lambda::types::{EventSourceMappingConfiguration, FilterCriteriaError};
use hydration::error::Fault;
use hydration::timestamp::Timestamp;
use hydration_aws::fault::fault;

use crate::ports::{BatchMapping, EncryptedFilters};

pub async fn find(client: &Client, function: &str, source: &str) -> Result<Vec<BatchMapping>, Fault> {
    let (mut mappings, mut marker) = (Vec::new(), None);
    loop {
        let request = client.list_event_source_mappings().function_name(function).event_source_arn(source);
        let answer = request.set_marker(marker).send().await;
        let answer = answer.map_err(|error| fault("lambda:ListEventSourceMappings", &error))?;
        mappings.extend(answer.event_source_mappings.unwrap_or_default().into_iter().map(batch_mapping));
        marker = answer.next_marker.filter(|marker| !marker.is_empty());
        if marker.is_none() {
            return Ok(mappings);
        }
    }
}

/// A single mapping. Unlike a listing, it tells filters that a customer's key encrypts, if the caller may use the key.
pub async fn get(client: &Client, uuid: &str) -> Result<BatchMapping, Fault> {
    let found = client.get_event_source_mapping().uuid(uuid).send().await;
    let found = found.map_err(|error| fault("lambda:GetEventSourceMapping", &error))?;
    Ok(batch_mapping(
        EventSourceMappingConfiguration::builder()
            .set_uuid(found.uuid)
            .set_event_source_arn(found.event_source_arn)
            .set_function_arn(found.function_arn)
            .set_batch_size(found.batch_size)
            .set_kms_key_arn(found.kms_key_arn)
            .set_filter_criteria(found.filter_criteria)
            .set_filter_criteria_error(found.filter_criteria_error)
            .set_parallelization_factor(found.parallelization_factor)
            .set_last_modified(found.last_modified)
            .build(),
    ))
}

/// Filters that a customer's key encrypts. Lambda decrypts them here alone, in the caller's name
/// (<https://docs.aws.amazon.com/lambda/latest/api/API_GetEventSourceMapping.html>).
pub async fn encrypted_filters(client: &Client, uuid: &str) -> Result<EncryptedFilters, Fault> {
    let found = client.get_event_source_mapping().uuid(uuid).send().await;
    let found = found.map_err(|error| fault("lambda:GetEventSourceMapping", &error))?;
    Ok(EncryptedFilters {
        is_readable: found.filter_criteria.is_some(),
        error: found.filter_criteria_error.as_ref().map(filter_error),
    })
}

/// The code and the message of KMS, on one line.
pub fn filter_error(error: &FilterCriteriaError) -> String {
    let (code, message) = (error.error_code().unwrap_or("an error without a code"), error.message());
    message.map_or_else(|| code.to_owned(), |message| format!("{code}: {message}"))
}

fn batch_mapping(found: EventSourceMappingConfiguration) -> BatchMapping {
    // Filters that are encrypted with a customer's key are left out of a listing
    // (<https://docs.aws.amazon.com/lambda/latest/api/API_EventSourceMappingConfiguration.html>).
    let is_encrypted = found.kms_key_arn.is_some() && found.filter_criteria.is_none();
    let is_hidden = is_encrypted || found.filter_criteria_error.is_some();
    let filters = found.filter_criteria.and_then(|criteria| criteria.filters).unwrap_or_default();
    // A filter without a pattern is one that cannot be read.
    let patterns = filters.into_iter().map(|filter| filter.pattern.unwrap_or_default()).collect();
    BatchMapping {
        uuid: found.uuid.unwrap_or_default(),
        patterns: (!is_hidden).then_some(patterns),
        parallelization_factor: found.parallelization_factor,
        source_arn: found.event_source_arn,
        function_arn: found.function_arn,
        batch_size: found.batch_size,
        last_modified: found.last_modified.as_ref().map(timestamp),
    }
}

pub fn timestamp(at: &DateTime) -> Timestamp {
    Timestamp::from_secs_and_nanos(at.secs(), at.subsec_nanos())
}
