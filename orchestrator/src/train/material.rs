//! What training is made of, in a job of its own or in the trials of a tuning job: image, data, hyperparameters.

use std::collections::BTreeMap;

use anyhow::bail;
use aws_sdk_sagemaker::types::Channel;
use serde_json::{Value, json};
use unspsc_contract::{Hyperparameters, ModelKind};

use crate::content::digest;
use crate::options::{JobArgs, TrainArgs};
use crate::prepare;
use crate::session::Session;
use crate::storage::S3Uri;

use super::channels::{Channels, ENCODER};
use super::request;

/// Hyperparameters that have an option of their own.
const OPTIONS: [&str; 3] = ["model", "level", "seed"];
/// What the names of those images of `scripts/build-images` end in that train, to which an encoder is given as a channel.
const WITHOUT_ENCODER: [&str; 2] = ["-train-cpu", "-train-gpu"];
/// Where everything lies in the bucket; SageMaker adds a job's name to it for what the job leaves.
const PREFIX: &str = "unspsc";

/// What training is made of.
#[derive(Debug)]
pub(crate) struct Material {
    pub(crate) image: String,
    /// The string map of the hyperparameters, all of them.
    pub(crate) hyperparameters: BTreeMap<String, String>,
    /// Fingerprint of the data.
    pub(crate) fingerprint: String,
    /// Where everything lies in the bucket.
    pub(crate) bucket: S3Uri,
    channels: Channels,
    is_uploaded: bool,
}

impl Material {
    /// Checks the options, prepares the data and reads all files through.
    pub(crate) async fn gather(session: &Session, args: &TrainArgs) -> anyhow::Result<Self> {
        let hyperparameters = hyperparameters(args)?;
        request::check(&args.job)?;
        let image_needed =
            "--train-image is needed on AWS: the URI of the training image in ECR, which `unspsc images push` prints";
        let image = session.setting(args.job.train_image.as_deref(), "unspsc-train:local", image_needed)?;
        check_encoder(&args.job, image, session.role()?)?;
        let bucket = S3Uri::new(session.bucket()?, PREFIX);
        let folder = session.writable(&args.output).join("data");
        let (prepared, paths) = prepare::prepare_into(&session.progress, &args.data, &folder).await?;
        let channels = Channels::read(&paths, args.job.encoder.as_deref()).await?;
        let fingerprint = prepared.manifest.fingerprint;
        Ok(Self { image: image.to_owned(), hyperparameters, fingerprint, bucket, channels, is_uploaded: false })
    }

    /// The same data for `args`, which are of another model that needs no encoder.
    pub(crate) fn without_encoder(self, args: &TrainArgs) -> anyhow::Result<Self> {
        let mut other = Self { hyperparameters: hyperparameters(args)?, ..self };
        other.channels.leave_out(ENCODER);
        Ok(other)
    }

    /// The channels as a job gets them.
    pub(crate) fn channels(&self) -> anyhow::Result<Vec<Channel>> {
        self.channels.built(&self.bucket)
    }

    /// Uploads what is not in the bucket yet, once.
    pub(crate) async fn upload(&mut self, session: &Session) -> anyhow::Result<()> {
        if !self.is_uploaded {
            self.channels.upload(session, &self.bucket).await?;
            self.is_uploaded = true;
        }
        Ok(())
    }

    /// Everything that decides what a job of it leaves.
    pub(crate) fn content(&self, session: &Session, args: &TrainArgs) -> anyhow::Result<Value> {
        // On this machine the image is a program, which changes without its name.
        let program = session.train_program().map(digest).transpose()?;
        let encoder = program.as_ref().and_then(|_| std::env::var("UNSPSC_ENCODER").ok());
        let encoder = encoder.filter(|_| args.job.encoder.is_none());
        Ok(json!({
            "channels": self.channels.digests(),
            "hyperparameters": self.hyperparameters,
            "image": self.image,
            "instance": args.job.train_instance,
            "version": env!("CARGO_PKG_VERSION"),
            "program": program,
            "encoder": encoder,
        }))
    }
}

/// The string map that the job gets, checked here as the training container will check it.
pub(crate) fn hyperparameters(args: &TrainArgs) -> anyhow::Result<BTreeMap<String, String>> {
    let mut map = BTreeMap::from([
        ("model".to_owned(), args.job.model.to_string()),
        ("level".to_owned(), args.data.level().to_string()),
        ("seed".to_owned(), args.data.seed.to_string()),
    ]);
    for (name, value) in &args.job.hyperparameters {
        check_name(name, value)?;
        if map.insert(name.clone(), value.clone()).is_some() {
            bail!("hyperparameter `{name}` is given twice: leave one of them away");
        }
    }
    Ok(Hyperparameters::from_map(&map)?.to_map())
}

/// Refuses to train a pretrained encoder that nobody gives, neither an option nor, by its name, the `image`: the job would be paid for
/// and fail.
pub(crate) fn check_encoder(job: &JobArgs, image: &str, role: &str) -> anyhow::Result<()> {
    let name = image.rsplit('/').next().and_then(|name| name.split(['@', ':']).next()).unwrap_or_default();
    // `images push --name NAME` calls them so, and the role of that stack has the name too.
    let stack = role.rsplit('/').next().and_then(|role| role.strip_suffix("-execution"));
    let is_ours = ["unspsc"]
        .into_iter()
        .chain(stack)
        .any(|stack| name.strip_prefix(stack).is_some_and(|rest| WITHOUT_ENCODER.contains(&rest)));
    if job.model == ModelKind::Encoder && job.encoder.is_none() && is_ours {
        bail!(
            "the image {name} holds no encoder: give the folder of one with --encoder, such as .deps/encoder/all-MiniLM-L6-v2, \
             which scripts/setup makes"
        );
    }
    Ok(())
}

/// Refuses a hyperparameter that has an option of its own.
pub(crate) fn check_name(name: &str, value: &str) -> anyhow::Result<()> {
    if OPTIONS.contains(&name) {
        bail!("hyperparameter `{name}` has an option of its own: write --{name} {value}");
    }
    Ok(())
}

/// The options of the base line: the same data, the other model as it is by default.
pub(crate) fn base_line(args: &TrainArgs, model: ModelKind) -> TrainArgs {
    let mut args = args.clone();
    args.job.model = model;
    args.job.hyperparameters.clear();
    args.job.encoder = None;
    args.job.job_name = None;
    args
}
