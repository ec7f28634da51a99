//! Metrics in CloudWatch's embedded metric format, written to standard output
//! (<https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html>).

use std::time::{Duration, SystemTime};

use hydration::error::HydrateError;
use hydration::hydrator::{Continued, Hydrated};
use hydration::retry::CallStats;
use metrique::ServiceMetrics;
use metrique::unit::{Byte, Count, Millisecond, Second};
use metrique::unit_of_work::metrics;
use metrique::writer::GlobalEntrySink;

/// Delivered batches, by status.
#[metrics(emf::dimension_sets = [["FunctionName", "Status"]], rename_all = "PascalCase")]
struct HydratedCount {
    #[metrics(timestamp)]
    timestamp: SystemTime,
    function_name: String,
    status: &'static str,
    #[metrics(unit = Count)]
    batches: u64,
}

/// Batches that could not be hydrated this time, by error.
#[metrics(emf::dimension_sets = [["FunctionName", "ErrorType"]], rename_all = "PascalCase")]
struct FailedCount {
    #[metrics(timestamp)]
    timestamp: SystemTime,
    function_name: String,
    error_type: &'static str,
    #[metrics(unit = Count)]
    batches_failed: u64,
}

/// Batches whose rest is on the retry queue, by the error that stopped them.
#[metrics(emf::dimension_sets = [["FunctionName", "ErrorType"]], rename_all = "PascalCase")]
struct ContinuedCount {
    #[metrics(timestamp)]
    timestamp: SystemTime,
    function_name: String,
    error_type: &'static str,
    #[metrics(unit = Count)]
    batches_continued: u64,
}

/// Drills that were delivered, by status.
#[metrics(emf::dimension_sets = [["FunctionName", "Status"]], rename_all = "PascalCase")]
struct DrillCount {
    #[metrics(timestamp)]
    timestamp: SystemTime,
    function_name: String,
    status: &'static str,
    #[metrics(unit = Count)]
    drills: u64,
}

/// Drills that could not be hydrated this time, by error.
#[metrics(emf::dimension_sets = [["FunctionName", "ErrorType"]], rename_all = "PascalCase")]
struct FailedDrillCount {
    #[metrics(timestamp)]
    timestamp: SystemTime,
    function_name: String,
    error_type: &'static str,
    #[metrics(unit = Count)]
    drills_failed: u64,
}

/// The records and the calls of one batch.
#[metrics(emf::dimension_sets = [["FunctionName"]], rename_all = "PascalCase")]
struct BatchMetrics {
    #[metrics(timestamp)]
    timestamp: SystemTime,
    function_name: String,
    #[metrics(unit = Count)]
    records_recovered: Option<u64>,
    #[metrics(unit = Count)]
    records_missing: Option<u64>,
    #[metrics(unit = Second)]
    oldest_record_age: Option<u64>,
    #[metrics(unit = Count)]
    read_calls: u64,
    #[metrics(unit = Count)]
    throttles: u64,
    #[metrics(unit = Byte)]
    overflow_bytes: u64,
    #[metrics(unit = Millisecond)]
    duration: u64,
}

pub fn hydrated(function_name: &str, hydrated: &Hydrated, stats: &CallStats, duration: Duration) {
    let count = HydratedCount {
        timestamp: SystemTime::now(),
        function_name: function_name.to_owned(),
        status: hydrated.verdict.status.as_str(),
        batches: 1,
    };
    let metrics = BatchMetrics {
        records_recovered: Some(hydrated.recovered_records),
        records_missing: Some(hydrated.verdict.missing.unwrap_or(0)),
        oldest_record_age: hydrated.oldest_record_age.map(|millis| (millis.max(0) / 1000).unsigned_abs()),
        ..cost(function_name, stats, duration)
    };
    drop(count.append_on_drop(ServiceMetrics::sink()));
    drop(metrics.append_on_drop(ServiceMetrics::sink()));
}

pub fn continued(function_name: &str, continued: &Continued, stats: &CallStats, duration: Duration) {
    let count = ContinuedCount {
        timestamp: SystemTime::now(),
        function_name: function_name.to_owned(),
        error_type: continued.cause.kind(),
        batches_continued: 1,
    };
    drop(count.append_on_drop(ServiceMetrics::sink()));
    drop(cost(function_name, stats, duration).append_on_drop(ServiceMetrics::sink()));
}

pub fn failed(function_name: &str, error: &HydrateError, stats: &CallStats, duration: Duration) {
    let count = FailedCount {
        timestamp: SystemTime::now(),
        function_name: function_name.to_owned(),
        error_type: error.kind(),
        batches_failed: 1,
    };
    drop(count.append_on_drop(ServiceMetrics::sink()));
    drop(cost(function_name, stats, duration).append_on_drop(ServiceMetrics::sink()));
}

pub fn drill(function_name: &str, status: &'static str) {
    let (timestamp, function_name) = (SystemTime::now(), function_name.to_owned());
    drop(DrillCount { timestamp, function_name, status, drills: 1 }.append_on_drop(ServiceMetrics::sink()));
}

pub fn drill_failed(function_name: &str, error: &HydrateError) {
    let (timestamp, function_name) = (SystemTime::now(), function_name.to_owned());
    let count = FailedDrillCount { timestamp, function_name, error_type: error.kind(), drills_failed: 1 };
    drop(count.append_on_drop(ServiceMetrics::sink()));
}

fn cost(function_name: &str, stats: &CallStats, duration: Duration) -> BatchMetrics {
    BatchMetrics {
        timestamp: SystemTime::now(),
        function_name: function_name.to_owned(),
        records_recovered: None,
        records_missing: None,
        oldest_record_age: None,
        read_calls: u64::from(stats.read_calls),
        throttles: u64::from(stats.throttles),
        overflow_bytes: stats.overflow_bytes,
        duration: u64::try_from(duration.as_millis()).unwrap_or(u64::MAX),
    }
}
