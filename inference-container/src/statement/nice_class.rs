//! Where a statement names a class of the Nice Classification.

use super::phrases::{conjunction, longest};
use super::token::{Kind, Reach, Token};

/// The Nice Classification has this many classes, <https://www.wipo.int/classifications/nice/en/>.
const CLASSES: u8 = 45;

/// Longest brackets that are looked into for a class alone.
const MAX_GROUP_BYTES: usize = 60;

/// Words that come before "class".
const INTERNATIONAL: &str = "international|intl|int|nice";

/// Words that come before the number.
const CLASS: &str = "class|classes|cl|ic";

/// Those of them that begin other phrases, too: "class 2 lasers".
const AMBIGUOUS: &str = "class|classes|ic";

/// What leads to a class behind the goods that stand under it.
const INCLUDED: &str = "\
    in|included in|as included in|being included in|being goods included in|falling in|classified in|all in|\
    all included in|all being included in|all goods included in|all services included in|\
    all being goods included in|all being services included in";

/// That the goods before are meant as far as they are in no other class.
const RESIDUAL: &str = "\
    not elsewhere included|not included in other classes|not included in other class|not included in another class|\
    not included in any other class|not otherwise included in other classes|not elsewhere included in other classes";

/// The same before a class.
const NOT_INCLUDED: &str = "not included in|not otherwise included in|not elsewhere included in";

/// Replaces the words that name a class by one token each.
pub(super) fn mark(text: &str, tokens: &[Token]) -> Vec<Token> {
    let mut marked: Vec<Token> = Vec::with_capacity(tokens.len());
    let mut at = 0;
    while at < tokens.len() {
        if let Some(length) = residual(text, &tokens[at..]) {
            // The goods are not in the class that it names.
            marked.extend(&tokens[at..at + length]);
            at += length;
            continue;
        }
        match class(text, &tokens[at..], marked.last()) {
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

/// How many tokens say at the beginning of `tokens` that the goods before are meant as far as they are in no other
/// class, or not in those that are numbered.
pub(super) fn residual(text: &str, tokens: &[Token]) -> Option<usize> {
    let classes = |words: usize| {
        let (_, length) = numbered(text, &tokens[words..])?;
        Some(words + length + other_numbers(text, &tokens[words + length..]))
    };
    longest(text, tokens, NOT_INCLUDED).and_then(classes).or_else(|| longest(text, tokens, RESIDUAL))
}

/// Whether `tokens` are a class and nothing else.
pub(super) fn is_class(text: &str, tokens: &[Token]) -> bool {
    numbered(text, tokens).is_some_and(|(_, length)| length == tokens.len())
}

/// The class that `tokens` begin with, behind the token `before`, and how many of them say so.
fn class(text: &str, tokens: &[Token], before: Option<&Token>) -> Option<(Kind, usize)> {
    let begins = before.is_none_or(|before| begins_clause(before.kind));
    match tokens.first()?.kind {
        Kind::Parenthesis | Kind::Bracket => group(text, &tokens[0], begins).map(|kind| (kind, 1)),
        Kind::Word => {
            heading(text, tokens, begins).or_else(|| mention(text, tokens)).or_else(|| member(text, tokens, before))
        }
        _ => None,
    }
}

/// `Class 25` between commas.
fn member(text: &str, tokens: &[Token], before: Option<&Token>) -> Option<(Kind, usize)> {
    before.filter(|before| before.kind == Kind::Comma)?;
    let (number, length) = numbered(text, tokens)?;
    let goes_on = |next: &Token| matches!(next.kind, Kind::Word | Kind::Parenthesis | Kind::Bracket);
    let ends = !tokens.get(length).is_some_and(goes_on);
    ends.then_some((Kind::Class(Some(of_nice(number)?), Reach::Clause), length))
}

/// `(Class 9)` before or behind goods, and `(all included in class 9)`.
fn group(text: &str, token: &Token, begins: bool) -> Option<Kind> {
    if token.end - token.start > MAX_GROUP_BYTES {
        return None;
    }
    let inner = token.inner(text);
    let whole = |length: usize| length == inner.len();
    let Some((number, _)) = numbered(text, &inner).filter(|(_, length)| whole(*length)) else {
        return mention(text, &inner).filter(|(_, length)| whole(*length)).map(|(kind, _)| kind);
    };
    Some(Kind::Class(Some(of_nice(number)?), if begins { Reach::Following } else { Reach::Clause }))
}

/// `Class 30:`, `IC 030. US 046. G & S:` and `30 -`, with what separates them from the goods. In the middle of a clause
/// only the word and a colon or dash make a heading. What stands under several classes, or under a number that is none,
/// has no class.
fn heading(text: &str, tokens: &[Token], begins: bool) -> Option<(Kind, usize)> {
    let (class, mut length, named) = match numbered(text, tokens) {
        Some((number, length)) => (of_nice(number), length, true),
        None => (Some(of_nice(number(text, tokens.first().filter(|_| begins)?)?)?), 1, false),
    };
    let others = if named { other_numbers(text, &tokens[length..]) } else { 0 };
    length += others;
    let next = tokens.get(length);
    let marked = next.is_some_and(|next| next.kind == Kind::Colon || is_dash(text, next));
    let capitalised = class.is_some() && next.is_some_and(|next| next.is_capitalised(text));
    let ends = next.is_none_or(|next| next.kind != Kind::Word);
    let certain = class.is_some() && is_certain(text, tokens);
    let stands_alone = named && begins && (ends || capitalised || certain);
    if !marked && !stands_alone {
        return None;
    }
    length += separators(text, &tokens[length..]);
    length += us_classes(text, &tokens[length..]);
    length += longest(text, &tokens[length..], "g & s :|g & s|g&s :").unwrap_or(0);
    Some((Kind::Class(class.filter(|_| others == 0), Reach::Following), length))
}

/// Whether words in front of a number can only be those before a class: "Cl. 3", "Int. Class 3".
fn is_certain(text: &str, tokens: &[Token]) -> bool {
    longest(text, tokens, AMBIGUOUS).is_none()
}

/// How many tokens name further classes of one heading: `, 16 and 25`.
fn other_numbers(text: &str, tokens: &[Token]) -> usize {
    let mut length = 0;
    loop {
        let rest = &tokens[length..];
        let comma = usize::from(rest.first().is_some_and(|token| token.kind == Kind::Comma));
        let joined = comma + conjunction(text, &rest[comma..]).unwrap_or(0);
        let is_number = rest.get(joined).is_some_and(|token| number(text, token).is_some());
        if joined == 0 || !is_number {
            return length;
        }
        length += joined + 1;
    }
}

/// `all included in class 5`, `in Class 7`, `Cl. 7`: not where the number goes on, as in "class 2 lasers".
fn mention(text: &str, tokens: &[Token]) -> Option<(Kind, usize)> {
    let words = longest(text, tokens, INCLUDED).or_else(|| is_certain(text, tokens).then_some(0))?;
    let (number, length) = numbered(text, &tokens[words..])?;
    let ends = tokens.get(words + length).is_none_or(|next| next.kind != Kind::Word);
    let reach = if tokens[0].is(text, "all") { Reach::Preceding } else { Reach::Clause };
    ends.then_some((Kind::Class(Some(of_nice(number)?), reach), words + length))
}

/// "Class 30", "Int. Cl. 30", "IC 030": the number and how many tokens it takes.
fn numbered(text: &str, tokens: &[Token]) -> Option<(u16, usize)> {
    let stop = |at: usize| usize::from(tokens.get(at).is_some_and(|token| token.kind == Kind::Stop));
    let mut at = longest(text, tokens, INTERNATIONAL).unwrap_or(0);
    at += stop(at);
    at += longest(text, tokens.get(at..)?, CLASS)?;
    at += stop(at);
    Some((number(text, tokens.get(at)?)?, at + 1))
}

/// A number of at most three digits, with leading zeros or without.
fn number(text: &str, token: &Token) -> Option<u16> {
    let word = token.of(text);
    let digits = word.len() <= 3 && word.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| word.parse().ok())?
}

/// The class of the Nice Classification with this number.
fn of_nice(number: u16) -> Option<u8> {
    u8::try_from(number).ok().filter(|number| (1..=CLASSES).contains(number))
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

    fn classes(text: &str) -> Vec<(Option<u8>, Reach)> {
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
            "Cl. 30 coffee",
            "Int. Class 30 coffee",
        ] {
            assert_eq!(classes(text), [(Some(30), Reach::Following)], "{text}");
        }
        for text in [
            "coffee (Class 30)",
            "coffee in Class 30; tea",
            "coffee [included in Int. Cl. 30]",
            "coffee, Cl. 30",
            "coffee, Class 30, tea",
        ] {
            assert_eq!(classes(text), [(Some(30), Reach::Clause)], "{text}");
        }
        for text in ["coffee; all included in class 30.", "coffee (all in class 30)"] {
            assert_eq!(classes(text), [(Some(30), Reach::Preceding)], "{text}");
        }
        let both = [(Some(32), Reach::Following), (Some(33), Reach::Clause)];
        assert_eq!(classes("coffee Class 32: beer, (Class 33) wine"), both);
    }

    #[test]
    fn a_heading_of_several_classes_or_of_none_leaves_its_goods_without() {
        for text in ["Class 46: a", "Class 0: a", "Class 99\na", "Classes 9, 16 and 25: a", "Class 9 & 16 - a"] {
            assert_eq!(classes(text), [(None, Reach::Following)], "{text}");
        }
    }

    #[test]
    fn other_numbers_are_no_classes() {
        for text in [
            "class 2 lasers",
            "Class 150 Flanges",
            "a (Class 99)",
            "a in class 99",
            "a not included in class 9",
            "a not included in classes 9, 16 and 25",
            "lasers, class 2 lasers",
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
