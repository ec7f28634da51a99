//! The function's environment variables. They are checked once, at the start.

use function_kit::environment::{InvalidConfiguration, is_bucket_name};
use hydration::hydrator::Settings;

/// The limit for the bytes of an SQS message, including its attributes
/// (<https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/quotas-messages.html>).
const MAX_MESSAGE_BYTES: usize = 1_048_576;
const MIN_MESSAGE_BYTES: usize = 1_024;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    pub queue_url: String,
    pub settings: Settings,
}

impl Config {
    pub fn from_env(get: impl Fn(&str) -> Option<String>) -> Result<Self, InvalidConfiguration> {
        let invalid = |name, problem| InvalidConfiguration { name, problem };
        let queue_url = get("QUEUE_URL")
            .filter(|url| !url.is_empty())
            .ok_or(invalid("QUEUE_URL", "is missing: set it to the URL of the queue that hydrated messages go to"))?;
        if !is_url(&queue_url) {
            return Err(invalid("QUEUE_URL", "is not a URL: set the queue's URL, not its name or ARN"));
        }
        let retry_queue_url = get("RETRY_QUEUE_URL").filter(|url| !url.is_empty());
        if retry_queue_url.as_deref().is_some_and(|url| !is_url(url)) {
            return Err(invalid("RETRY_QUEUE_URL", "is not a URL: set the queue's URL, not its name or ARN"));
        }
        if retry_queue_url.as_deref().is_some_and(is_fifo) {
            // A FIFO queue takes no delay for one message.
            return Err(invalid("RETRY_QUEUE_URL", "is a FIFO queue: set the URL of a standard queue"));
        }
        let max_message_bytes = match get("MAX_MESSAGE_BYTES") {
            None => MAX_MESSAGE_BYTES,
            Some(text) => text
                .parse()
                .ok()
                .filter(|bytes| (MIN_MESSAGE_BYTES..=MAX_MESSAGE_BYTES).contains(bytes))
                .ok_or(invalid("MAX_MESSAGE_BYTES", "is not a whole number from 1024 to 1048576"))?,
        };
        let switch = |name, default| match get(name).as_deref() {
            None => Ok(default),
            Some("true") => Ok(true),
            Some("false") => Ok(false),
            Some(_) => Err(invalid(name, "is neither true nor false")),
        };
        let decoded_view = switch("DECODED_VIEW", true)?;
        let archive = switch("ARCHIVE", false)?;
        let overflow_bucket = get("OVERFLOW_BUCKET").filter(|bucket| !bucket.is_empty());
        if overflow_bucket.as_deref().is_some_and(|bucket| !is_bucket_name(bucket)) {
            return Err(invalid("OVERFLOW_BUCKET", "is not the name of a bucket"));
        }
        if archive && overflow_bucket.is_none() {
            return Err(invalid("OVERFLOW_BUCKET", "is missing: ARCHIVE is true, and the archive is in this bucket"));
        }
        let fifo = is_fifo(&queue_url);
        let max_part_bytes = hydration::message::part::MAX_PART_BYTES;
        let settings = Settings {
            max_message_bytes,
            decoded_view,
            overflow_bucket,
            archive,
            retry_queue_url,
            fifo,
            max_part_bytes,
        };
        Ok(Self { queue_url, settings })
    }
}

fn is_url(text: &str) -> bool {
    text.starts_with("https://") || text.starts_with("http://")
}

fn is_fifo(queue_url: &str) -> bool {
    queue_url.ends_with(".fifo")
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUEUE: (&str, &str) = ("QUEUE_URL", "https://sqs.us-east-1.amazonaws.com/123456789012/hydrated");

    fn read(variables: &[(&str, &str)]) -> Result<Config, InvalidConfiguration> {
        Config::from_env(|name| {
            variables.iter().rev().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn only_the_queue_is_required() {
        let config = read(&[QUEUE]).unwrap();
        let settings = Settings {
            max_message_bytes: 1_048_576,
            decoded_view: true,
            overflow_bucket: None,
            archive: false,
            retry_queue_url: None,
            fifo: false,
            max_part_bytes: 6_000_000,
        };
        assert_eq!(config.settings, settings);
        assert_eq!(read(&[]).unwrap_err().name, "QUEUE_URL");
    }

    #[test]
    fn a_queue_whose_name_ends_in_fifo_is_one() {
        let url = "https://sqs.us-east-1.amazonaws.com/123456789012/hydrated.fifo";
        assert!(read(&[("QUEUE_URL", url)]).unwrap().settings.fifo);
    }

    #[test]
    fn an_empty_bucket_is_none() {
        assert_eq!(read(&[QUEUE, ("OVERFLOW_BUCKET", "")]).unwrap().settings.overflow_bucket, None);
    }

    #[test]
    fn the_archive_needs_its_bucket() {
        let archive = ("ARCHIVE", "true");
        assert!(read(&[QUEUE, archive, ("OVERFLOW_BUCKET", "overflow")]).unwrap().settings.archive);
        for variables in [&[QUEUE, archive][..], &[QUEUE, archive, ("OVERFLOW_BUCKET", "")]] {
            let error = read(variables).unwrap_err();
            assert_eq!(error.name, "OVERFLOW_BUCKET");
            assert!(error.to_string().contains("ARCHIVE"), "{error}");
        }
        assert!(!read(&[QUEUE, ("ARCHIVE", "false")]).unwrap().settings.archive);
    }

    #[test]
    fn anything_else_is_refused_with_the_variable_s_name() {
        for (name, value) in [
            ("QUEUE_URL", "hydrated"),
            ("QUEUE_URL", ""),
            ("MAX_MESSAGE_BYTES", "1023"),
            ("MAX_MESSAGE_BYTES", "1048577"),
            ("MAX_MESSAGE_BYTES", "256KB"),
            ("MAX_MESSAGE_BYTES", ""),
            ("DECODED_VIEW", "yes"),
            ("DECODED_VIEW", ""),
            ("ARCHIVE", "yes"),
            ("ARCHIVE", ""),
            ("OVERFLOW_BUCKET", "s3://bucket"),
            ("RETRY_QUEUE_URL", "arn:aws:sqs:us-east-1:123456789012:retry"),
            ("RETRY_QUEUE_URL", "https://sqs.us-east-1.amazonaws.com/123456789012/retry.fifo"),
        ] {
            let error = read(&[QUEUE, (name, value)]).unwrap_err();
            assert_eq!(error.name, name);
            assert!(error.to_string().contains(name), "{error}");
        }
    }
}
