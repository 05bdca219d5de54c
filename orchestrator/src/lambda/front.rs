//! What stands before an endpoint: what the options say, or else the stack that is there, or else the template.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use anyhow::bail;
use clap::ValueEnum as _;

use crate::deploy::VARIANT;
use crate::infra;
use crate::options::{Architecture, LambdaArgs, NO_TOPIC, StackArgs};
use crate::session::Session;
use crate::stacks::{self, State, Wanted};
use crate::storage::S3Uri;

use super::package::PROGRAM;
use super::{FRONT, MOMENTARY, asked};

/// The Lambda before an endpoint, as it is to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Front {
    /// The endpoint that it asks now, where it is there.
    pub(crate) endpoint: Option<String>,
    /// Where its package is on this machine.
    pub(super) package: PathBuf,
    pub(super) architecture: Architecture,
    /// Memory in MB.
    pub(crate) memory_mb: i32,
    /// Environments that are kept ready at least, and at most.
    pub(crate) ready: i32,
    most_ready: i32,
    /// The topic that alarms tell, or nothing.
    topic: String,
    logs_descriptions: bool,
}

impl Front {
    /// By the options, and by the stack for what they do not say.
    pub(crate) async fn of(session: &Session, args: &LambdaArgs, stack: &StackArgs) -> anyhow::Result<Self> {
        let there = stacks::settled(session, &infra::front_name(stack)).await?;
        // One that has never come about says what was wrong with it, perhaps.
        let Some(there) = there.filter(|there| there.state() == State::Stands) else {
            return Self::new(args, &BTreeMap::new(), None);
        };
        Self::new(args, &there.parameters, asked(session, &there).await?)
    }

    fn new(args: &LambdaArgs, parameters: &BTreeMap<String, String>, endpoint: Option<String>) -> anyhow::Result<Self> {
        let has = |key: &str| parameters.get(key).map(String::as_str);
        let architecture = args.architecture.or_else(|| Architecture::from_str(has("Architecture")?, false).ok());
        let architecture = architecture.unwrap_or(Architecture::Arm64);
        let folder = match architecture {
            Architecture::Arm64 => "arm64",
            Architecture::X86 => "x86-64",
        };
        let package = args.package.clone();
        let ready = args.provisioned_concurrency.or_else(|| read(has("ProvisionedConcurrency"))).unwrap_or(4);
        let most_ready = args.maximum_concurrency.or_else(|| read(has("MaximumConcurrency"))).unwrap_or(16);
        let topic = args.alarm_topic.as_deref().or_else(|| has("AlarmTopicArn")).filter(|topic| *topic != NO_TOPIC);
        if most_ready < ready {
            bail!(
                "with {ready} environments kept ready at least (--provisioned-concurrency), --maximum-concurrency cannot be \
                 {most_ready}: give it {ready} or more"
            );
        }
        Ok(Self {
            endpoint,
            package: package.unwrap_or_else(|| Path::new("target/lambda").join(folder).join(PROGRAM)),
            architecture,
            memory_mb: args.lambda_memory_mb.or_else(|| read(has("MemorySize"))).unwrap_or(256),
            ready,
            most_ready,
            topic: topic.unwrap_or_default().to_owned(),
            logs_descriptions: args.log_descriptions.or_else(|| read(has("LogDescriptions"))).unwrap_or(false),
        })
    }

    /// The architecture as Lambda and the template write it.
    pub(super) fn processor(&self) -> String {
        self.architecture.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
    }

    /// The stack of it before the `endpoint`, which has `instances` at most; its alias leads to the version `live`, which may ask
    /// the endpoint `former`.
    pub(super) fn wanted(
        &self,
        stack: &StackArgs,
        (endpoint, former, instances): (&str, &str, i32),
        (place, live): (&S3Uri, &str),
    ) -> Wanted {
        let parameters = BTreeMap::from([
            ("Name", stack.name.clone()),
            ("EndpointName", endpoint.to_owned()),
            ("FormerEndpointName", former.to_owned()),
            ("VariantName", VARIANT.to_owned()),
            ("CodeBucket", place.bucket.clone()),
            ("CodeKey", place.key.clone()),
            ("Architecture", self.processor()),
            ("MemorySize", self.memory_mb.to_string()),
            ("LiveVersion", live.to_owned()),
            ("ProvisionedConcurrency", self.ready.to_string()),
            ("MaximumConcurrency", self.most_ready.to_string()),
            ("MaximumInstances", instances.to_string()),
            ("AlarmTopicArn", self.topic.clone()),
            ("LogDescriptions", self.logs_descriptions.to_string()),
        ]);
        Wanted { name: infra::front_name(stack), template: FRONT, parameters, momentary: MOMENTARY }
    }
}

fn read<T: FromStr>(text: Option<&str>) -> Option<T> {
    text?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOTHING: LambdaArgs = LambdaArgs {
        package: None,
        architecture: None,
        lambda_memory_mb: None,
        provisioned_concurrency: None,
        maximum_concurrency: None,
        alarm_topic: None,
        log_descriptions: None,
    };

    #[test]
    fn what_no_option_says_stays_as_the_stack_has_it() {
        let new = Front::new(&NOTHING, &BTreeMap::new(), None).unwrap();
        assert_eq!((new.processor().as_str(), new.memory_mb, new.ready, new.most_ready), ("arm64", 256, 4, 16));
        assert_eq!((new.topic.as_str(), new.logs_descriptions), ("", false));
        assert_eq!(new.package, Path::new("target/lambda/arm64/bootstrap"));

        let topic = "arn:aws:sns:eu-central-1:1:alarms";
        let parameters = [
            ("Architecture", "x86_64"),
            ("MemorySize", "512"),
            ("ProvisionedConcurrency", "0"),
            ("MaximumConcurrency", "8"),
            ("AlarmTopicArn", topic),
            ("LogDescriptions", "true"),
        ];
        let parameters = parameters.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
        let kept = Front::new(&NOTHING, &parameters, None).unwrap();
        assert_eq!((kept.processor().as_str(), kept.memory_mb, kept.ready, kept.most_ready), ("x86_64", 512, 0, 8));
        assert_eq!((kept.topic.as_str(), kept.logs_descriptions), (topic, true));
        assert_eq!(kept.package, Path::new("target/lambda/x86-64/bootstrap"));

        let said = LambdaArgs {
            provisioned_concurrency: Some(8),
            alarm_topic: Some(NO_TOPIC.to_owned()),
            log_descriptions: Some(false),
            ..NOTHING
        };
        let changed = Front::new(&said, &parameters, None).unwrap();
        assert_eq!((changed.ready, changed.most_ready), (8, 8));
        assert_eq!((changed.topic.as_str(), changed.logs_descriptions), ("", false));
        let more = LambdaArgs { provisioned_concurrency: Some(9), ..NOTHING };
        let error = Front::new(&more, &parameters, None).unwrap_err().to_string();
        assert!(error.contains("--maximum-concurrency cannot be 8: give it 9 or more"), "{error}");
    }
}
