//! The whole ARN of a function: what a run is known by.

use std::fmt;

/// The ARN of a Lambda function, with its partition, region, account, name and qualifier.
///
/// An unqualified ARN invokes `$LATEST`
/// (<https://docs.aws.amazon.com/lambda/latest/dg/configuration-versions.html>), so both have one form here: the
/// unqualified one.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FunctionArn {
    text: String,
    name: String,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("it is not the whole ARN of a Lambda function: arn:PARTITION:lambda:REGION:ACCOUNT:function:NAME[:QUALIFIER]")]
pub struct InvalidFunctionArn;

impl FunctionArn {
    pub fn parse(text: &str) -> Result<Self, InvalidFunctionArn> {
        let fields: Vec<&str> = text.split(':').collect();
        let ([arn, partition, service, region, account, kind, name], qualifier) = match *fields.as_slice() {
            [a, b, c, d, e, f, g] => ([a, b, c, d, e, f, g], None),
            [a, b, c, d, e, f, g, qualifier] => ([a, b, c, d, e, f, g], Some(qualifier)),
            _ => return Err(InvalidFunctionArn),
        };
        let is_valid = (arn, service, kind) == ("arn", "lambda", "function")
            && is_label(partition)
            && is_label(region)
            && account.len() == 12
            && account.bytes().all(|byte| byte.is_ascii_digit())
            && is_name(name)
            && qualifier.is_none_or(|qualifier| qualifier == "$LATEST" || is_name(qualifier));
        if !is_valid {
            return Err(InvalidFunctionArn);
        }
        let text = text.strip_suffix(":$LATEST").unwrap_or(text);
        Ok(Self { text: text.to_owned(), name: name.to_owned() })
    }

    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The function's name, without its qualifier.
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl fmt::Display for FunctionArn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

fn is_label(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= 63
        && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
}

/// A function's name or a qualifier
/// (<https://docs.aws.amazon.com/lambda/latest/api/API_Invoke.html#API_Invoke_RequestParameters>).
fn is_name(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= 128
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ARN: &str = "arn:aws:lambda:eu-west-1:123456789012:function:orders";

    #[test]
    fn an_unqualified_arn_and_latest_are_the_same_function() {
        let arn = FunctionArn::parse(ARN).unwrap();
        assert_eq!(FunctionArn::parse(&format!("{ARN}:$LATEST")).unwrap(), arn);
        assert_ne!(FunctionArn::parse(&format!("{ARN}:live")).unwrap(), arn);
        assert_eq!((arn.as_str(), arn.name()), (ARN, "orders"));
    }

    #[test]
    fn anything_but_a_whole_arn_is_refused() {
        for text in [
            "",
            "orders",
            "orders:live",
            "123456789012:function:orders",
            "arn:aws:lambda:eu-west-1:123456789012:function:",
            "arn:aws:lambda:eu-west-1:12:function:orders",
            "arn:aws:lambda::123456789012:function:orders",
            "arn:aws:lambda:eu-west-1:123456789012:function:../orders",
            "arn:aws:lambda:eu-west-1:123456789012:function:orders:live:more",
            "arn:aws:lambda:eu-west-1:123456789012:layer:orders",
            "arn:aws:pipes:eu-west-1:123456789012:pipe/orders",
        ] {
            assert_eq!(FunctionArn::parse(text), Err(InvalidFunctionArn), "{text}");
        }
    }
}
