//! Parameters gathered into the layers that a reader knows.

use std::fmt;

use crate::adamw::Change;
use crate::rules::LayerStep;

/// A part of a network, in the order in which a text goes through it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Layer {
    Embedding,
    Hidden(usize),
    Head,
}

impl Layer {
    /// The layer of the parameter called `name`, as BERT, DistilBERT and the recurrent baseline name theirs.
    fn of(name: &str) -> Self {
        let number = |(_, after): (&str, &str)| after.split('.').next()?.parse().ok();
        let after = name.split_once("layer.").or_else(|| name.rsplit_once("_l"));
        match after.and_then(number) {
            Some(number) => Self::Hidden(number),
            None if name.contains("embedding") => Self::Embedding,
            None => Self::Head,
        }
    }
}

impl fmt::Display for Layer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Embedding => f.write_str("embedding"),
            Self::Hidden(number) => write!(f, "layer {number}"),
            Self::Head => f.write_str("head"),
        }
    }
}

/// Which parameters make up which layer.
#[derive(Debug)]
pub(super) struct Layers {
    /// Ascending, each with the places of its parameters.
    layers: Vec<(Layer, Vec<usize>)>,
}

impl Layers {
    /// Those of parameters with these names.
    pub(super) fn of<'a>(names: impl Iterator<Item = &'a str>) -> Self {
        let mut layers = std::collections::BTreeMap::<Layer, Vec<usize>>::new();
        for (place, name) in names.enumerate() {
            layers.entry(Layer::of(name)).or_default().push(place);
        }
        Self { layers: layers.into_iter().collect() }
    }

    /// The layers' names in order.
    pub(super) fn names(&self) -> Vec<String> {
        self.layers.iter().map(|(layer, _)| layer.to_string()).collect()
    }

    /// What a step did to each layer, from what it did to each parameter; nothing where that was not measured.
    pub(super) fn gather(&self, changes: &[Change]) -> Vec<LayerStep> {
        if changes.is_empty() {
            return Vec::new();
        }
        let layer = |(layer, places): &(Layer, Vec<usize>)| {
            let changes: Vec<&Change> = places.iter().filter_map(|place| changes.get(*place)).collect();
            gather(*layer, &changes)
        };
        self.layers.iter().map(layer).collect()
    }
}

fn gather(layer: Layer, changes: &[&Change]) -> LayerStep {
    let sum = |value: fn(&Change) -> f64| changes.iter().map(|change| value(change)).sum::<f64>();
    let elements = sum(|change| change.elements as f64).max(1.0);
    let squares = sum(|change| change.gradient_norm.powi(2));
    let weights = sum(|change| change.weight_norm.powi(2));
    let matrices = changes.iter().filter(|change| change.matrix);
    let (values, matrix_squares) = matrices.fold((0.0, 0.0), |(values, squares), change| {
        (values + change.elements as f64, squares + change.weight_norm.powi(2))
    });
    LayerStep {
        name: layer.to_string(),
        hidden: matches!(layer, Layer::Hidden(_)),
        mean_gradient: sum(|change| change.gradient_sum) / elements,
        gradient_deviation: (squares / elements).sqrt(),
        gradient_norm: squares.sqrt(),
        update_ratio: sum(|change| change.update_norm.powi(2)).sqrt() / weights.sqrt().max(f64::MIN_POSITIVE),
        weight_variance: matrix_squares / f64::max(values, 1.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_of_all_networks_find_their_layer() {
        for (name, layer) in [
            ("bert.embeddings.word_embeddings.weight", "embedding"),
            ("bert.embeddings.LayerNorm.bias", "embedding"),
            ("bert.encoder.layer.11.attention.self.key.bias", "layer 11"),
            ("distilbert.transformer.layer.0.sa_layer_norm.weight", "layer 0"),
            ("bert.pooler.dense.weight", "head"),
            ("pre_classifier.weight", "head"),
            ("classifier.bias", "head"),
            ("embedding.weight", "embedding"),
            ("lstm.weight_ih_l2", "layer 2"),
        ] {
            assert_eq!(Layer::of(name).to_string(), layer, "{name}");
        }
    }

    #[test]
    fn a_layer_is_as_its_parameters_together() {
        let names = ["classifier.weight", "lstm.weight_hh_l0", "classifier.bias", "embedding.weight"];
        let layers = Layers::of(names.into_iter());
        assert_eq!(layers.names(), ["embedding", "layer 0", "head"]);
        assert!(layers.gather(&[]).is_empty());
        let change = |elements, matrix, norm| Change {
            elements,
            matrix,
            gradient_sum: 2.0 * norm,
            gradient_norm: norm,
            weight_norm: norm,
            update_norm: 0.1 * norm,
        };
        let changes = [change(4, true, 3.0), change(1, true, 1.0), change(2, false, 4.0), change(1, true, 0.0)];
        let head = layers.gather(&changes).pop().unwrap();
        assert_eq!((head.gradient_norm, head.hidden, head.weight_variance), (5.0, false, 2.25));
        assert!((head.mean_gradient - 14.0 / 6.0).abs() < 1e-12 && (head.update_ratio - 0.1).abs() < 1e-12);
        assert!((head.gradient_deviation - (25.0_f64 / 6.0).sqrt()).abs() < 1e-12);
    }
}
