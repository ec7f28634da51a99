//! What was typed, resolved once into what is meant.

use anyhow::{Result, bail};
use aws_config::SdkConfig;

use crate::args::Place;
use crate::aws::s3::S3;
use crate::aws::sqs::Sqs;
use crate::aws::stack::Stack;
use crate::exit::explain;
use crate::interrupt::Interrupt;
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
        let output = Output::new(place);
        let config = crate::aws::config(place).await;
        if config.region().is_none() {
            bail!("no region is set\n  → give --region, set AWS_REGION, or choose a --profile that has one");
        }
        let stack = match &place.stack {
            Some(name) => Some(Stack::find(&config, name).await?),
            None => None,
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
        match std::env::var("QUEUE_URL") {
            Ok(url) if !url.is_empty() => Ok(url),
            _ => bail!(
                "which queue? give --stack NAME, the hydrator's CloudFormation stack, or --queue URL, or set DLQ_STACK \
                 or DLQ_QUEUE"
            ),
        }
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
