//! Classification of SDK errors. This is the only place that decides what is retried.

use std::error::Error;

use aws_credential_types::provider::error::CredentialsError;
use aws_smithy_http::endpoint::error::ResolveEndpointError;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use hydration::error::{Fault, FaultKind};
use hydration::ports::{ReadError, Rejection};

/// The limit for the characters that are kept of a service's error message.
const MAX_MESSAGE_CHARS: usize = 400;
/// The limit for the characters that are kept of an error code. AWS's have up to about fifty; a proxy may write more.
const MAX_CODE_CHARS: usize = 100;

/// Converts an SDK error into a fault.
///
/// It keeps only the service's code and message, or the error of the connection. An error's Debug form and
/// `DisplayErrorContext` contain the body of a response that could not be read, and that is record data.
pub fn fault<E: ProvideErrorMetadata>(action: &'static str, error: &SdkError<E, HttpResponse>) -> Fault {
    let (kind, detail) = match error {
        SdkError::ServiceError(context) => {
            let status = context.raw().status().as_u16();
            let code = context.err().code().map(|code| cut(code, MAX_CODE_CHARS));
            let code = code.as_deref();
            let message = cut(context.err().message().unwrap_or("no message"), MAX_MESSAGE_CHARS);
            let detail = match code {
                Some(code) => format!("{code} (HTTP {status}): {message}"),
                None => format!("HTTP {status} without an error code"),
            };
            (kind(code.unwrap_or_default(), status), detail)
        }
        SdkError::TimeoutError(_) => (FaultKind::Unavailable, "no answer in time".to_owned()),
        SdkError::DispatchFailure(failure) => {
            let error = failure.as_connector_error();
            let why = error.map(|error| cut(&causes(error), MAX_MESSAGE_CHARS)).unwrap_or_default();
            if error.is_some_and(|error| is_misconfigured(error)) {
                (FaultKind::InvalidConfiguration, why)
            } else {
                (FaultKind::Unavailable, format!("no connection: {why}"))
            }
        }
        SdkError::ResponseError(context) => {
            let status = context.raw().status().as_u16();
            // A proxy may have written the response. Only its status is known.
            (kind("", status), format!("HTTP {status} with a body that cannot be read"))
        }
        // For example, a host name cannot be built from an empty region. No request was sent.
        _ => (FaultKind::InvalidConfiguration, "the request could not be built".to_owned()),
    };
    Fault { kind, action, detail }
}

/// The kind of fault for an error code. Codes may end in `Exception`, and those of SQS may have a prefix.
fn kind(code: &str, status: u16) -> FaultKind {
    let throttled = ["Throttl", "ThroughputExceeded", "LimitExceeded", "TooManyRequests", "SlowDown", "OverLimit"];
    let denied = ["AccessDenied", "Unauthorized", "NotAuthorized", "OptInRequired"];
    // <https://docs.aws.amazon.com/kinesis/latest/APIReference/CommonErrors.html>,
    // <https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html#ErrorCodeList>
    let rejected = [
        "ExpiredToken",
        "InvalidToken",
        "InvalidSecurity",
        "InvalidClientToken",
        "UnrecognizedClient",
        "InvalidAccessKeyId",
        "SignatureDoesNotMatch",
        "InvalidSignature",
        "IncompleteSignature",
        "RequestTimeTooSkewed",
        "RequestExpired",
        "MissingAuthenticationToken",
    ];
    let unavailable = [
        "OperationAborted",
        "BadDigest",
        "InternalFailure",
        "InternalError",
        "InternalServer",
        "ServiceUnavailable",
        "RequestTimeout",
        "ConditionalRequestConflict",
    ];
    let names = |parts: &[&str]| parts.iter().any(|part| code.contains(part));
    let is_kms = code.to_ascii_uppercase().contains("KMS");
    // Throttling comes first: throttling by KMS also has KMS in its code, and ends by itself.
    if names(&throttled) || status == 429 {
        FaultKind::Throttled
    } else if names(&unavailable) || (is_kms && code.contains("Internal")) {
        FaultKind::Unavailable
    } else if is_kms {
        FaultKind::KeyUnavailable
    } else if code == "InvalidObjectState" {
        // 403 for an object in an archive of S3, which no permission opens.
        FaultKind::Refused
    } else if names(&rejected) {
        FaultKind::CredentialsRejected
    } else if names(&denied) || status == 401 || status == 403 {
        FaultKind::AccessDenied
    } else if status >= 500 || status == 408 {
        FaultKind::Unavailable
    } else if code.is_empty() && status < 300 {
        // The call succeeded, but its response does not follow the service's model.
        FaultKind::Unreadable
    } else {
        FaultKind::Refused
    }
}

/// Converts an SDK error of a read into a rejection, which the walk handles, or a fault.
pub(crate) fn read_error<E: ProvideErrorMetadata>(
    action: &'static str,
    error: &SdkError<E, HttpResponse>,
) -> ReadError {
    let code = error.as_service_error().and_then(ProvideErrorMetadata::code);
    let rejection = match code {
        Some("ExpiredIteratorException") => Some(Rejection::ExpiredIterator),
        Some("TrimmedDataAccessException") => Some(Rejection::Trimmed),
        Some("InvalidArgumentException") => Some(Rejection::InvalidArgument),
        Some("ResourceNotFoundException") => Some(Rejection::NotFound),
        _ => None,
    };
    rejection.map_or_else(|| ReadError::Fault(fault(action, error)), ReadError::Rejected)
}

/// The fault for a response that does not follow the service's model.
pub(crate) fn unreadable(action: &'static str, what: &str) -> ReadError {
    ReadError::Fault(Fault { kind: FaultKind::Unreadable, action, detail: what.to_owned() })
}

/// Returns true if no request was sent, because the region, the credentials or the endpoint are not configured.
fn is_misconfigured(error: &(dyn Error + 'static)) -> bool {
    let mut cause = Some(error);
    while let Some(error) = cause {
        match error.downcast_ref::<CredentialsError>() {
            Some(CredentialsError::ProviderTimedOut(_)) => return false,
            Some(_) => return true,
            None if error.is::<ResolveEndpointError>() => return true,
            None => cause = error.source(),
        }
    }
    false
}

fn cut(text: &str, max_chars: usize) -> String {
    text.chars().take(max_chars).collect()
}

/// The Display forms of an error and its causes. For connections these are addresses and reasons, never a body.
fn causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_code_has_its_kind() {
        for (code, status, expected) in [
            ("ProvisionedThroughputExceededException", 400, FaultKind::Throttled),
            ("LimitExceededException", 400, FaultKind::Throttled),
            ("KMSThrottlingException", 400, FaultKind::Throttled),
            ("KMS.ThrottlingException", 400, FaultKind::Throttled),
            ("KmsThrottled", 400, FaultKind::Throttled),
            ("RequestThrottled", 403, FaultKind::Throttled),
            ("SlowDown", 503, FaultKind::Throttled),
            ("KMSAccessDeniedException", 400, FaultKind::KeyUnavailable),
            ("KMSDisabledException", 400, FaultKind::KeyUnavailable),
            ("KmsInvalidState", 400, FaultKind::KeyUnavailable),
            ("AccessDeniedException", 400, FaultKind::AccessDenied),
            ("AccessDenied", 403, FaultKind::AccessDenied),
            ("ExpiredTokenException", 400, FaultKind::CredentialsRejected),
            ("ExpiredToken", 400, FaultKind::CredentialsRejected),
            ("RequestTimeTooSkewed", 403, FaultKind::CredentialsRejected),
            ("InvalidSignatureException", 400, FaultKind::CredentialsRejected),
            ("SignatureDoesNotMatch", 403, FaultKind::CredentialsRejected),
            ("UnrecognizedClientException", 400, FaultKind::CredentialsRejected),
            ("KMS.InternalException", 400, FaultKind::Unavailable),
            ("KMSInternalException", 500, FaultKind::Unavailable),
            ("KMS.OptInRequired", 400, FaultKind::KeyUnavailable),
            ("OperationAborted", 409, FaultKind::Unavailable),
            ("ConditionalRequestConflict", 409, FaultKind::Unavailable),
            ("BadDigest", 400, FaultKind::Unavailable),
            ("", 403, FaultKind::AccessDenied),
            ("InternalFailure", 500, FaultKind::Unavailable),
            ("", 503, FaultKind::Unavailable),
            ("RequestTimeout", 400, FaultKind::Unavailable),
            ("", 200, FaultKind::Unreadable),
            ("AWS.SimpleQueueService.NonExistentQueue", 400, FaultKind::Refused),
            ("NoSuchBucket", 404, FaultKind::Refused),
            ("ValidationException", 400, FaultKind::Refused),
        ] {
            assert_eq!(kind(code, status), expected, "{code} {status}");
        }
    }
}
