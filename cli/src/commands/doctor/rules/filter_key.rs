//! Rules for the key that encrypts the filters of a mapping.

use crate::commands::doctor::rules::{Finding, Grade};
use crate::ports::EncryptedFilters;

pub fn filters(subject: &str, key: &str, filters: &EncryptedFilters) -> Finding {
    match &filters.error {
        Some(error) => refused(subject, key, error),
        None if filters.is_readable => Finding::fine(subject, format!("{key} decrypts its filters")),
        None => Finding::new(
            Grade::Unchecked,
            subject,
            format!("Lambda does not show the filters that {key} encrypts, and names no reason"),
            &allow(key),
        ),
    }
}

/// The finding for an error of KMS. A refusal may be of the caller alone; every other error is of the key itself, and
/// meets Lambda too.
pub fn refused(subject: &str, key: &str, error: &str) -> Finding {
    if error.contains("AccessDenied") {
        let finding =
            format!("{key} does not decrypt its filters for you, and whether it does for Lambda is not known");
        return Finding::new(Grade::Unchecked, subject, format!("{finding}: {error}"), &allow(key));
    }
    Finding::new(
        Grade::Problem,
        subject,
        format!("its filters cannot be decrypted with {key}: {error}"),
        &format!(
            "aws kms describe-key --key-id {key} tells its state: enable it (aws kms enable-key), or cancel its deletion \
             (aws kms cancel-key-deletion); if it is gone, give the mapping its filters again with another key"
        ),
    )
}

fn allow(key: &str) -> String {
    format!(
        "allow kms:Decrypt on {key} to your credentials; Lambda needs the statement LambdaDecryptsFilters in the key's \
         policy (docs/DEPLOY.md)"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_of_the_caller_and_every_other_error_of_the_key() {
        let grade = |is_readable, error: Option<&str>| {
            filters("s", "key", &EncryptedFilters { is_readable, error: error.map(str::to_owned) }).grade
        };
        assert_eq!(grade(true, None), Grade::Fine);
        assert_eq!(grade(false, None), Grade::Unchecked);
        assert_eq!(grade(false, Some("AccessDeniedException: no")), Grade::Unchecked);
        assert_eq!(grade(false, Some("KMSAccessDeniedException: no")), Grade::Unchecked);
        assert_eq!(grade(false, Some("DisabledException: key/ours is disabled.")), Grade::Problem);
        assert_eq!(grade(false, Some("KMSInvalidStateException: is pending deletion.")), Grade::Problem);
        assert_eq!(grade(false, Some("NotFoundException: does not exist")), Grade::Problem);
    }
}
