//! Speed of a run: the rate that was asked for, or one that the functions' concurrency allows.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Result, bail};
use hydration::error::FaultKind;

use crate::commands::replay::options::{DEFAULT_RATE, Rate, ReplayOptions};
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
    /// Shards side by side.
    pub concurrency: usize,
    pub limiter: RateLimiter,
    /// The origin of a rate that was not typed.
    pub origin: Option<RateOrigin>,
    /// The functions that it was chosen for; `None` where the rate was typed.
    functions: Option<BTreeSet<String>>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RateOrigin {
    /// The function with the least concurrency, and the half of it that is used.
    Concurrency { function: String, allowed: u32 },
    /// The text says why no function's concurrency is known.
    Default { reason: String },
}

impl Pace {
    fn new(per_second: f64, concurrency: usize, origin: Option<RateOrigin>) -> Self {
        Self { per_second, concurrency, limiter: RateLimiter::per_second(per_second), origin, functions: None }
    }

    /// The speed that was asked for. `auto` leaves half of what the function may run at the same time to production.
    pub async fn choose<F: Function>(options: &ReplayOptions, function: &F, plan: &Plan) -> Result<Self> {
        let concurrency = usize::from(options.concurrency);
        match options.rate {
            Rate::PerSecond(rate) => Ok(Self::new(rate, concurrency, None)),
            Rate::Auto => {
                let functions = functions(plan).into_iter().map(str::to_owned).collect();
                let pace = Self::auto(concurrency, function, plan).await?;
                Ok(Self { functions: Some(functions), ..pace })
            }
        }
    }

    /// Tells if it holds for every function of the plan.
    pub fn is_for(&self, plan: &Plan) -> bool {
        self.functions.as_ref().is_none_or(|known| functions(plan).into_iter().all(|function| known.contains(function)))
    }

    async fn auto<F: Function>(default_concurrency: usize, function: &F, plan: &Plan) -> Result<Self> {
        let mut least: Option<(u32, &str)> = None;
        for name in functions(plan) {
            let allowed = match function.concurrency(name).await {
                Ok(0) => {
                    bail!("{name} has a concurrency of 0, so it cannot run\n  → raise it, or name another with --on")
                }
                Ok(allowed) => allowed,
                Err(fault) if fault.kind == FaultKind::AccessDenied => {
                    let reason = format!("the concurrency of {name} could not be read: {:#}", explain(&fault));
                    return Ok(Self::new(DEFAULT_RATE, default_concurrency, Some(RateOrigin::Default { reason })));
                }
                Err(fault) => return Err(explain(&fault)),
            };
            let this = (allowed, name);
            least = Some(least.map_or(this, |other| other.min(this)));
        }
        let share = least.map_or(MAX_AUTO_CONCURRENCY, |(allowed, _)| (allowed / SHARE_OF_CONCURRENCY).max(1));
        let share = share.min(MAX_AUTO_CONCURRENCY);
        let origin = least.map(|(allowed, name)| RateOrigin::Concurrency { function: name.to_owned(), allowed });
        Ok(Self::new(f64::from(share) * REQUESTS_PER_SECOND, usize::try_from(share)?, origin))
    }

    /// The time that the invocations of a plan take at least.
    pub fn least_time(&self, plan: &Plan) -> Duration {
        Duration::from_secs_f64((plan.invocations().count() as f64 / self.per_second).ceil())
    }
}

/// The functions that a plan invokes.
fn functions(plan: &Plan) -> BTreeSet<&str> {
    plan.invocations().filter_map(ReplayItem::function).collect()
}
