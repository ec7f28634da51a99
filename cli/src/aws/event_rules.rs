//! Rules of EventBridge, on the default event bus.

use aws_config::SdkConfig;
use aws_sdk_eventbridge::Client;
use aws_sdk_eventbridge::types::{RuleState, Target};
use hydration::error::Fault;
use hydration_aws::fault::fault;

use crate::ports::{EventRule, EventTarget};

pub struct EventRules(Client);

impl EventRules {
    pub fn new(config: &SdkConfig) -> Self {
        Self(Client::new(config))
    }

    pub async fn with_target(&self, target_arn: &str) -> Result<Vec<String>, Fault> {
        let (mut names, mut token) = (Vec::new(), None);
        loop {
            let request = self.0.list_rule_names_by_target().target_arn(target_arn).set_next_token(token);
            let answer = request.send().await.map_err(|error| fault("events:ListRuleNamesByTarget", &error))?;
            names.extend(answer.rule_names.unwrap_or_default());
            token = answer.next_token;
            if token.is_none() {
                return Ok(names);
            }
        }
    }

    pub async fn get(&self, name: &str) -> Result<Option<EventRule>, Fault> {
        let rule = match self.0.describe_rule().name(name).send().await {
            Ok(rule) => rule,
            Err(error) => {
                let is_missing = error.as_service_error().is_some_and(|error| error.is_resource_not_found_exception());
                return if is_missing { Ok(None) } else { Err(fault("events:DescribeRule", &error)) };
            }
        };
        Ok(Some(EventRule {
            name: name.to_owned(),
            is_enabled: rule.state.is_some_and(|state| state != RuleState::Disabled),
            pattern: rule.event_pattern.unwrap_or_default(),
            targets: self.targets(name).await?,
        }))
    }

    async fn targets(&self, name: &str) -> Result<Vec<EventTarget>, Fault> {
        let (mut targets, mut token) = (Vec::new(), None);
        loop {
            let request = self.0.list_targets_by_rule().rule(name).set_next_token(token);
            let answer = request.send().await.map_err(|error| fault("events:ListTargetsByRule", &error))?;
            targets.extend(answer.targets.unwrap_or_default().into_iter().map(event_target));
            token = answer.next_token;
            if token.is_none() {
                return Ok(targets);
            }
        }
    }
}

fn event_target(target: Target) -> EventTarget {
    EventTarget { arn: target.arn, dead_letter_queue: target.dead_letter_config.and_then(|config| config.arn) }
}
