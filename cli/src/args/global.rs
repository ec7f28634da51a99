//! Options of every command: where things are, and how to print them.

use clap::{Args, ValueEnum};

use crate::archive::ArchiveChoice;
use crate::queue::filter_args::shell_quoted;

#[derive(Debug, Clone, Args)]
pub struct GlobalArgs {
    /// The hydrator's CloudFormation stack; its outputs name the queues and the bucket [env: DLQ_STACK]
    #[arg(long, global = true, value_name = "NAME", help_heading = "Where")]
    pub stack: Option<String>,
    /// The queue of hydrated messages, instead of the stack's own [env: DLQ_QUEUE, QUEUE_URL]
    #[arg(long, global = true, value_name = "URL|NAME", help_heading = "Where")]
    pub queue: Option<String>,
    /// Read the archive instead of the queue: s3://BUCKET/hydrated/, or the word stack for the bucket of --stack
    #[arg(long, global = true, value_name = "s3://…|stack", value_parser = ArchiveChoice::parse, help_heading = "Where")]
    pub archive: Option<ArchiveChoice>,
    /// A profile of the AWS configuration
    #[arg(long, global = true, value_name = "NAME", help_heading = "Where")]
    pub profile: Option<String>,
    /// The AWS region
    #[arg(long, global = true, value_name = "REGION", help_heading = "Where")]
    pub region: Option<String>,
    /// Send every call to this address instead of to AWS, as for an emulator
    #[arg(long, global = true, value_name = "URL", help_heading = "Where")]
    pub endpoint_url: Option<String>,
    /// Output format; by default a table on a terminal and JSON lines elsewhere
    #[arg(long, short, global = true, value_enum, value_name = "FORMAT", help_heading = "Output")]
    pub output: Option<OutputFormat>,
    /// Colours, by default on a terminal where NO_COLOR is not set
    #[arg(long, global = true, value_enum, value_name = "WHEN", default_value = "auto", help_heading = "Output")]
    pub color: ColorChoice,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum OutputFormat {
    /// Tables and text for people
    Text,
    /// One JSON object a line
    Json,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ColorChoice {
    Auto,
    Always,
    Never,
}

impl GlobalArgs {
    /// The flags that were typed to say where things are. What the environment gave, it will give again.
    pub fn location_flags(&self) -> String {
        let flags = [
            ("--stack", self.stack.clone()),
            ("--queue", self.queue.clone()),
            ("--archive", self.archive.as_ref().map(ToString::to_string)),
            ("--profile", self.profile.clone()),
            ("--region", self.region.clone()),
            ("--endpoint-url", self.endpoint_url.clone()),
        ];
        flags.iter().filter_map(|(flag, value)| Some(format!(" {flag} {}", shell_quoted(value.as_ref()?)))).collect()
    }

    /// The same with the stack and the queue that the environment names, where neither was typed.
    pub fn or_environment(&self, variable: impl Fn(&str) -> Option<String>) -> Self {
        let is_typed = self.queue.is_some() || self.stack.is_some();
        let stack = self.stack.clone().or_else(|| variable("DLQ_STACK"));
        let queue = if is_typed {
            self.queue.clone()
        } else {
            variable("DLQ_QUEUE").or_else(|| variable("QUEUE_URL").filter(|_| stack.is_none()))
        };
        Self { stack, queue, ..self.clone() }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use crate::args::Cli;

    fn stack_and_queue(typed: &[&str], variables: &[(&str, &str)]) -> (Option<String>, Option<String>) {
        let words = ["dlq"].iter().chain(typed).chain(&["list"]);
        let get = |name: &str| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
        let global = Cli::parse_from(words).global.or_environment(get);
        (global.stack, global.queue)
    }

    #[test]
    fn a_flag_stands_above_the_environment() {
        let all = [("DLQ_STACK", "s"), ("DLQ_QUEUE", "q"), ("QUEUE_URL", "u")];
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(stack_and_queue(&["--stack", "t"], &all), (some("t"), None));
        assert_eq!(stack_and_queue(&["--queue", "r"], &all), (some("s"), some("r")));
        assert_eq!(stack_and_queue(&[], &all), (some("s"), some("q")));
        assert_eq!(stack_and_queue(&[], &[all[0], all[2]]), (some("s"), None));
        assert_eq!(stack_and_queue(&[], &[all[2]]), (None, some("u")));
        assert_eq!(stack_and_queue(&[], &[]), (None, None));
    }

    #[test]
    fn a_suggested_command_repeats_the_flags_that_were_typed() {
        let global = Cli::parse_from(["dlq", "list", "--stack=s", "--region", "eu-west-1", "-o", "json"]).global;
        assert_eq!(global.location_flags(), " --stack s --region eu-west-1");
        let global = Cli::parse_from(["dlq", "--archive", "s3://b/hydrated", "list"]).global;
        assert_eq!(global.location_flags(), " --archive s3://b/hydrated/");
    }
}
