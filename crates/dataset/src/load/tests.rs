//! Every layout and quirk, on fixtures of a few lines.

use std::io::Write as _;

use super::*;

/// A folder with the given files, and its path.
fn folder(files: &[(&str, &[u8])]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, bytes) in files {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
    folder
}

fn load_one(name: &str, bytes: &[u8]) -> Result<Loaded, DatasetError> {
    let folder = folder(&[(name, bytes)]);
    load(&folder.path().join(name))
}

fn pairs(loaded: &Loaded) -> Vec<(String, String)> {
    loaded.rows.iter().map(|row| (row.description.clone(), row.code.to_string())).collect()
}

fn expect(loaded: &Loaded, expected: &[(&str, &str)]) {
    let expected: Vec<_> = expected.iter().map(|(text, code)| ((*text).to_owned(), (*code).to_owned())).collect();
    assert_eq!(pairs(loaded), expected);
}

#[test]
fn descriptions_with_bom_quotes_line_breaks_and_float_codes() {
    let csv =
        "\u{feff}Id,UNSPSC,Description\r\n1,43211503.0,\"Lap<b>top</b>,\r\n15\"\"\"\r\n2,5022,Rice &amp; beans\r\n";
    let loaded = load_one("own.csv", csv.as_bytes()).unwrap();
    expect(&loaded, &[("lap top , 15\"", "43211503"), ("rice and beans", "50220000")]);
    assert_eq!(loaded.rows[0].origin, "own.csv");
    assert_eq!(loaded.sources[0].layout, "descriptions");
}

#[test]
fn unusable_rows_become_rejects_with_line_and_reason() {
    let csv = "description,unspsc\nok,43210000\n<br>,43210000\nno code,\nodd code,4321150\nshort\n";
    let loaded = load_one("own.csv", csv.as_bytes()).unwrap();
    expect(&loaded, &[("ok", "43210000")]);
    let rejects: Vec<_> = loaded.rejects.iter().map(|reject| (reject.line, reject.reason.kind())).collect();
    assert_eq!(rejects, [(3, "empty description"), (4, "no code"), (5, "unreadable code"), (6, "too few columns")]);
    assert!(loaded.rejects[2].reason.to_string().contains("7 digits"));
    assert_eq!((loaded.sources[0].rows, loaded.sources[0].rejects), (1, 4));
}

#[test]
fn prepared_rows_keep_their_origin() {
    let csv = "description,code,label,origin\nbus pass,78111802,78000000,somewhere\n";
    let loaded = load_one("train.csv", csv.as_bytes()).unwrap();
    expect(&loaded, &[("bus pass", "78111802")]);
    assert_eq!(loaded.rows[0].origin, "somewhere");
}

#[test]
fn onet_repeats_are_dropped_and_quotes_are_inches() {
    let text = "O*NET-SOC Code\tExample\tCommodity Code\tCommodity Title\n\
        1\t\"6\" pipe wrench\t27111706\tWrenches\n2\t\"6\" pipe wrench\t27111706\tWrenches\n3\tAwls\t27112105\tAwls\n";
    let loaded = load_one("Tools Used.txt", text.as_bytes()).unwrap();
    expect(&loaded, &[("\"6\" pipe wrench", "27111706"), ("awls", "27112105")]);
    assert_eq!(loaded.sources[0].repeats, 1);
}

#[test]
fn a_code_list_yields_each_title_of_three_levels_once() {
    let header = "Segment,Segment Name,Family,Family Name,Class,Class Name,Commodity,Commodity Name\n";
    let rows = "10000000,Live,10100000,Live animals,10101500,Livestock,10101501,Cats\n\
        10000000,Live,10100000,Live animals,10101500,Livestock,10101502,Chi\u{ea}ns\n";
    let expected =
        [("cats", "10101501"), ("livestock", "10101500"), ("live animals", "10100000"), ("chiens", "10101502")];
    let text = format!("{header}{rows}");
    let latin1: Vec<u8> = text.chars().map(|c| u8::try_from(u32::from(c)).unwrap()).collect();
    expect(&load_one("codes.csv", &latin1).unwrap(), &expected);
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(text.as_bytes()).unwrap();
    let loaded = load_one("codes.csv.gz", &gzip.finish().unwrap()).unwrap();
    expect(&loaded, &expected);
    assert_eq!(loaded.sources[0].layout, "code list");
}

#[test]
fn folders_are_read_in_order_without_validation_and_other_files() {
    let rows = |text: &str| format!("description,unspsc\n{text},43210000\n").into_bytes();
    let folder = folder(&[
        ("b.csv", &rows("b")),
        ("a/x.csv", &rows("ax")),
        ("validation/v.csv", &rows("never")),
        ("a/Validation/v.csv", &rows("never")),
        ("README.md", b"text"),
        (".hidden.csv", b""),
        ("dataset.json", b"{}"),
    ]);
    let loaded = load(folder.path()).unwrap();
    expect(&loaded, &[("ax", "43210000"), ("b", "43210000")]);
    assert_eq!(loaded.skipped.len(), 2);
    // A channel that is itself called validation is what was asked for.
    expect(&load(&folder.path().join("validation")).unwrap(), &[("never", "43210000")]);
}

#[test]
fn errors_are_one_sentence_that_names_the_file() {
    for (name, bytes, message) in [
        ("a.csv", b"".as_slice(), "a.csv is empty"),
        ("a.csv", b"\xef\xbb\xbf\n", "a.csv is empty"),
        ("a.csv", b"description,unspsc\n", "a.csv holds a header but no rows"),
        ("a.csv", b"text,unspsc\nx,43\n", "a.csv: no column `description` among `text`, `unspsc`"),
        ("a.csv", b"Description,price\nx,43\n", "a.csv: no column `unspsc` among `Description`, `price`"),
        ("a.csv", b"\x7fELF\x02\x01\0\0", "a.csv is a binary file; a CSV or tab-separated text is needed"),
    ] {
        let error = load_one(name, bytes).unwrap_err().to_string();
        assert!(error.ends_with(message) && !error.contains('\n'), "{error}");
    }
    let empty = folder(&[("notes.md", b"x".as_slice())]);
    let error = load(empty.path()).unwrap_err().to_string();
    assert!(error.ends_with("holds no file that ends in .csv, .tsv, .txt or .csv.gz"), "{error}");
    let error = load(&empty.path().join("gone.csv")).unwrap_err().to_string();
    assert!(error.ends_with("gone.csv does not exist"), "{error}");
}

#[test]
fn the_starter_set_has_no_rejects_and_no_two_texts_alike() {
    let loaded = starter().unwrap();
    assert!(loaded.rejects.is_empty(), "{:?}", loaded.rejects);
    let counts = crate::label(loaded.rows, unspsc_taxonomy::Level::Segment).counts;
    assert_eq!(counts, crate::LabelCounts::default());
}
