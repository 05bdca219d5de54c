//! A pretrained encoder small enough to train in a second: two layers of width 32, random weights, its own WordPiece.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};
use unspsc_artifact::{Architecture, Weights};

const HIDDEN: usize = 32;
const LAYERS: usize = 2;
const INTERMEDIATE: usize = 64;
const POSITIONS: usize = 64;

/// Words that the tokenizer has whole; everything else falls into letters.
const WORDS: [&str; 12] =
    ["bolt", "nut", "hex", "steel", "fish", "pork", "frozen", "paint", "white", "laptop", "and", "kg"];

/// Writes the encoder into `folder`, without the prefix that a classifier's tensors have.
pub(crate) fn write(folder: &Path, architecture: Architecture, seed: u64) {
    fs::create_dir_all(folder).unwrap();
    let vocabulary = vocabulary();
    fs::write(folder.join("config.json"), config(architecture, vocabulary.len()).to_string()).unwrap();
    fs::write(folder.join("tokenizer.json"), tokenizer(&vocabulary).to_string()).unwrap();
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut tensors = Tensors::new();
    for (name, shape) in shapes(architecture, vocabulary.len()) {
        let norm = name.to_lowercase().contains("norm") && name.ends_with("weight");
        let centre = if norm { 1.0 } else { 0.0 };
        let count: usize = shape.iter().product();
        let values: Vec<u8> =
            (0..count).flat_map(|_| (centre + random.random_range(-0.2..0.2_f32)).to_le_bytes()).collect();
        tensors.insert(name, (shape, values));
    }
    store(&folder.join("model.safetensors"), &tensors);
}

/// Tensors by name: a shape, and float32 values as little-endian bytes.
pub(crate) type Tensors = BTreeMap<String, (Vec<usize>, Vec<u8>)>;

/// Changes the weights of the encoder in `folder`.
pub(crate) fn edit(folder: &Path, change: impl FnOnce(&mut Tensors)) {
    let path = folder.join("model.safetensors");
    let bytes = fs::read(&path).unwrap();
    let header_length = usize::try_from(u64::from_le_bytes(bytes[..8].try_into().unwrap())).unwrap();
    let (header, data) = bytes[8..].split_at(header_length);
    let header: BTreeMap<String, Value> = serde_json::from_slice(header).unwrap();
    let numbers = |value: &Value| serde_json::from_value::<Vec<usize>>(value.clone()).unwrap();
    let tensor = |(name, entry): (&String, &Value)| {
        let offsets = numbers(&entry["data_offsets"]);
        (name.clone(), (numbers(&entry["shape"]), data[offsets[0]..offsets[1]].to_vec()))
    };
    let mut tensors: Tensors = header.iter().filter(|(name, _)| *name != "__metadata__").map(tensor).collect();
    change(&mut tensors);
    store(&path, &tensors);
}

fn store(path: &Path, tensors: &Tensors) {
    let tensors = tensors.iter().map(|(name, tensor)| (name.as_str(), tensor.clone())).collect();
    Weights::write(path, &tensors).unwrap();
}

fn vocabulary() -> Vec<String> {
    let special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"].map(str::to_owned);
    let characters: Vec<char> = ('a'..='z').chain('0'..='9').chain(",.-/()".chars()).collect();
    let pieces = characters.iter().map(|c| format!("##{c}"));
    let whole = characters.iter().map(char::to_string);
    special.into_iter().chain(whole).chain(pieces).chain(WORDS.map(str::to_owned)).collect()
}

fn config(architecture: Architecture, words: usize) -> Value {
    match architecture {
        Architecture::Bert => json!({
            "architectures": ["BertModel"], "model_type": "bert", "hidden_act": "gelu", "vocab_size": words,
            "hidden_size": HIDDEN, "num_hidden_layers": LAYERS, "num_attention_heads": 4,
            "intermediate_size": INTERMEDIATE, "max_position_embeddings": POSITIONS, "type_vocab_size": 2,
            "hidden_dropout_prob": 0.1, "layer_norm_eps": 1e-12, "pad_token_id": 0,
        }),
        Architecture::DistilBert => json!({
            "architectures": ["DistilBertModel"], "model_type": "distilbert", "activation": "gelu",
            "vocab_size": words, "dim": HIDDEN, "n_layers": LAYERS, "n_heads": 4, "hidden_dim": INTERMEDIATE,
            "max_position_embeddings": POSITIONS, "dropout": 0.1, "pad_token_id": 0,
        }),
    }
}

fn tokenizer(vocabulary: &[String]) -> Value {
    let ids: BTreeMap<&String, usize> = vocabulary.iter().zip(0..).collect();
    let special = |id: usize| {
        json!({
            "id": id, "content": vocabulary[id], "single_word": false, "lstrip": false, "rstrip": false,
            "normalized": false, "special": true,
        })
    };
    let token = |name: &str| json!({ "SpecialToken": { "id": name, "type_id": 0 } });
    let template = |name: &str, id: usize| json!({ "id": name, "ids": [id], "tokens": [name] });
    json!({
        "version": "1.0", "truncation": null, "padding": null,
        "added_tokens": (0..5).map(special).collect::<Vec<_>>(),
        "normalizer": {
            "type": "BertNormalizer", "clean_text": true, "handle_chinese_chars": true, "strip_accents": null,
            "lowercase": true,
        },
        "pre_tokenizer": { "type": "BertPreTokenizer" },
        "post_processor": {
            "type": "TemplateProcessing",
            "single": [token("[CLS]"), { "Sequence": { "id": "A", "type_id": 0 } }, token("[SEP]")],
            "pair": [token("[CLS]"), { "Sequence": { "id": "A", "type_id": 0 } }, token("[SEP]"),
                     { "Sequence": { "id": "B", "type_id": 1 } }],
            "special_tokens": { "[CLS]": template("[CLS]", 2), "[SEP]": template("[SEP]", 3) },
        },
        "decoder": { "type": "WordPiece", "prefix": "##", "cleanup": true },
        "model": {
            "type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##",
            "max_input_chars_per_word": 100, "vocab": ids,
        },
    })
}

/// Every tensor of the encoder, by the name that a bare encoder gives it.
fn shapes(architecture: Architecture, words: usize) -> Vec<(String, Vec<usize>)> {
    let (layer, parts) = match architecture {
        Architecture::Bert => (
            "encoder.layer",
            [
                "attention.self.query",
                "attention.self.key",
                "attention.self.value",
                "attention.output.dense",
                "attention.output.LayerNorm",
                "intermediate.dense",
                "output.dense",
                "output.LayerNorm",
            ],
        ),
        Architecture::DistilBert => (
            "transformer.layer",
            [
                "attention.q_lin",
                "attention.k_lin",
                "attention.v_lin",
                "attention.out_lin",
                "sa_layer_norm",
                "ffn.lin1",
                "ffn.lin2",
                "output_layer_norm",
            ],
        ),
    };
    let (square, widen, narrow) = (vec![HIDDEN, HIDDEN], vec![INTERMEDIATE, HIDDEN], vec![HIDDEN, INTERMEDIATE]);
    let norm = vec![HIDDEN];
    let weights = [&square, &square, &square, &square, &norm, &widen, &narrow, &norm];
    let mut shapes = vec![
        ("embeddings.word_embeddings.weight".to_owned(), vec![words, HIDDEN]),
        ("embeddings.position_embeddings.weight".to_owned(), vec![POSITIONS, HIDDEN]),
        ("embeddings.LayerNorm.weight".to_owned(), norm.clone()),
        ("embeddings.LayerNorm.bias".to_owned(), norm.clone()),
    ];
    if architecture == Architecture::Bert {
        shapes.push(("embeddings.token_type_embeddings.weight".to_owned(), vec![2, HIDDEN]));
        shapes.push(("pooler.dense.weight".to_owned(), square.clone()));
        shapes.push(("pooler.dense.bias".to_owned(), norm.clone()));
    }
    for index in 0..LAYERS {
        for (part, weight) in parts.into_iter().zip(weights) {
            shapes.push((format!("{layer}.{index}.{part}.weight"), weight.clone()));
            shapes.push((format!("{layer}.{index}.{part}.bias"), vec![weight[0]]));
        }
    }
    shapes
}
