//! Port of a drill: the destinations to which Lambda reports failed batches.

use hydration::error::Fault;

#[allow(async_fn_in_trait, reason = "one thread works; no future of ours needs to be Send")]
pub trait FailureDestination {
    /// Publishes a message to a topic and returns its id.
    async fn publish(&self, topic_arn: &str, message: &str) -> Result<String, Fault>;

    /// Writes a new object, and returns its version where the bucket keeps versions.
    async fn put(&self, bucket: &str, key: &str, content: String) -> Result<Option<String>, Fault>;

    /// Deletes an object, or the version of it.
    async fn delete(&self, bucket: &str, key: &str, version: Option<&str>) -> Result<(), Fault>;
}
