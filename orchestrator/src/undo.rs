//! What was started and is not finished, so that an error or a signal leaves nothing running.

use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::kinds::Kind;
use crate::options::StackArgs;
use crate::session::Session;
use crate::storage::S3Uri;
use crate::{batch, deploy, destroy, images, kinds, stacks, upload};

/// Something that costs money, or is in the way, for as long as nobody ends it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Started {
    /// A training job.
    Job(String),
    /// A hyperparameter tuning job.
    Tuning(String),
    /// A transform job, with the model that was made for it.
    Transform(String),
    /// An upload in parts.
    Upload {
        /// The object that it is to become.
        place: S3Uri,
        /// Its id.
        id: String,
    },
    /// An endpoint with all that belongs to it.
    Endpoint(String),
    /// The update of an endpoint that was there before and stays.
    Update(String),
    /// A change set that nobody has confirmed yet.
    ChangeSet {
        /// The stack that it is of.
        stack: String,
        /// Its own name.
        name: String,
    },
    /// What CloudFormation does with a stack, which goes on.
    Stack(String),
    /// The name that an image has in this machine's Docker Engine for as long as it is pushed.
    Tag(String),
}

impl Started {
    /// The job `name`, or the endpoint.
    pub(crate) fn job(kind: Kind, name: &str) -> Self {
        let name = name.to_owned();
        match kind {
            Kind::Training => Self::Job(name),
            Kind::Tuning => Self::Tuning(name),
            Kind::Transform => Self::Transform(name),
            Kind::Endpoint => Self::Endpoint(name),
        }
    }

    /// What it is for as long as nobody ends it.
    fn state(&self) -> &'static str {
        if matches!(self, Self::Tag(_) | Self::ChangeSet { .. }) { "there" } else { "running" }
    }

    /// The command that ends it.
    fn remedy(&self, session: &Session) -> String {
        match self {
            Self::Job(name) | Self::Tuning(name) | Self::Transform(name) => session.command(&format!("stop {name}")),
            Self::Upload { place: S3Uri { bucket, key }, id } => {
                format!("aws s3api abort-multipart-upload --bucket {bucket} --key {key} --upload-id {id}")
            }
            Self::Endpoint(name) => session.command(&format!("destroy --endpoint {name} --yes")),
            Self::Update(name) => session.command(&format!("status {name}")),
            Self::ChangeSet { stack, name } => {
                format!("aws cloudformation delete-change-set --stack-name {stack} --change-set-name {name}")
            }
            Self::Stack(name) => session.command(&format!("infra status{}", StackArgs::option_of(name))),
            Self::Tag(name) => format!("docker image rm {name}"),
        }
    }

    /// How to come back to it, where it is a job that was left.
    pub(crate) fn way_back(&self) -> String {
        let (verb, name) = match self {
            Self::Job(name) => ("train", name),
            Self::Transform(name) => ("batch", name),
            _ => return "the same command comes back to it".to_owned(),
        };
        format!("`unspsc {verb}` with the same options, or `unspsc logs {name} --follow`, comes back to it")
    }
}

impl fmt::Display for Started {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Job(name) => write!(f, "training job {name}"),
            Self::Tuning(name) => write!(f, "tuning job {name}"),
            Self::Transform(name) => write!(f, "transform job {name}"),
            Self::Upload { place, .. } => write!(f, "the upload to {place}"),
            Self::Endpoint(name) => write!(f, "endpoint {name}"),
            Self::Update(name) => write!(f, "the update of endpoint {name}"),
            Self::ChangeSet { stack, .. } => write!(f, "the change set of stack {stack}"),
            Self::Stack(name) => write!(f, "the change of stack {name}"),
            Self::Tag(name) => write!(f, "the tag {name} of this machine"),
        }
    }
}

/// What was started, in order.
#[derive(Debug, Default)]
pub(crate) struct UndoList(Mutex<Vec<Started>>);

impl UndoList {
    /// Notes it; to be called before the first request, whose answer may get lost.
    pub(crate) fn note(&self, started: Started) {
        self.lock().push(started);
    }

    /// Notes it unless it is noted already.
    pub(crate) fn note_once(&self, started: Started) {
        let mut list = self.lock();
        if !list.contains(&started) {
            list.push(started);
        }
    }

    /// Strikes it out: it is over, or meant to stay.
    pub(crate) fn settle(&self, started: &Started) {
        self.lock().retain(|other| other != started);
    }

    /// The job that is noted.
    pub(crate) fn job(&self) -> Option<Started> {
        let is_job =
            |started: &&Started| matches!(started, Started::Job(_) | Started::Tuning(_) | Started::Transform(_));
        self.lock().iter().find(is_job).cloned()
    }

    /// Whether it is noted.
    pub(crate) fn has(&self, started: &Started) -> bool {
        self.lock().contains(started)
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Started>> {
        // A list of names cannot be left half-changed.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Session {
    /// Whether something is noted that is to be taken down; an update goes on, and so does what CloudFormation does.
    pub(crate) fn has_undo(&self) -> bool {
        self.undo.lock().iter().any(|started| !matches!(started, Started::Update(_) | Started::Stack(_)))
    }

    /// Ends everything that is noted, last things first; what resists is named with the remedy, and returned.
    pub(crate) async fn undo_all(&self) -> Vec<Started> {
        let mut resisted = Vec::new();
        loop {
            // It stays noted until it is over, for a second signal may come first.
            let Some(started) = self.undo.lock().last().cloned() else { return resisted };
            // Whether it is over then; where an endpoint stays, it has been said how it stands.
            let outcome = match &started {
                Started::Job(name) => kinds::stop(self, Kind::Training, name).await.map(|()| true),
                Started::Tuning(name) => kinds::stop(self, Kind::Tuning, name).await.map(|()| true),
                Started::Transform(name) => batch::take_down(self, name).await.map(|()| true),
                Started::Upload { place, id } => upload::abort(self, place, id).await.map(|()| true),
                Started::Endpoint(name) => destroy::destroy(self, name).await,
                Started::Update(name) => deploy::leave_update(self, name).await.map(|()| false),
                Started::ChangeSet { stack, name } => stacks::take_back(self, stack, name).await.map(|()| true),
                Started::Stack(name) => {
                    self.progress
                        .say(&format!("{started} goes on at CloudFormation: the same command comes back to {name}"));
                    Ok(false)
                }
                Started::Tag(name) => images::untag(name).await.map(|()| true),
            };
            self.undo.settle(&started);
            match outcome {
                Ok(true) => self.progress.say(&format!("{started} is taken down")),
                Ok(false) => {}
                Err(error) => {
                    self.progress.say(&format!(
                        "{started} may still be {}: {error:#}\n  {}",
                        started.state(),
                        started.remedy(self)
                    ));
                    resisted.push(started);
                }
            }
        }
    }

    /// Names what is still noted, with the remedy.
    pub(crate) fn name_undone(&self) {
        for started in self.undo.lock().iter().rev() {
            self.progress.say(&format!("{started} may still be {}: {}", started.state(), started.remedy(self)));
        }
    }
}
