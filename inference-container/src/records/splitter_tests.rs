//! Where records end, however they arrive, and what a quotation mark left open costs.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use super::*;

#[test]
fn a_record_too_long_is_skipped_in_little_memory() {
    for (csv, begin) in [(false, "x"), (true, "\"x")] {
        let mut splitter = Splitter::new(csv);
        splitter.push(&Bytes::from("a\n"));
        assert_eq!(splitter.next(), Some(Ok("a".into())));
        splitter.push(&Bytes::from(begin));
        for _ in 0..100 {
            splitter.push(&Bytes::from(vec![b'x'; 100_000]));
            assert_eq!(splitter.next(), None);
            assert!(splitter.buffer.capacity() < 4 * MAX_RECORD_BYTES, "{}", splitter.buffer.capacity());
        }
        splitter.push(&Bytes::from("x\nb"));
        assert_eq!(splitter.next(), Some(Err(ApiError::RecordTooLong(MAX_RECORD_BYTES))));
        assert_eq!(splitter.next(), None);
        splitter.end();
        assert_eq!((splitter.next(), splitter.next()), (Some(Ok("b".into())), None));
    }
}

/// The records of a body that arrives in chunks of `size` bytes, with `None` for one that is too long and the line
/// of one whose quotation mark is not closed.
fn records(csv: bool, body: &[u8], size: usize) -> Vec<Option<Bytes>> {
    let mut splitter = Splitter::new(csv);
    let mut all = Vec::new();
    for chunk in body.chunks(size) {
        splitter.push(&Bytes::copy_from_slice(chunk));
        all.extend(std::iter::from_fn(|| splitter.next()));
    }
    splitter.end();
    all.extend(std::iter::from_fn(|| splitter.next()));
    let shown = |record| match record {
        Err(ApiError::UnclosedQuote { line }) => Some(format!("<line {line}>").into()),
        record => Result::ok(record),
    };
    all.into_iter().map(shown).collect()
}

#[test]
fn a_quotation_mark_left_open_costs_its_own_row_alone() {
    for (body, expected) in [
        // Never closed: lines are rows, and those with a mark of their own are read as far as it is closed.
        ("a\n\"b\nc\nd", &["a", "<line 2>", "c", "d"][..]),
        ("1,\"b\r\n2,c\r\n3,d\r\n", &["<line 1>", "2,c", "3,d"]),
        ("\"b", &["<line 1>"]),
        ("a\n\"b\n", &["a", "<line 2>"]),
        ("\"a\nb\"\n\"c\nd", &["\"a\nb\"", "<line 3>", "d"]),
        // Closed by the mark that opens a later field, which may have several lines.
        ("1,\"b\n2,c\n3,\"d, e\"\n4,f\n", &["<line 1>", "2,c", "3,\"d, e\"", "4,f"]),
        ("1,\"b\n2,\"c\nd\"\n3,e\n", &["<line 1>", "2,\"c\nd\"", "3,e"]),
        ("\"b\n\"c\n\"d\n\"e\"\n", &["<line 1>", "<line 2>", "<line 3>", "\"e\""]),
        // What closes it well, or does not leave its line, is no mistake.
        ("\"b\nc\",\"d\"\"\ne\"\r\nf\n", &["\"b\nc\",\"d\"\"\ne\"", "f"]),
        ("\"b\" c\nd\n", &["\"b\" c", "d"]),
    ] {
        for size in [1, 2, 5, 100] {
            let found = records(true, body.as_bytes(), size);
            let found: Vec<&[u8]> = found.iter().map(|record| record.as_deref().unwrap()).collect();
            assert_eq!(found, expected.iter().map(|row| row.as_bytes()).collect::<Vec<_>>(), "{body:?} by {size}");
        }
    }
}

/// Reading all behind each mark again would take hours.
#[test]
fn rows_behind_an_open_mark_are_read_once_more_and_held_in_little_memory() {
    for line in ["a\n", "a\",\"b\n", "\"\"\"a\n"] {
        let mut splitter = Splitter::new(true);
        splitter.push(&Bytes::from("\"a\n"));
        let (chunk, mut rows) = (Bytes::from(line.repeat(100_000 / line.len())), 0);
        for _ in 0..100 {
            splitter.push(&chunk);
            rows += std::iter::from_fn(|| splitter.next()).count();
            assert!(splitter.buffer.capacity() < 4 * MAX_RECORD_BYTES, "{}", splitter.buffer.capacity());
        }
        splitter.end();
        rows += std::iter::from_fn(|| splitter.next()).count();
        assert_eq!(rows, 1 + 100 * (100_000 / line.len()), "{line:?}");
    }
}

#[test]
fn how_a_body_is_cut_does_not_decide_where_a_record_too_long_ends() {
    let long = "x".repeat(MAX_RECORD_BYTES);
    let open = format!("\"a\n{long},\"\nb\n\"c\n\"\n");
    for size in [1, 1000, MAX_RECORD_BYTES, open.len()] {
        let found = records(true, open.as_bytes(), size);
        let open = Some(Bytes::from("<line 1>"));
        assert_eq!(found, [open, None, Some("b".into()), Some("\"c\n\"".into())], "{size}");
        let found = records(false, format!("{long}\n{long}x\n").as_bytes(), size);
        assert_eq!(found, [Some(Bytes::from(long.clone())), None], "{size}");
    }
}

#[test]
fn a_byte_order_mark_is_no_text_however_it_arrives() {
    for size in [1, 2, 100] {
        assert_eq!(records(true, b"\xef\xbb\xbf\"a\nb\"\nc", size), [Some("\"a\nb\"".into()), Some("c".into())]);
        assert_eq!(records(false, b"\xef\xbb\xbf", size), []);
        assert_eq!(records(false, b"\xef\xbb", size), [Some(Bytes::from_static(b"\xef\xbb"))]);
    }
}

#[test]
fn the_last_record_needs_no_line_end_and_an_empty_rest_is_none() {
    for (body, expected) in [("", 0), ("a", 1), ("a\n", 1), ("a\n\n", 2), ("\n", 1)] {
        let mut splitter = Splitter::new(false);
        splitter.push(&Bytes::from(body));
        splitter.end();
        assert_eq!(std::iter::from_fn(|| splitter.next()).count(), expected, "{body:?}");
    }
}

proptest! {
    #[test]
    fn every_line_is_in_one_record_however_the_body_arrives(
        parts in vec(select(vec!["\"", "\"\"", ",", "a", "\n", "\r\n"]), 0..40), size in 1_usize..10
    ) {
        let body = parts.concat();
        let found = records(true, body.as_bytes(), size);
        prop_assert_eq!(&found, &records(true, body.as_bytes(), body.len().max(1)));
        let lines = found.iter().map(|record| record.as_ref().unwrap().split(|byte| *byte == b'\n').count());
        prop_assert_eq!(lines.sum::<usize>(), body.split_inclusive('\n').count());
    }
}
