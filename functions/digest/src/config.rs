//! The function's environment variables. They are checked once, at the start.

use std::time::Duration;

use function_kit::environment::{InvalidConfiguration, is_bucket_name};

/// The time between the end of a window and its reading. CloudWatch Logs shows a line seconds after it took it in.
const DELAY_SECONDS: u64 = 60;
const MAX_DELAY_SECONDS: u64 = 3600;
const INTERVAL_MINUTES: u64 = 5;
const MAX_INTERVAL_MINUTES: u64 = 60;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DigestConfig {
    /// The hydrator's log group.
    pub log_group: String,
    pub topic_arn: String,
    pub state_bucket: String,
    pub stack_name: String,
    pub dashboard_url: Option<String>,
    pub interval: Duration,
    pub delay: Duration,
}

impl DigestConfig {
    pub fn from_env(get: impl Fn(&str) -> Option<String>) -> Result<Self, InvalidConfiguration> {
        let invalid = |name, problem| InvalidConfiguration { name, problem };
        let text = |name| get(name).filter(|text| !text.is_empty());
        let needed = |name, problem| text(name).ok_or(invalid(name, problem));
        let log_group = needed("LOG_GROUP", "is missing: set it to the name of the hydrate function's log group")?;
        let topic_arn = needed("TOPIC_ARN", "is missing: set it to the ARN of the topic that alerts go to")?;
        if !(topic_arn.starts_with("arn:") && topic_arn.contains(":sns:")) {
            return Err(invalid("TOPIC_ARN", "is not the ARN of an SNS topic"));
        }
        let state_bucket = needed("STATE_BUCKET", "is missing: set it to the name of the overflow bucket")?;
        if !is_bucket_name(&state_bucket) {
            return Err(invalid("STATE_BUCKET", "is not the name of a bucket"));
        }
        let stack_name = needed("STACK_NAME", "is missing: set it to the name of the hydrator's stack")?;
        let number = |name, default, range: std::ops::RangeInclusive<u64>, problem| match text(name) {
            None => Ok(default),
            Some(text) => text.parse().ok().filter(|number| range.contains(number)).ok_or(invalid(name, problem)),
        };
        let minutes = number(
            "INTERVAL_MINUTES",
            INTERVAL_MINUTES,
            1..=MAX_INTERVAL_MINUTES,
            "is not a whole number from 1 to 60",
        )?;
        let delay =
            number("DELAY_SECONDS", DELAY_SECONDS, 0..=MAX_DELAY_SECONDS, "is not a whole number from 0 to 3600")?;
        Ok(Self {
            log_group,
            topic_arn,
            state_bucket,
            stack_name,
            dashboard_url: text("DASHBOARD_URL"),
            interval: Duration::from_secs(minutes * 60),
            delay: Duration::from_secs(delay),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NEEDED: [(&str, &str); 4] = [
        ("LOG_GROUP", "/aws/lambda/hydrator-hydrate"),
        ("TOPIC_ARN", "arn:aws:sns:us-east-1:123456789012:alerts"),
        ("STATE_BUCKET", "hydrator-overflow"),
        ("STACK_NAME", "hydrator"),
    ];

    fn read(changed: &str, value: &str) -> Result<DigestConfig, InvalidConfiguration> {
        let all = [(changed, value)].into_iter().chain(NEEDED);
        let all: Vec<(&str, &str)> = all.collect();
        DigestConfig::from_env(|name| all.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned()))
    }

    #[test]
    fn the_delay_is_a_minute_and_the_interval_five() {
        let config = read("DASHBOARD_URL", "").unwrap();
        assert_eq!((config.delay.as_secs(), config.interval.as_secs(), config.dashboard_url), (60, 300, None));
        assert_eq!(read("DELAY_SECONDS", "0").unwrap().delay.as_secs(), 0);
    }

    #[test]
    fn anything_else_is_refused_with_the_variable_s_name() {
        for (name, value) in [
            ("LOG_GROUP", ""),
            ("TOPIC_ARN", ""),
            ("TOPIC_ARN", "alerts"),
            ("STATE_BUCKET", ""),
            ("STATE_BUCKET", "s3://bucket"),
            ("STACK_NAME", ""),
            ("INTERVAL_MINUTES", "0"),
            ("INTERVAL_MINUTES", "61"),
            ("DELAY_SECONDS", "-1"),
        ] {
            assert_eq!(read(name, value).unwrap_err().name, name);
        }
    }
}
