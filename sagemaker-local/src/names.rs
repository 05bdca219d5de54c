//! Names of resources: their form, and the ARNs made of them.

use crate::error::ApiError;

/// The account that every resource belongs to.
pub const ACCOUNT: &str = "000000000000";
/// The region that every resource lies in.
pub const REGION: &str = "us-east-1";

/// SageMaker's limit for most names.
const MAX_NAME_LEN: usize = 63;

/// The ARN of a SageMaker resource, such as `training-job` and its name.
pub(crate) fn arn(kind: &str, name: &str) -> String {
    format!("arn:aws:sagemaker:{REGION}:{ACCOUNT}:{kind}/{name}")
}

/// Refuses a name that SageMaker refuses; `member` is the field as SageMaker writes it, such as `trainingJobName`.
///
/// Names become names of folders, so this is also what keeps them inside the state folder.
pub(crate) fn check(member: &str, name: &str) -> Result<(), ApiError> {
    check_within(member, name, MAX_NAME_LEN)
}

/// The same for a name that has another limit of its length.
pub(crate) fn check_within(member: &str, name: &str, max_len: usize) -> Result<(), ApiError> {
    let broken = if name.len() > max_len {
        format!("Member must have length less than or equal to {max_len}")
    } else if !has_pattern(name) {
        // As SageMaker's error texts quote it.
        let pattern = format!("^[a-zA-Z0-9](-*[a-zA-Z0-9]){{0,{}}}$", max_len - 1);
        format!("Member must satisfy regular expression pattern: {pattern}")
    } else {
        return Ok(());
    };
    Err(ApiError::constraint(member, name, &broken))
}

fn has_pattern(name: &str) -> bool {
    let inner = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    inner && !name.is_empty() && !name.starts_with('-') && !name.ends_with('-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_the_pattern_of_sagemaker() {
        for good in ["a", "A1", "a-b", "a--b", &"x".repeat(63)] {
            assert!(check("modelName", good).is_ok(), "{good}");
        }
        for bad in ["", "-a", "a-", "a_b", "a/b", "..", "a b", "ä", &"x".repeat(64)] {
            assert!(check("modelName", bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn the_refusal_quotes_the_field_and_the_value() {
        let message = check("trainingJobName", "a_b").unwrap_err().to_string();
        assert_eq!(
            message,
            "1 validation error detected: Value 'a_b' at 'trainingJobName' failed to satisfy constraint: \
             Member must satisfy regular expression pattern: ^[a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}$"
        );
    }
}
