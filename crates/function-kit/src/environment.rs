//! Errors in environment variables, which are checked once, at the start.

/// A variable with a wrong value. The value is not repeated, because it may be a secret that was put into the wrong
/// variable.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the environment variable {name} {problem}")]
pub struct InvalidConfiguration {
    pub name: &'static str,
    pub problem: &'static str,
}

/// Returns true for text that looks like a bucket's name. It does not check every rule
/// (<https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html>).
pub fn is_bucket_name(text: &str) -> bool {
    (3..=63).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'.'))
}
