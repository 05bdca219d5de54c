//! Who may not do what, read from AWS's sentence about it.

use std::fmt;

use serde_json::json;

/// A request that was not allowed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Denial {
    /// ARN of who asked.
    caller: Option<String>,
    /// What is not allowed, such as `sagemaker:CreateTrainingJob`.
    action: Option<String>,
    /// ARN of what it was to be done to.
    resource: Option<String>,
    /// The service's own words.
    message: String,
}

impl Denial {
    /// Reads `User: … is not authorized to perform: … on resource: … because …`; S3 puts the resource in quotes.
    pub(crate) fn parse(message: &str) -> Self {
        let after = |mark: &str| {
            let (_, rest) = message.split_once(mark)?;
            let word = rest.split_whitespace().next()?.trim_matches(['"', '.', ',']);
            (!word.is_empty()).then(|| word.to_owned())
        };
        Self {
            caller: after("User: "),
            action: after("not authorized to perform: "),
            resource: after("on resource: "),
            message: message.trim_end_matches('.').to_owned(),
        }
    }

    /// What to add to which policy.
    pub(crate) fn remedy(&self) -> String {
        let Some(action) = &self.action else {
            return "ask for the permission that this operation needs; docs/orchestrator.md lists those of each verb"
                .to_owned();
        };
        let who = self.caller.as_deref().unwrap_or("the caller");
        if self.message.contains("explicit deny") {
            return format!("a policy denies {action} explicitly, which no other can allow: that one has to change");
        }
        let resource = self.resource.as_deref().unwrap_or("*");
        let statement = json!({ "Effect": "Allow", "Action": action, "Resource": resource });
        format!("add to a policy of {who}: {statement}")
    }
}

impl fmt::Display for Denial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(action) = &self.action else { return f.write_str(&self.message) };
        let who = self.caller.as_deref().unwrap_or("the caller");
        write!(f, "{who} may not {action}")?;
        self.resource.iter().try_for_each(|resource| write!(f, " on {resource}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROLE: &str = "arn:aws:sts::123456789012:assumed-role/dev/me";

    #[test]
    fn action_resource_and_what_to_add_are_named() {
        let job = "arn:aws:sagemaker:eu-central-1:123456789012:training-job/unspsc-encoder-0123456789";
        let denial = Denial::parse(&format!(
            "User: {ROLE} is not authorized to perform: sagemaker:CreateTrainingJob on resource: {job} because no \
             identity-based policy allows the sagemaker:CreateTrainingJob action"
        ));
        assert_eq!(denial.to_string(), format!("{ROLE} may not sagemaker:CreateTrainingJob on {job}"));
        let statement = format!(r#"{{"Effect":"Allow","Action":"sagemaker:CreateTrainingJob","Resource":"{job}"}}"#);
        assert_eq!(denial.remedy(), format!("add to a policy of {ROLE}: {statement}"));
    }

    #[test]
    fn a_resource_in_quotes_and_an_explicit_deny_are_understood() {
        let denial = Denial::parse(&format!(
            "User: {ROLE} is not authorized to perform: s3:PutObject on resource: \"arn:aws:s3:::b/k\" with an explicit deny \
             in a resource-based policy"
        ));
        assert_eq!(denial.to_string(), format!("{ROLE} may not s3:PutObject on arn:aws:s3:::b/k"));
        assert!(denial.remedy().contains("explicitly"), "{}", denial.remedy());
    }

    #[test]
    fn a_bare_refusal_keeps_the_services_words() {
        let denial = Denial::parse("Access Denied");
        assert_eq!(denial.to_string(), "Access Denied");
        assert!(denial.remedy().contains("docs/orchestrator.md"));
    }
}
