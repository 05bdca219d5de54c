//! `unspsc tune`: prepare, upload, CreateHyperParameterTuningJob, follow, compare, report.
//!
//! A trial is a training job as `unspsc train` makes it, but for the values that are searched.

mod follow;
mod objective;
mod page;
mod range;
mod report;
mod request;
mod space;
mod trials;
mod warm;

use anyhow::ensure;
use aws_sdk_sagemaker::operation::describe_hyper_parameter_tuning_job::DescribeHyperParameterTuningJobOutput;
use aws_sdk_sagemaker::types::HyperParameterTuningJobWarmStartConfig;
use clap::ValueEnum;
use serde_json::{Value, json};
use unspsc_contract::ModelKind;

use crate::attempt::{self, Attempt};
use crate::content::Content;
use crate::exit::Unfinished;
use crate::kinds::{self, Kind};
use crate::options::{EarlyStopping, JobArgs, SearchArgs, Strategy, TrainArgs, TuneArgs};
use crate::progress::print;
use crate::session::Session;
use crate::train::{self, Material};
use crate::{follow as training, prepare, report as training_report};

use self::objective::Objective;
use self::report::{BaseLine, Better, Report};
use self::space::Space;
use self::trials::Trial;

/// What a name of a tuning job begins with.
const WHAT: &str = "tune";

/// How is searched.
#[derive(Debug)]
pub(crate) struct Search<'a> {
    args: &'a SearchArgs,
    /// What every trial is asked for.
    job: &'a JobArgs,
    space: Space,
    objective: Objective,
    warm_start: Option<HyperParameterTuningJobWarmStartConfig>,
}

impl Search<'_> {
    /// How many trials there will be at most.
    fn trials(&self) -> String {
        let asked = f64::from(self.args.max_jobs);
        let of_grid = self.space.combinations().filter(|_| self.args.strategy == Strategy::Grid);
        of_grid.unwrap_or(asked).to_string()
    }

    /// All of it that decides which trials there are.
    fn content(&self) -> Value {
        json!({
            "ranges": self.space.texts(),
            "strategy": word(&self.args.strategy),
            "objective": (&self.objective.metric, &self.objective.regex, self.objective.goal.to_string()),
            "jobs": self.trials(),
            "parallel": self.args.parallel_jobs,
            "early_stopping": word(&self.args.early_stopping),
            "seed": self.args.random_seed,
            "parents": self.args.warm_start,
        })
    }

    /// What is going to be done, in a line.
    fn describe(&self) -> String {
        let Objective { metric, goal, sample, .. } = &self.objective;
        format!(
            "{} search, {} trials, {} at a time, seed {}; {goal} {metric}, which a sample log has as {sample}",
            word(&self.args.strategy),
            self.trials(),
            self.args.parallel_jobs,
            self.args.random_seed
        )
    }
}

/// The word by which an option has this value.
fn word(value: &impl ValueEnum) -> String {
    value.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
}

/// Brings a tuning job to its end, reports, and says what can be done with it.
pub(crate) async fn run(session: &Session, args: &TuneArgs) -> anyhow::Result<()> {
    let job = tune(session, args).await?;
    if session.is_plan() || session.ends_with_process() || args.train.job.model == ModelKind::Rnn {
        return Ok(());
    }
    print(&format!("next: {}", session.command(&format!("deploy --tuning-job {job}"))))
}

/// Brings a tuning job to its end, a new one or that of an earlier run with the same content, and reports; returns its name.
pub(crate) async fn tune(session: &Session, args: &TuneArgs) -> anyhow::Result<String> {
    let mut hyperparameters = train::hyperparameters(&args.train)?;
    check(args)?;
    let space = Space::new(&args.train, &args.search, &hyperparameters)?;
    let objective = Objective::new(&args.search)?;
    let mut material = Material::gather(session, &args.train).await?;
    hyperparameters.retain(|name, _| space.0.iter().all(|(searched, _)| searched != name));
    material.hyperparameters = hyperparameters;
    let warm_start = warm::parents(session, &args.search.warm_start, &material, &objective).await?;
    let search = Search { args: &args.search, job: &args.train.job, space, objective, warm_start };
    session.progress.say(&search.describe());
    let training = material.content(session, &args.train)?;
    let content = Content::of(&json!({ "training": training, "search": search.content() }))?;
    let base = args.train.job.job_name.clone().unwrap_or_else(|| content.name(WHAT));
    let attempt = attempt::find(session, Kind::Tuning, &base, &content).await?;
    let job = attempt.job().to_owned();
    if let Attempt::New(_) = attempt {
        material.upload(session).await?;
        request::create(session, &job, &search, &material, &content).await?;
        if !session.is_plan() {
            session.progress.say(&format!("tuning job {job} was created"));
        }
    }
    if session.is_plan() {
        return base_line(session, args, material).await.map(|_| job);
    }
    let (description, trials) = match attempt {
        Attempt::Completed(_) => (kinds::describe_tuning(session, &job).await?, trials::list(session, &job).await?),
        Attempt::New(_) | Attempt::Running(_) => follow::follow(session, &job, &search).await?,
    };
    let completed = follow::completed(&job, &description, &trials);
    let ended = Ended { search: &search, job: &job, description, trials, completed };
    finish(session, args, ended, material).await.map(|()| job)
}

/// Refuses what [`tune`] would refuse before it looks at anything but its options.
pub(crate) fn check_options(args: &TuneArgs) -> anyhow::Result<()> {
    check(args)?;
    Space::new(&args.train, &args.search, &train::hyperparameters(&args.train)?)?;
    Objective::new(&args.search).map(drop)
}

/// Refuses options that SageMaker would refuse together, or that make no sense together.
fn check(args: &TuneArgs) -> anyhow::Result<()> {
    let TuneArgs { train, search, base_line } = args;
    ensure!(
        search.strategy != Strategy::Hyperband || search.early_stopping == EarlyStopping::Off,
        "hyperband stops trials itself: leave --early-stopping away"
    );
    ensure!(
        *base_line != Some(train.job.model),
        "--base-line {0} is there to compare other models with, and the trials are of {0} too: leave it away",
        train.job.model
    );
    Ok(())
}

/// A tuning job that is over.
struct Ended<'a> {
    search: &'a Search<'a>,
    job: &'a str,
    description: DescribeHyperParameterTuningJobOutput,
    trials: Vec<Trial>,
    completed: Result<(), Unfinished>,
}

/// Compares, writes the report and shows it; that a job did not complete is told after what it has found.
async fn finish(session: &Session, args: &TuneArgs, ended: Ended<'_>, material: Material) -> anyhow::Result<()> {
    let (search, job) = (ended.search, ended.job);
    if ended.trials.is_empty() {
        return Ok(ended.completed?);
    }
    let mut report = gather(session, args, &ended, &material).await?;
    let base = if ended.completed.is_ok() { base_line(session, args, material).await } else { Ok(None) };
    if let Ok(Some(base)) = &base {
        report.billable_seconds += base.billable_seconds.map_or(0, i64::from);
        report.base_line = Some(base.clone());
    }
    report.cost = report.price(report.billable_seconds);
    let folder = args.train.output.join(job);
    report.write(&folder, search)?;
    print(&report.describe(&folder, search))?;
    ended.completed?;
    base?;
    if let Some(best) = &report.best {
        let best = training::describe(session, best).await?;
        if let Some(model) = best.model_artifacts().and_then(|artifacts| artifacts.s3_model_artifacts()) {
            print(&format!("model: {model}"))?;
        }
    }
    Ok(())
}

/// What the tuning job has found, with what only its training jobs know.
async fn gather(session: &Session, args: &TuneArgs, ended: &Ended<'_>, material: &Material) -> anyhow::Result<Report> {
    let Ended { search, job, description, .. } = ended;
    let mut trials = ended.trials.clone();
    let step = session.progress.count("reading the results of trials", trials.len() as u64);
    for trial in &mut trials {
        trial.add(&training::describe(session, &trial.job).await?);
        step.advance(1);
    }
    drop(step);
    let best = trials::best(&trials, search).map(|trial| (trial.job.clone(), trial.objective));
    let overall = description.overall_best_training_job().and_then(|one| {
        let value = one.final_hyper_parameter_tuning_job_objective_metric()?.value()?;
        let better =
            best.as_ref().and_then(|(_, best)| *best).is_none_or(|best| search.objective.is_better(value.into(), best));
        let (job, tuning_job) = (one.training_job_name()?.to_owned(), one.tuning_job_name()?.to_owned());
        (better && trials.iter().all(|trial| trial.job != job)).then_some(Better {
            job,
            tuning_job,
            objective: value.into(),
        })
    });
    let Objective { metric, regex, goal, .. } = &search.objective;
    Ok(Report {
        tuned_by: format!("unspsc {}", env!("CARGO_PKG_VERSION")),
        job: (*job).to_owned(),
        status: follow::status(description).to_owned(),
        failure: description.failure_reason().map(|reason| reason.trim().to_owned()),
        strategy: word(&args.search.strategy),
        random_seed: args.search.random_seed,
        early_stopping: word(&args.search.early_stopping),
        parallel_jobs: args.search.parallel_jobs,
        warm_start: args.search.warm_start.clone(),
        objective: metric.clone(),
        objective_regex: regex.clone(),
        goal: goal.to_string(),
        ranges: search.space.texts(),
        hyperparameters: material.hyperparameters.clone(),
        data: prepare::name(&args.train.data),
        data_fingerprint: material.fingerprint.clone(),
        image: material.image.clone(),
        instance: args.train.job.train_instance.clone(),
        is_spot: args.train.job.spot,
        is_local: session.is_local(),
        billable_seconds: trials.iter().filter_map(|trial| trial.billable_seconds).map(i64::from).sum(),
        trials,
        best: best.map(|(job, _)| job),
        better_of_parents: overall,
        base_line: None,
        price_per_hour: args.search.price_per_hour,
        cost: None,
        command: training_report::command_line(),
    })
}

/// Trains the base line, where there is to be one; nothing comes of it in a plan.
async fn base_line(session: &Session, args: &TuneArgs, material: Material) -> anyhow::Result<Option<BaseLine>> {
    let Some(model) = args.base_line else { return Ok(None) };
    let args: TrainArgs = train::base_line(&args.train, model);
    session.progress.say(&format!("base line: {model}, as it is by default, on the same data"));
    let mut material = material.without_encoder(&args)?;
    let trained = train::train_on(session, &args, &mut material).await?;
    if session.is_plan() {
        return Ok(None);
    }
    let description = training::describe(session, &trained.job).await?;
    Ok(Some(BaseLine::new(model.to_string(), trained.job, &description)))
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use crate::options::{Cli, Command, SearchArgs, TuneArgs};

    /// What `unspsc tune` makes of `options`.
    pub(super) fn tune(options: &[&str]) -> TuneArgs {
        let cli = Cli::parse_from(["unspsc", "tune"].iter().chain(options));
        let Command::Tune(verb) = cli.command else { panic!("{cli:?}") };
        verb.tune
    }

    /// Its options of the search.
    pub(super) fn search(options: &[&str]) -> SearchArgs {
        tune(options).search
    }

    #[test]
    fn options_that_exclude_each_other_are_refused() {
        for (options, said) in [
            (&["--strategy", "hyperband", "--early-stopping", "auto"][..], "hyperband stops trials itself"),
            (&["--base-line", "encoder"], "the trials are of encoder too"),
        ] {
            let error = super::check(&tune(options)).unwrap_err().to_string();
            assert!(error.contains(said), "{error}");
        }
        assert!(super::check(&tune(&["--base-line", "rnn", "--early-stopping", "auto"])).is_ok());
    }
}
