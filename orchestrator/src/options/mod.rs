//! The command line; the field comments are the help texts.

mod batch;
mod data;
mod images;
mod infra;
mod invoke;
mod jobs;
mod platform;
mod serve;
mod serving;
mod train;
mod tune;
mod values;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

pub(crate) use batch::{BatchArgs, BatchModelArgs, Batching, TransformArgs};
pub(crate) use data::{AugmentArgs, DataArgs, DataCommand, DownloadArgs, ExploreArgs, PrepareArgs};
pub(crate) use images::{ImagesCommand, PushArgs};
pub(crate) use infra::{
    Architecture, DownArgs, InfraCommand, InfraDownArgs, InfraStatusArgs, InfraUpArgs, LambdaArgs, LambdaCommand,
    LambdaDeployArgs, NO_TOPIC, StackArgs, UpArgs,
};
pub(crate) use invoke::{AnswerFormat, InvokeArgs};
pub(crate) use jobs::{LogsArgs, StatusArgs, StopArgs};
pub(crate) use platform::PlatformArgs;
pub(crate) use serve::{AnswererArgs, DeployArgs, DestroyArgs, EvaluateArgs, ModelArgs, RunArgs};
pub(crate) use serving::{RolloutArgs, RolloutKind, ScaleBy, ScalingArgs, ServeArgs};
pub(crate) use train::{JobArgs, OnInterrupt, TrainArgs, TrainVerb};
pub(crate) use tune::{EarlyStopping, Goal, SearchArgs, Strategy, TuneArgs, TuneVerb};
pub(crate) use values::{typed, typed_or_set};

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
  unspsc plan train --data purchases.csv          the requests that this would make
  unspsc invoke --endpoint NAME \"toner cartridge magenta\"
  unspsc batch --job NAME --data purchases.csv    a code for each row of a table
  unspsc up --data purchases.csv --encoder DIR    from an empty account to a classifier behind a Lambda

Settings come from unspsc.toml (`unspsc init` writes one), the environment and options; the later of these wins. Exit \
codes: 0 done, 1 error, 2 wrong usage or settings, 3 the job failed, 4 the job was stopped, 5 the job still runs, 128 + N \
ended by signal N."
)]
pub(crate) struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
    /// File with settings [default: unspsc.toml, where there is one]
    #[arg(long, global = true, env = "UNSPSC_CONFIG", value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Which of the program's own log events to show, such as `debug` or `sagemaker_local=info`
    #[arg(long, global = true, env = "UNSPSC_LOG", value_name = "FILTER", default_value = "warn,aws_config=error")]
    pub(crate) log: String,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Write a file of settings with every key and its default, to be edited
    #[command(after_help = "\
Examples:
  unspsc init
  unspsc init --config production.toml")]
    Init(InitArgs),
    /// Look at and prepare training data
    #[command(subcommand)]
    Data(DataCommand),
    /// Bring the images of the containers to AWS
    #[command(subcommand)]
    Images(ImagesCommand),
    /// Prepare data, upload it, train a model and show how good it is
    #[command(after_help = "\
Examples:
  unspsc train --local                            the starter set, on this machine
  unspsc train --local --model rnn                the recurrent baseline, to compare with
  unspsc train --data purchases.csv --role ARN --bucket NAME --train-image URI

The same data, hyperparameters, image and instance give the same job: a second run finds it, follows it while it runs, and \
reports it once it is completed; after one that failed or was stopped it begins the next attempt. Ctrl-C asks whether to \
stop the job or to leave it. Exit codes: 0 the job has completed, 3 it failed, 4 it was stopped, 5 it still runs.")]
    Train(TrainVerb),
    /// Search for the best hyperparameters by training many times, and report on all trials
    #[command(after_help = "\
Examples:
  unspsc tune --local                             four trials on the starter set, on this machine
  unspsc tune --local --base-line rnn             and the recurrent baseline, to compare with
  unspsc tune --data rows.csv --max-jobs 20 --parallel-jobs 2 --early-stopping auto
  unspsc tune --data rows.csv --search epochs=2..4 --hyperparameter batch_size=32
  unspsc tune --data rows.csv --strategy grid --max-jobs 36
  unspsc tune --data more.csv --warm-start NAME   learn from the trials of an earlier search
  unspsc tune --data rows.csv --objective validation:loss

All options of `train` hold for each trial. The objective is looked for in a sample log before anything is launched. The \
same options give the same job: a second run finds it, follows it or reports it; after one that failed or was stopped it \
begins the next attempt. Writes DIR/JOB/tuning.html and DIR/JOB/tuning.json. Exit codes: 0 there is a best trial, 3 the job \
failed, 4 it was stopped, 5 it still runs.")]
    Tune(TuneVerb),
    /// Show jobs and endpoints of this program and how they stand, or one of them with all details
    #[command(after_help = "\
Examples:
  unspsc status
  unspsc status NAME

Jobs are training, tuning and transform jobs; trials are listed with their tuning job. A name that several things bear shows \
all of them.")]
    Status(StatusArgs),
    /// Show what a job, an endpoint or the Lambda before one has logged
    #[command(after_help = "\
Examples:
  unspsc logs NAME --tail 50
  unspsc logs NAME --since 10m --follow
  unspsc logs unspsc-classify --follow            the Lambda before an endpoint

Of a tuning job the log of its best trial is shown, or the latest one's while none has a value; with --follow the trials as \
they run. A name that several things bear shows the lines of all.")]
    Logs(LogsArgs),
    /// Stop a training, tuning or transform job and wait until it is over
    #[command(after_help = "\
Example:
  unspsc stop NAME

A training job gets SIGTERM and 120 seconds to save the weights of its best epoch, and so do the trials of a tuning job. A \
transform job that is stopped leaves no output.")]
    Stop(StopArgs),
    /// Print the exact requests that a verb would make, and change nothing
    #[command(after_help = "\
Examples:
  unspsc plan train --data purchases.csv
  unspsc plan --json destroy --endpoint NAME

Reading requests are made, so that the plan knows what is there; the others are printed instead of sent.")]
    Plan(PlanArgs),
    /// Put a trained model behind an endpoint that scales, a new one or one that serves
    #[command(after_help = "\
Examples:
  unspsc deploy --job NAME --endpoint-url http://127.0.0.1:4570
  unspsc deploy --tuning-job NAME --endpoint catalogue --rollout canary --rollback-alarm catalogue-errors
  unspsc deploy --artifact s3://bucket/path/model.tar.gz --endpoint catalogue --role ARN --serve-image URI
  unspsc deploy --job NAME --max-instances 8 --peak-calls-per-minute 180
  unspsc deploy --job NAME --serverless --serverless-memory-mb 4096
  unspsc deploy --job NAME --async

An endpoint that is there and serves something else is updated while it serves. One known text decides: a new endpoint \
that cannot answer it is taken down again, an updated one gets its former model back. What is there and is right is left \
alone, so the command can be repeated.")]
    Deploy(DeployArgs),
    /// Ask an endpoint for the codes of texts: some, a file of any length, or a trade mark's statement
    #[command(after_help = "\
Examples:
  unspsc invoke --endpoint NAME \"toner cartridge magenta\" \"office cleaning, monthly\"
  unspsc invoke --endpoint NAME --file purchases.csv --output coded.csv
  unspsc invoke --endpoint NAME --file erp.csv --description-column Text --format json
  cut -f2 lines.tsv | unspsc invoke --endpoint NAME --format csv
  unspsc invoke --endpoint NAME --statement \"Class 30: coffee, tea and cocoa; bread\"

Each row of the input is a row of the answers, in the same order; one that cannot be answered says why, costs no other, and \
makes the exit code 1. Tables: comma, semicolon, tab or bar; the columns of the published layouts that `unspsc data prepare` \
knows, or those that are named. Where the endpoint is busy or loads its model it is waited for.")]
    Invoke(InvokeArgs),
    /// Code a whole table with a batch transform job, which needs no endpoint
    #[command(after_help = "\
Examples:
  unspsc batch --job NAME --data purchases.csv                 writes purchases.coded.csv
  unspsc batch --local --job NAME --data purchases.csv         the same on this machine
  unspsc batch --artifact s3://bucket/path/model.tar.gz --data s3://bucket/tables/ --output coded
  unspsc plan batch --job NAME --data purchases.csv

The rows are read here, whatever their form, and sent to S3 as JSON Lines; the answers are joined to them: the columns of \
the input, then code, level, title, probability, needs_review, the codes above, and why a row has none. The same rows, model and \
settings give the same job: a second run follows it, or fetches what it has answered. Exit codes: 0 done, 1 done but some rows \
have no answer, 3 the job failed, 4 it was stopped, 5 it still runs.")]
    Batch(BatchArgs),
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
    /// Take down an endpoint with all that belongs to it, or everything that this program has made
    #[command(after_help = "\
Examples:
  unspsc destroy --endpoint NAME
  unspsc destroy --endpoint NAME --dry-run        the names of what would go, in order
  unspsc destroy --all --yes

What is gone already is passed over, so the command can be repeated, and what a command that was killed has left is \
found. Objects in the bucket (data, models, checkpoints) stay.")]
    Destroy(DestroyArgs),
    /// Make bucket, repositories, role and policy, show them, or delete them
    #[command(subcommand)]
    Infra(InfraCommand),
    /// Put a Lambda before an endpoint
    #[command(subcommand)]
    Lambda(LambdaCommand),
    /// From an empty account to a tuned, deployed, scaled classifier behind a Lambda
    #[command(after_help = "\
Examples:
  unspsc up --data purchases.csv --encoder DIR    six steps, each of which asks before it makes a stack
  unspsc up --data purchases.csv --encoder DIR --yes --train-only --train-instance ml.m5.xlarge
  unspsc plan up --data purchases.csv --encoder DIR   the requests of the next step

Each step is a verb of its own: `infra up`, `images push`, `tune` (or `train`), `deploy`, `lambda deploy`, and a text that the \
Lambda has to answer. What is there is left alone, so the same command goes on where it was interrupted. What it costs while \
it stands: docs/aws.md. `unspsc down` takes it down.")]
    Up(Box<UpArgs>),
    /// Take down what `up` has made; data, models and images only with --delete-data
    #[command(after_help = "\
Examples:
  unspsc down                                     Lambda and endpoint, which cost by the hour
  unspsc down --delete-data --yes                 and all that is stored: nothing is left

Nobody can make data, models and images anew: the stack that holds them stays, unless it is empty or --delete-data is given.")]
    Down(DownArgs),
    /// The whole way: prepare, train, deploy, ask, take down
    #[command(after_help = "\
Examples:
  unspsc run --local                              the starter set, on this machine
  unspsc run --local --data purchases.csv \"ball valve 2in brass\" \"annual audit\"

Whatever goes wrong on the way, Ctrl-C included, what was started is taken down.")]
    Run(RunArgs),
}

impl Command {
    /// Whether it writes the file of settings where there is none.
    pub(crate) fn writes_settings(&self) -> bool {
        let of_images = |command: &ImagesCommand| matches!(command, ImagesCommand::Push(args) if args.save);
        match self {
            Self::Infra(InfraCommand::Up(_)) | Self::Up(_) => true,
            Self::Images(command) => of_images(command),
            Self::Plan(PlanArgs { verb, .. }) => match verb {
                PlannedVerb::Infra(InfraCommand::Up(_)) | PlannedVerb::Up(_) => true,
                PlannedVerb::Images(command) => of_images(command),
                _ => false,
            },
            _ => false,
        }
    }
}

/// `init`.
#[derive(Debug, Args)]
pub(crate) struct InitArgs {
    /// Replace a file that is there
    #[arg(long)]
    pub(crate) force: bool,
}

/// `plan`.
#[derive(Debug, Args)]
pub(crate) struct PlanArgs {
    /// Print one JSON array of {service, operation, request}
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// The verb.
    #[command(subcommand)]
    pub(crate) verb: PlannedVerb,
}

/// The verbs whose requests can be printed; they take the options that they take without `plan`.
#[derive(Debug, Subcommand)]
pub(crate) enum PlannedVerb {
    /// Upload data and create a training job
    Train(TrainVerb),
    /// Upload data and create a tuning job
    Tune(TuneVerb),
    /// Put a trained model behind an endpoint
    Deploy(DeployArgs),
    /// Take down an endpoint with all that belongs to it
    Destroy(DestroyArgs),
    /// Stop a job
    Stop(StopArgs),
    /// Upload a table and create a batch transform job
    Batch(BatchArgs),
    /// Bring the images of the containers to AWS
    #[command(subcommand)]
    Images(ImagesCommand),
    /// Make or delete the stack of bucket, repositories, role and policy
    #[command(subcommand)]
    Infra(InfraCommand),
    /// Put a Lambda before an endpoint
    #[command(subcommand)]
    Lambda(LambdaCommand),
    /// The next step from an empty account to a classifier behind a Lambda
    Up(Box<UpArgs>),
    /// Take down what `up` has made
    Down(DownArgs),
    /// The whole way: train, deploy, take down
    Run(RunArgs),
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
