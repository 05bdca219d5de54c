//! What the head tells apart: codes finer than the labels, each a part of one label.
//!
//! A segment such as "tools" holds things that have little in common. A head that has one vector for it has to find what
//! they share; one that has a vector for each UNSPSC class in it, and gives the label the sum of their probabilities,
//! need not.

use std::collections::{BTreeSet, HashMap};

use tch::{Device, Kind, TchError, Tensor};
use unspsc_dataset::{Example, Label};
use unspsc_taxonomy::{Code, Level};

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

/// A label, and a code within it unless it is the label's only leaf.
type Leaf = (Label, Option<Code>);

impl Leaves {
    /// Those of `rows`, whose codes are cut to `head`; a code that does not reach it is a leaf of its own. Without `head`,
    /// each label is its own leaf.
    pub(crate) fn of(rows: &[Example], head: Option<Level>) -> Self {
        let leaves: BTreeSet<Leaf> = rows.iter().map(|row| leaf(row, head)).collect();
        let leaves: Vec<Leaf> = leaves.into_iter().collect();
        let sizes = leaves.chunk_by(|one, other| one.0 == other.0).map(<[_]>::len).collect();
        let places = leaves.iter().cloned().zip(0..).collect();
        Self { leaves, sizes, places, head }
    }

    /// The place of a row's leaf; none where it does not occur in training.
    pub(crate) fn find(&self, row: &Example) -> Option<usize> {
        self.places.get(&leaf(row, self.head)).copied()
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

/// The leaf of a row: never coarser than a label that is a code.
fn leaf(row: &Example, head: Option<Level>) -> Leaf {
    let level = |head: Level| row.label.as_str().parse().map_or(head, |label: Code| head.max(label.level()));
    (row.label.clone(), head.map(|head| row.code.at(level(head))))
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

    #[test]
    fn a_label_has_the_leaves_that_occur() {
        let pairs =
            [("bolt", "31161501"), ("nut", "31161701"), ("screw", "31161502"), ("a", "43000000"), ("b", "43211503")];
        let segments = rows(&pairs, &Labelling::Level(Level::Segment));
        let names = |head| Leaves::of(&segments, Some(head)).names();
        assert_eq!(names(Level::Class), ["31161500", "31161700", "43000000", "43211500"]);
        assert_eq!(names(Level::Family), ["31160000", "43000000", "43210000"]);
        assert_eq!(names(Level::Segment), ["31000000", "43000000"]);
        let leaves = Leaves::of(&segments, Some(Level::Class));
        assert_eq!(leaves.sizes(), [2, 2]);
        assert_eq!(segments.iter().map(|row| leaves.find(row)).collect::<Vec<_>>(), [0, 1, 0, 2, 3].map(Some));
        let other = rows(&[("c", "43211601"), ("d", "31161599")], &Labelling::Level(Level::Segment));
        assert_eq!(other.iter().map(|row| leaves.find(row)).collect::<Vec<_>>(), [None, Some(0)]);
        // Labels finer than the head are their own leaves.
        let classes = rows(&pairs[..3], &Labelling::Level(Level::Class));
        for head in [Some(Level::Segment), None] {
            assert_eq!(Leaves::of(&classes, head).names(), ["31161500", "31161700"]);
        }
    }

    #[test]
    fn a_group_has_leaves_too() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "code,group\n31000000,parts\n43000000,machines\n").unwrap();
        let groups = Labelling::Groups(Groups::read(file.path()).unwrap());
        let rows = rows(&[("bolt", "31161501"), ("nut", "31161701"), ("laptop", "43211503")], &groups);
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
