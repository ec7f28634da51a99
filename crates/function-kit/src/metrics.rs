//! The start of metrics in CloudWatch's embedded metric format
//! (<https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html>).

use metrique::ServiceMetrics;
use metrique::emf::Emf;
use metrique::writer::{AttachGlobalEntrySinkExt, FormatExt};

const NAMESPACE: &str = "FailedBatchHydrator";

/// Starts writing all metrics to `output`, once in the process.
pub fn start(output: impl std::io::Write + Send + Sync + 'static) {
    let output = Emf::no_validations(NAMESPACE.to_owned(), vec![vec![]]).output_to(output);
    // Dropping the handle would detach the sink, which is needed until the process ends.
    std::mem::forget(ServiceMetrics::write_directly_to(output));
}
