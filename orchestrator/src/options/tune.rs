//! The options of `unspsc tune`.

use clap::{Args, ValueEnum};
use unspsc_contract::{ModelKind, metrics};

use super::train::{OnInterrupt, TrainArgs};
use super::values::{pair, price, resource_name};

/// `tune`.
#[derive(Debug, Args)]
pub(crate) struct TuneVerb {
    /// What a signal means while the job runs: `ask` on a terminal and stop elsewhere, `stop` the job, or `leave` it
    /// running; the job of --local always stops
    #[arg(long, value_name = "WHAT", default_value = "ask", hide_possible_values = true)]
    pub(crate) on_interrupt: OnInterrupt,
    #[command(flatten)]
    pub(crate) tune: TuneArgs,
}

/// One tuning job: what its trials are, and how they are searched.
#[derive(Debug, Clone, Args)]
pub(crate) struct TuneArgs {
    #[command(flatten)]
    pub(crate) train: TrainArgs,
    #[command(flatten)]
    pub(crate) search: SearchArgs,
    /// Train another model on the same data, as it is by default, to compare the best trial with: rnn
    #[arg(long, env = "UNSPSC_BASE_LINE", value_name = "MODEL", help_heading = "Tuning")]
    pub(crate) base_line: Option<ModelKind>,
}

/// How to search.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Tuning")]
pub(crate) struct SearchArgs {
    /// Hyperparameter to search, as LOW..HIGH, LOW..HIGH:log (or linear, reverse-log) or VALUE,VALUE,…; may be repeated, and
    /// goes before the default of that name [default: learning_rate=1e-5..1e-3:log, adam_epsilon=1e-8..1e-7:log,
    /// epochs=1..2, batch_size=32,64,128; what --hyperparameter fixes is not searched]
    #[arg(long = "search", value_name = "NAME=RANGE", value_parser = pair)]
    pub(crate) ranges: Vec<(String, String)>,
    /// How the values of a trial are chosen: `bayesian` learns from the trials before, `random` draws, `hyperband` begins many
    /// and stops those that are behind, `grid` tries every combination
    #[arg(
        long,
        env = "UNSPSC_STRATEGY",
        default_value = "bayesian",
        value_name = "STRATEGY",
        hide_possible_values = true
    )]
    pub(crate) strategy: Strategy,
    /// Metric that decides which trial is best, or one of your own as NAME=REGEX, whose one group finds it in the log
    #[arg(long, env = "UNSPSC_OBJECTIVE", value_name = "METRIC", default_value = metrics::OBJECTIVE)]
    pub(crate) objective: String,
    /// Whether to `maximize` or to `minimize` the objective [default: as the metric has it; maximize one of your own]
    #[arg(long, env = "UNSPSC_GOAL", value_name = "GOAL", hide_possible_values = true)]
    pub(crate) goal: Option<Goal>,
    /// Trials, 750 at most; of a grid, the most combinations that it may have
    #[arg(long, env = "UNSPSC_MAX_JOBS", value_name = "N", default_value_t = 4,
          value_parser = clap::value_parser!(i32).range(1..=750))]
    pub(crate) max_jobs: i32,
    /// Trials that run at the same time; `bayesian` learns less from trials that do
    #[arg(long, env = "UNSPSC_PARALLEL_JOBS", value_name = "N", default_value_t = 1,
          value_parser = clap::value_parser!(i32).range(1..=100))]
    pub(crate) parallel_jobs: i32,
    /// Whether trials are stopped that do worse than the median of the trials before them: `auto` or `off`
    #[arg(
        long,
        env = "UNSPSC_EARLY_STOPPING",
        value_name = "WHEN",
        default_value = "off",
        hide_possible_values = true
    )]
    pub(crate) early_stopping: EarlyStopping,
    /// Seed of the values that are drawn
    #[arg(long, env = "UNSPSC_RANDOM_SEED", value_name = "N", default_value_t = 17,
          value_parser = clap::value_parser!(i32).range(0..))]
    pub(crate) random_seed: i32,
    /// Tuning job that is over, from whose trials to learn; may be repeated, five times at most
    #[arg(long, value_name = "NAME", value_parser = resource_name)]
    pub(crate) warm_start: Vec<String>,
    /// Price of an instance hour in US dollars, to state what the trials cost
    #[arg(long, env = "UNSPSC_PRICE_PER_HOUR", value_name = "USD", value_parser = price)]
    pub(crate) price_per_hour: Option<f64>,
}

/// How the values of a trial are chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "lower")]
pub(crate) enum Strategy {
    /// By what the trials before have come to.
    Bayesian,
    /// At random.
    Random,
    /// At random; those that are behind are stopped.
    Hyperband,
    /// Every combination.
    Grid,
}

/// Which way is better.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "lower")]
pub(crate) enum Goal {
    /// More is.
    Maximize,
    /// Less is.
    Minimize,
}

/// Whether trials without prospects are stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "lower")]
pub(crate) enum EarlyStopping {
    /// By the median rule.
    Auto,
    /// Never.
    Off,
}
