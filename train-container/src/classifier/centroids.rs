//! Where a head begins: each leaf's weights point to the middle of its texts.
//!
//! A sentence encoder already puts texts that mean the same near each other. A head of random weights has to find that out
//! anew, and bends the encoder meanwhile by gradients that mean nothing; of thousands of leaves with a handful of texts each,
//! it does not find it out at all. One that begins at the leaves' centroids (weight imprinting, Qi et al. 2018,
//! <https://arxiv.org/abs/1712.07136>) is a classifier before the first step.

use tch::{Device, Kind, TchError, Tensor};

use crate::TrainError;
use crate::batches::{by_length, passes, tokens_without_gradients};
use crate::stop::Stop;
use crate::texts::{Batch, Texts};

/// Texts of a leaf that its centroid is the mean of: more hardly move it, and cost a pass through the encoder each.
const MAX_TEXTS: usize = 8;

/// Logits of a text that lies at a leaf's centroid, over one at a right angle to it: the softmax of cosines needs a factor to
/// become decided, and 20 is what sentence encoders such as MiniLM were trained with (Reimers and Gurevych,
/// `MultipleNegativesRankingLoss` of sentence-transformers).
const SCALE: f64 = 20.0;

/// Weights of the leaves' classifier, `[leaves, hidden]`, from what `features` makes of a batch of `texts`, `[batch, hidden]`;
/// none where `stop` came first.
pub(super) fn weights(
    texts: &Texts,
    leaves: usize,
    (device, max_batch_tokens): (Device, usize),
    stop: &Stop,
    features: impl Fn(&Batch) -> Result<Tensor, TchError>,
) -> Result<Option<Tensor>, TrainError> {
    let _no_graph = tch::no_grad_guard();
    let (texts, lengths) = first_of_each_leaf(texts, leaves);
    let mut sums: Option<Tensor> = None;
    let mut norms = 0.0;
    let max_tokens = tokens_without_gradients(device, max_batch_tokens);
    for rows in passes(&by_length(&lengths), &lengths, max_tokens) {
        if stop.requested() {
            return Ok(None);
        }
        let features = features(&texts.batch(rows, device)?)?.f_to_kind(Kind::Float)?; // [batch, hidden]
        let length = features.f_norm_scalaropt_dim(2.0, -1, true)?.f_clamp_min(f64::from(f32::MIN_POSITIVE))?; // [batch, 1]
        norms += length.f_sum(Kind::Double)?.f_double_value(&[])?;
        let (_, hidden) = features.size2()?;
        let indices: Vec<i64> = texts.leaves(rows).into_iter().map(|leaf| leaf as i64).collect();
        let indices = Tensor::f_from_slice(&indices)?.f_to(device)?;
        let sum = match sums {
            Some(sums) => sums,
            None => Tensor::f_zeros([leaves as i64, hidden], (Kind::Float, device))?,
        };
        sums = Some(sum.f_index_add(0, &indices, &features.f_div(&length)?)?);
    }
    let Some(sums) = sums else { return Ok(None) };
    let length = sums.f_norm_scalaropt_dim(2.0, -1, true)?.f_clamp_min(f64::from(f32::MIN_POSITIVE))?;
    let scale = SCALE * texts.0.len() as f64 / norms;
    Ok(Some(sums.f_div(&length)?.f_mul_scalar(scale)?))
}

/// At most so many texts of each leaf, and their lengths.
fn first_of_each_leaf(texts: &Texts, leaves: usize) -> (Texts, Vec<usize>) {
    let mut taken = vec![0; leaves];
    let mut is_wanted = |leaf: usize| {
        let taken = taken.get_mut(leaf);
        taken.is_some_and(|taken| {
            *taken += 1;
            *taken <= MAX_TEXTS
        })
    };
    let texts = Texts(texts.0.iter().filter(|text| is_wanted(text.leaf)).cloned().collect());
    let lengths = texts.lengths();
    (texts, lengths)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::texts::Text;

    fn text(leaf: usize, id: i64) -> Text {
        Text { ids: vec![id; 2], class: 0, leaf, source: "test".into() }
    }

    /// Features that are a text's first token and its negative, times its length.
    fn features(batch: &Batch) -> Result<Tensor, TchError> {
        let first = batch.ids.f_select(1, 0)?.f_to_kind(Kind::Float)?;
        Tensor::f_stack(&[&first, &first.f_mul_scalar(0.0)?.f_add_scalar(3.0)?], 1)
    }

    #[test]
    fn a_leaf_points_to_its_texts() {
        let texts = Texts([text(0, 4), text(1, 0), text(0, 4), text(2, -4)].into());
        let weights = weights(&texts, 3, (Device::Cpu, 1024), &Stop::default(), features).unwrap().unwrap();
        // Lengths are 5, 3, 5 and 5: their mean makes a text's own logit 20.
        let expected = [[0.8, 0.6], [0.0, 1.0], [-0.8, 0.6]].map(|row| row.map(|value| value * 20.0 / 4.5));
        let found = Vec::<Vec<f64>>::try_from(&weights.to_kind(Kind::Double)).unwrap();
        for (found, expected) in found.iter().flatten().zip(expected.iter().flatten()) {
            assert!((found - expected).abs() < 1e-5, "{found} and not {expected}");
        }
    }

    #[test]
    fn few_texts_of_a_leaf_suffice_and_a_stop_is_heard() {
        let texts = Texts((0..20).map(|row| text(usize::from(row >= 15), 1)).collect());
        let (few, lengths) = first_of_each_leaf(&texts, 2);
        assert_eq!((few.0.len(), lengths.len()), (MAX_TEXTS + 5, MAX_TEXTS + 5));
        let stop = Stop::default();
        stop.request();
        assert!(weights(&texts, 2, (Device::Cpu, 1024), &stop, features).unwrap().is_none());
    }
}
