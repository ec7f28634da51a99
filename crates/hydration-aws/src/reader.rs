//! All that a hydration reads: shards of both services, in the region that the stream's ARN names, and objects.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use aws_config::{Region, SdkConfig};
use aws_sdk_dynamodbstreams::Client as DynamoDbClient;
use aws_sdk_kinesis::Client as KinesisClient;
use hydration::arn::{Source, StreamArn};
use hydration::error::Fault;
use hydration::object_notification::ObjectLocation;
use hydration::ports::{
    ObjectReader, Page, Position, ReadError, ReadObjectError, ShardIterator, ShardReader, StreamReader, StreamShard,
};
use hydration::timestamp::Timestamp;
use hydration::walk::MIN_RETENTION;

use crate::objects::AwsObjectReader;
use crate::{dynamodb, kinesis};

pub struct AwsReader {
    config: SdkConfig,
    kinesis: ClientsByRegion<KinesisClient>,
    dynamodb: ClientsByRegion<DynamoDbClient>,
    objects: AwsObjectReader,
}

impl AwsReader {
    pub fn new(config: &SdkConfig) -> Self {
        Self {
            config: config.clone(),
            kinesis: ClientsByRegion::default(),
            dynamodb: ClientsByRegion::default(),
            objects: AwsObjectReader::new(config),
        }
    }

    fn kinesis(&self, stream: &StreamArn) -> KinesisClient {
        self.kinesis.get_or_create(stream.region(), |region| {
            let config = aws_sdk_kinesis::config::Builder::from(&self.config).region(region).build();
            KinesisClient::from_conf(config)
        })
    }

    fn dynamodb(&self, stream: &StreamArn) -> DynamoDbClient {
        self.dynamodb.get_or_create(stream.region(), |region| {
            let config = aws_sdk_dynamodbstreams::config::Builder::from(&self.config).region(region).build();
            DynamoDbClient::from_conf(config)
        })
    }
}

impl ShardReader for AwsReader {
    async fn iterator(
        &self,
        stream: &StreamArn,
        shard_id: &str,
        position: &Position,
    ) -> Result<ShardIterator, ReadError> {
        match stream.source() {
            Source::Kinesis => {
                let request = self.kinesis(stream).get_shard_iterator();
                kinesis::iterator(request.stream_arn(stream.stream()).shard_id(shard_id), position).await
            }
            Source::DynamoDb => {
                let request = self.dynamodb(stream).get_shard_iterator();
                dynamodb::iterator(request.stream_arn(stream.stream()).shard_id(shard_id), position).await
            }
        }
    }

    async fn page(&self, stream: &StreamArn, iterator: &ShardIterator, limit: u32) -> Result<Page, ReadError> {
        match stream.source() {
            Source::Kinesis => kinesis::page(&self.kinesis(stream), stream, iterator, limit).await,
            Source::DynamoDb => dynamodb::page(&self.dynamodb(stream), iterator, limit).await,
        }
    }
}

impl StreamReader for AwsReader {
    async fn shards(&self, stream: &StreamArn, since: Timestamp) -> Result<Vec<StreamShard>, Fault> {
        match stream.source() {
            Source::Kinesis => kinesis::shards(&self.kinesis(stream), stream, since).await,
            Source::DynamoDb => dynamodb::shards(&self.dynamodb(stream), stream).await,
        }
    }

    async fn retention(&self, stream: &StreamArn) -> Result<Duration, Fault> {
        match stream.source() {
            Source::Kinesis => kinesis::retention(&self.kinesis(stream), stream).await,
            Source::DynamoDb => Ok(MIN_RETENTION),
        }
    }
}

impl ObjectReader for AwsReader {
    async fn read_object(&self, object: &ObjectLocation, max_bytes: usize) -> Result<Vec<u8>, ReadObjectError> {
        self.objects.read_object(object, max_bytes).await
    }
}

/// A client for each region. It is created when it is first needed, and kept with its connections.
struct ClientsByRegion<Client>(Mutex<HashMap<String, Client>>);

impl<Client> Default for ClientsByRegion<Client> {
    fn default() -> Self {
        Self(Mutex::new(HashMap::new()))
    }
}

impl<Client: Clone> ClientsByRegion<Client> {
    fn get_or_create(&self, region: &str, create: impl FnOnce(Region) -> Client) -> Client {
        let mut clients = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        clients.entry(region.to_owned()).or_insert_with(|| create(Region::new(region.to_owned()))).clone()
    }
}
