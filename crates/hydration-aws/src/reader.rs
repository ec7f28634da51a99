//! All that a hydration reads: shards and objects.

use aws_config::SdkConfig;
use hydration::arn::StreamArn;
use hydration::object_notification::ObjectLocation;
use hydration::ports::{ObjectReader, Page, Position, ReadError, ReadObjectError, ShardIterator, ShardReader};

use crate::objects::AwsObjectReader;
use crate::shards::AwsShardReader;

pub struct AwsReader {
    shards: AwsShardReader,
    objects: AwsObjectReader,
}

impl AwsReader {
    pub fn new(config: &SdkConfig) -> Self {
        Self { shards: AwsShardReader::new(config), objects: AwsObjectReader::new(config) }
    }
}

impl ShardReader for AwsReader {
    async fn iterator(
        &self,
        stream: &StreamArn,
        shard_id: &str,
        position: &Position,
    ) -> Result<ShardIterator, ReadError> {
        self.shards.iterator(stream, shard_id, position).await
    }

    async fn page(&self, stream: &StreamArn, iterator: &ShardIterator, limit: u32) -> Result<Page, ReadError> {
        self.shards.page(stream, iterator, limit).await
    }
}

impl ObjectReader for AwsReader {
    async fn read_object(&self, object: &ObjectLocation, max_bytes: usize) -> Result<Vec<u8>, ReadObjectError> {
        self.objects.read_object(object, max_bytes).await
    }
}
