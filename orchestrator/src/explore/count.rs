//! Rows by label and origin, and what comes of adding them up.

use std::collections::{BTreeMap, HashMap};
use std::hash::Hash;
use std::sync::Arc;

use unspsc_dataset::{AUGMENTED, Example, Label, Labelling, Row, Splits, labels};
use unspsc_taxonomy::{Code, Titles};

use super::overlap::{Mention, Overlaps};
use super::survey::{Class, MAX_CLASSES, Origin, Rows, Sample};

/// Texts that are shown of a class.
const SAMPLES: usize = 10;

/// Rows by label and origin.
pub(super) type Cells = BTreeMap<(Label, Arc<str>), Rows>;

/// Usable rows by label and origin, the origins by order of appearance, and what these share.
pub(super) fn tally(rows: &[Row], labelling: &Labelling) -> (Cells, Vec<Arc<str>>, Overlaps) {
    let (mut cells, mut origins) = (HashMap::<(u32, usize), usize>::new(), Numbers::<Arc<str>>::default());
    let mut named = Numbers::<Label>::default();
    let mut mentions = Vec::with_capacity(rows.len());
    for (row, label) in rows.iter().zip(labels(rows, labelling)) {
        let Some(label) = label else { continue };
        let (source, label) = (origins.of(&row.origin), named.of(&label) as u32);
        *cells.entry((label, source)).or_default() += 1;
        mentions.push(Mention { text: row.text(), source, label });
    }
    let rows = |count| Rows { before: Some(count), sides: [0; 3] };
    let name = |(label, source): (u32, usize)| (named.0[label as usize].clone(), Arc::clone(&origins.0[source]));
    let cells = cells.into_iter().map(|(numbers, count)| (name(numbers), rows(count))).collect();
    (cells, origins.0, Overlaps::of(mentions))
}

/// Numbers by order of appearance.
struct Numbers<T>(Vec<T>, HashMap<T, usize>);

impl<T> Default for Numbers<T> {
    fn default() -> Self {
        Self(Vec::new(), HashMap::new())
    }
}

impl<T: Clone + Eq + Hash> Numbers<T> {
    fn of(&mut self, name: &T) -> usize {
        if let Some(number) = self.1.get(name) {
            return *number;
        }
        self.0.push(name.clone());
        self.1.insert(name.clone(), self.0.len() - 1);
        self.0.len() - 1
    }
}

/// Adds the rows of the three sides.
pub(super) fn count_sides(splits: &Splits, cells: &mut Cells) {
    for (side, (_, examples)) in splits.named().into_iter().enumerate() {
        for example in examples {
            let cell = (example.label.clone(), Arc::clone(&example.origin));
            cells.entry(cell).or_default().sides[side] += 1;
        }
    }
}

/// The origins, largest first.
pub(super) fn sources(cells: &Cells) -> Vec<Origin> {
    let mut sums = BTreeMap::<&Arc<str>, Rows>::new();
    for ((_, origin), rows) in cells {
        sums.entry(origin).or_default().add(*rows);
    }
    let mut sources: Vec<Origin> =
        sums.into_iter().map(|(name, rows)| Origin { name: Arc::clone(name), rows }).collect();
    sources.sort_by_key(|origin| std::cmp::Reverse(origin.rows.first().max(origin.rows.after())));
    sources
}

/// The labels, largest first, without samples.
pub(super) fn classes(cells: &Cells, sources: &[Origin]) -> Vec<Class> {
    let titles = Titles::embedded().unwrap_or_default();
    let title = |label: &Label| titles.nearest(label.as_str().parse::<Code>().ok()?).map(str::to_owned);
    let places: HashMap<&str, usize> = sources.iter().enumerate().map(|(place, s)| (&*s.name, place)).collect();
    let mut classes: Vec<Class> = Vec::new();
    for ((label, origin), rows) in cells {
        if classes.last().is_none_or(|class| class.label != *label) {
            let (rows, title) = (Rows::default(), title(label));
            classes.push(Class { label: label.clone(), title, rows, sources: Vec::new(), samples: Vec::new() });
        }
        let Some(class) = classes.last_mut() else { continue };
        class.rows.add(*rows);
        class.sources.extend(places.get(&**origin).map(|place| (*place, rows.first().max(rows.after()))));
    }
    classes.iter_mut().for_each(|class| class.sources.sort_by_key(|(_, rows)| std::cmp::Reverse(*rows)));
    classes.sort_by_key(|class| std::cmp::Reverse((class.rows.first(), class.rows.after())));
    classes
}

/// Gives the classes that are shown some of their training texts.
///
/// Training rows stand in the random order of the seed, those that augmentation made behind the others: taken at equal
/// distances, the texts are a sample of both. Texts of validation and test are left unseen.
pub(super) fn draw(splits: &Splits, classes: &mut [Class]) {
    let shown = classes.iter().take(MAX_CLASSES).enumerate();
    let places: HashMap<Label, usize> = shown.map(|(place, class)| (class.label.clone(), place)).collect();
    let mut seen = vec![0; places.len()];
    for example in &splits.train {
        let Some(place) = places.get(&example.label) else { continue };
        let (class, number) = (&mut classes[*place], &mut seen[*place]);
        if is_drawn(*number, class.rows.sides[0]) {
            class.samples.push(sample(example));
        }
        *number += 1;
    }
}

/// Whether number `place` of `rows` is one of [`SAMPLES`] at equal distances.
fn is_drawn(place: usize, rows: usize) -> bool {
    rows <= SAMPLES || (0..SAMPLES).any(|number| number * rows / SAMPLES == place)
}

fn sample(example: &Example) -> Sample {
    Sample { text: example.description.clone(), made: example.origin.starts_with(AUGMENTED) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_stand_at_equal_distances_and_small_classes_show_all() {
        let drawn = |rows: usize| (0..rows).filter(|place| is_drawn(*place, rows)).collect::<Vec<_>>();
        assert_eq!(drawn(3), [0, 1, 2]);
        assert_eq!(drawn(25), [0, 2, 5, 7, 10, 12, 15, 17, 20, 22]);
        assert_eq!(drawn(76_000).len(), SAMPLES);
    }
}
