//! The command line; the field comments are the help texts.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use unspsc_contract::ModelKind;
use unspsc_contract::invocation::Depth;
use unspsc_dataset::{AugmentMode, TitleForm};
use unspsc_taxonomy::Level;
use url::Url;

use crate::download::{self, Source};

/// Trains and serves a classifier that finds the UNSPSC code of a description. SageMaker does the work, through its
/// API: on AWS, or on this machine, where sagemaker-local answers the same API and really runs the jobs.
#[derive(Debug, Parser)]
#[command(
    name = "unspsc",
    version,
    arg_required_else_help = true,
    after_help = "\
Examples:
  unspsc run --local                              train, deploy, ask and take down, all on this machine
  unspsc data prepare --data purchases.csv        see what becomes of your rows
  unspsc train --local --data purchases.csv --hyperparameter epochs=5
  unspsc invoke --endpoint NAME \"toner cartridge magenta\""
)]
pub(crate) struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
    /// Which of the program's own log events to show, such as `debug` or `sagemaker_local=info`
    #[arg(long, global = true, env = "UNSPSC_LOG", value_name = "FILTER", default_value = "warn,aws_config=error")]
    pub(crate) log: String,
}

/// Where SageMaker is found, and as whom to speak to it.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Platform")]
pub(crate) struct PlatformArgs {
    /// Use this machine: start sagemaker-local within this process and stop it at the end
    #[arg(long)]
    pub(crate) local: bool,
    /// Folder that sagemaker-local keeps buckets, jobs and logs in
    #[arg(long, env = "UNSPSC_STATE", value_name = "DIR", default_value = ".unspsc-local")]
    pub(crate) state: PathBuf,
    /// Address of a running sagemaker-local, or of another stand-in for AWS
    #[arg(long, env = "AWS_ENDPOINT_URL", value_name = "URL")]
    pub(crate) endpoint_url: Option<String>,
    /// AWS region [default: that of the AWS profile]
    #[arg(long, env = "AWS_REGION", value_name = "REGION")]
    pub(crate) region: Option<String>,
    /// ARN of the role that jobs and endpoints run as; needed on AWS
    #[arg(long, env = "UNSPSC_ROLE", value_name = "ARN")]
    pub(crate) role: Option<String>,
    /// Bucket for data, models and reports, in the same region; needed on AWS
    #[arg(long, env = "UNSPSC_BUCKET", value_name = "NAME")]
    pub(crate) bucket: Option<String>,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Look at and prepare training data
    #[command(subcommand)]
    Data(DataCommand),
    /// Prepare data, upload it, train a model and show how good it is
    #[command(after_help = "\
Examples:
  unspsc train --local                            the starter set, on this machine
  unspsc train --local --model rnn                the recurrent baseline, to compare with
  unspsc train --data purchases.csv --role ARN --bucket NAME --train-image URI

The exit code is 0 only when the job has completed. Ctrl-C stops the job.")]
    Train(TrainArgs),
    /// Put a trained model behind an endpoint that scales from 1 to 4 instances
    #[command(after_help = "\
Examples:
  unspsc deploy --job NAME --endpoint-url http://127.0.0.1:4570
  unspsc deploy --artifact s3://bucket/path/model.tar.gz --endpoint catalogue --role ARN --serve-image URI")]
    Deploy(DeployArgs),
    /// Ask an endpoint for the codes of one or more descriptions
    #[command(after_help = "\
Examples:
  unspsc invoke --endpoint NAME \"toner cartridge magenta\" \"office cleaning, monthly\"
  unspsc invoke --endpoint NAME --json \"edible sandwiches, coffee, tea\"")]
    Invoke(InvokeArgs),
    /// Judge a classifier by rows whose codes are known: figures at every level, worst classes, an HTML report
    #[command(after_help = "\
Examples:
  unspsc evaluate --data test.csv --url http://127.0.0.1:8080
  unspsc evaluate --data prepared --endpoint NAME --output evaluation
  unspsc evaluate --data erp.csv --description-column Text --code-column Category --url http://127.0.0.1:8080
  unspsc evaluate --data test.csv --predictions other.jsonl

Layouts are those of `unspsc data prepare`; of a prepared set the test side is judged. Rows that cannot be answered are \
counted, named, and missed at every level. Writes DIR/evaluation.json, DIR/evaluation.html and, unless --predictions names \
one, DIR/predictions.jsonl, which --predictions reads again. Of another classifier's answers a line needs no more than
  {\"description\": \"bread\", \"by_level\": {\"segment\": [{\"label\": \"50000000\", \"probability\": 0.9}]}}
with as many levels and candidates as it has.")]
    Evaluate(EvaluateArgs),
    /// Take down an endpoint with its scaling policy, configuration and model
    #[command(after_help = "\
Example:
  unspsc destroy --endpoint NAME --yes

What is gone already is passed over, so the command can be repeated.")]
    Destroy(DestroyArgs),
    /// The whole way: prepare, train, deploy, ask, take down
    #[command(after_help = "\
Examples:
  unspsc run --local                              the starter set, on this machine
  unspsc run --local --data purchases.csv \"ball valve 2in brass\" \"annual audit\"

Whatever goes wrong on the way, Ctrl-C included, what was started is taken down.")]
    Run(RunArgs),
}

/// What to do with data.
#[derive(Debug, Subcommand)]
pub(crate) enum DataCommand {
    /// Download published data sets, to be prepared with --data
    #[command(after_help = "\
Examples:
  unspsc data download                            all sources, into downloads/
  unspsc data download onet oklahoma --output DIR
  unspsc data download --list                     what there is, from where, under which terms
  unspsc data download --mirror https://files.example.com/unspsc

A transfer that broke off goes on where it ended. A file that is there and is what was downloaded is not fetched again: \
delete it to have it anew. Files that you placed there yourself are left alone. Lengths, SHA-256 digests and origins \
stand in DIR/downloads.json. Proxies are taken from HTTPS_PROXY and NO_PROXY. The exit code is 0 only when every file \
is there.")]
    Download(DownloadArgs),
    /// Clean, label and split descriptions into train.csv, validation.csv and test.csv
    #[command(after_help = "\
Examples:
  unspsc data prepare                             the starter set that the program carries
  unspsc data prepare --data purchases.csv --output prepared --level family
  unspsc data prepare --data downloads/ --max-per-class 2000
  unspsc data prepare --data erp.csv --description-column Text --code-column Category
  unspsc data prepare --data downloads/ --group-count 6 --output router

Layouts are recognised by the header: description,unspsc; California's purchase orders; AusTender's yearly files; \
O*NET's Tools Used.txt and Technology Skills.txt; the UNSPSC code list; the prepared description,code,label,origin. \
For any other table, name its columns. Comma, semicolon, tab or bar; UTF-8, UTF-16 or latin-1; plain or gzip. A folder is \
searched for .csv, .tsv, .txt and .csv.gz files; folders named `validation`, and those of prepared sets, are never entered.

Rows that cannot be used go to rejects.csv with file, line and reason.")]
    Prepare(PrepareArgs),
    /// Add training rows to small classes: the same texts with some words replaced by synonyms
    #[command(after_help = "\
Examples:
  unspsc data augment --data prepared --output augmented
  unspsc data augment --data prepared --output even --to 500 --mode equality
  unspsc train --local --data augmented

Reads a folder that `unspsc data prepare` has written. Only train.csv gets new rows, each with its origin after \
`augmented:`; none says what a text of validation or test says. Proper names are left alone.")]
    Augment(AugmentArgs),
    /// Look at data before and after preparation: one HTML page and a short summary
    #[command(after_help = "\
Examples:
  unspsc data explore                             the starter set that the program carries
  unspsc data explore --data purchases.csv --output purchases.html
  unspsc data explore --data downloads/ --level family --max-per-class 2000
  unspsc data explore --data augmented            a folder that `prepare` or `augment` has written

Takes the options of `unspsc data prepare`, prepares in memory and writes nothing but the page, which needs neither \
network nor script and can be printed. Rows by source and class, lengths in words and tokens, imbalance, duplicates, \
contradictions, rejects, texts that sources share, and ten training texts of each class.")]
    Explore(ExploreArgs),
}

/// `data download`.
#[derive(Debug, Args)]
pub(crate) struct DownloadArgs {
    /// Sources to download: california, austender, oklahoma, onet [default: all]
    #[arg(value_name = "SOURCE", value_parser = download::named)]
    pub(crate) sources: Vec<&'static Source>,
    /// Folder to keep the files in, as DIR/SOURCE/FILE
    #[arg(long, value_name = "DIR", default_value = "downloads")]
    pub(crate) output: PathBuf,
    /// Fetch URL/SOURCE/FILE from a mirror of your own instead of the publishers'
    #[arg(long, value_name = "URL", value_parser = download::mirror)]
    pub(crate) mirror: Option<Url>,
    /// Print the sources with their addresses and terms, and download nothing
    #[arg(long)]
    pub(crate) list: bool,
}

/// What to train on.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Data")]
pub(crate) struct DataArgs {
    /// File or folder with descriptions and codes; for training and `explore`, a prepared folder too [default: the starter
    /// set that the program carries]
    #[arg(long, value_name = "PATH")]
    pub(crate) data: Option<PathBuf>,
    /// Column of the description, where the header says something else; may be repeated, and is joined
    #[arg(long, value_name = "NAME", requires = "data")]
    pub(crate) description_column: Vec<String>,
    /// Column of the UNSPSC code, where the header says something else
    #[arg(long, value_name = "NAME", requires = "data")]
    pub(crate) code_column: Option<String>,
    /// Level of the labels: segment, family, class or commodity [default: segment]
    #[arg(long)]
    pub(crate) level: Option<Level>,
    /// Label by groups of codes instead: a CSV with the columns `code` and `group`; the closest ancestor decides
    #[arg(long, value_name = "FILE", conflicts_with_all = ["group_count", "level"])]
    pub(crate) groups: Option<PathBuf>,
    /// Label by N groups, 2 to 57, of neighbouring segments with about the same number of rows
    #[arg(long, value_name = "N", conflicts_with = "level", value_parser = clap::value_parser!(u8).range(2..=57))]
    pub(crate) group_count: Option<u8>,
    /// How titles of the code list become texts: `alone`, `parents` (with the titles above) or `both` [default: alone]
    #[arg(long)]
    pub(crate) titles: Option<TitleForm>,
    /// Train on at most N commodity titles of each class of the standard; validation and test keep theirs
    #[arg(long, value_name = "N")]
    pub(crate) titles_per_class: Option<NonZeroUsize>,
    /// Seed of the split and of the training; the same seed gives the same data, byte for byte
    #[arg(long, value_name = "N", default_value_t = 17)]
    pub(crate) seed: u32,
    /// Train on at most N rows of each label; validation and test keep theirs
    #[arg(long, value_name = "N")]
    pub(crate) max_per_class: Option<NonZeroUsize>,
}

impl DataArgs {
    /// The level of the labels.
    pub(crate) fn level(&self) -> Level {
        self.level.unwrap_or(Level::Segment)
    }
}

/// `data prepare`.
#[derive(Debug, Args)]
pub(crate) struct PrepareArgs {
    #[command(flatten)]
    pub(crate) data: DataArgs,
    /// Folder to write train.csv, validation.csv, test.csv, rejects.csv and dataset.json into
    #[arg(long, value_name = "DIR", default_value = "prepared")]
    pub(crate) output: PathBuf,
}

/// `data augment`.
#[derive(Debug, Clone, Args)]
pub(crate) struct AugmentArgs {
    /// Folder with a prepared set
    #[arg(long, value_name = "DIR", default_value = "prepared")]
    pub(crate) data: PathBuf,
    /// Folder to write the larger set into
    #[arg(long, value_name = "DIR", default_value = "augmented")]
    pub(crate) output: PathBuf,
    /// Training rows that each class is to have
    #[arg(long, value_name = "N", default_value = "1000")]
    pub(crate) to: NonZeroUsize,
    /// What happens to classes with more: `augment` leaves them, `equality` moves the excess to the test set
    #[arg(long, default_value_t = AugmentMode::Augment)]
    pub(crate) mode: AugmentMode,
    /// Share of the replaceable words of a text that are replaced, 0 to 1; one at least
    #[arg(long, value_name = "SHARE", default_value_t = 0.3, value_parser = share)]
    pub(crate) share: f64,
    /// Seed of the choice of words; the same seed gives the same rows, byte for byte
    #[arg(long, value_name = "N", default_value_t = 17)]
    pub(crate) seed: u32,
    /// Folder with the files of WordNet 3.0; scripts/setup puts them into .deps/wordnet
    #[arg(long, env = "UNSPSC_WORDNET", value_name = "DIR", default_value = ".deps/wordnet")]
    pub(crate) wordnet: PathBuf,
}

/// `data explore`.
#[derive(Debug, Clone, Args)]
pub(crate) struct ExploreArgs {
    #[command(flatten)]
    pub(crate) data: DataArgs,
    /// File to write the page into
    #[arg(long, value_name = "FILE", default_value = "explore.html")]
    pub(crate) output: PathBuf,
    /// Folder with the encoder whose tokens are counted; scripts/setup puts one into .deps/encoder
    #[arg(long, env = "UNSPSC_ENCODER", value_name = "DIR", default_value = ".deps/encoder/all-MiniLM-L6-v2")]
    pub(crate) encoder: PathBuf,
}

/// `train`.
#[derive(Debug, Args)]
pub(crate) struct TrainArgs {
    #[command(flatten)]
    pub(crate) data: DataArgs,
    #[command(flatten)]
    pub(crate) job: JobArgs,
    /// Folder for the prepared data and the training report
    #[arg(long, value_name = "DIR", default_value = "unspsc-output")]
    pub(crate) output: PathBuf,
    #[command(flatten)]
    pub(crate) platform: PlatformArgs,
}

/// How to train.
#[derive(Debug, Args)]
#[command(next_help_heading = "Training")]
pub(crate) struct JobArgs {
    /// What to train: `encoder`, a pretrained transformer, or `rnn`, the recurrent baseline
    #[arg(long, default_value_t = ModelKind::Encoder)]
    pub(crate) model: ModelKind,
    /// Any other hyperparameter, such as epochs=5; may be repeated
    #[arg(long = "hyperparameter", value_name = "NAME=VALUE", value_parser = setting)]
    pub(crate) hyperparameters: Vec<(String, String)>,
    /// Folder with the pretrained encoder, to be uploaded [default: that of the training image; with
    /// --local that of the variable UNSPSC_ENCODER]
    #[arg(long, value_name = "DIR")]
    pub(crate) encoder: Option<PathBuf>,
    /// Name of the training job [default: from model and time]
    #[arg(long, value_name = "NAME", value_parser = resource_name)]
    pub(crate) job_name: Option<String>,
    /// URI of the training image; needed on AWS
    #[arg(long, env = "UNSPSC_TRAIN_IMAGE", value_name = "URI")]
    pub(crate) train_image: Option<String>,
    /// Instance type to train on
    #[arg(long, value_name = "TYPE", default_value = "ml.g4dn.xlarge")]
    pub(crate) train_instance: String,
    /// Seconds after which the job is stopped
    #[arg(long, value_name = "SECONDS", default_value_t = 86_400)]
    pub(crate) max_runtime_secs: i32,
}

/// How to serve.
#[derive(Debug, Args)]
#[command(next_help_heading = "Serving")]
pub(crate) struct ServeArgs {
    /// URI of the inference image; needed on AWS
    #[arg(long, env = "UNSPSC_SERVE_IMAGE", value_name = "URI")]
    pub(crate) serve_image: Option<String>,
    /// Instance type to serve from
    #[arg(long, value_name = "TYPE", default_value = "ml.m5.large")]
    pub(crate) serve_instance: String,
}

/// `deploy`.
#[derive(Debug, Args)]
pub(crate) struct DeployArgs {
    #[command(flatten)]
    pub(crate) model: ModelArgs,
    /// Name of the endpoint, its configuration and its model [default: the job's name, or one from the time]
    #[arg(long, value_name = "NAME", value_parser = resource_name)]
    pub(crate) endpoint: Option<String>,
    #[command(flatten)]
    pub(crate) serve: ServeArgs,
    #[command(flatten)]
    pub(crate) platform: PlatformArgs,
}

/// What to deploy.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(crate) struct ModelArgs {
    /// A completed training job
    #[arg(long, value_name = "NAME")]
    pub(crate) job: Option<String>,
    /// A model.tar.gz in S3
    #[arg(long, value_name = "S3URI")]
    pub(crate) artifact: Option<String>,
}

/// `invoke`.
#[derive(Debug, Args)]
pub(crate) struct InvokeArgs {
    /// Name of the endpoint
    #[arg(long, value_name = "NAME", value_parser = resource_name)]
    pub(crate) endpoint: String,
    /// How deep to answer: `auto`, as deep as can be trusted, or `segment`, `family`, `class` or `commodity`
    #[arg(long, value_name = "DEPTH", default_value = "auto")]
    pub(crate) depth: Depth,
    /// Print the endpoint's answer as JSON, with the path to each answer and the next best candidates
    #[arg(long)]
    pub(crate) json: bool,
    /// Descriptions, one an argument
    #[arg(required = true, value_name = "TEXT")]
    pub(crate) texts: Vec<String>,
    #[command(flatten)]
    pub(crate) platform: PlatformArgs,
}

/// `evaluate`.
#[derive(Debug, Clone, Args)]
pub(crate) struct EvaluateArgs {
    /// File or folder with descriptions and codes, or a prepared folder
    #[arg(long, value_name = "PATH")]
    pub(crate) data: PathBuf,
    #[command(flatten)]
    pub(crate) answerer: AnswererArgs,
    /// Folder to write the report and the answers into
    #[arg(long, value_name = "DIR", default_value = "evaluation")]
    pub(crate) output: PathBuf,
    /// Precision, 0 to 1, at which to state the coverage: how many rows can be left to the classifier
    #[arg(long, value_name = "SHARE", default_value_t = 0.9, value_parser = share)]
    pub(crate) precision: f64,
    /// Column of the description, where the header says something else; may be repeated, and is joined
    #[arg(long, value_name = "NAME")]
    pub(crate) description_column: Vec<String>,
    /// Column of the UNSPSC code, where the header says something else
    #[arg(long, value_name = "NAME")]
    pub(crate) code_column: Option<String>,
    #[command(flatten)]
    pub(crate) platform: PlatformArgs,
}

/// What to evaluate.
#[derive(Debug, Clone, Args)]
#[group(required = true, multiple = false)]
pub(crate) struct AnswererArgs {
    /// Name of an endpoint
    #[arg(long, value_name = "NAME", value_parser = resource_name)]
    pub(crate) endpoint: Option<String>,
    /// Address of an inference container that runs by itself, such as http://127.0.0.1:8080
    #[arg(long, value_name = "URL", value_parser = plain_http)]
    pub(crate) url: Option<Url>,
    /// File with answers that were given before, a line of JSON each
    #[arg(long, value_name = "FILE")]
    pub(crate) predictions: Option<PathBuf>,
}

/// `destroy`.
#[derive(Debug, Args)]
pub(crate) struct DestroyArgs {
    /// Name of the endpoint, as `deploy` gave it
    #[arg(long, value_name = "NAME", value_parser = resource_name)]
    pub(crate) endpoint: String,
    /// Confirm that it is to be deleted
    #[arg(long)]
    pub(crate) yes: bool,
    #[command(flatten)]
    pub(crate) platform: PlatformArgs,
}

/// `run`.
#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    #[command(flatten)]
    pub(crate) train: TrainArgs,
    #[command(flatten)]
    pub(crate) serve: ServeArgs,
    /// Descriptions to ask the endpoint about [default: four examples]
    #[arg(value_name = "TEXT")]
    pub(crate) texts: Vec<String>,
}

/// A name as SageMaker takes it for jobs and endpoints: letters, digits and hyphens between them, 63 at most.
fn resource_name(text: &str) -> Result<String, String> {
    let is_inner = |character: char| character.is_ascii_alphanumeric() || character == '-';
    let is_outer = |character: Option<char>| character.is_some_and(|character| character.is_ascii_alphanumeric());
    let mut characters = text.chars();
    let ends = (characters.next(), characters.next_back().or(text.chars().next()));
    if text.len() <= 63 && text.chars().all(is_inner) && is_outer(ends.0) && is_outer(ends.1) {
        Ok(text.to_owned())
    } else {
        Err("allowed: 1 to 63 letters, digits and hyphens, none of these at either end".to_owned())
    }
}

fn share(text: &str) -> Result<f64, String> {
    text.parse().ok().filter(|share| (0.0..=1.0).contains(share)).ok_or_else(|| "allowed: 0 to 1".to_owned())
}

fn plain_http(text: &str) -> Result<Url, String> {
    let url: Url = text.parse().map_err(|error| format!("{error}; write it like http://127.0.0.1:8080"))?;
    if url.scheme() == "http" { Ok(url) } else { Err("allowed: http://HOST:PORT".to_owned()) }
}

fn setting(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("write NAME=VALUE, such as epochs=5")?;
    Ok((name.trim().to_owned(), value.trim().to_owned()))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_container_is_asked_over_plain_http() {
        assert!(plain_http("http://127.0.0.1:8080").is_ok());
        for text in ["127.0.0.1:8080", "https://example.com", "file:///tmp"] {
            assert!(plain_http(text).is_err(), "{text}");
        }
    }

    #[test]
    fn settings_are_pairs() {
        assert_eq!(setting("epochs = 5"), Ok(("epochs".to_owned(), "5".to_owned())));
        assert!(setting("epochs").is_err());
    }
}
