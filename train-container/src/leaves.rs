//! What the head tells apart: codes finer than the labels, each a part of one label.
//!
//! A segment such as "tools" holds things that have little in common. A head that has one vector for it has to find what
//! they share; one that has a vector for each UNSPSC class in it, and gives the label the sum of their probabilities,
//! need not.

use std::collections::{BTreeSet, HashMap};

use tch::{Device, Kind, TchError, Tensor};
use unspsc_dataset::{Example, Label};
use unspsc_taxonomy::{Code, Level};

/// Rows that make a leaf. A leaf of fewer would know its own texts by heart before the first step, so that nothing were left
/// to learn; such texts belong to the closest ancestor that has enough of them, at last to the label itself.
const MIN_ROWS: usize = 2;

/// The leaves that occur in training, label by label.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Leaves {
    /// Ascending.
    leaves: Vec<Leaf>,
    /// Leaves of each label, in the labels' order.
    sizes: Vec<usize>,
    places: HashMap<Leaf, usize>,
    head: Option<Level>,
}

/// A label, and a code within it; none for the label itself.
type Leaf = (Label, Option<Code>);

impl Leaves {
    /// Those of `rows`, no finer than `head`; without it, each label is its own leaf.
    pub(crate) fn of(rows: &[Example], head: Option<Level>) -> Self {
        let mut leaves = BTreeSet::new();
        let mut rest: Vec<&Example> = rows.iter().collect();
        for level in Level::ALL.into_iter().rev().filter(|level| Some(*level) <= head) {
            let mut counts = HashMap::<Leaf, usize>::new();
            rest.iter().filter_map(|row| leaf(row, level)).for_each(|leaf| *counts.entry(leaf).or_default() += 1);
            let is_large = |row: &Example| leaf(row, level).is_some_and(|leaf| counts.get(&leaf) >= Some(&MIN_ROWS));
            rest.retain(|row| !is_large(row));
            leaves.extend(counts.into_iter().filter(|(_, rows)| *rows >= MIN_ROWS).map(|(leaf, _)| leaf));
        }
        leaves.extend(rest.into_iter().map(|row| (row.label.clone(), None)));
        let leaves: Vec<Leaf> = leaves.into_iter().collect();
        let sizes = leaves.chunk_by(|one, other| one.0 == other.0).map(<[_]>::len).collect();
        let places = leaves.iter().cloned().zip(0..).collect();
        Self { leaves, sizes, places, head }
    }

    /// The place of a training row's leaf; of other rows none may be known.
    pub(crate) fn find(&self, row: &Example) -> Option<usize> {
        let levels = Level::ALL.into_iter().rev().filter(|level| Some(*level) <= self.head);
        let mut candidates = levels.filter_map(|level| leaf(row, level)).chain([(row.label.clone(), None)]);
        candidates.find_map(|leaf| self.places.get(&leaf)).copied()
    }

    /// A name for each, unique: the code, or label and code where labels are names.
    pub(crate) fn names(&self) -> Vec<String> {
        let name = |(label, code): &Leaf| match code {
            Some(code) if label.as_str().parse::<Code>().is_ok() => code.to_string(),
            Some(code) => format!("{label}, {code}"),
            None => label.to_string(),
        };
        self.leaves.iter().map(name).collect()
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.leaves.len()
    }

    /// Leaves of each label.
    pub(crate) fn sizes(&self) -> &[usize] {
        &self.sizes
    }
}

/// The leaf of a row at `level`, where its code reaches that and lies below its label.
fn leaf(row: &Example, level: Level) -> Option<Leaf> {
    let code = row.code.at(level);
    let is_below = row.label.as_str().parse().map_or(true, |label: Code| label.level() < level);
    (row.code.reaches(level) && is_below).then(|| (row.label.clone(), Some(code)))
}

/// Labels as sums of their leaves, on a device.
#[derive(Debug)]
pub(crate) struct LabelSums {
    /// Label of each leaf, `[leaves]`, int64; none where each label is its own leaf.
    of: Option<Tensor>,
    labels: i64,
}

impl LabelSums {
    /// Labels of so many leaves each, which follow one another.
    pub(crate) fn new(sizes: &[usize], device: Device) -> Result<Self, TchError> {
        let of = if sizes.iter().all(|size| *size == 1) {
            None
        } else {
            let repeated = |(label, size): (i64, &usize)| std::iter::repeat_n(label, *size);
            Some(Tensor::f_from_slice(&(0..).zip(sizes).flat_map(repeated).collect::<Vec<i64>>())?.f_to(device)?)
        };
        Ok(Self { of, labels: sizes.len() as i64 })
    }

    /// The logits of labels, which are the logarithms of sums of probabilities: `[batch, leaves]` to `[batch, labels]`.
    pub(crate) fn logits(&self, leaves: &Tensor) -> Result<Tensor, TchError> {
        let Some(of) = &self.of else { return Ok(leaves.shallow_clone()) };
        // Doubles hold what lies up to 708 below the highest; below that, labels are all alike.
        let leaves = leaves.f_to_kind(Kind::Double)?;
        let highest = leaves.f_amax(-1, true)?; // [batch, 1]
        let shares = leaves.f_sub(&highest)?.f_exp()?; // [batch, leaves]
        let (batch, _) = leaves.size2()?;
        let sums =
            Tensor::f_zeros([batch, self.labels], (Kind::Double, leaves.device()))?.f_index_add(1, of, &shares)?;
        sums.f_clamp_min(f64::MIN_POSITIVE)?.f_log()?.f_add(&highest)?.f_to_kind(Kind::Float)
    }

    /// Each leaf's value, which is its label's: `[labels]` to `[leaves]`.
    pub(crate) fn spread(&self, labels: &Tensor) -> Result<Tensor, TchError> {
        match &self.of {
            Some(of) => labels.f_index_select(0, of),
            None => Ok(labels.shallow_clone()),
        }
    }
}

#[cfg(test)]
mod tests {
    use unspsc_dataset::{Groups, Labelling, Row, label};

    use super::*;

    fn rows(pairs: &[(&str, &str)], labelling: &Labelling) -> Vec<Example> {
        let row = |(text, code): &(&str, &str)| Row::new(text, code.parse().unwrap(), "test");
        label(pairs.iter().map(row).collect(), labelling).examples
    }

    /// `count` rows of each code.
    fn many(codes: &[&str], count: usize, labelling: &Labelling) -> Vec<Example> {
        let texts: Vec<(String, &str)> = codes
            .iter()
            .flat_map(|code| (0..count).map(move |number| (format!("{code} no {number}"), *code)))
            .collect();
        let pairs: Vec<(&str, &str)> = texts.iter().map(|(text, code)| (text.as_str(), *code)).collect();
        rows(&pairs, labelling)
    }

    #[test]
    fn a_label_has_the_leaves_that_occur() {
        let codes = ["31161501", "31161701", "43000000", "43211503"];
        let segments = many(&codes, MIN_ROWS, &Labelling::Level(Level::Segment));
        let names = |head| Leaves::of(&segments, head).names();
        assert_eq!(names(Some(Level::Commodity)), ["31161501", "31161701", "43000000", "43211503"]);
        assert_eq!(names(Some(Level::Class)), ["31161500", "31161700", "43000000", "43211500"]);
        assert_eq!(names(Some(Level::Family)), ["31160000", "43000000", "43210000"]);
        assert_eq!(names(Some(Level::Segment)), ["31000000", "43000000"]);
        assert_eq!(names(None), ["31000000", "43000000"]);
        let leaves = Leaves::of(&segments, Some(Level::Class));
        assert_eq!(leaves.sizes(), [2, 2]);
        let places: Vec<_> = segments.iter().step_by(MIN_ROWS).map(|row| leaves.find(row)).collect();
        assert_eq!(places, [0, 1, 2, 3].map(Some));
        // Labels that are no coarser than the head are their own leaves.
        let classes = many(&codes[..2], 1, &Labelling::Level(Level::Class));
        for head in [Some(Level::Segment), Some(Level::Class), None] {
            assert_eq!(Leaves::of(&classes, head).names(), ["31161500", "31161700"]);
        }
    }

    #[test]
    fn few_texts_belong_to_the_closest_ancestor_with_enough() {
        let mut segments = many(&["31161501"], MIN_ROWS, &Labelling::Level(Level::Segment));
        segments.extend(many(&["31161701", "31161801"], MIN_ROWS - 1, &Labelling::Level(Level::Segment)));
        segments.extend(many(&["31201501", "43211503"], 1, &Labelling::Level(Level::Segment)));
        let leaves = Leaves::of(&segments, Some(Level::Class));
        assert_eq!(leaves.names(), ["31000000", "31160000", "31161500", "43000000"]);
        assert_eq!(leaves.sizes(), [3, 1]);
        let places: Vec<_> = [0, 2, 3, 4, 5].iter().map(|row| leaves.find(&segments[*row])).collect();
        assert_eq!(places, [2, 1, 1, 0, 3].map(Some));
    }

    #[test]
    fn a_group_has_leaves_too() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "code,group\n31000000,parts\n43000000,machines\n").unwrap();
        let groups = Labelling::Groups(Groups::read(file.path()).unwrap());
        let rows = many(&["31161501", "31161701", "43211503"], MIN_ROWS, &groups);
        let leaves = Leaves::of(&rows, Some(Level::Class));
        assert_eq!(leaves.names(), ["machines, 43211500", "parts, 31161500", "parts, 31161700"]);
        assert_eq!(leaves.sizes(), [1, 2]);
        assert_eq!(Leaves::of(&rows, None).names(), ["machines", "parts"]);
    }

    #[test]
    fn sums_are_those_of_probabilities() {
        let sums = LabelSums::new(&[2, 1], Device::Cpu).unwrap();
        let leaves = Tensor::from_slice2(&[[1.0_f32, 3.0, 2.0], [-250.0, -251.0, 400.0]]);
        let logits = Vec::<Vec<f64>>::try_from(&sums.logits(&leaves).unwrap().to_kind(Kind::Double)).unwrap();
        let near = |found: f64, wanted: f64| assert!((found - wanted).abs() < 1e-4, "{found} and not {wanted}");
        near(logits[0][0], (1_f64.exp() + 3_f64.exp()).ln());
        near(logits[0][1], 2.0);
        near(logits[1][0], -250.0 + (1.0 + (-1_f64).exp()).ln());
        near(logits[1][1], 400.0);
        let spread = sums.spread(&Tensor::from_slice(&[0.5_f32, 0.25])).unwrap();
        assert_eq!(Vec::<f32>::try_from(&spread).unwrap(), [0.5, 0.5, 0.25]);
    }

    #[test]
    fn labels_that_are_their_own_leaves_stay_as_they_are() {
        let sums = LabelSums::new(&[1, 1, 1], Device::Cpu).unwrap();
        let leaves = Tensor::from_slice2(&[[1.0_f32, 3.0, 2.0]]);
        assert_eq!(sums.logits(&leaves).unwrap(), leaves);
    }
}
