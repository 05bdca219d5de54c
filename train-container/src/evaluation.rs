//! How well a classifier does on rows that it is not trained on.

use tch::Reduction;
use unspsc_contract::{ClassRecall, Evaluation};
use unspsc_dataset::Label;
use unspsc_taxonomy::Titles;

use crate::TrainError;
use crate::batches::by_length;
use crate::classifier::Classifier;
use crate::confusion::Confusion;
use crate::criterion::Criterion;
use crate::stop::Stop;
use crate::texts::{NO_TARGET, Texts, targets};

/// Rows that go through the network together. Larger batches are no faster on a CPU, and pad more.
const BATCH_SIZE: usize = 64;

/// The outcome on one split.
#[derive(Debug, Clone, Default)]
pub(crate) struct Evaluated {
    /// Mean of the training criterion over the rows whose label occurs in training, in nats.
    pub(crate) loss: f64,
    pub(crate) confusion: Confusion,
}

/// Judges `classifier`, which knows the first `classes` labels, on `texts`; nothing where `stop` came first.
pub(crate) fn evaluate(
    classifier: &dyn Classifier,
    criterion: &Criterion,
    texts: &Texts,
    classes: usize,
    stop: &Stop,
) -> Result<Option<Evaluated>, TrainError> {
    let _no_graph = tch::no_grad_guard();
    let device = classifier.store().device();
    let (mut sum, mut known) = (0.0, 0);
    let mut confusion = Confusion::default();
    for rows in by_length(&texts.lengths(), BATCH_SIZE) {
        if stop.requested() {
            return Ok(None);
        }
        let truth = texts.classes(&rows);
        let targets = targets(&truth, classes, device)?;
        let logits = classifier.logits(&texts.batch(&rows, device)?, false)?; // [batch, classes]
        sum += criterion.loss(&logits, &targets, Reduction::Sum)?.f_double_value(&[])?;
        known += Vec::<i64>::try_from(&targets)?.iter().filter(|target| **target != NO_TARGET).count();
        let predicted = Vec::<i64>::try_from(&logits.f_argmax(-1, false)?)?;
        for (truth, predicted) in truth.iter().zip(predicted) {
            confusion.count(*truth, usize::try_from(predicted).unwrap_or(usize::MAX));
        }
    }
    Ok(Some(Evaluated { loss: sum / known.max(1) as f64, confusion }))
}

impl Evaluated {
    /// The same for the report; `labels` stand by class index.
    pub(crate) fn report(&self, labels: &[Label], titles: &Titles) -> Evaluation {
        let class = |found: crate::confusion::Found| {
            let label = labels.get(found.class)?;
            let title = label.as_str().parse().ok().and_then(|code| titles.nearest(code)).map(str::to_owned);
            Some(ClassRecall { label: label.to_string(), title, rows: found.rows, recall: found.recall() })
        };
        let mut classes: Vec<ClassRecall> = self.confusion.found().filter_map(class).collect();
        classes.sort_by(|a, b| a.label.cmp(&b.label));
        Evaluation {
            rows: self.confusion.total(),
            loss: self.loss,
            accuracy: self.confusion.accuracy(),
            balanced_accuracy: self.confusion.balanced_accuracy(),
            classes,
        }
    }
}
