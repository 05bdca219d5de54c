//! Models with a title index: one answer at all levels, as deep as can be trusted.

use std::collections::BTreeMap;

use unspsc_artifact::{Entry, EntryKind, TitleIndex};
use unspsc_contract::files;
use unspsc_hierarchy::{Threshold, Weights};
use unspsc_taxonomy::{CLEANING_VERSION, Code, Level};

use super::*;

/// What is in the index: texts with their codes. The first two are equal, so that nothing decides between their codes; the last two have one
/// vector, and [`title`] gives them words that differ.
const ENTRIES: [(&str, &str); 8] = [
    ("hex bolt M8", "12161502"),
    ("hex bolt M8", "12161501"),
    ("brown bread, sliced", "15101801"),
    ("office cleaning every week", "20111601"),
    ("toner cartridge", "14103103"),
    ("toner for copiers", "14103105"),
    ("steel wire", "16101501"),
    ("steel wire", "16101502"),
];

/// The title of an entry, whose words are looked up.
fn title<'t>((text, at): (&'t str, &str)) -> &'t str {
    if at == "16101501" { "copper rod" } else { text }
}

/// Titles of levels that the program carries none of.
const TITLES: [(&str, &str); 3] =
    [("12161500", "Bolts"), ("12161501", "Hexagon bolts"), ("14103103", "Toner for printers or faxes")];

fn code(text: &str) -> Code {
    text.parse().unwrap()
}

/// A model directory with an index of [`ENTRIES`], under whose vectors the small model's own are, and with `thresholds` for every
/// level: precisions with the probability that is enough.
async fn indexed(thresholds: &[(f64, Option<f64>)]) -> TempDir {
    let base = base("bert");
    let model = base.path().join("model");
    let weights = weights(thresholds);
    let metadata = |hierarchy: Value| {
        json!({
            "format_version": 4, "level": "segment", "cleaning_version": CLEANING_VERSION, "max_length": 64,
            "pooling": "mean", "titles": {}, "data": null, "test": null, "trained_by": null, "hierarchy": hierarchy,
        })
    };
    fs::write(model.join(files::UNSPSC), metadata(Value::Null).to_string()).unwrap();
    let server = Server::start(base.path());
    server.ready().await;
    let texts: Vec<&str> = ENTRIES.iter().map(|(text, _)| *text).collect();
    let (_, answer) = server.invoke(json!({"instances": texts, "embeddings": true})).await;
    let vector = |prediction: &Value| -> Vec<f32> { serde_json::from_value(prediction["embedding"].clone()).unwrap() };
    let vectors = answer["predictions"].as_array().unwrap().iter().map(vector).collect::<Vec<_>>().concat();
    let entries = ENTRIES.map(|(text, at)| Entry { code: code(at), kind: EntryKind::Title, text: title((text, at)) });
    let titles = TITLES.map(|(text, title)| (code(text), title.to_owned())).into_iter().collect();
    TitleIndex::write(&model.join(files::INDEX), vectors.len() / entries.len(), &entries, &vectors, &titles).unwrap();
    fs::write(model.join(files::UNSPSC), metadata(json!(weights)).to_string()).unwrap();
    base
}

/// Such as tell the vectors of a model with random weights apart, which are all alike.
fn weights(thresholds: &[(f64, Option<f64>)]) -> Weights {
    let mut weights = Weights { temperature: 0.002, ..Weights::even() };
    for level in weights.levels.values_mut() {
        let threshold = |(precision, probability): &(f64, Option<f64>)| Threshold {
            precision: *precision,
            probability: *probability,
            on_path: *probability,
        };
        level.thresholds = thresholds.iter().map(threshold).collect();
    }
    weights
}

async fn started(thresholds: &[(f64, Option<f64>)]) -> (Server, TempDir) {
    let base = indexed(thresholds).await;
    let server = Server::start(base.path());
    server.ready().await;
    (server, base)
}

/// The codes of a prediction's path.
fn path(prediction: &Value) -> Vec<&str> {
    prediction["path"].as_array().unwrap().iter().map(|step| step["label"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn a_description_is_answered_down_to_the_commodity_with_the_path_to_it() {
    let (server, _base) = started(&[(0.9, Some(0.5))]).await;
    let request = json!({"description": "toner cartridge", "depth": "auto", "by_level": true, "top_k": 2});
    let (status, answer) = server.invoke(request).await;
    assert_eq!(status, 200, "{answer}");
    assert_eq!((&answer["label"], &answer["level"]), (&json!("14103103"), &json!("commodity")), "{answer}");
    assert_eq!(answer["title"], "Toner for printers or faxes", "the index's own title");
    assert_eq!(path(&answer), ["14000000", "14100000", "14103100", "14103103"]);
    let steps = answer["path"].as_array().unwrap();
    let probabilities: Vec<f64> = steps.iter().map(|step| step["probability"].as_f64().unwrap()).collect();
    assert!(probabilities.is_sorted_by(|coarser, finer| coarser >= finer), "{probabilities:?}");
    assert_eq!(steps[3]["probability"], answer["probability"]);
    assert_eq!(steps[0]["title"], "Paper Materials and Products", "the program's own title");
    let by_level: BTreeMap<Level, Vec<Value>> = serde_json::from_value(answer["by_level"].clone()).unwrap();
    assert_eq!(by_level.keys().copied().collect::<Vec<_>>(), Level::ALL);
    assert!(by_level.values().all(|candidates| (1..=2).contains(&candidates.len())), "{answer}");
    for (level, label) in [("segment", "14000000"), ("family", "14100000"), ("class", "14103100")] {
        let (_, answer) = server.invoke(json!({"description": "toner cartridge", "depth": level})).await;
        assert_eq!((&answer["label"], &answer["level"]), (&json!(label), &json!(level)));
        assert_eq!(answer["top_k"][0]["label"], answer["label"]);
        assert_eq!(path(&answer)[3], "14103103", "{answer}");
    }
    let (_, own) = server.invoke(json!({"description": "toner cartridge"})).await;
    assert_eq!((&own["label"], &own["level"]), (&json!("14000000"), &json!("segment")), "the level of its labels");
    assert!(own.get("by_level").is_none());
}

#[tokio::test]
async fn words_decide_between_equal_vectors() {
    let (server, _base) = started(&[]).await;
    let (_, answer) = server.invoke(json!({"description": "steel wire", "depth": "commodity"})).await;
    assert_eq!(answer["label"], "16101502", "and not the lower code, whose words are others: {answer}");
}

#[tokio::test]
async fn a_code_without_a_title_has_that_of_its_closest_ancestor() {
    let (server, _base) = started(&[]).await;
    let (_, answer) = server.invoke(json!({"description": "hex bolt M8", "depth": "commodity"})).await;
    let titles: Vec<&str> =
        answer["top_k"].as_array().unwrap()[..2].iter().map(|it| it["title"].as_str().unwrap()).collect();
    assert_eq!(titles, ["Hexagon bolts", "Bolts"], "its own, and that of its class: {answer}");
}

#[tokio::test]
async fn a_batch_with_an_index_equals_its_texts_one_by_one() {
    let (server, _base) = started(&[]).await;
    let texts: Vec<String> = (0..70).map(|n| format!("{} {n}", ENTRIES[n % ENTRIES.len()].0)).collect();
    let ask = |texts: &[String]| json!({"instances": texts, "depth": "commodity", "by_level": true});
    let (_, together) = server.invoke(ask(&texts)).await;
    for (text, together) in texts.iter().zip(together["predictions"].as_array().unwrap()) {
        let (_, alone) = server.invoke(ask(std::slice::from_ref(text))).await;
        let alone = &alone["predictions"][0];
        assert_eq!((&alone["label"], path(alone)), (&together["label"], path(together)), "{text}");
        let difference = alone["probability"].as_f64().unwrap() - together["probability"].as_f64().unwrap();
        assert!(difference.abs() < 1e-4, "{text}: {difference}");
    }
}

#[tokio::test]
async fn the_precision_decides_how_deep_the_answer_goes_and_what_needs_review() {
    let (server, _base) = started(&[(0.8, Some(0.0)), (0.9, Some(0.9999)), (0.95, None)]).await;
    let (_, sure) =
        server.invoke(json!({"description": "brown bread, sliced", "depth": "auto", "precision": 0.8})).await;
    assert_eq!((&sure["level"], &sure["needs_review"]), (&json!("commodity"), &json!(false)), "{sure}");
    for precision in [json!({"precision": 0.95}), json!({}), json!({"threshold": 1})] {
        let mut request = json!({"description": "brown bread, sliced", "depth": "auto"});
        request.as_object_mut().unwrap().extend(precision.as_object().unwrap().clone());
        let (_, unsure) = server.invoke(request).await;
        let (level, review) = (&unsure["level"], &unsure["needs_review"]);
        assert_eq!((level, review), (&json!("segment"), &json!(true)), "{precision}: {unsure}");
        assert_eq!(path(&unsure).len(), 4, "what lies below is shown");
    }
    let request = json!({"description": "brown bread, sliced", "depth": "class"});
    let (_, class) = server.invoke(request.clone()).await;
    assert_eq!((&class["level"], &class["needs_review"]), (&json!("class"), &json!(true)));
    let (_, enough) =
        server.invoke(json!({"description": "brown bread, sliced", "depth": "class", "threshold": 0})).await;
    assert_eq!(enough["needs_review"], false, "a threshold goes before the precision");
    let (status, rows) = server.send("text/csv", "text/csv; depth=auto; precision=0.8", "toner cartridge\n").await;
    assert!(status == 200 && rows.starts_with("14103103,Toner for printers or faxes,commodity,0."), "{rows}");
}

#[tokio::test]
async fn what_says_little_has_a_defined_answer() {
    let (server, _base) = started(&[(0.9, Some(0.9999))]).await;
    let ask = async |text: &str, depth: &str| server.invoke(json!({"description": text, "depth": depth})).await;
    let (_, tie) = ask("hex bolt M8", "commodity").await;
    assert_eq!(tie["label"], "12161501", "of two that are equally probable the lower code: {tie}");
    assert_eq!(tie["top_k"][0]["probability"], tie["top_k"][1]["probability"]);
    for text in ["zzqx", "???", "Schraube für Holz", "コピー機用トナー"] {
        for depth in ["auto", "segment", "commodity"] {
            let (status, answer) = ask(text, depth).await;
            assert!(status == 200 && answer["needs_review"] == true, "{text} at {depth}: {answer}");
            assert!(answer["probability"].as_f64().unwrap() < 0.9999 && !path(&answer).is_empty(), "{answer}");
        }
    }
    for text in ["", " \t", "<b></b>", "\u{7}"] {
        let (status, answer) = ask(text, "auto").await;
        assert_eq!((status, &answer["error"]["code"]), (400, &json!("empty_description")), "{text:?}");
    }
}

#[tokio::test]
async fn a_marks_profile_counts_what_head_and_search_say_together() {
    let (server, _base) = started(&[]).await;
    let request = json!({"statement": "toner cartridge; hex bolt M8", "depth": "class"});
    let (status, answer) = server.invoke(request).await;
    assert_eq!(status, 200, "{answer}");
    let classes: Vec<&Value> = answer["items"].as_array().unwrap().iter().map(|item| &item["label"]).collect();
    assert_eq!(classes, ["14103100", "12161500"]);
    let segments = answer["profile"]["segments"].as_array().unwrap();
    let labels: Vec<&str> = segments.iter().take(2).map(|segment| segment["label"].as_str().unwrap()).collect();
    assert!(labels.contains(&"14000000") && labels.contains(&"12000000"), "{answer}");
    let (_, alone) = server.invoke(json!({"instances": ["toner cartridge"], "depth": "segment"})).await;
    let of_toner = segments.iter().find(|segment| segment["label"] == "14000000").unwrap();
    let mean = of_toner["mean_probability"].as_f64().unwrap();
    assert!((mean - alone["predictions"][0]["probability"].as_f64().unwrap()).abs() < 1e-5, "{of_toner} {alone}");
}

#[tokio::test]
async fn the_search_is_a_stage_of_its_own() {
    let (server, _base) = started(&[]).await;
    let (_, before) = (server.invoke(json!({"description": "toner"})).await, server.metrics().await);
    assert_eq!(before["unspsc_stage_seconds_count stage=search"], before["unspsc_stage_seconds_count stage=model"]);
    let base = base("bert");
    let without = Server::start(base.path());
    without.ready().await;
    without.invoke(json!({"description": "toner"})).await;
    assert_eq!(without.metrics().await.get("unspsc_stage_seconds_count stage=search"), None);
}

#[tokio::test]
async fn a_model_whose_index_is_missing_or_damaged_does_not_start() {
    let base = indexed(&[]).await;
    let path = base.path().join("model").join(files::INDEX);
    let whole = fs::read(&path).unwrap();
    for bytes in [None, Some(&whole[..whole.len() / 2]), Some(&b"nothing"[..])] {
        match bytes {
            Some(bytes) => fs::write(&path, bytes).unwrap(),
            None => fs::remove_file(&path).unwrap(),
        }
        let output = serve(base.path()).output().unwrap();
        assert_ne!(output.status.code(), Some(0));
        let log = String::from_utf8(output.stderr).unwrap();
        let errors: Vec<String> = log.lines().filter(|line| logged(line)["level"] == "ERROR").map(message).collect();
        assert!(errors.len() == 1 && errors[0].contains(files::INDEX), "{log}");
    }
}
