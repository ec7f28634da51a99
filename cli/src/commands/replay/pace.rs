//! The speed of a run: invocations a second, and shards side by side.

use std::collections::BTreeSet;

use anyhow::{Result, bail};

use crate::commands::replay::options::{Rate, ReplayOptions};
use crate::commands::replay::plan::{Plan, ReplayItem};
use crate::exit::explain;
use crate::ports::Function;
use crate::rate_limiter::RateLimiter;

/// The half of a function's concurrency is left to production.
const SHARE_OF_CONCURRENCY: u32 = 2;
/// Requests that one execution environment of a function takes in a second
/// (<https://docs.aws.amazon.com/lambda/latest/dg/lambda-concurrency.html>).
const REQUESTS_PER_SECOND: f64 = 10.0;
const MAX_AUTO_CONCURRENCY: u32 = 100;

/// The speed of a run.
pub struct Pace {
    pub per_second: f64,
    pub concurrency: usize,
    pub limiter: RateLimiter,
}

impl Pace {
    fn new(per_second: f64, concurrency: usize) -> Self {
        Self { per_second, concurrency, limiter: RateLimiter::per_second(per_second) }
    }

    /// The speed that was typed; `None` for `auto`.
    pub fn typed(options: &ReplayOptions) -> Option<Self> {
        match options.rate {
            Rate::PerSecond(rate) => Some(Self::new(rate, usize::from(options.concurrency))),
            Rate::Auto => None,
        }
    }

    /// Half of what the functions of the plan may run at the same time. The other half is left to production.
    pub async fn auto<F: Function>(plan: &Plan, function: &F) -> Result<Self> {
        let targets: BTreeSet<&str> = plan.invocations().filter_map(ReplayItem::function).collect();
        let mut share = MAX_AUTO_CONCURRENCY;
        for target in targets {
            let allowed = function.concurrency(target).await.map_err(|fault| explain(&fault))?;
            if allowed == 0 {
                bail!("{target} has a concurrency of 0, so it cannot run\n  → raise it, or name another with --on");
            }
            share = share.min((allowed / SHARE_OF_CONCURRENCY).max(1));
        }
        Ok(Self::new(f64::from(share) * REQUESTS_PER_SECOND, usize::try_from(share)?))
    }
}
