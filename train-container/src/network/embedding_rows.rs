//! The rows of a word embedding that the data uses.
//!
//! A training set of some thousand texts uses a few thousand of BERT's 30,522 words. The others have no gradient: to
//! carry them along would double the optimiser's work on MiniLM, and change nothing but to shrink them by weight decay.

use std::collections::{BTreeSet, HashMap};

use tch::{TchError, Tensor};

/// Which rows of the full table the network holds, in which order.
#[derive(Debug)]
pub(crate) struct EmbeddingRows {
    /// Token id by row, ascending.
    ids: Vec<i64>,
}

impl EmbeddingRows {
    /// The rows of every token in `texts`, and the texts' ids replaced by their rows.
    pub(crate) fn compact<'a>(texts: impl Iterator<Item = &'a mut Vec<i64>>) -> Self {
        let mut texts: Vec<&mut Vec<i64>> = texts.collect();
        let ids: BTreeSet<i64> = texts.iter().flat_map(|text| text.iter().copied()).collect();
        let ids: Vec<i64> = ids.into_iter().collect();
        let rows: HashMap<i64, i64> = ids.iter().zip(0..).map(|(id, row)| (*id, row)).collect();
        for id in texts.iter_mut().flat_map(|text| text.iter_mut()) {
            *id = rows.get(id).copied().unwrap_or_default();
        }
        Self { ids }
    }

    /// These rows, whatever the texts at hand use.
    pub(crate) fn of(ids: &[i64]) -> Self {
        Self { ids: ids.to_vec() }
    }

    /// Token id by row.
    pub(crate) fn ids(&self) -> &[i64] {
        &self.ids
    }

    /// How many rows there are.
    pub(crate) fn len(&self) -> usize {
        self.ids.len()
    }

    /// These rows of the full table: `[vocabulary, hidden]` to `[rows, hidden]`.
    pub(crate) fn take(&self, table: &Tensor) -> Result<Tensor, TchError> {
        table.f_index_select(0, &Tensor::f_from_slice(&self.ids)?)
    }

    /// The full table with these rows replaced: the inverse of [`EmbeddingRows::take`].
    pub(crate) fn put_back(&self, table: &Tensor, rows: &Tensor) -> Result<Tensor, TchError> {
        table.f_index_copy(0, &Tensor::f_from_slice(&self.ids)?, rows)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_become_rows_and_the_table_comes_back() {
        let mut texts = [vec![101, 7, 102], vec![101, 900, 7, 102]];
        let rows = EmbeddingRows::compact(texts.iter_mut());
        assert_eq!(texts, [vec![1, 0, 2], vec![1, 3, 0, 2]]);
        assert_eq!(rows.len(), 4);
        let table = Tensor::randn([1000, 3], tch::kind::FLOAT_CPU);
        let taken = rows.take(&table).unwrap();
        assert_eq!(taken.get(3), table.get(900));
        assert_eq!(rows.put_back(&table, &taken).unwrap(), table);
        let changed = rows.put_back(&table, &(&taken + 1.0)).unwrap();
        assert_eq!(changed.get(900), table.get(900) + 1.0);
        assert_eq!(changed.get(901), table.get(901));
    }
}
