//! CloudWatch Logs.

use aws_config::SdkConfig;
use aws_sdk_cloudwatchlogs::Client;
use aws_sdk_cloudwatchlogs::types::FilteredLogEvent;
use hydration::error::Fault;
use hydration::timestamp::Timestamp;
use hydration_aws::fault::fault;

/// Pages read before giving up: a search of a busy log group returns many that are empty.
const MOST_PAGES: usize = 200;

/// What to look for.
pub struct Search<'a> {
    pub group: &'a str,
    pub stream: Option<&'a str>,
    pub pattern: Option<&'a str>,
    pub from: Timestamp,
    pub to: Timestamp,
}

pub async fn filter(config: &SdkConfig, search: &Search<'_>) -> Result<Vec<FilteredLogEvent>, Fault> {
    let client = Client::new(&super::retrying(config));
    let (mut events, mut token) = (Vec::new(), None);
    for _ in 0..MOST_PAGES {
        let request = client
            .filter_log_events()
            .log_group_name(search.group)
            .set_log_stream_names(search.stream.map(|stream| vec![stream.to_owned()]))
            .set_filter_pattern(search.pattern.map(str::to_owned))
            .start_time(search.from.millis())
            .end_time(search.to.millis())
            .set_next_token(token);
        let answer = request.send().await.map_err(|error| fault("logs:FilterLogEvents", &error))?;
        events.extend(answer.events.unwrap_or_default());
        token = answer.next_token;
        if token.is_none() {
            break;
        }
    }
    Ok(events)
}
