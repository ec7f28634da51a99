//! The partition, region and account of a resource, and what is named after them.

/// Fields of an ARN.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Home {
    partition: String,
    region: String,
    pub account: String,
}

impl Home {
    /// `arn:PARTITION:SERVICE:REGION:ACCOUNT:…`
    pub fn parse(arn: &str) -> Option<Self> {
        let mut fields = arn.splitn(6, ':').map(str::to_owned);
        let partition = fields.nth(1)?;
        let (region, account) = (fields.nth(1)?, fields.next()?);
        Some(Self { partition, region, account })
    }

    /// The value of `kms:ViaService` where the service calls KMS for somebody
    /// (<https://docs.aws.amazon.com/kms/latest/developerguide/conditions-kms.html>).
    pub fn via(&self, service: &str) -> String {
        let suffix = if self.partition == "aws-cn" { "amazonaws.com.cn" } else { "amazonaws.com" };
        format!("{service}.{}.{suffix}", self.region)
    }

    pub fn bucket_arn(&self, bucket: &str) -> String {
        format!("arn:{}:s3:::{bucket}", self.partition)
    }

    /// A KMS key by its id or ARN. Which key an alias names is known to KMS alone.
    pub fn key(&self, key: Option<&str>) -> EncryptionKey {
        let Self { partition, region, account } = self;
        match key {
            None => EncryptionKey::NotOurs,
            Some(key) if key.contains("alias/aws/") => EncryptionKey::NotOurs,
            Some(key) if key.contains("alias/") => EncryptionKey::Alias(key.to_owned()),
            Some(key) if key.starts_with("arn:") => EncryptionKey::Customer(key.to_owned()),
            Some(key) => EncryptionKey::Customer(format!("arn:{partition}:kms:{region}:{account}:key/{key}")),
        }
    }
}

/// The key that encrypts a queue or a bucket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EncryptionKey {
    /// A key of AWS, which asks for no permission.
    NotOurs,
    /// A customer's key, by its ARN.
    Customer(String),
    Alias(String),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_named_by_its_id_its_arn_or_an_alias() {
        let home = Home::parse("arn:aws:lambda:eu-west-1:123456789012:function:orders").unwrap();
        let arn = "arn:aws:kms:eu-west-1:123456789012:key/1a-2b";
        let customer = EncryptionKey::Customer(arn.to_owned());
        assert_eq!(home.key(Some("1a-2b")), customer);
        assert_eq!(home.key(Some(arn)), customer);
        assert_eq!(home.key(Some("alias/orders")), EncryptionKey::Alias("alias/orders".to_owned()));
        for not_ours in [None, Some("alias/aws/sqs"), Some("arn:aws:kms:eu-west-1:123456789012:alias/aws/s3")] {
            assert_eq!(home.key(not_ours), EncryptionKey::NotOurs);
        }
    }

    #[test]
    fn a_service_is_named_with_the_suffix_of_its_partition() {
        let via = |arn| Home::parse(arn).unwrap().via("s3");
        assert_eq!(via("arn:aws:lambda:eu-west-1:123456789012:function:orders"), "s3.eu-west-1.amazonaws.com");
        assert_eq!(via("arn:aws-cn:lambda:cn-north-1:123456789012:function:f"), "s3.cn-north-1.amazonaws.com.cn");
        assert_eq!(Home::parse("orders"), None);
    }
}
