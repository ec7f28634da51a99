//! Logs on CloudWatch Logs.

use aws_config::SdkConfig;
use aws_sdk_cloudwatchlogs::Client;
use aws_sdk_cloudwatchlogs::types::FilteredLogEvent;
use hydration::error::{Fault, FaultKind};
use hydration::timestamp::Timestamp;
use hydration_aws::fault::fault;

use crate::ports::{FoundEvents, LogEvent, LogSearch, Logs};

/// Pages to read: a search of a busy log group returns many that are empty.
const MAX_PAGES: usize = 200;

pub struct CloudWatchLogs {
    logs: Client,
    lambda: aws_sdk_lambda::Client,
}

impl CloudWatchLogs {
    pub fn new(config: &SdkConfig) -> Self {
        let config = super::with_retries(config);
        Self { logs: Client::new(&config), lambda: aws_sdk_lambda::Client::new(&config) }
    }
}

impl Logs for CloudWatchLogs {
    async fn log_group(&self, function: &str) -> Result<Option<String>, Fault> {
        let request = self.lambda.get_function_configuration().function_name(function);
        let answer = request.send().await.map_err(|error| fault("lambda:GetFunctionConfiguration", &error))?;
        Ok(answer.logging_config.and_then(|logging| logging.log_group))
    }

    async fn filter(&self, search: &LogSearch) -> Result<FoundEvents, Fault> {
        let (mut events, mut token) = (Vec::new(), None);
        for _ in 0..MAX_PAGES {
            let request = self
                .logs
                .filter_log_events()
                .log_group_name(&search.group)
                .set_log_stream_names(search.stream.clone().map(|stream| vec![stream]))
                .set_filter_pattern(search.pattern.clone())
                .start_time(search.from.millis())
                .end_time(search.to.millis())
                .set_next_token(token);
            let answer = request.send().await.map_err(|error| fault("logs:FilterLogEvents", &error))?;
            events.extend(answer.events.unwrap_or_default().into_iter().filter_map(log_event));
            token = answer.next_token;
            if token.is_none() {
                return Ok(FoundEvents { events, cut: None });
            }
        }
        found_in_part(events, &search.group)
    }
}

/// The events of a search that did not come to its end. Nothing is no answer then: the line may be in the rest.
fn found_in_part(events: Vec<LogEvent>, group: &str) -> Result<FoundEvents, Fault> {
    let found = if events.is_empty() { "nothing found" } else { "only the first lines were read" };
    let detail = format!("{found} in {group} before the search was given up, after {MAX_PAGES} pages");
    let fault = Fault { kind: FaultKind::Refused, action: "logs:FilterLogEvents", detail };
    if events.is_empty() { Err(fault) } else { Ok(FoundEvents { events, cut: Some(fault) }) }
}

fn log_event(event: FilteredLogEvent) -> Option<LogEvent> {
    Some(LogEvent {
        timestamp: event.timestamp.map(Timestamp::from_millis),
        stream: event.log_stream_name,
        message: event.message?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_search_that_was_given_up_does_not_say_that_there_is_no_line() {
        let fault = found_in_part(Vec::new(), "/aws/lambda/orders").unwrap_err();
        assert!(fault.detail.contains("/aws/lambda/orders") && fault.detail.contains("200 pages"), "{}", fault.detail);
        let advice = format!("{:#}", crate::exit::explain(&fault));
        assert!(advice.contains("Logs Insights"), "{advice}");
        let event = LogEvent { timestamp: None, stream: None, message: "START".to_owned() };
        let found = found_in_part(vec![event], "/aws/lambda/orders").unwrap();
        let cut = found.cut.unwrap().detail;
        assert!(found.events.len() == 1 && cut.starts_with("only the first lines were read"), "{cut}");
    }
}
