//! The place of an archive, as it is typed and as it is printed.

use hydration::object_key::FOLDER;

/// The value of `--archive`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ArchiveChoice {
    /// The bucket of the stack that is named.
    OfStack,
    At(ArchivePlace),
}

/// The folder of an archive in a bucket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArchivePlace {
    pub bucket: String,
    /// Ends in `hydrated/`.
    pub prefix: String,
}

/// The word for the bucket of the stack.
const STACK: &str = "stack";

impl ArchiveChoice {
    pub fn parse(text: &str) -> Result<Self, String> {
        if text == STACK {
            return Ok(Self::OfStack);
        }
        let Some(place) = text.strip_prefix("s3://") else {
            return Err(format!(
                "give s3://BUCKET/{FOLDER}, or the word {STACK} for the bucket of --stack; an id comes after it"
            ));
        };
        let (bucket, prefix) = place.split_once('/').unwrap_or((place, ""));
        let prefix = format!("{}/", prefix.trim_end_matches('/'));
        let is_folder = prefix == FOLDER || prefix.ends_with(&format!("/{FOLDER}"));
        if bucket.is_empty() || prefix.starts_with('/') && prefix != "/" {
            return Err(format!("give s3://BUCKET/{FOLDER}"));
        }
        if !is_folder {
            return Err(format!(
                "an archive is the folder {FOLDER} of the overflow bucket: s3://{bucket}/{FOLDER}; --function and \
                 --since choose what is read of it"
            ));
        }
        Ok(Self::At(ArchivePlace { bucket: bucket.to_owned(), prefix }))
    }
}

impl std::fmt::Display for ArchiveChoice {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::OfStack => f.write_str(STACK),
            Self::At(place) => place.fmt(f),
        }
    }
}

impl ArchivePlace {
    /// The archive in the overflow bucket of a stack.
    pub fn in_bucket(bucket: &str) -> Self {
        Self { bucket: bucket.to_owned(), prefix: FOLDER.to_owned() }
    }
}

impl std::fmt::Display for ArchivePlace {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "s3://{}/{}", self.bucket, self.prefix)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_archive_is_a_folder_hydrated_or_the_stack_s_own() {
        assert_eq!(ArchiveChoice::parse("stack"), Ok(ArchiveChoice::OfStack));
        for (text, printed) in [
            ("s3://b/hydrated/", "s3://b/hydrated/"),
            ("s3://b/hydrated", "s3://b/hydrated/"),
            ("s3://b/copies/2026/hydrated//", "s3://b/copies/2026/hydrated/"),
        ] {
            assert_eq!(ArchiveChoice::parse(text).unwrap().to_string(), printed);
        }
    }

    #[test]
    fn an_id_in_its_place_and_a_wrong_place_are_refused_with_the_right_one() {
        for (text, advice) in [
            ("4f1c", "an id comes after it"),
            ("", "the word stack"),
            ("https://b/hydrated/", "s3://BUCKET/hydrated/"),
            ("s3://", "s3://BUCKET/hydrated/"),
            ("s3:///hydrated/", "s3://BUCKET/hydrated/"),
            ("s3://b//hydrated/", "s3://BUCKET/hydrated/"),
            ("s3://b", "s3://b/hydrated/"),
            ("s3://b/", "s3://b/hydrated/"),
            ("s3://b/dehydrated/", "s3://b/hydrated/"),
            ("s3://b/hydrated/orders/", "--function"),
        ] {
            let error = ArchiveChoice::parse(text).unwrap_err();
            assert!(error.contains(advice), "{text}: {error}");
        }
    }
}
