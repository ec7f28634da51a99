//! Outputs of the hydrator's stack: they name its queues, its bucket, its topic and its role.

use std::collections::BTreeMap;

use anyhow::{Result, bail};
use aws_config::SdkConfig;
use aws_sdk_cloudformation::Client;
use hydration_aws::fault::fault;

use crate::exit::explain;

/// Outputs of a stack, by the names in template.yaml.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Stack {
    outputs: BTreeMap<String, String>,
}

impl Stack {
    #[cfg(test)]
    pub fn with_outputs(outputs: &[(&str, &str)]) -> Self {
        Self { outputs: outputs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect() }
    }

    pub async fn find(config: &SdkConfig, name: &str) -> Result<Self> {
        let request = Client::new(&super::with_retries(config)).describe_stacks().stack_name(name);
        let answer = request.send().await.map_err(|error| {
            explain(&fault("cloudformation:DescribeStacks", &error)).context(format!("the stack {name} was not found"))
        })?;
        let outputs = answer.stacks.unwrap_or_default().into_iter().flat_map(|stack| stack.outputs.unwrap_or_default());
        let outputs: BTreeMap<_, _> =
            outputs.filter_map(|output| Some((output.output_key?, output.output_value?))).collect();
        let stack = Self { outputs };
        if stack.hydrated_queue().is_none() {
            bail!(
                "the stack {name} has no output HydratedQueueUrl: it is not the hydrator's\n  → aws cloudformation \
                 list-exports names the stack that exports …-FailedBatchTopicArn"
            );
        }
        Ok(stack)
    }

    fn output(&self, name: &str) -> Option<&str> {
        self.outputs.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    pub fn hydrated_queue(&self) -> Option<&str> {
        self.output("HydratedQueueUrl")
    }

    pub fn retry_queue(&self) -> Option<&str> {
        self.output("RetryQueueUrl")
    }

    pub fn parked_queue(&self) -> Option<&str> {
        self.output("ParkedQueueUrl")
    }

    pub fn overflow_bucket(&self) -> Option<&str> {
        self.output("OverflowBucketName")
    }

    pub fn topic_arn(&self) -> Option<&str> {
        self.output("FailedBatchTopicArn")
    }

    /// The key that encrypts the topic.
    pub fn topic_key_arn(&self) -> Option<&str> {
        self.output("TopicKeyArn")
    }

    /// The bucket to which Lambda writes failed batches.
    pub fn failed_batch_bucket(&self) -> Option<&str> {
        self.output("FailedBatchBucketName")
    }

    /// The event rule that hands the objects of that bucket to the hydrate function.
    pub fn failed_batch_rule(&self) -> Option<&str> {
        self.output("FailedBatchRuleName")
    }

    pub fn hydrate_function_arn(&self) -> Option<&str> {
        self.output("HydrateFunctionArn")
    }

    pub fn hydrate_role_arn(&self) -> Option<&str> {
        self.output("HydrateRoleArn")
    }
}
