//! What a training job reads: the prepared data and the encoder.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::bail;
use aws_sdk_sagemaker::types::{Channel, DataSource, S3DataDistribution, S3DataSource, S3DataType, TrainingInputMode};
use indicatif::HumanBytes;
use unspsc_contract::files;

use crate::session::Session;
use crate::storage::{self, S3Uri};
use crate::upload::Bundle;

/// What the training container needs of an encoder.
const ENCODER_FILES: [&str; 3] = [files::CONFIG, files::WEIGHTS, files::TOKENIZER];
/// The channel of the encoder.
pub(super) const ENCODER: &str = "model";

/// The files of each channel.
#[derive(Debug)]
pub(super) struct Channels(Vec<(&'static str, Bundle)>);

impl Channels {
    /// The three sides, the titles where there are any, and the encoder where one is given.
    pub(super) async fn read(paths: &[PathBuf], encoder: Option<&Path>) -> anyhow::Result<Self> {
        let encoder = encoder.map(encoder_files).transpose()?;
        let [train, validation, test, manifest, titles @ ..] = paths else { bail!("the prepared data is incomplete") };
        let mut channels = vec![
            ("train", vec![train.clone(), manifest.clone()]),
            ("validation", vec![validation.clone()]),
            ("test", vec![test.clone()]),
        ];
        if !titles.is_empty() {
            channels.push(("titles", titles.to_vec()));
        }
        channels.extend(encoder.map(|files| (ENCODER, files)));
        let mut read = Vec::with_capacity(channels.len());
        for (name, files) in channels {
            read.push((name, Bundle::read(files).await?));
        }
        Ok(Self(read))
    }

    /// Leaves the channel `name` out.
    pub(super) fn leave_out(&mut self, name: &str) {
        self.0.retain(|(other, _)| *other != name);
    }

    /// Digests of all files but the manifest, which says where the rows came from and decides nothing.
    pub(super) fn digests(&self) -> BTreeMap<&str, Vec<(&str, &str)>> {
        self.0.iter().map(|(name, bundle)| (*name, bundle.digests(files::DATASET))).collect()
    }

    /// Where the files of each channel lie below `parent`.
    fn places(&self, parent: &S3Uri) -> anyhow::Result<Vec<(&'static str, &Bundle, S3Uri)>> {
        let folder = |name| parent.join(if name == ENCODER { "encoder" } else { "data" });
        self.0.iter().map(|(name, bundle)| Ok((*name, bundle, bundle.place(&folder(*name))?))).collect()
    }

    /// The channels as the job gets them.
    pub(super) fn built(&self, parent: &S3Uri) -> anyhow::Result<Vec<Channel>> {
        Ok(self.places(parent)?.iter().map(|(name, _, place)| channel(name, place)).collect())
    }

    /// Uploads what is not in the bucket yet.
    pub(super) async fn upload(&self, session: &Session, place: &S3Uri) -> anyhow::Result<()> {
        storage::ensure_bucket(session).await?;
        let total = self.0.iter().map(|(_, bundle)| bundle.bytes()).sum();
        let step = session.sending(&format!("uploading to {place}"), total);
        let mut sent = 0;
        for (_, bundle, place) in self.places(place)? {
            sent += bundle.upload(session, &place, &step).await?;
        }
        drop(step);
        if session.is_plan() {
            return Ok(());
        }
        session.progress.say(&match total - sent {
            0 => format!("uploaded {}", HumanBytes(sent)),
            there => format!("uploaded {}; {} were there already", HumanBytes(sent), HumanBytes(there)),
        });
        Ok(())
    }
}

/// The files of an encoder's folder.
fn encoder_files(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let paths = ENCODER_FILES.map(|name| folder.join(name));
    if let Some(missing) = paths.iter().find(|path| !path.is_file()) {
        bail!("{} is no encoder folder: {} is missing", folder.display(), missing.display());
    }
    Ok(paths.into())
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
