//! Where a statement names a class of the Nice Classification.

use super::phrases::longest;
use super::token::{Kind, Reach, Token};

/// The Nice Classification has this many classes, <https://www.wipo.int/classifications/nice/en/>.
const CLASSES: u8 = 45;

/// Longest brackets that are looked into for a class alone.
const MAX_GROUP_BYTES: usize = 60;

/// Words that come before "class".
const INTERNATIONAL: &str = "international|intl|int|nice";

/// Words that come before the number.
const CLASS: &str = "class|classes|cl|ic";

/// What leads to a class behind the goods that stand under it.
const INCLUDED: &str = "\
    in|included in|as included in|being included in|being goods included in|falling in|classified in|all in|\
    all included in|all being included in|all goods included in|all services included in|\
    all being goods included in|all being services included in";

/// Replaces the words that name a class by one token each.
pub(super) fn mark(text: &str, tokens: &[Token]) -> Vec<Token> {
    let mut marked: Vec<Token> = Vec::with_capacity(tokens.len());
    let mut at = 0;
    while at < tokens.len() {
        let begins = marked.last().is_none_or(|before| begins_clause(before.kind));
        match class(text, &tokens[at..], begins) {
            Some((kind, length)) => {
                let (start, end) = (tokens[at].start, tokens[at + length - 1].end);
                marked.push(Token { kind, start, end });
                at += length;
            }
            None => {
                marked.push(tokens[at]);
                at += 1;
            }
        }
    }
    marked
}

/// Whether a clause begins behind such a token.
fn begins_clause(before: Kind) -> bool {
    use Kind::{Class, Line, Paragraph, Semicolon, Stop};
    matches!(before, Semicolon | Stop | Line | Paragraph | Class(_, Reach::Following))
}

/// The class that `tokens` begin with, and how many of them say so.
fn class(text: &str, tokens: &[Token], begins: bool) -> Option<(Kind, usize)> {
    match tokens.first()?.kind {
        Kind::Parenthesis | Kind::Bracket => group(text, &tokens[0], begins).map(|kind| (kind, 1)),
        Kind::Word => heading(text, tokens, begins).or_else(|| mention(text, tokens)),
        _ => None,
    }
}

/// `(Class 9)` before or behind goods, and `(all included in class 9)`.
fn group(text: &str, token: &Token, begins: bool) -> Option<Kind> {
    if token.end - token.start > MAX_GROUP_BYTES {
        return None;
    }
    let inner = token.inner(text);
    let whole = |length: usize| length == inner.len();
    if let Some((kind, _)) = mention(text, &inner).filter(|(_, length)| whole(*length)) {
        return Some(kind);
    }
    let (number, _) = numbered(text, &inner).filter(|(_, length)| whole(*length))?;
    Some(Kind::Class(number, if begins { Reach::Following } else { Reach::Clause }))
}

/// `Class 30:`, `IC 030. US 046. G & S:` and `30 -`, with what separates them from the goods. In the middle of a clause
/// only the word and a colon or dash make a heading.
fn heading(text: &str, tokens: &[Token], begins: bool) -> Option<(Kind, usize)> {
    let (number, mut length, named) = match numbered(text, tokens) {
        Some((number, length)) => (number, length, true),
        None => (number(text, tokens.first().filter(|_| begins)?)?, 1, false),
    };
    let next = tokens.get(length);
    let marked = next.is_some_and(|next| next.kind == Kind::Colon || is_dash(text, next));
    let set_off = next.is_none_or(|next| next.kind != Kind::Word || next.is_capitalised(text));
    let stands_alone = named && begins && set_off;
    if !marked && !stands_alone {
        return None;
    }
    length += separators(text, &tokens[length..]);
    length += us_classes(text, &tokens[length..]);
    length += longest(text, &tokens[length..], "g & s :|g & s|g&s :").unwrap_or(0);
    Some((Kind::Class(number, Reach::Following), length))
}

/// `all included in class 5`, `in Class 7`: not where the number goes on, as in "class 2 lasers".
fn mention(text: &str, tokens: &[Token]) -> Option<(Kind, usize)> {
    let words = longest(text, tokens, INCLUDED)?;
    let (number, length) = numbered(text, &tokens[words..])?;
    let ends = tokens.get(words + length).is_none_or(|next| next.kind != Kind::Word);
    let reach = if tokens[0].is(text, "all") { Reach::Preceding } else { Reach::Clause };
    ends.then_some((Kind::Class(number, reach), words + length))
}

/// "Class 30", "Int. Cl. 30", "IC 030": the number and how many tokens it takes.
fn numbered(text: &str, tokens: &[Token]) -> Option<(u8, usize)> {
    let stop = |at: usize| usize::from(tokens.get(at).is_some_and(|token| token.kind == Kind::Stop));
    let mut at = longest(text, tokens, INTERNATIONAL).unwrap_or(0);
    at += stop(at);
    at += longest(text, tokens.get(at..)?, CLASS)?;
    at += stop(at);
    Some((number(text, tokens.get(at)?)?, at + 1))
}

/// A number from 1 to 45, with leading zeros or without.
fn number(text: &str, token: &Token) -> Option<u8> {
    let word = token.of(text);
    let digits = word.len() <= 3 && word.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| word.parse().ok())?.filter(|number| (1..=CLASSES).contains(number))
}

fn is_dash(text: &str, token: &Token) -> bool {
    ["-", "–", "—"].contains(&token.of(text))
}

/// How many tokens separate a heading from its goods.
fn separators(text: &str, tokens: &[Token]) -> usize {
    use Kind::{Colon, Comma, Semicolon, Stop};
    let separates = |token: &&Token| matches!(token.kind, Colon | Comma | Semicolon | Stop) || is_dash(text, token);
    tokens.iter().take_while(separates).count()
}

/// How many tokens name classes of the USPTO's former classification: `US 046 053.`
fn us_classes(text: &str, tokens: &[Token]) -> usize {
    if !tokens.first().is_some_and(|token| token.is(text, "US")) {
        return 0;
    }
    let numbers =
        tokens[1..].iter().take_while(|token| token.of(text).bytes().all(|byte| byte.is_ascii_digit())).count();
    if numbers == 0 { 0 } else { 1 + numbers + separators(text, &tokens[1 + numbers..]) }
}

#[cfg(test)]
mod tests {
    use super::super::token::tokens;
    use super::*;

    fn classes(text: &str) -> Vec<(u8, Reach)> {
        let marked = mark(text, &tokens(text, 0, text.len()));
        let class =
            |token: &Token| if let Kind::Class(number, reach) = token.kind { Some((number, reach)) } else { None };
        marked.iter().filter_map(class).collect()
    }

    #[test]
    fn every_form_of_the_offices_is_read() {
        for text in [
            "Class 30: coffee",
            "CLASS 30 Coffee",
            "Class 30\ncoffee",
            "Classes 030 - coffee",
            "International Class 030: coffee",
            "Int. Cl. 30: coffee",
            "IC 030. US 046. G & S: coffee",
            "30 - coffee",
            "30: coffee",
            "030 – coffee",
            "(Class 30) coffee",
            "[Cl. 30] coffee",
        ] {
            assert_eq!(classes(text), [(30, Reach::Following)], "{text}");
        }
        for text in ["coffee (Class 30)", "coffee in Class 30; tea", "coffee [included in Int. Cl. 30]"] {
            assert_eq!(classes(text), [(30, Reach::Clause)], "{text}");
        }
        for text in ["coffee; all included in class 30.", "coffee (all in class 30)"] {
            assert_eq!(classes(text), [(30, Reach::Preceding)], "{text}");
        }
        assert_eq!(classes("coffee Class 32: beer, (Class 33) wine"), [(32, Reach::Following), (33, Reach::Clause)]);
    }

    #[test]
    fn other_numbers_are_no_classes() {
        for text in [
            "Class 46: a",
            "Class 0: a",
            "class 2 lasers",
            "lasers in class 2 housings",
            "30 inch screens",
            "9.5 mm hoses",
            "3-D printers",
            "paper, 30: sheets",
            "first class 2 seats",
            "(9)",
            "Class A: a",
        ] {
            assert_eq!(classes(text), [], "{text}");
        }
    }
}
