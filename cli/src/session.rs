//! What was typed, resolved once into what is meant.

use std::ffi::OsString;

use anyhow::{Result, bail};
use aws_config::SdkConfig;

use crate::aws::s3::S3;
use crate::aws::sqs::Sqs;
use crate::aws::stack::Stack;
use crate::exit::explain;
use crate::interrupt::Interrupt;
use crate::place::Place;
use crate::print::Output;

pub struct Session {
    pub config: SdkConfig,
    pub output: Output,
    pub interrupt: Interrupt,
    /// What was typed, to name commands that go on from here.
    pub place: Place,
    stack: Option<Stack>,
}

impl Session {
    pub async fn start(place: &Place) -> Result<Self> {
        let interrupt = Interrupt::listen();
        let place = &resolved(place, |name| std::env::var(name).ok().filter(|value| !value.is_empty()));
        let output = Output::new(place);
        // The SDK panics over one.
        let is_empty_endpoint = |(name, value): &(OsString, OsString)| {
            name.to_string_lossy().starts_with("AWS_ENDPOINT_URL") && value.is_empty()
        };
        if let Some((name, _)) = std::env::vars_os().find(is_empty_endpoint) {
            bail!("{} is set and empty\n  → unset it", name.display());
        }
        let config = crate::aws::config(place).await;
        if config.region().is_none_or(|region| region.as_ref().is_empty()) {
            bail!("no region is set\n  → give --region, set AWS_REGION, or choose a --profile that has one");
        }
        let stack = match &place.stack {
            None => None,
            Some(name) => match Stack::find(&config, name).await {
                Ok(stack) => Some(stack),
                // Enough is known to go on.
                Err(error) if place.queue.is_some() => {
                    output.note(format!("{error:#}"));
                    None
                }
                Err(error) => return Err(error),
            },
        };
        Ok(Self { config, output, interrupt, place: place.clone(), stack })
    }

    pub fn stack(&self) -> Option<&Stack> {
        self.stack.as_ref()
    }

    /// The URL of the queue of hydrated messages.
    pub async fn queue_url(&self) -> Result<String> {
        if let Some(name) = &self.place.queue {
            return Sqs::find(&self.config, name).await.map_err(|fault| explain(&fault));
        }
        if let Some(url) = self.stack().and_then(Stack::hydrated_queue) {
            return Ok(url.to_owned());
        }
        bail!(
            "which queue? give --stack NAME, the hydrator's CloudFormation stack, or --queue URL, or set DLQ_STACK or \
             DLQ_QUEUE"
        )
    }

    pub async fn queue(&self) -> Result<Sqs> {
        Ok(Sqs::new(&self.config, self.queue_url().await?))
    }

    pub fn bucket(&self) -> S3 {
        S3::new(&self.config)
    }

    /// The flags that lead here again, for a command to copy.
    pub fn here(&self) -> String {
        let place = &self.place;
        let flags = [
            ("--stack", &place.stack),
            ("--queue", &place.queue),
            ("--profile", &place.profile),
            ("--region", &place.region),
            ("--endpoint-url", &place.endpoint_url),
        ];
        // What the environment gave, it will give again.
        let typed: Vec<String> = std::env::args().collect();
        let is_typed = |flag: &str| typed.iter().any(|word| word == flag || word.starts_with(&format!("{flag}=")));
        flags
            .iter()
            .filter(|(flag, _)| is_typed(flag))
            .filter_map(|(flag, value)| Some(format!(" {flag} {}", value.as_ref()?)))
            .collect()
    }
}

/// What was typed stands above what the environment says.
fn resolved(typed: &Place, get: impl Fn(&str) -> Option<String>) -> Place {
    let is_typed = typed.queue.is_some() || typed.stack.is_some();
    let stack = typed.stack.clone().or_else(|| get("DLQ_STACK"));
    let queue = match is_typed {
        true => typed.queue.clone(),
        false => get("DLQ_QUEUE").or_else(|| get("QUEUE_URL").filter(|_| stack.is_none())),
    };
    Place { stack, queue, ..typed.clone() }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::args::Cli;

    fn place(typed: &[&str], variables: &[(&str, &str)]) -> (Option<String>, Option<String>) {
        let words = ["dlq"].iter().chain(typed).chain(&["list"]);
        let get = |name: &str| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
        let place = resolved(&Cli::parse_from(words).place, get);
        (place.stack, place.queue)
    }

    #[test]
    fn a_flag_stands_above_the_environment() {
        let all = [("DLQ_STACK", "s"), ("DLQ_QUEUE", "q"), ("QUEUE_URL", "u")];
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(place(&["--stack", "t"], &all), (some("t"), None));
        assert_eq!(place(&["--queue", "r"], &all), (some("s"), some("r")));
        assert_eq!(place(&[], &all), (some("s"), some("q")));
        assert_eq!(place(&[], &[all[0], all[2]]), (some("s"), None));
        assert_eq!(place(&[], &[all[2]]), (None, some("u")));
        assert_eq!(place(&[], &[]), (None, None));
    }
}
