//! From a statement's classified items to the answer, with places that a page can mark.

use std::iter::zip;
use std::ops::Range;

use unspsc_contract::invocation::{Outcome, Place, StatementItem, StatementRemark, StatementResponse};

use super::{Classified, Item, Remark, Statement};
use crate::labels::Label;

impl Statement {
    /// The answer to a statement whose items were `classified`, with the profile over `segments`.
    pub(crate) fn answer(&self, classified: Classified, segments: &[Label]) -> StatementResponse {
        let profile = classified.profile(segments);
        let (mut items, mut remarks) = (Places::new(&self.text), Places::new(&self.text));
        let item = |(item, outcome): (&Item, Outcome)| StatementItem {
            text: self.text[item.span.clone()].to_owned(),
            place: items.of(&item.span),
            nice_class: item.nice_class,
            classified: item.wording.clone(),
            outcome,
        };
        let items = zip(&self.items, classified.outcomes).map(item).collect();
        let remark = |remark: &Remark| StatementRemark {
            kind: remark.kind,
            text: self.text[remark.span.clone()].to_owned(),
            place: remarks.of(&remark.span),
        };
        StatementResponse { profile, items, remarks: self.remarks.iter().map(remark).collect() }
    }
}

/// Counts characters for spans whose beginnings come in order.
struct Places<'t> {
    text: &'t str,
    byte: usize,
    character: usize,
}

impl<'t> Places<'t> {
    fn new(text: &'t str) -> Self {
        Self { text, byte: 0, character: 0 }
    }

    fn of(&mut self, span: &Range<usize>) -> Place {
        self.character += self.text[self.byte..span.start].chars().count();
        self.byte = span.start;
        Place { start: self.character, end: self.character + self.text[span.clone()].chars().count() }
    }
}

#[cfg(test)]
mod tests {
    use super::super::profile::tests::failure;
    use super::*;

    #[test]
    fn places_are_counted_in_characters() {
        let text = "Crème brûlée [茶, ] – 可可 (excluding ü); nuts";
        let statement = Statement::parse(text.to_owned()).unwrap();
        let mut classified = Classified::default();
        statement.items.iter().for_each(|_| classified.push(failure(), None));
        let answer = statement.answer(classified, &[]);
        let characters: Vec<char> = text.chars().collect();
        let at = |place: Place| characters[place.start..place.end].iter().collect::<String>();
        assert!(answer.items.iter().all(|item| at(item.place) == item.text) && answer.items.len() == 3);
        assert!(answer.remarks.iter().all(|remark| at(remark.place) == remark.text) && answer.remarks.len() == 2);
    }
}
