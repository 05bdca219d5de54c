//! Tokenised rows and the tensors of a batch.

use std::sync::Arc;

use tch::{Device, TchError, Tensor};

/// The target of a row whose label does not occur in training; the loss passes over it.
pub(crate) const NO_TARGET: i64 = -100;

/// A row as a network sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Text {
    /// Rows of the embedding table, one a token: `[tokens]`, at least one.
    pub(crate) ids: Vec<i64>,
    /// Index of the label: those of training first, then those that are unseen.
    pub(crate) class: usize,
    /// Index of the leaf; past the last where it does not occur in training.
    pub(crate) leaf: usize,
    /// Where the row comes from.
    pub(crate) source: Arc<str>,
}

/// One purpose's rows, tokenised once.
#[derive(Debug, Clone, Default)]
pub(crate) struct Texts(pub(crate) Vec<Text>);

/// Rows of training, validation and test.
#[derive(Debug, Default)]
pub(crate) struct TextSplits {
    pub(crate) train: Texts,
    pub(crate) validation: Texts,
    pub(crate) test: Texts,
}

impl TextSplits {
    /// The three in order.
    pub(crate) fn all_mut(&mut self) -> [&mut Texts; 3] {
        [&mut self.train, &mut self.validation, &mut self.test]
    }
}

impl Texts {
    /// Tokens of every row.
    pub(crate) fn lengths(&self) -> Vec<usize> {
        self.0.iter().map(|text| text.ids.len()).collect()
    }

    /// The rows at `indices` as tensors on `device`.
    pub(crate) fn batch(&self, indices: &[usize], device: Device) -> Result<Batch, TchError> {
        Batch::new(indices.iter().filter_map(|index| self.0.get(*index)).map(|text| text.ids.as_slice()), device)
    }

    /// Where the rows at `indices` come from.
    pub(crate) fn sources(&self, indices: &[usize]) -> impl Iterator<Item = &Arc<str>> {
        indices.iter().filter_map(|index| self.0.get(*index)).map(|text| &text.source)
    }

    /// Leaf indices of the rows at `indices`.
    pub(crate) fn leaves(&self, indices: &[usize]) -> Vec<usize> {
        indices.iter().filter_map(|index| self.0.get(*index)).map(|text| text.leaf).collect()
    }

    /// Class indices of the rows at `indices`.
    pub(crate) fn classes(&self, indices: &[usize]) -> Vec<usize> {
        indices.iter().filter_map(|index| self.0.get(*index)).map(|text| text.class).collect()
    }
}

/// Texts side by side, the short ones filled up at their end.
#[derive(Debug)]
pub(crate) struct Batch {
    /// `[batch, seq]`, int64; filled up with 0, which stands for no token in particular.
    pub(crate) ids: Tensor,
    /// `[batch, seq]`, true where a token is; none where nothing was filled up.
    pub(crate) mask: Option<Tensor>,
    /// `[batch]`, int64: tokens of each text.
    pub(crate) lengths: Tensor,
}

impl Batch {
    /// Lays `texts` side by side on `device`.
    pub(crate) fn new<'a>(texts: impl Iterator<Item = &'a [i64]>, device: Device) -> Result<Self, TchError> {
        let texts: Vec<&[i64]> = texts.collect();
        let longest = texts.iter().map(|text| text.len()).max().unwrap_or(0);
        let (mut ids, mut mask) = (Vec::new(), Vec::new());
        for text in &texts {
            let filling = longest - text.len();
            ids.extend(text.iter().copied().chain(std::iter::repeat_n(0, filling)));
            mask.extend(std::iter::repeat_n(true, text.len()).chain(std::iter::repeat_n(false, filling)));
        }
        let shape = [texts.len() as i64, longest as i64];
        let filled_up = mask.contains(&false);
        let mask = || Tensor::f_from_slice(&mask)?.f_view_(shape)?.f_to(device);
        let lengths: Vec<i64> = texts.iter().map(|text| text.len() as i64).collect();
        Ok(Self {
            ids: Tensor::f_from_slice(&ids)?.f_view_(shape)?.f_to(device)?,
            mask: filled_up.then(mask).transpose()?,
            lengths: Tensor::f_from_slice(&lengths)?.f_to(device)?,
        })
    }
}

/// Indices of labels or leaves as targets of the loss, of which `trained` have a logit: `[batch]`, int64.
pub(crate) fn targets(indices: &[usize], trained: usize, device: Device) -> Result<Tensor, TchError> {
    let target = |index: &usize| if *index < trained { *index as i64 } else { NO_TARGET };
    Tensor::f_from_slice(&indices.iter().map(target).collect::<Vec<i64>>())?.f_to(device)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_texts_are_filled_up_and_masked() {
        let texts: [&[i64]; 2] = [&[5, 6, 7], &[8]];
        let batch = Batch::new(texts.into_iter(), Device::Cpu).unwrap();
        assert_eq!(Vec::<Vec<i64>>::try_from(&batch.ids).unwrap(), [[5, 6, 7], [8, 0, 0]]);
        let mask = Vec::<Vec<bool>>::try_from(&batch.mask.unwrap()).unwrap();
        assert_eq!(mask, [[true, true, true], [true, false, false]]);
        assert_eq!(Vec::<i64>::try_from(&batch.lengths).unwrap(), [3, 1]);
        assert!(Batch::new(texts.into_iter().take(1), Device::Cpu).unwrap().mask.is_none());
    }
}
