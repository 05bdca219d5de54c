//! Everything that the page and the summary say, as numbers.

use std::collections::HashMap;
use std::fmt;
use std::path::Path;
use std::sync::Arc;

use unspsc_dataset::{AUGMENTED, Counts, Label, Loaded, Manifest, Options, Prepared, prepare};

use crate::tables::count;

use super::count::{Cells, classes, count_sides, draw, sources, tally};
use super::lengths::Lengths;
use super::overlap::Overlaps;

/// Rows before, where that is known, and after.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Rows {
    /// Usable rows, repeated ones included.
    pub(crate) before: Option<usize>,
    /// Training, validation and test.
    pub(crate) sides: [usize; 3],
}

impl Rows {
    /// Rows of all sides.
    pub(crate) fn after(&self) -> usize {
        self.sides.iter().sum()
    }

    /// Rows before, or after where that is all there is.
    pub(crate) fn first(&self) -> usize {
        self.before.unwrap_or_else(|| self.after())
    }

    /// Adds them up; what is known of one part alone is known of the sum.
    pub(super) fn add(&mut self, other: Rows) {
        self.before = match (self.before, other.before) {
            (None, None) => None,
            (own, more) => Some(own.unwrap_or(0) + more.unwrap_or(0)),
        };
        self.sides.iter_mut().zip(other.sides).for_each(|(side, more)| *side += more);
    }
}

/// One label.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Class {
    pub(crate) label: Label,
    /// Of the code or of the closest ancestor that has one; none for groups.
    pub(crate) title: Option<String>,
    pub(crate) rows: Rows,
    /// Places in [`Survey::sources`] with rows of this class there, most rows first.
    pub(crate) sources: Vec<(usize, usize)>,
    /// Some of its training texts; none for classes that are not shown.
    pub(crate) samples: Vec<Sample>,
}

/// A text to look at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Sample {
    pub(crate) text: String,
    /// Whether augmentation made it.
    pub(crate) made: bool,
}

/// One origin of rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Origin {
    pub(crate) name: Arc<str>,
    pub(crate) rows: Rows,
}

impl Origin {
    /// Rows of all of them.
    pub(crate) fn sum(origins: &[Origin]) -> Rows {
        let mut sum = Rows::default();
        origins.iter().for_each(|origin| sum.add(origin.rows));
        sum
    }
}

/// What is known of a data set.
#[derive(Debug, Clone)]
pub(crate) struct Survey {
    /// Options, files and what became of the rows.
    pub(crate) manifest: Manifest,
    /// What "before" stands for in [`Rows`].
    pub(crate) before: &'static str,
    /// Largest first.
    pub(crate) classes: Vec<Class>,
    /// Largest first.
    pub(crate) sources: Vec<Origin>,
    /// By place in `sources`; none where only the prepared rows are known, among which no text is repeated.
    pub(crate) overlaps: Option<Overlaps>,
    pub(crate) words: Lengths,
    /// Or why there are none.
    pub(crate) tokens: Result<Lengths, String>,
}

/// Largest class to smallest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Imbalance {
    pub(crate) largest: usize,
    pub(crate) smallest: usize,
}

impl Imbalance {
    /// Of classes with these sizes; those without rows are no classes. None where nothing is left.
    pub(crate) fn of(sizes: impl Iterator<Item = usize>) -> Option<Self> {
        sizes.filter(|size| *size > 0).fold(None, |all: Option<Self>, size| {
            let Self { largest, smallest } = all.unwrap_or(Self { largest: size, smallest: size });
            Some(Self { largest: largest.max(size), smallest: smallest.min(size) })
        })
    }

    /// Rows of the largest class for each row of the smallest.
    pub(crate) fn ratio(&self) -> String {
        match self.largest as f64 / self.smallest as f64 {
            ratio if ratio < 10.0 => format!("{ratio:.1}"),
            _ => count((self.largest + self.smallest / 2) / self.smallest),
        }
    }
}

impl fmt::Display for Imbalance {
    /// Such as `76,416 : 58`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} : {}", count(self.largest), count(self.smallest))
    }
}

impl Survey {
    /// Prepares what was loaded, and counts before and after.
    ///
    /// # Errors
    /// When the rows do not make a training set.
    pub(crate) fn of_loaded(loaded: Loaded, options: Options, encoder: &Path) -> anyhow::Result<Self> {
        let loaded = loaded.without_augmented();
        let labelling = options.labelling(&loaded.rows);
        let (mut cells, origins, overlaps) = tally(&loaded.rows, &labelling);
        let prepared = prepare(loaded, options, concat!("unspsc ", env!("CARGO_PKG_VERSION")))?;
        count_sides(&prepared.splits, &mut cells);
        Ok(Self::new(prepared, "as loaded", &cells, Some((origins, overlaps)), encoder))
    }

    /// Counts in a prepared set; what was before is known only where augmentation has marked its rows.
    pub(crate) fn of_prepared(prepared: Prepared, encoder: &Path) -> Self {
        let mut cells = Cells::new();
        count_sides(&prepared.splits, &mut cells);
        if prepared.manifest.augmentation.is_some() {
            for ((_, origin), rows) in &mut cells {
                rows.before = Some(if origin.starts_with(AUGMENTED) { 0 } else { rows.after() });
            }
        }
        Self::new(prepared, "before augmentation", &cells, None, encoder)
    }

    fn new(
        prepared: Prepared,
        before: &'static str,
        cells: &Cells,
        overlaps: Option<(Vec<Arc<str>>, Overlaps)>,
        encoder: &Path,
    ) -> Self {
        let Prepared { splits, manifest, .. } = prepared;
        let sources = sources(cells);
        let mut classes = classes(cells, &sources);
        draw(&splits, &mut classes);
        let places: HashMap<&str, usize> =
            sources.iter().enumerate().map(|(place, origin)| (&*origin.name, place)).collect();
        let place = |name: &Arc<str>| places.get(&**name).copied().unwrap_or(0);
        let overlaps =
            overlaps.map(|(names, overlaps)| overlaps.renumbered(&names.iter().map(place).collect::<Vec<_>>()));
        let tokens = Lengths::of_tokens(&splits, encoder).map_err(|error| error.to_string());
        Self { words: Lengths::of_words(&splits), manifest, before, classes, sources, overlaps, tokens }
    }

    /// Whether rows before are known by class and source.
    pub(crate) fn knows_before(&self) -> bool {
        self.sources.iter().any(|origin| origin.rows.before.is_some())
    }

    /// Rows with a text and a label, repeated and contradicting ones included.
    pub(crate) fn usable(&self) -> usize {
        let Counts { rows, rejects, .. } = &self.manifest.counts;
        rows - rejects.iter().filter(|(reason, _)| *reason != CONTRADICTION).map(|(_, count)| count).sum::<usize>()
    }

    /// Rows that were read and are in no side.
    pub(crate) fn dropped(&self) -> usize {
        let Counts { rejects, duplicates, capped, .. } = &self.manifest.counts;
        rejects.values().sum::<usize>() + duplicates + capped
    }

    /// Rows whose text other rows label otherwise.
    pub(crate) fn contradicting(&self) -> usize {
        self.manifest.counts.rejects.get(CONTRADICTION).copied().unwrap_or(0)
    }

    /// Rows that augmentation has made.
    pub(crate) fn made(&self) -> usize {
        self.manifest.augmentation.as_ref().map_or(0, |augmentation| augmentation.made)
    }

    /// Imbalance before, where that is known.
    pub(crate) fn imbalance_before(&self) -> Option<Imbalance> {
        Imbalance::of(self.classes.iter().filter_map(|class| class.rows.before))
    }

    /// Imbalance among the training rows, where caps and augmentation work.
    pub(crate) fn imbalance_after(&self) -> Option<Imbalance> {
        Imbalance::of(self.classes.iter().map(|class| class.rows.sides[0]))
    }
}

/// [`unspsc_dataset::RejectReason::kind`] of rows whose text other rows label otherwise.
pub(crate) const CONTRADICTION: &str = "contradicting labels";

/// Classes that are shown one by one; at commodity level there are thousands.
pub(crate) const MAX_CLASSES: usize = 120;

#[cfg(test)]
mod tests;
