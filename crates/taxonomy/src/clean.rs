//! The text-cleaning function that training and serving share.

use html_escape::decode_html_entities;

/// Version of [`clean`]; an artifact records it, and a change of the function's output raises it.
pub const CLEANING_VERSION: u32 = 1;

/// Longest run of characters between `<` and `>` that is still taken for a tag: longer ones are comparisons in prose.
const MAX_TAG_CHARS: usize = 200;

/// Brings a description into the form that models are trained on and asked with: [`tidy`], in lower case.
///
/// The output holds only printable ASCII without `&`, `<`, `>` and upper-case letters, which makes the function
/// idempotent.
#[must_use]
pub fn clean(text: &str) -> String {
    let mut cleaned = tidy(text);
    cleaned.make_ascii_lowercase();
    cleaned
}

/// A description as a person would have typed it, in its own case.
///
/// Entities are decoded, HTML tags become a space, letters lose accents, other scripts are transliterated, `&` becomes
/// "and", control characters and runs of white space become one space. The output holds only printable ASCII without
/// `&`, `<` and `>`, which makes the function idempotent.
#[must_use]
pub fn tidy(text: &str) -> String {
    // Nearly every line of a purchase record: nothing to do, or nothing to decode and no markup to look for.
    if is_tidy(text) {
        return text.to_owned();
    }
    if text.bytes().all(|byte| byte.is_ascii() && !matches!(byte, b'&' | b'<')) {
        return spaced(text);
    }
    let decoded = decode_html_entities(text);
    spaced(&deunicode::deunicode_with_tofu(&strip_tags(&decoded), " "))
}

/// Whether [`tidy`] leaves the text as it is.
fn is_tidy(text: &str) -> bool {
    let bytes = text.as_bytes();
    let fits = |byte: u8| matches!(byte, b' '..=b'~') & !matches!(byte, b'&' | b'<' | b'>');
    // Without an early end, which lets the compiler take many bytes at a time.
    let printable = bytes.iter().fold(true, |all, byte| all & fits(*byte));
    let pairs = bytes.iter().zip(bytes.iter().skip(1));
    let spaced = pairs.fold(true, |all, (byte, next)| all & !((*byte == b' ') & (*next == b' ')));
    printable && spaced && !text.starts_with(' ') && !text.ends_with(' ')
}

/// Printable characters of an ASCII text with single spaces between the words, and `&` as a word.
fn spaced(ascii: &str) -> String {
    let mut out = String::with_capacity(ascii.len());
    for character in ascii.chars() {
        match character {
            '&' => push_word(&mut out, "and"),
            '<' | '>' => push_space(&mut out),
            c if c.is_ascii_graphic() => out.push(c),
            _ => push_space(&mut out),
        }
    }
    out.truncate(out.trim_end().len());
    out
}

fn push_space(out: &mut String) {
    if !out.is_empty() && !out.ends_with(' ') {
        out.push(' ');
    }
}

fn push_word(out: &mut String, word: &str) {
    push_space(out);
    out.push_str(word);
    out.push(' ');
}

/// Replaces `<tag …>`, `</tag>` and `<!-- … -->` by a space and leaves other uses of `<`, as in "< 5 mm".
fn strip_tags(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(open) = rest.find('<') {
        let (before, tail) = rest.split_at(open);
        out.push_str(before);
        let begins_tag = tail[1..].starts_with(|c: char| c.is_ascii_alphabetic() || matches!(c, '/' | '!'));
        // A tag holds no further `<`: "<M8</p>" is a thread size before a closing tag.
        let end = tail.char_indices().skip(1).take(MAX_TAG_CHARS).find(|(_, c)| matches!(c, '<' | '>'));
        match end {
            Some((close, '>')) if begins_tag => {
                out.push(' ');
                rest = &tail[close + 1..];
            }
            _ => {
                out.push('<');
                rest = &tail[1..];
            }
        }
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn golden() {
        for (text, expected) in [
            ("Toner Cartridge, MAGENTA", "toner cartridge, magenta"),
            ("  bread\r\n\r\n<br/>biscuits\t", "bread biscuits"),
            ("Crème brûlée &amp; café", "creme brulee and cafe"),
            ("<p>Nuts&nbsp;&lt;M8</p>", "nuts m8"),
            ("hose < 5 mm > 2 mm", "hose 5 mm 2 mm"),
            ("R&D", "r and d"),
            ("Straße № 5 – 10µm", "strasse no 5 - 10um"),
            ("\u{0}\u{7}", ""),
            ("", ""),
        ] {
            assert_eq!(clean(text), expected, "{text:?}");
        }
    }

    proptest! {
        /// Whatever bytes a file holds.
        #[test]
        fn any_bytes_come_out_as_words_of_the_alphabet(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            holds(&String::from_utf8_lossy(&bytes));
        }

        /// The characters that the rules are about, in any order.
        #[test]
        fn any_markup_comes_out_as_words_of_the_alphabet(text in "([<>&;#!/a-zA-Z0-9 \\r\\n\\t]|amp|lt|nbsp|é|你|½|\\PC){0,60}") {
            holds(&text);
        }
    }

    fn holds(text: &str) {
        let (cleaned, tidied) = (clean(text), tidy(text));
        assert_eq!(clean(&cleaned), cleaned, "{text:?}");
        assert_eq!(tidy(&tidied), tidied, "{text:?}");
        assert_eq!(tidied.to_ascii_lowercase(), cleaned, "{text:?}");
        assert_eq!(clean(&tidied), cleaned, "{text:?}");
        assert!(tidied.bytes().all(|b| (b' '..=b'~').contains(&b) && !b"&<>".contains(&b)), "{tidied:?}");
        assert!(!tidied.starts_with(' ') && !tidied.ends_with(' ') && !tidied.contains("  "), "{tidied:?}");
    }

    #[test]
    fn the_case_is_kept_where_it_is_asked_for() {
        assert_eq!(tidy("<b>HP</b> LaserJet &amp; Crème"), "HP LaserJet and Creme");
    }

    #[test]
    fn cleaning_twice_changes_nothing() {
        for text in ["&amp;amp;lt;b&gt;", "<<b>i>", "&#60;script&#62;", "a & b &", "你好 <x", "&", "é<!--", "ﬁ½™"]
        {
            let once = clean(text);
            assert_eq!(clean(&once), once, "{text:?}");
            assert!(once.bytes().all(|b| (b' '..=b'~').contains(&b) && !b.is_ascii_uppercase()), "{once:?}");
        }
    }
}
