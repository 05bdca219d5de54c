//! The options of `unspsc infra`, `unspsc lambda`, `unspsc up` and `unspsc down`.

use std::path::PathBuf;

use clap::{ArgAction, Args, Subcommand, ValueEnum};

use super::platform::PlatformArgs;
use super::serving::ServeArgs;
use super::train::OnInterrupt;
use super::tune::TuneArgs;
use super::values::{endpoint_name, typed_or_set};
use crate::images::LocalName;

/// What to do with the stacks.
#[derive(Debug, Subcommand)]
pub(crate) enum InfraCommand {
    /// Make bucket, repositories, role and policy by CloudFormation, or bring them to what this version needs
    #[command(after_help = "\
Examples:
  unspsc infra up                                 shows what is going to be made, and asks
  unspsc infra up --yes --name catalogue
  unspsc plan infra up                            the requests, and nothing is made

The template is infrastructure/base.yaml, which this program has within. A change set says what would be done before anything is; \
events are shown as they come. What is as it should be is left alone, one that is under way is followed, and one that could \
not be made is deleted and made anew. Prints the settings that name bucket and role, and writes them where there is no file \
of settings yet, or with --save into the one that is there. Needs the permissions of an administrator: it makes roles.")]
    Up(InfraUpArgs),
    /// Show the stacks, what they offer, and whether the Lambda is what was deployed last
    Status(InfraStatusArgs),
    /// Delete the stacks; what cannot be had back only with --delete-data
    #[command(after_help = "\
Examples:
  unspsc infra down
  unspsc infra down --delete-data --yes           data, models and images too
  unspsc plan infra down

Nothing is deleted while an endpoint or a job works by the role, the bucket or the images of the stack, and nothing while the bucket \
holds an object or a repository an image, unless --delete-data says so.")]
    Down(InfraDownArgs),
}

/// What to do with the Lambda.
#[derive(Debug, Subcommand)]
pub(crate) enum LambdaCommand {
    /// Bring a package to the Lambda before an endpoint, and let its callers have it once it has answered
    #[command(after_help = "\
Examples:
  unspsc lambda deploy --endpoint NAME
  unspsc lambda deploy --endpoint NAME --package bootstrap.zip --provisioned-concurrency 0
  unspsc plan lambda deploy --endpoint NAME

The first time the stack NAME-front is made of infrastructure/endpoint.yaml: role, log, Lambda, alias `live`, provisioned \
concurrency and its scaling, alarms, dashboard. Later the package is uploaded, a version is published and asked one known \
text, and only then the alias moves to it; an alias stays where it is if the version does not answer. What is there \
already is left alone, so the command can be repeated; an option that is given nowhere stays as it is too.")]
    Deploy(LambdaDeployArgs),
}

/// What `--alarm-topic` says where alarms are to tell nobody.
pub(crate) const NO_TOPIC: &str = "none";
/// What names of stacks begin with.
const DEFAULT_NAME: &str = "unspsc";

/// Which stacks.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Platform")]
pub(crate) struct StackArgs {
    /// What the names of the stacks and of all that they make begin with
    #[arg(long, env = "UNSPSC_NAME", value_name = "NAME", default_value = DEFAULT_NAME, value_parser = stack_name)]
    pub(crate) name: String,
}

impl StackArgs {
    /// Whether it is what `--name` is where nobody gives one.
    pub(crate) fn is_default(&self) -> bool {
        self.name == DEFAULT_NAME
    }

    /// The option, for a command that a user is told; nothing where option, variable and settings have given no name.
    pub(crate) fn option(&self) -> String {
        if self.is_default() && typed_or_set("--name", "UNSPSC_NAME").is_none() {
            String::new()
        } else {
            format!(" --name {}", self.name)
        }
    }

    /// The same for the stack of this name.
    pub(crate) fn option_of(stack: &str) -> String {
        let name = stack.rsplit_once('-').map_or(stack, |(name, _)| name).to_owned();
        Self { name }.option()
    }
}

// Options of a heading come last: those behind them would stand under it too.

/// `infra up`.
#[derive(Debug, Args)]
pub(crate) struct InfraUpArgs {
    /// Make the changes that are shown; without a terminal nobody is asked
    #[arg(long)]
    pub(crate) yes: bool,
    /// Write what is printed into the file of settings that is there, in the place of what stands in it
    #[arg(long)]
    pub(crate) save: bool,
    #[command(flatten)]
    pub(crate) stack: StackArgs,
    #[command(flatten)]
    pub(crate) platform: PlatformArgs,
}

/// `infra status`.
#[derive(Debug, Args)]
pub(crate) struct InfraStatusArgs {
    #[command(flatten)]
    pub(crate) stack: StackArgs,
    #[command(flatten)]
    pub(crate) platform: PlatformArgs,
}

/// `infra down`.
#[derive(Debug, Args)]
pub(crate) struct InfraDownArgs {
    /// Confirm that it is to be deleted; without a terminal nobody is asked
    #[arg(long)]
    pub(crate) yes: bool,
    /// Delete the objects of the bucket (data, models, reports) and the images of the repositories too
    #[arg(long)]
    pub(crate) delete_data: bool,
    #[command(flatten)]
    pub(crate) stack: StackArgs,
    #[command(flatten)]
    pub(crate) platform: PlatformArgs,
}

/// `lambda deploy`.
#[derive(Debug, Args)]
pub(crate) struct LambdaDeployArgs {
    /// Name of the endpoint that the Lambda asks
    #[arg(long, value_name = "NAME", value_parser = endpoint_name)]
    pub(crate) endpoint: String,
    /// Make the changes that are shown; without a terminal nobody is asked
    #[arg(long)]
    pub(crate) yes: bool,
    #[command(flatten)]
    pub(crate) lambda: LambdaArgs,
    #[command(flatten)]
    pub(crate) stack: StackArgs,
    #[command(flatten)]
    pub(crate) platform: PlatformArgs,
}

/// `up`.
#[derive(Debug, Args)]
pub(crate) struct UpArgs {
    /// Train once, with the hyperparameters as they are, instead of searching for the best
    #[arg(long)]
    pub(crate) train_only: bool,
    /// Image of this machine to bring to ECR; may be repeated [default: unspsc-serve:latest and, as --train-instance has a
    /// GPU or not, unspsc-train-gpu:latest or unspsc-train-cpu:latest; none where --train-image and --serve-image are set]
    #[arg(long = "image", value_name = "IMAGE")]
    pub(crate) images: Vec<LocalName>,
    /// Name of the endpoint [default: the one that the Lambda asks, or that of --name]
    #[arg(long, value_name = "NAME", value_parser = endpoint_name)]
    pub(crate) endpoint: Option<String>,
    /// Make the changes of the stacks that are shown; without a terminal nobody is asked
    #[arg(long)]
    pub(crate) yes: bool,
    /// What a signal means while a job runs: `ask` on a terminal and stop elsewhere, `stop` the job, or `leave` it running
    #[arg(long, value_name = "WHAT", default_value = "ask", hide_possible_values = true)]
    pub(crate) on_interrupt: OnInterrupt,
    #[command(flatten)]
    pub(crate) tune: TuneArgs,
    #[command(flatten)]
    pub(crate) serve: ServeArgs,
    #[command(flatten)]
    pub(crate) lambda: LambdaArgs,
    #[command(flatten)]
    pub(crate) stack: StackArgs,
}

/// `down`.
#[derive(Debug, Args)]
pub(crate) struct DownArgs {
    /// Name of the endpoint [default: the one that the Lambda asks, or that of --name]
    #[arg(long, value_name = "NAME", value_parser = endpoint_name)]
    pub(crate) endpoint: Option<String>,
    /// Confirm that it is to be deleted; without a terminal nobody is asked
    #[arg(long)]
    pub(crate) yes: bool,
    /// Delete the objects of the bucket (data, models, reports) and the images of the repositories too
    #[arg(long)]
    pub(crate) delete_data: bool,
    #[command(flatten)]
    pub(crate) stack: StackArgs,
    #[command(flatten)]
    pub(crate) platform: PlatformArgs,
}

/// What stands before the endpoint; what is given nowhere stays as the stack has it.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Lambda")]
pub(crate) struct LambdaArgs {
    /// The program `bootstrap`, or a zip with it [default: what scripts/build-lambda has made for the architecture]
    #[arg(long, env = "UNSPSC_PACKAGE", value_name = "PATH")]
    pub(crate) package: Option<PathBuf>,
    /// Processor that the Lambda runs on, for which the package was built: `arm64` or `x86_64` [default: as it is, arm64 at first]
    #[arg(long, env = "UNSPSC_ARCHITECTURE", value_name = "ARCH", hide_possible_values = true)]
    pub(crate) architecture: Option<Architecture>,
    /// Memory of the Lambda in MB; its share of a processor follows from it [default: as it is, 256 at first]
    #[arg(long, env = "UNSPSC_LAMBDA_MEMORY_MB", value_name = "MB",
          value_parser = clap::value_parser!(i32).range(128..=10_240))]
    pub(crate) lambda_memory_mb: Option<i32>,
    /// Environments that are kept ready at least, paid by the hour; 0 for none [default: as it is, 4 at first]
    #[arg(long, env = "UNSPSC_PROVISIONED_CONCURRENCY", value_name = "N",
          value_parser = clap::value_parser!(i32).range(0..=1000))]
    pub(crate) provisioned_concurrency: Option<i32>,
    /// Environments that are kept ready at most [default: as it is, 16 at first]
    #[arg(long, env = "UNSPSC_MAXIMUM_CONCURRENCY", value_name = "N",
          value_parser = clap::value_parser!(i32).range(1..=1000))]
    pub(crate) maximum_concurrency: Option<i32>,
    /// SNS topic that alarms tell; `none` takes it away [default: as it is, none at first]
    #[arg(long, env = "UNSPSC_ALARM_TOPIC", value_name = "ARN", value_parser = topic)]
    pub(crate) alarm_topic: Option<String>,
    /// Write the texts that the Lambda is asked about into its log [default: as it is, false at first]
    #[arg(long, env = "UNSPSC_LOG_DESCRIPTIONS", value_name = "BOOL", action = ArgAction::Set, num_args = 0..=1,
          require_equals = true, default_missing_value = "true")]
    pub(crate) log_descriptions: Option<bool>,
}

/// A processor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Architecture {
    /// AWS Graviton.
    Arm64,
    /// Intel and AMD.
    #[value(name = "x86_64")]
    X86,
}

/// The beginning of names, as the templates take it.
fn stack_name(text: &str) -> Result<String, String> {
    let is_letter = |character: char| character.is_ascii_lowercase();
    let is_word = |character: char| is_letter(character) || character.is_ascii_digit();
    let is_inner = |character: char| is_word(character) || character == '-';
    if (2..=20).contains(&text.len())
        && text.starts_with(is_letter)
        && text.ends_with(is_word)
        && text.chars().all(is_inner)
    {
        Ok(text.to_owned())
    } else {
        Err("allowed: 2 to 20 lower-case letters, digits and hyphens, the first a letter and the last no hyphen"
            .to_owned())
    }
}

/// The ARN of an SNS topic, or [`NO_TOPIC`].
fn topic(text: &str) -> Result<String, String> {
    if text == NO_TOPIC || text.starts_with("arn:aws") && text.contains(":sns:") {
        Ok(text.to_owned())
    } else {
        Err("write the ARN of the topic, such as arn:aws:sns:eu-central-1:123456789012:alarms, or none".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_that_the_templates_take() {
        for text in ["unspsc", "a1", "my-catalogue", &"x".repeat(20)] {
            assert_eq!(stack_name(text), Ok(text.to_owned()));
        }
        for text in ["", "a", "A1", "1a", "a-", "a_b", &"x".repeat(21)] {
            assert!(stack_name(text).is_err(), "{text}");
        }
    }
}
