//! Metrics on CloudWatch.

use aws_config::SdkConfig;
use aws_sdk_cloudwatch::Client;
use aws_sdk_cloudwatch::primitives::DateTime;
use aws_sdk_cloudwatch::types::{Dimension, Metric, MetricDataQuery, MetricStat, ScanBy};
use hydration::error::Fault;
use hydration::timestamp::Timestamp;
use hydration_aws::fault::fault;

use crate::ports::MetricPoint;

/// The shortest period that CloudWatch keeps for two months
/// (<https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_MetricStat.html>).
const PERIOD_SECONDS: i32 = 300;

/// A metric, by its namespace, name, one dimension and statistic.
pub struct MetricName<'a> {
    pub namespace: &'a str,
    pub name: &'a str,
    pub dimension: (&'a str, &'a str),
    pub statistic: &'a str,
}

impl MetricName<'_> {
    fn query(&self) -> MetricDataQuery {
        let (name, value) = self.dimension;
        let dimension = Dimension::builder().name(name).value(value).build();
        let metric = Metric::builder().namespace(self.namespace).metric_name(self.name).dimensions(dimension).build();
        let stat = MetricStat::builder().metric(metric).period(PERIOD_SECONDS).stat(self.statistic).build();
        MetricDataQuery::builder().id("m").metric_stat(stat).build()
    }
}

/// The values of a metric, oldest first. Periods without one are left out.
pub async fn read(
    config: &SdkConfig,
    metric: &MetricName<'_>,
    from: Timestamp,
    to: Timestamp,
) -> Result<Vec<MetricPoint>, Fault> {
    let client = Client::new(config);
    let (mut points, mut token) = (Vec::new(), None);
    loop {
        let request = client
            .get_metric_data()
            .metric_data_queries(metric.query())
            .start_time(DateTime::from_millis(from.millis()))
            .end_time(DateTime::from_millis(to.millis()))
            .scan_by(ScanBy::TimestampAscending)
            .set_next_token(token);
        let answer = request.send().await.map_err(|error| fault("cloudwatch:GetMetricData", &error))?;
        for result in answer.metric_data_results() {
            let times =
                result.timestamps().iter().map(|at| Timestamp::from_secs_and_nanos(at.secs(), at.subsec_nanos()));
            points.extend(times.zip(result.values()).map(|(at, value)| MetricPoint { at, value: *value }));
        }
        token = answer.next_token.filter(|token| !token.is_empty());
        if token.is_none() {
            points.sort_by_key(|point| point.at);
            return Ok(points);
        }
    }
}
