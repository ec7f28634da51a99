//! A profile that was typed: it must exist, and its credentials stand above those of the environment.

use std::env;

use anyhow::{Context, Result, bail};
use aws_config::SdkConfig;
use aws_config::profile::{self, ProfileFileCredentialsProvider};
use aws_config::provider_config::ProviderConfig;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_runtime::env_config::file::EnvConfigFiles;
use aws_types::os_shim_internal::{Env, Fs};

/// The files of the AWS configuration, by the variables that name them and their default places
/// (<https://docs.aws.amazon.com/sdkref/latest/guide/file-location.html>).
const FILES: [(&str, &str); 2] =
    [("AWS_CONFIG_FILE", "~/.aws/config"), ("AWS_SHARED_CREDENTIALS_FILE", "~/.aws/credentials")];

/// An error where no file has the profile.
pub async fn check(name: &str) -> Result<()> {
    let files =
        FILES.map(|(variable, default)| env::var(variable).unwrap_or_else(|_| default.to_owned())).join(" and ");
    let profiles = profile::load(&Fs::real(), &Env::real(), &EnvConfigFiles::default(), None).await;
    let profiles = profiles.with_context(|| format!("{files} could not be read"))?;
    if profiles.get_profile(name).is_some() {
        return Ok(());
    }
    let mut known: Vec<&str> = profiles.profiles().collect();
    known.sort_unstable();
    let known = if known.is_empty() { "no profile".to_owned() } else { known.join(", ") };
    bail!("the profile {name} does not exist: {files} have {known}\n  → check --profile")
}

/// The configuration with the profile's credentials. The SDK's own order has the environment first; the AWS CLI takes a
/// profile that was typed before it
/// (<https://docs.aws.amazon.com/cli/latest/userguide/cli-configure-files.html#cli-config-priority>).
pub fn use_credentials_of(name: &str, config: &SdkConfig) -> SdkConfig {
    let mut provider_config = ProviderConfig::without_region().with_region(config.region().cloned());
    if let Some(client) = config.http_client() {
        provider_config = provider_config.with_http_client(client);
    }
    let provider = ProfileFileCredentialsProvider::builder().configure(&provider_config).profile_name(name).build();
    config.to_builder().credentials_provider(SharedCredentialsProvider::new(provider)).build()
}
