use std::io::Write as _;

use super::*;

fn read(name: &str, bytes: &[u8], wanted: &[&str]) -> Result<(Vec<String>, Vec<TextRow>), DatasetError> {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(bytes).unwrap();
    let wanted: Vec<String> = wanted.iter().map(|name| (*name).to_owned()).collect();
    let texts = Texts::open(file.path(), Path::new(name), &wanted)?;
    let rows = texts.rows()?.collect::<Result<_, _>>()?;
    Ok((texts.header().to_vec(), rows))
}

/// The texts, with what is wrong in angle brackets.
fn texts(rows: &[TextRow]) -> Vec<String> {
    let shown = |row: &TextRow| row.text.clone().unwrap_or_else(|problem| format!("<{}>", problem.code()));
    rows.iter().map(shown).collect()
}

#[test]
fn the_column_of_the_text_is_found_by_the_header_or_named() {
    let (header, rows) =
        read("a.csv", b"id;Description\r\n1;hex bolt\r\n\r\n2;\"nuts; steel\nzinc\"\r\n", &[]).unwrap();
    assert_eq!(header, ["id", "Description"]);
    assert_eq!(texts(&rows), ["hex bolt", "nuts; steel\nzinc"]);
    assert_eq!(rows[1].cells, ["2", "nuts; steel\nzinc"]);
    let both = b"Item Name,Item Description,Total Price\npaper,A4,3\npen,PEN,1\n,ink,2\n";
    assert_eq!(texts(&read("a.csv", both, &[]).unwrap().1), ["paper A4", "pen", "ink"]);
    let named = read("a.txt", b"id,what,for\n1,bolt,roof\n", &["For", "what"]).unwrap();
    assert_eq!(texts(&named.1), ["roof bolt"]);
    let error = read("a.csv", b"id,name\n1,bolt\n", &[]).unwrap_err().to_string();
    assert_eq!(error, "a.csv: no column `description` among `id`, `name`");
}

#[test]
fn one_bad_row_costs_no_other_and_each_is_there() {
    let long = "x".repeat(3 << 20);
    let table = format!("id,description\n1,ok\n2\n3,\"open\n4,a,b\n5,trailing,,\n6,{long}\n7,last");
    let (_, rows) = read("a.csv", table.as_bytes(), &[]).unwrap();
    let expected =
        ["ok", "<invalid_request>", "<unclosed_quote>", "<invalid_request>", "trailing", "<record_too_long>", "last"];
    assert_eq!(texts(&rows), expected);
    assert_eq!(rows.iter().map(|row| row.cells[0].as_str()).collect::<Vec<_>>(), ["1", "2", "3", "4", "5", "6", "7"]);
    assert_eq!((rows[3].cells[1].as_str(), rows[1].cells.len()), ("a,b", 2), "nothing of a row gets lost");
    let (_, rows) = read("a.csv", b"description\nbolt\n\nnut\n", &[]).unwrap();
    assert_eq!(texts(&rows), ["bolt", "<empty_description>", "nut"], "where a row has one column an empty line is one");
}

#[test]
fn lines_are_texts_where_nothing_says_otherwise() {
    let (header, rows) = read("standard input", b"hex bolt, \"zinc\n\nnut\r\n", &[]).unwrap();
    assert_eq!(
        (header, texts(&rows)),
        (vec!["description".to_owned()], vec!["hex bolt, \"zinc".into(), "<empty_description>".into(), "nut".into()])
    );
    assert_eq!(texts(&read("x", b"Description,id\nbolt,1\n", &[]).unwrap().1), ["bolt"], "a header makes a table");
    assert_eq!(
        texts(&read("a.csv", b"id,description\n1,\"\"\n2,\"  \"\n3,nut\n", &[]).unwrap().1)[1..],
        ["<empty_description>", "nut"]
    );
    assert_eq!(texts(&read("x", b"caf\xe9\nna\xefve\n", &[]).unwrap().1), ["café", "naïve"]);
    assert_eq!(texts(&read("x", b"caf\xc3\xa9\nb\xc3\xa4\nbad \xff\n", &[]).unwrap().1)[2], "bad \u{fffd}");
}

#[test]
fn lines_of_json_have_the_fields_of_the_first() {
    let lines = b"{\"id\": 7, \"description\": \"bolt\"}\n\n\"nut\"\nnonsense\n{\"id\": null}\n[1]\n{\"description\": \"pin\", \"x\": 1}\n";
    let (header, rows) = read("x", lines, &[]).unwrap();
    assert_eq!(header, ["id", "description"]);
    assert_eq!(texts(&rows), ["bolt", "nut", "<malformed_json>", "<invalid_request>", "<invalid_request>", "pin"]);
    assert_eq!((rows[0].cells.join("|"), rows[2].cells.join("|")), ("7|bolt".to_owned(), "|nonsense".to_owned()));
    assert!(read("x.jsonl", b"{\"text\": 1}\n", &["name"]).unwrap_err().to_string().contains("no column `name`"));
    assert_eq!(texts(&read("x.jsonl", b"\"bolt\"\n", &[]).unwrap().1), ["bolt"]);
}

#[test]
fn a_first_line_that_is_too_long_is_a_row_like_others() {
    // Cut within a character, wherever that falls.
    let text = format!("{}\nbolt\n", "äx".repeat(1 << 20));
    for shift in ["", "y", "yy"] {
        let rows = read("x", format!("{shift}{text}").as_bytes(), &[]).unwrap().1;
        assert_eq!(texts(&rows), ["<record_too_long>", "bolt"]);
    }
}

#[test]
fn what_is_no_text_is_refused() {
    assert!(matches!(read("x", b"", &[]), Err(DatasetError::Empty { .. })));
    assert!(matches!(read("x", b"\x7fELF\0\0", &[]), Err(DatasetError::Binary { .. })));
}
