//! The last response of the function that failed, as Lambda reports it.

use crate::json::Object;

/// The response as Lambda reports it. The text of the error is only in the function's log.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FunctionResponse {
    /// `Unhandled` or `Handled`. Absent if the function was not invoked.
    pub function_error: Option<String>,
    pub executed_version: Option<String>,
    pub status_code: Option<u64>,
    pub invoke_count: Option<u64>,
}

impl FunctionResponse {
    /// Reads the fields of an invocation record.
    pub fn from_fields(fields: &Object) -> Self {
        let object = |key| fields.get(key).and_then(|raw| Object::from_str(raw.get()).ok()).unwrap_or_default();
        let (request, response) = (object("requestContext"), object("responseContext"));
        let number = |fields: &Object, key| fields.get(key).and_then(|raw| raw.get().parse().ok());
        Self {
            function_error: response.string("functionError"),
            executed_version: response.string("executedVersion"),
            status_code: number(&response, "statusCode"),
            invoke_count: number(&request, "approximateInvokeCount"),
        }
    }

    /// The function's error in one word.
    pub fn error(&self) -> &str {
        match (&self.function_error, self.status_code) {
            (Some(error), _) => error,
            (None, Some(_)) => "no function error",
            (None, None) => "not invoked",
        }
    }
}
