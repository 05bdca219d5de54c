//! What is trained and judged, and how.

use tch::Kind;
use unspsc_contract::Hyperparameters;

use crate::classifier::Classifier;
use crate::criterion::Criterion;
use crate::profile::Observer;
use crate::stop::Stop;
use crate::texts::TextSplits;

/// What a run works on.
#[derive(Clone, Copy)]
pub(crate) struct Task<'a> {
    pub(crate) classifier: &'a dyn Classifier,
    pub(crate) texts: &'a TextSplits,
    /// Label and training rows of the classes that the classifier knows, for the observer.
    pub(crate) class_rows: &'a [(String, usize)],
    /// Labels that the classifier knows.
    pub(crate) classes: usize,
    /// What its head tells apart.
    pub(crate) leaves: usize,
    pub(crate) criterion: &'a Criterion,
    pub(crate) settings: &'a Hyperparameters,
    /// What the classifier computes in while it is trained.
    pub(crate) kind: Kind,
    pub(crate) stop: &'a Stop,
    pub(crate) observer: &'a Observer,
}
