//! `unspsc train`: prepare, upload, CreateTrainingJob, follow, report.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use aws_sdk_sagemaker::types::{
    AlgorithmSpecification, Channel, DataSource, MetricDefinition, OutputDataConfig, ResourceConfig,
    S3DataDistribution, S3DataSource, S3DataType, StoppingCondition, Tag, TrainingInputMode, TrainingInstanceType,
};
use jiff::Timestamp;
use unspsc_contract::{Hyperparameters, ModelKind, files, metrics};
use unspsc_dataset::Manifest;

use crate::aws::{ServiceError, failed};
use crate::options::{JobArgs, TrainArgs};
use crate::progress::print;
use crate::report::Report;
use crate::session::Session;
use crate::storage::{self, S3Uri};
use crate::undo::Started;
use crate::{follow, prepare, report};

/// Hyperparameters that have an option of their own.
const OPTIONS: [&str; 3] = ["model", "level", "seed"];
/// What the training container needs of an encoder.
const ENCODER_FILES: [&str; 3] = [files::CONFIG, files::WEIGHTS, files::TOKENIZER];
/// Where everything lies in the bucket; SageMaker adds the job's name to it.
const PREFIX: &str = "unspsc";
/// Room for the image's scratch files, data and checkpoints.
const VOLUME_GB: i32 = 30;

/// A completed training.
#[derive(Debug)]
pub(crate) struct Trained {
    /// The job's name.
    pub(crate) job: String,
    /// The model archive in S3.
    pub(crate) artifact: String,
    /// What it reports.
    pub(crate) report: Report,
}

/// Trains and shows how good the model is.
pub(crate) async fn run(session: &Session, args: &TrainArgs) -> anyhow::Result<()> {
    let trained = train(session, args).await?;
    print(&report::describe(&trained.report, &args.data)?)?;
    print(&format!("model: {}", trained.artifact))?;
    if session.ends_with_process() || args.job.model == ModelKind::Rnn {
        return Ok(());
    }
    print(&format!("next: unspsc deploy --job {}", trained.job))
}

/// Runs one training job to its end.
pub(crate) async fn train(session: &Session, args: &TrainArgs) -> anyhow::Result<Trained> {
    let hyperparameters = hyperparameters(args)?;
    let job = args.job.job_name.clone().unwrap_or_else(|| new_name(&args.job.model.to_string()));
    let image_needed = "--train-image is needed on AWS: the URI of the training image in ECR";
    let image = session.setting(args.job.train_image.as_deref(), "unspsc-train:local", image_needed)?;
    session.role()?;
    match follow::describe(session, &job).await {
        Err(error) if error.is_missing() => {}
        Ok(_) => bail!("training job {job} exists: choose another --job-name"),
        Err(error) => return Err(error.into()),
    }
    let encoder = args.job.encoder.as_deref().map(encoder_files).transpose()?;
    let (prepared, paths) = prepare::prepare_into(&session.progress, &args.data, &args.output.join("data")).await?;
    let place = S3Uri::new(session.bucket()?, PREFIX).join(&job).join("input");
    let channels = upload(session, &place, &paths, encoder.as_deref()).await?;
    let started = Started::Job(job.clone());
    session.undo.note(started.clone());
    create(session, &job, Request { image, hyperparameters, channels, manifest: &prepared.manifest, args: &args.job })
        .await
        // A name that is taken is that of an earlier job, which is not ours to stop; a lost answer is another matter.
        .inspect_err(|error| {
            if !is_unanswered(error) {
                session.undo.settle(&started);
            }
        })?;
    session.progress.say(&format!("training job {job} was created"));
    let description = follow::follow(session, &job).await?;
    let artifact = follow::artifact(&job, &description)?;
    let report = report::fetch(session, &description, &args.output.join(&job)).await?;
    Ok(Trained { job, artifact, report })
}

fn is_unanswered(error: &anyhow::Error) -> bool {
    error.downcast_ref().is_some_and(ServiceError::is_transient)
}

/// The string map that the job gets, checked here as the training container will check it.
fn hyperparameters(args: &TrainArgs) -> anyhow::Result<BTreeMap<String, String>> {
    let mut map = BTreeMap::from([
        ("model".to_owned(), args.job.model.to_string()),
        ("level".to_owned(), args.data.level().to_string()),
        ("seed".to_owned(), args.data.seed.to_string()),
    ]);
    for (name, value) in &args.job.hyperparameters {
        if OPTIONS.contains(&name.as_str()) {
            bail!("hyperparameter `{name}` has an option of its own: write --{name} {value}");
        }
        map.insert(name.clone(), value.clone());
    }
    Ok(Hyperparameters::from_map(&map)?.to_map())
}

/// A name that no earlier job has: the time to the millisecond.
pub(crate) fn new_name(what: &str) -> String {
    format!("unspsc-{what}-{}", Timestamp::now().strftime("%Y%m%d-%H%M%S-%3f"))
}

/// The files of an encoder's folder.
fn encoder_files(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let paths = ENCODER_FILES.map(|name| folder.join(name));
    if let Some(missing) = paths.iter().find(|path| !path.is_file()) {
        bail!("{} is no encoder folder: {} is missing", folder.display(), missing.display());
    }
    Ok(paths.into())
}

/// Uploads the three sides, the titles where there are any, and the encoder where one is given; returns the channels.
async fn upload(
    session: &Session,
    place: &S3Uri,
    paths: &[PathBuf],
    encoder: Option<&[PathBuf]>,
) -> anyhow::Result<Vec<Channel>> {
    let [train, validation, test, manifest, titles @ ..] = paths else { bail!("the prepared data is incomplete") };
    let mut channels = vec![
        ("train", vec![train.clone(), manifest.clone()]),
        ("validation", vec![validation.clone()]),
        ("test", vec![test.clone()]),
    ];
    if !titles.is_empty() {
        channels.push(("titles", titles.to_vec()));
    }
    channels.extend(encoder.map(|files| ("model", files.to_vec())));
    let files: Vec<PathBuf> = channels.iter().flat_map(|(_, files)| files.clone()).collect();
    storage::ensure_bucket(session).await?;
    let step = session.progress.bytes(&format!("uploading to {place}"), storage::total_bytes(&files).await?);
    let mut built = Vec::with_capacity(channels.len());
    for (name, files) in channels {
        let place = place.join(name);
        storage::upload(session, &files, &place, &step).await?;
        built.push(channel(name, &place));
    }
    Ok(built)
}

fn channel(name: &str, place: &S3Uri) -> Channel {
    let source = S3DataSource::builder()
        .s3_data_type(S3DataType::S3Prefix)
        .s3_data_distribution_type(S3DataDistribution::FullyReplicated)
        // The slash keeps `train` from meaning `train-more` too.
        .s3_uri(format!("{place}/"))
        .build();
    Channel::builder()
        .channel_name(name)
        .data_source(DataSource::builder().s3_data_source(source).build())
        .input_mode(TrainingInputMode::File)
        .build()
}

/// What goes into CreateTrainingJob, beside the name.
struct Request<'a> {
    image: &'a str,
    hyperparameters: BTreeMap<String, String>,
    channels: Vec<Channel>,
    manifest: &'a Manifest,
    args: &'a JobArgs,
}

async fn create(session: &Session, job: &str, request: Request<'_>) -> anyhow::Result<()> {
    let Request { image, hyperparameters, channels, manifest, args } = request;
    let definition = |name: &str| MetricDefinition::builder().name(name).regex(metrics::regex(name)).build();
    let algorithm = AlgorithmSpecification::builder()
        .training_image(image)
        .training_input_mode(TrainingInputMode::File)
        .set_metric_definitions(Some(metrics::ALL.into_iter().map(definition).collect()))
        .build();
    let resources = ResourceConfig::builder()
        .instance_type(TrainingInstanceType::from(args.train_instance.as_str()))
        .instance_count(1)
        .volume_size_in_gb(VOLUME_GB)
        .build();
    let output = OutputDataConfig::builder().s3_output_path(format!("s3://{}/{PREFIX}", session.bucket()?)).build();
    let request = session
        .clients
        .sagemaker
        .create_training_job()
        .training_job_name(job)
        .set_hyper_parameters(Some(hyperparameters.into_iter().collect()))
        .algorithm_specification(algorithm)
        .role_arn(session.role()?)
        .set_input_data_config(Some(channels))
        .output_data_config(output)
        .resource_config(resources)
        .stopping_condition(StoppingCondition::builder().max_runtime_in_seconds(args.max_runtime_secs).build())
        .tags(Tag::builder().key("unspsc:data").value(&manifest.fingerprint).build())
        .tags(Tag::builder().key("unspsc:version").value(env!("CARGO_PKG_VERSION")).build());
    request.send().await.map_err(failed("CreateTrainingJob")).with_context(|| format!("cannot create {job}"))?;
    Ok(())
}
