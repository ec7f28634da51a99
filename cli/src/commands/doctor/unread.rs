//! The reading of a mapping: its metrics, the life of what it has not read, and the key of its filters.

use std::time::Duration;

use hydration::arn::{Source, StreamArn};
use hydration::walk::MIN_RETENTION;

use crate::commands::doctor::checks::Checks;
use crate::commands::doctor::home::Home;
use crate::commands::doctor::rules::filter_key;
use crate::commands::doctor::rules::unread::{RECENT, WatchedMapping, unread};
use crate::ports::{Deployment, MetricPoint, StreamMapping};

/// The longest time for which CloudWatch is asked: it keeps periods of five minutes for two months, and older records
/// are of no use for an age (<https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/cloudwatch_concepts.html>).
const MAX_LOOK_BACK: Duration = Duration::from_secs(14 * 24 * 60 * 60);

impl<D: Deployment> Checks<'_, D> {
    /// Finds records that the mapping does not read.
    pub async fn check_unread(&mut self, mapping: &StreamMapping, retention: Option<Duration>, is_shared: bool) {
        let Ok(stream) = StreamArn::parse(&mapping.source) else { return };
        let retention = if stream.source() == Source::DynamoDb { Some(MIN_RETENTION) } else { retention };
        let look_back = retention.unwrap_or(MIN_RETENTION).min(MAX_LOOK_BACK);
        let ages = self.iterator_ages(mapping, look_back).await;
        let arrivals = self.arrivals(mapping, &stream).await;
        let watched =
            WatchedMapping { mapping, retention, ages: ages.as_deref(), arrivals: &arrivals, is_shared, now: self.now };
        if let Some(finding) = unread(&watched, self.location_flags) {
            self.add(finding);
        }
    }

    async fn iterator_ages(&mut self, mapping: &StreamMapping, look_back: Duration) -> Option<Vec<MetricPoint>> {
        let from = self.now.plus_millis(-i64::try_from(look_back.as_millis()).unwrap_or(i64::MAX));
        match self.deployment.iterator_ages(&mapping.function, from, self.now).await {
            Ok(ages) => Some(ages),
            Err(fault) => {
                self.add_unchecked("metrics", &fault);
                None
            }
        }
    }

    /// The records that arrived in the last hour; of a Kinesis stream of this account alone, since DynamoDB does not
    /// count them.
    async fn arrivals(&mut self, mapping: &StreamMapping, stream: &StreamArn) -> Vec<MetricPoint> {
        let account = |arn: &str| Home::parse(arn).map(|home| home.account);
        let is_ours = account(&mapping.source) == account(&mapping.function);
        if !is_ours || stream.source() == Source::DynamoDb || mapping.is_disabled() || mapping.has_filters {
            return Vec::new();
        }
        match self.deployment.arrivals(stream.name(), self.now.plus_millis(-RECENT), self.now).await {
            Ok(arrivals) => arrivals,
            Err(fault) => {
                self.add_unchecked("metrics", &fault);
                Vec::new()
            }
        }
    }

    /// Checks that the filters can be decrypted, where a customer's key encrypts them.
    pub async fn check_filter_key(&mut self, mapping: &StreamMapping) {
        let Some(key) = mapping.filter_key.as_deref() else { return };
        let subject = format!("filter key of mapping {}", mapping.uuid);
        if let Some(error) = &mapping.filter_error {
            return self.add(filter_key::refused(&subject, key, error));
        }
        match self.deployment.encrypted_filters(&mapping.uuid).await {
            Ok(filters) => self.add(filter_key::filters(&subject, key, &filters)),
            Err(fault) => self.add_unchecked(subject, &fault),
        }
    }
}
