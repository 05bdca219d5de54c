//! Channels to splits: loading, labelling, and cutting off what is held out where no channel brings it.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::path::Path;

use unspsc_contract::{DataSummary, ModelKind};
use unspsc_dataset::{AUGMENTED, Example, Label, Labelled, Labelling, Splits, fingerprint, label, load_channel, split};
use unspsc_taxonomy::{Code, Level, Titles, clean};

use crate::TrainError;
use crate::environment::Environment;
use crate::leaves::Leaves;

/// The rows of a job.
#[derive(Debug)]
pub(crate) struct Data {
    /// Rows by purpose; no text stands in two of them.
    pub(crate) splits: Splits,
    /// The labels that occur in training, ascending: the classes that a model is trained for.
    pub(crate) labels: Vec<Label>,
    /// Labels that occur in validation or test alone, ascending: no model can find them, and they count as missed.
    pub(crate) unseen: Vec<Label>,
    /// What the head tells apart within the labels.
    pub(crate) leaves: Leaves,
    /// Titles of codes: those of the channel `titles`, and of segments and families that it lacks.
    pub(crate) titles: BTreeMap<Code, String>,
    /// Size and identity.
    pub(crate) summary: DataSummary,
}

impl Data {
    /// Reads the channels of `environment`.
    ///
    /// # Errors
    /// Names the file that cannot be read, or says that too few rows or labels remain.
    pub(crate) fn load(environment: &Environment) -> Result<Self, TrainError> {
        let settings = &environment.hyperparameters;
        let (level, seed) = (settings.level, settings.seed);
        let (training, mut rejected_rows) = channel("training", &environment.training, level)?;
        let (training, joined) = (training.examples, training.joined);
        let mut held_out = |name: &'static str, folder: Option<&Path>| -> Result<Option<Vec<Example>>, TrainError> {
            let Some(folder) = folder else { return Ok(None) };
            let (labelled, rejected) = channel(name, folder, level)?;
            rejected_rows += rejected;
            Ok(Some(labelled.examples))
        };
        let validation = held_out("validation", environment.validation.as_deref())?;
        let test = held_out("test", environment.test.as_deref())?;
        if (validation.is_none() || test.is_none()) && training.iter().any(|row| row.origin.starts_with(AUGMENTED)) {
            let reason = "the channel `training` has rows made by augmentation, of which none can be held out: give the \
                          channels `validation` and `test` too";
            return Err(TrainError::Data(reason.into()));
        }
        let (splits, leaks) = assemble((training, &joined), validation, test, seed);
        if leaks > 0 {
            tracing::warn!("{leaks} rows dropped because their text stands in a split that is held out as well");
        }
        // The baseline is the reference project's, which knows nothing finer than its labels.
        let head = (settings.model == ModelKind::Encoder).then_some(settings.head_level);
        let mut data = Self::checked(splits, rejected_rows + leaks, head)?;
        if settings.model == ModelKind::Encoder {
            data.titles = titles(environment.titles.as_deref())?;
        }
        Ok(data)
    }

    /// Sums up `splits`, where they suffice.
    pub(crate) fn checked(splits: Splits, rejected_rows: usize, head: Option<Level>) -> Result<Self, TrainError> {
        let distinct = |rows: &[Example]| rows.iter().map(|row| row.label.clone()).collect::<BTreeSet<Label>>();
        let labels = distinct(&splits.train);
        let held_out = &distinct(&splits.validation) | &distinct(&splits.test);
        let unseen: Vec<Label> = held_out.difference(&labels).cloned().collect();
        let sizes = [splits.train.len(), splits.validation.len(), splits.test.len()];
        if labels.len() < 2 || sizes.contains(&0) {
            let [train, validation, test] = sizes;
            return Err(TrainError::Data(format!(
                "too few rows: {train} to train on with {} labels, {validation} for validation, {test} for test; needed \
                 are two labels or more and rows in each split (at least 3 rows of a label where one channel is split)",
                labels.len()
            )));
        }
        let summary = DataSummary {
            fingerprint: fingerprint(&splits),
            train_rows: splits.train.len(),
            validation_rows: splits.validation.len(),
            test_rows: splits.test.len(),
            rejected_rows,
            classes: labels.len(),
        };
        let leaves = Leaves::of(&splits.train, head);
        Ok(Self { splits, labels: labels.into_iter().collect(), unseen, leaves, titles: BTreeMap::new(), summary })
    }
}

/// The titles of the channel in `folder`, and those of segments and families that it lacks.
fn titles(folder: Option<&Path>) -> Result<BTreeMap<Code, String>, TrainError> {
    let mut titles = BTreeMap::new();
    if let Some(folder) = folder {
        let loaded = load_channel(folder).map_err(|source| TrainError::Channel { channel: "titles", source })?;
        for row in loaded.rows {
            titles.entry(row.code).or_insert(row.description);
        }
        tracing::info!("channel titles: {} titles", titles.len());
    }
    for (code, title) in Titles::embedded().unwrap_or_default().iter() {
        titles.entry(code).or_insert_with(|| title.to_owned());
    }
    Ok(titles)
}

/// The labelled rows of one channel, and how many of its rows cannot be used.
fn channel(name: &'static str, folder: &Path, level: Level) -> Result<(Labelled, usize), TrainError> {
    let loaded = load_channel(folder).map_err(|source| TrainError::Channel { channel: name, source })?;
    let rows = loaded.rows.len() + loaded.rejects.len();
    let mut labelled = label(loaded.rows, &Labelling::Level(level));
    let Labelled { examples, rejects, counts, .. } = &mut labelled;
    let rejected = loaded.rejects.len() + rejects.len();
    let (used, duplicates) = (examples.len(), counts.duplicates);
    let files = loaded.sources.len();
    tracing::info!(
        "channel {name}: {files} files, {rows} rows, {used} used, {duplicates} duplicates, {rejected} rejected"
    );
    let first = loaded.rejects.iter().chain(&*rejects).min_by_key(|reject| reject.place);
    let first = first.map(|reject| {
        let (file, line) = reject.place;
        let source = usize::try_from(file).ok().and_then(|file| loaded.sources.get(file));
        let path = source.map_or_else(String::new, |source| source.path.display().to_string());
        format!("{path}, line {line}: {}", reject.reason)
    });
    if let Some(first) = &first {
        tracing::warn!("first rejected row of channel {name}: {first}");
    }
    if examples.is_empty() {
        let reason = first.unwrap_or_default();
        return Err(TrainError::Data(format!("channel `{name}`: none of {rows} rows can be used; {reason}")));
    }
    Ok((labelled, rejected))
}

/// Splits `training` for whatever is not given, and drops rows whose text is held out: from training those of
/// validation and test, from validation those of test. Returns how many were dropped.
fn assemble(
    (training, joined): (Vec<Example>, &[(Code, Code)]),
    validation: Option<Vec<Example>>,
    test: Option<Vec<Example>>,
    seed: u64,
) -> (Splits, usize) {
    let (given_validation, given_test) = (validation.is_some(), test.is_some());
    let mut splits = if given_validation && given_test {
        Splits { train: training, ..Splits::default() }
    } else {
        split(training, joined, seed)
    };
    if let Some(rows) = validation {
        splits.train.append(&mut splits.validation);
        splits.validation = rows;
    }
    if let Some(rows) = test {
        splits.train.append(&mut splits.test);
        splits.test = rows;
    }
    let leaks = drop_known(&mut splits.validation, &splits.test)
        + drop_known(&mut splits.train, &splits.test)
        + drop_known(&mut splits.train, &splits.validation);
    (splits, leaks)
}

fn drop_known(rows: &mut Vec<Example>, held_out: &[Example]) -> usize {
    let known: HashSet<String> = held_out.iter().map(|row| clean(&row.description)).collect();
    let before = rows.len();
    rows.retain(|row| !known.contains(&clean(&row.description)));
    before - rows.len()
}

#[cfg(test)]
mod tests {
    use unspsc_dataset::Row;

    use super::*;

    fn examples(texts: impl IntoIterator<Item = (String, &'static str)>) -> Vec<Example> {
        let row = |(text, code): (String, &str)| Row::new(&text, code.parse().unwrap(), "test");
        label(texts.into_iter().map(row).collect(), &Labelling::Level(Level::Segment)).examples
    }

    fn two_classes(rows: usize) -> Vec<Example> {
        examples((0..rows).map(|i| (format!("text {i}"), if i % 2 == 0 { "10000000" } else { "20000000" })))
    }

    #[test]
    fn what_is_not_given_is_cut_from_training() {
        let (splits, leaks) = assemble((two_classes(40), &[]), None, None, 1);
        assert_eq!([splits.train.len(), splits.validation.len(), splits.test.len(), leaks], [32, 4, 4, 0]);
        let own = examples([("own".into(), "10000000")]);
        let (splits, _) = assemble((two_classes(40), &[]), Some(own.clone()), None, 1);
        assert_eq!([splits.train.len(), splits.validation.len(), splits.test.len()], [36, 1, 4]);
        let (splits, _) = assemble((two_classes(40), &[]), Some(own.clone()), Some(own), 1);
        // The one text is in test already.
        assert_eq!([splits.train.len(), splits.validation.len(), splits.test.len()], [40, 0, 1]);
    }

    #[test]
    fn a_text_that_is_held_out_is_not_trained_on() {
        let test = examples([("text 3".into(), "20000000")]);
        let validation = examples([("text 4".into(), "10000000"), ("text 3".into(), "20000000")]);
        let (splits, leaks) = assemble((two_classes(10), &[]), Some(validation), Some(test), 1);
        assert_eq!([splits.train.len(), splits.validation.len(), splits.test.len(), leaks], [8, 1, 1, 3]);
    }

    #[test]
    fn labels_are_those_of_training_and_too_few_are_refused() {
        let held_out = examples([("a".into(), "30000000"), ("b".into(), "20000000")]);
        let splits = Splits { train: two_classes(4), validation: held_out.clone(), test: held_out };
        let data = Data::checked(splits.clone(), 0, Some(Level::Class)).unwrap();
        assert_eq!((data.labels.len(), data.unseen.len(), data.summary.classes), (2, 1, 2));
        let no_test = Splits { test: Vec::new(), ..splits.clone() };
        let one_label = Splits { train: examples([("c".into(), "10000000")]), ..splits };
        for splits in [no_test, one_label] {
            let error = Data::checked(splits, 0, Some(Level::Class)).unwrap_err();
            assert!(error.to_string().starts_with("too few rows"), "{error}");
        }
    }
}
