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
    load(&folder.path().join(name), &Reading::default())
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
    expect(&loaded, &[("Lap top , 15\"", "43211503"), ("Rice and beans", "50220000")]);
    assert_eq!(&*loaded.rows[0].origin, "own.csv");
    assert_eq!(loaded.sources[0].layout, "descriptions");
}

#[test]
fn unusable_rows_become_rejects_with_line_and_reason() {
    let csv = "description,unspsc\nok,43210000\n<br>,43210000\nno code,\nodd code,4321150\nshort\nno such segment,99000000\n\
               N/A,43210000\n--,43210000\n";
    let loaded = load_one("own.csv", csv.as_bytes()).unwrap();
    expect(&loaded, &[("ok", "43210000")]);
    let rejects: Vec<_> = loaded.rejects.iter().map(|reject| (reject.place.1, reject.reason.kind())).collect();
    let expected = [
        (3, "empty description"),
        (4, "no code"),
        (5, "unreadable code"),
        (6, "too few columns"),
        (7, "unknown segment"),
        (8, "empty description"),
        (9, "empty description"),
    ];
    assert_eq!(rejects, expected);
    assert!(loaded.rejects[2].reason.to_string().contains("7 digits"));
    assert_eq!((loaded.sources[0].rows, loaded.sources[0].rejects), (1, 7));
}

#[test]
fn prepared_rows_keep_their_origin() {
    let csv = "description,code,label,origin\nbus pass,78111802,78000000,somewhere\n";
    let loaded = load_one("train.csv", csv.as_bytes()).unwrap();
    expect(&loaded, &[("bus pass", "78111802")]);
    assert_eq!(&*loaded.rows[0].origin, "somewhere");
    assert_eq!(loaded.rows[0].group, None);
}

#[test]
fn onet_repeats_are_dropped_and_quotes_are_inches() {
    let text = "O*NET-SOC Code\tExample\tCommodity Code\tCommodity Title\n\
        1\t\"6\" pipe wrench\t27111706\tWrenches\n2\t\"6\" pipe wrench\t27111706\tWrenches\n3\tAwls\t27112105\tAwls\n";
    let loaded = load_one("Tools Used.txt", text.as_bytes()).unwrap();
    expect(&loaded, &[("\"6\" pipe wrench", "27111706"), ("Awls", "27112105")]);
    assert_eq!(loaded.sources[0].repeats, 1);
}

#[test]
fn a_code_list_yields_each_title_of_four_levels_once() {
    let header = "Segment,Segment Name,Family,Family Name,Class,Class Name,Commodity,Commodity Name\n";
    let rows = "10000000,Live,10100000,Live animals,10101500,Livestock,10101501,Cats\n\
        10000000,Live,10100000,Live animals,10101500,Livestock,10101502,Chi\u{ea}ns\n";
    let expected = [
        ("Cats", "10101501"),
        ("Livestock", "10101500"),
        ("Live animals", "10100000"),
        ("Live", "10000000"),
        ("Chiens", "10101502"),
    ];
    let text = format!("{header}{rows}");
    let latin1: Vec<u8> = text.chars().map(|c| u8::try_from(u32::from(c)).unwrap()).collect();
    expect(&load_one("codes.csv", &latin1).unwrap(), &expected);
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(text.as_bytes()).unwrap();
    let loaded = load_one("codes.csv.gz", &gzip.finish().unwrap()).unwrap();
    expect(&loaded, &expected);
    assert_eq!(loaded.sources[0].layout, "code list");
}

/// The columns, quoted line breaks and kinds of codes of data.ca.gov's file.
#[test]
fn california_joins_name_and_description_and_reads_every_code() {
    let csv = "Creation Date,Purchase Order Number,Item Name,Item Description,Normalized UNSPSC,Total Price\n\
        08/27/2013,REQ1,Toner,\"Cartridge,\nmagenta\",44103103,$1.00\n08/27/2013,REQ2,Desk,DESK,56101703.0,$2.00\n\
        08/27/2013,REQ3,Audit,,8411,$3.00\n08/27/2013,REQ4,Nothing,at all,,$4.00\n";
    let loaded = load_one("purchase-order-data-2012-2015-.csv", csv.as_bytes()).unwrap();
    expect(&loaded, &[("Toner Cartridge, magenta", "44103103"), ("Desk", "56101703"), ("Audit", "84110000")]);
    assert_eq!(loaded.sources[0].layout, "California");
    assert_eq!(loaded.rejects.iter().map(|r| (r.place.1, r.reason.kind())).collect::<Vec<_>>(), [(6, "no code")]);
}

/// AusTender's yearly files: latin-1 in some years, markup in descriptions, two names of one column.
#[test]
fn austender_files_of_all_years() {
    let year = |column: &str| {
        format!("Agency,CN ID,{column},Description\nDefence,CN1,78111500,<p>Caf\u{e9} &amp; air&nbsp;travel</p>\n")
    };
    for column in ["UNSPSC", "UNSPSC Code"] {
        let latin1: Vec<u8> = year(column).chars().map(|c| u8::try_from(u32::from(c)).unwrap()).collect();
        let files = folder(&[("20142015fy.csv", &latin1), ("17-18-fy-dataset.csv", year(column).as_bytes())]);
        let loaded = load(files.path(), &Reading::default()).unwrap();
        expect(&loaded, &[("Cafe and air travel", "78111500"), ("Cafe and air travel", "78111500")]);
        assert!(loaded.sources.iter().all(|source| source.layout == "AusTender"));
    }
}

#[test]
fn columns_can_be_named_and_delimiters_differ() {
    let folder = folder(&[("own.csv", b"Ref;Warengruppe;Text;Zusatz\n1;44103103;Toner;magenta\n".as_slice())]);
    let columns = Columns { description: vec!["Text".into(), "Zusatz".into()], code: Some("Warengruppe".into()) };
    let reading = Reading { columns, ..Reading::default() };
    expect(&load(folder.path(), &reading).unwrap(), &[("Toner magenta", "44103103")]);
    let wrong = Reading { columns: Columns { description: vec!["Texte".into()], code: None }, ..Reading::default() };
    let error = load(folder.path(), &wrong).unwrap_err().to_string();
    assert!(error.ends_with("no column `Texte` among `Ref`, `Warengruppe`, `Text`, `Zusatz`"), "{error}");
}

#[test]
fn groups_of_a_prepared_file_are_kept() {
    let csv = "description,code,label,origin\nbus pass,78111802,services,somewhere\n";
    let loaded = load_one("train.csv", csv.as_bytes()).unwrap();
    assert_eq!(loaded.rows[0].group, Some(Label::group("services")));
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
        ("prepared/train.csv", &rows("made of the others")),
        ("prepared/dataset.json", br#"{"prepared_by": "unspsc", "fingerprint": ""}"#),
        ("torn/train.csv", &rows("of a write that was broken off")),
        ("torn/.dataset.json.part", b""),
        ("damaged/train.csv", &rows("of a set whose provenance cannot be read")),
        ("damaged/dataset.json", b"{\"prepared_by\": "),
        ("theirs/c.csv", &rows("c")),
        ("theirs/rejects.csv", &rows("d")),
        ("theirs/dataset.json", b"{}"),
    ]);
    let loaded = load(folder.path(), &Reading::default()).unwrap();
    expect(&loaded, &[("ax", "43210000"), ("b", "43210000"), ("c", "43210000"), ("d", "43210000")]);
    assert_eq!(loaded.skipped.len(), 5);
    // A channel that is itself called validation is what was asked for.
    expect(&load(&folder.path().join("validation"), &Reading::default()).unwrap(), &[("never", "43210000")]);
}

#[test]
fn a_quote_that_is_not_closed_does_not_swallow_the_file() {
    let rows = "a line of some length,43210000\n";
    for count in [2_000, 100_000] {
        let csv = format!("description,unspsc\nfirst,43210000\n\"second,43210000\n{}", rows.repeat(count));
        let error = load_one("own.csv", csv.as_bytes()).unwrap_err().to_string();
        assert!(error.contains("own.csv, line 3: a record is longer than"), "{error}");
    }
    for rest in ["", "b,43210000\nc,43210000\n", "b,43210000"] {
        let csv = format!("description,unspsc\nfirst,43210000\n\"second,43210000\n{rest}");
        let error = load_one("own.csv", csv.as_bytes()).unwrap_err().to_string();
        assert!(
            error.ends_with("own.csv, line 3: a quote in the record that begins there is not closed"),
            "{rest}: {error}"
        );
    }
    let error = load_one("own.csv", b"description,\"unspsc\na,43210000\n").unwrap_err().to_string();
    assert!(error.ends_with("own.csv, line 1: a quote in the record that begins there is not closed"), "{error}");
    let header = format!("description,\"{}unspsc\"\na,43210000\n", "x\n".repeat(300));
    let error = load_one("own.csv", header.as_bytes()).unwrap_err().to_string();
    assert!(error.contains("own.csv, line 1: a record is longer than"), "{error}");
    let csv = format!("description,unspsc\na,43210000\n{}b,43210000{}", "\n".repeat(3000), "\n".repeat(3000));
    expect(&load_one("own.csv", csv.as_bytes()).unwrap(), &[("a", "43210000"), ("b", "43210000")]);
    let csv = format!("description,unspsc\n\"in{}quotes\",43210000\n", "\n".repeat(150));
    expect(&load_one("own.csv", csv.as_bytes()).unwrap(), &[("in quotes", "43210000")]);
}

/// The CSV reader leaves the LF of CR LF, and blank lines, to the record that follows.
#[test]
fn rejects_and_errors_name_the_line_whatever_the_line_ends() {
    // CR alone ends lines that nobody counts.
    let csv = "description,unspsc\ra,43210000\rb,no\r";
    assert_eq!(load_one("own.csv", csv.as_bytes()).unwrap().rejects[0].place.1, 1);
    for end in ["\n", "\r\n"] {
        let blank = end.repeat(50);
        let csv = format!(
            "description,unspsc{end}a,43210000{end}{blank}\"b{end}b\",43210000{end}c,no{end}{blank}d,none{end}"
        );
        let lines: Vec<u32> = load_one("own.csv", csv.as_bytes()).unwrap().rejects.iter().map(|r| r.place.1).collect();
        assert_eq!(lines, [55, 106], "{end:?}");
        let error = load_one("own.csv", format!("{csv}\"e,43210000").as_bytes()).unwrap_err().to_string();
        assert!(error.contains("own.csv, line 107:"), "{error}");
        let utf16: Vec<u8> = [0xfeff].into_iter().chain(csv.encode_utf16()).flat_map(u16::to_le_bytes).collect();
        assert_eq!(load_one("own.csv", &utf16).unwrap().rejects[0].place.1, 55);
    }
}

#[test]
fn one_damaged_character_makes_no_other_encoding() {
    let csv =
        [b"description,unspsc\ncaf\xc3\xa9,43210000\nth\xc3\xa9,43210000\n".as_slice(), b"t\xff0,43210000\n"].concat();
    let loaded = load_one("own.csv", &csv).unwrap();
    expect(&loaded, &[("cafe", "43210000"), ("the", "43210000"), ("t?0", "43210000")]);
    assert_eq!((loaded.sources[0].encoding.as_str(), loaded.sources[0].damaged), ("UTF-8", 1));
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
    let error = load(empty.path(), &Reading::default()).unwrap_err().to_string();
    assert!(error.ends_with("holds no file that ends in .csv, .tsv, .txt or .csv.gz"), "{error}");
    let hidden = folder(&[("validation/a.csv", b"".as_slice())]);
    let error = load(hidden.path(), &Reading::default()).unwrap_err().to_string();
    assert!(error.contains("validation aside, which holds validation data or a prepared set"), "{error}");
    let error = load(&empty.path().join("gone.csv"), &Reading::default()).unwrap_err().to_string();
    assert!(error.ends_with("gone.csv does not exist"), "{error}");
}

#[test]
fn the_starter_set_has_no_rejects_and_no_two_texts_alike() {
    let loaded = starter().unwrap();
    assert!(loaded.rejects.is_empty(), "{:?}", loaded.rejects);
    let counts = crate::label(loaded.rows, &crate::Labelling::Level(Level::Segment)).counts;
    assert_eq!(counts, crate::LabelCounts::default());
}
