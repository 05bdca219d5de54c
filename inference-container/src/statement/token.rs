//! A statement as a row of words, separators and bracketed groups.

use std::collections::HashMap;

use html_escape::decode_html_entities;

/// Longest entity that is looked up: `&CounterClockwiseContourIntegral;` has 33 bytes.
const MAX_ENTITY_BYTES: usize = 40;

/// A piece of a statement that is not white space.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Token {
    pub(super) kind: Kind,
    /// First byte in the statement.
    pub(super) start: usize,
    /// The byte behind the last one.
    pub(super) end: usize,
}

/// What a token is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Word,
    Comma,
    Semicolon,
    Colon,
    /// A full stop with nothing attached to its end: those in `9.5` and `e.g` belong to the word.
    Stop,
    /// One line break.
    Line,
    /// Several line breaks with nothing between them.
    Paragraph,
    /// `(…)` or `{…}` with all that stands in it.
    Parenthesis,
    /// `[…]` with all that stands in it.
    Bracket,
    /// A Nice class, from [`super::nice_class`]; none for a heading that names no single one.
    Class(Option<u8>, Reach),
    /// Words that name no goods, from [`super::clause`].
    Remark,
}

/// Which items a class stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reach {
    /// Those after it, as `Class 30:`.
    Following,
    /// Those of the same clause, as `(Class 9)`.
    Clause,
    /// Those before it that stand under no other class, as `all included in class 5`.
    Preceding,
}

impl Token {
    /// The token as it was written.
    pub(super) fn of<'t>(&self, text: &'t str) -> &'t str {
        &text[self.start..self.end]
    }

    /// Whether the token is `word`, in whatever case.
    pub(super) fn is(&self, text: &str, word: &str) -> bool {
        self.of(text).eq_ignore_ascii_case(word)
    }

    /// Whether the token is a word that begins with a capital letter.
    pub(super) fn is_capitalised(&self, text: &str) -> bool {
        self.kind == Kind::Word && self.of(text).starts_with(char::is_uppercase)
    }

    /// What stands between the brackets of a group.
    pub(super) fn inner(&self, text: &str) -> Vec<Token> {
        tokens(text, self.start + 1, self.end - 1)
    }

    /// Whether the token is in an item's span without belonging to its wording.
    pub(super) fn is_hidden(&self) -> bool {
        matches!(self.kind, Kind::Remark | Kind::Class(..))
    }
}

/// The tokens of `text[from..to]`. Brackets without a partner are white space, and so are asterisks and double
/// parentheses: in the USPTO's records asterisks stand around wording that was added, and double parentheses around goods
/// that an affidavit of incontestability does not claim, which the registration covers nevertheless (TMEP 1402.12 and the
/// legend in <https://tsdr.uspto.gov>).
pub(super) fn tokens(text: &str, from: usize, to: usize) -> Vec<Token> {
    Tokenizer { text: &text[..to], partners: partners(text, from, to), at: from, tokens: Vec::new() }.run()
}

/// The closing bracket of each opening one that has one, by byte.
fn partners(text: &str, from: usize, to: usize) -> HashMap<usize, usize> {
    let (mut open, mut partners) = (Vec::new(), HashMap::new());
    for (place, character) in text[from..to].char_indices() {
        match character {
            '(' | '[' | '{' => open.push((character, from + place)),
            ')' | ']' | '}' => {
                let opening = match character {
                    ')' => '(',
                    ']' => '[',
                    _ => '{',
                };
                if let Some((_, start)) = open.pop_if(|(character, _)| *character == opening) {
                    partners.insert(start, from + place);
                }
            }
            _ => {}
        }
    }
    partners
}

struct Tokenizer<'t> {
    text: &'t str,
    partners: HashMap<usize, usize>,
    at: usize,
    tokens: Vec<Token>,
}

impl Tokenizer<'_> {
    fn run(mut self) -> Vec<Token> {
        while let Some(character) = self.text[self.at..].chars().next() {
            match character {
                '(' | '[' | '{' => self.group(character),
                '\n' | '\r' => self.line(),
                ')' | ']' | '}' | '*' => self.at += 1,
                _ if character.is_whitespace() => self.at += character.len_utf8(),
                _ => match self.separator(self.at, character) {
                    Some(kind) => self.push(kind, self.at + character.len_utf8()),
                    None => self.word(),
                },
            }
        }
        self.tokens
    }

    fn push(&mut self, kind: Kind, end: usize) {
        self.tokens.push(Token { kind, start: self.at, end });
        self.at = end;
    }

    fn group(&mut self, opening: char) {
        let Some(close) = self.partners.get(&self.at).copied() else {
            self.at += 1;
            return;
        };
        let doubled = opening == '(' && self.partners.get(&(self.at + 1)).is_some_and(|inner| inner + 1 == close);
        match opening {
            '(' if doubled && self.text[self.at + 1..].starts_with('(') => self.at += 2,
            '[' => self.push(Kind::Bracket, close + 1),
            _ => self.push(Kind::Parenthesis, close + 1),
        }
    }

    fn line(&mut self) {
        let end = self.at + if self.text[self.at..].starts_with("\r\n") { 2 } else { 1 };
        match self.tokens.last_mut().filter(|token| matches!(token.kind, Kind::Line | Kind::Paragraph)) {
            Some(before) => {
                before.kind = Kind::Paragraph;
                self.at = end;
            }
            None => self.push(Kind::Line, end),
        }
    }

    fn word(&mut self) {
        let start = self.at;
        for (place, character) in self.text[start..].char_indices() {
            let ends = character.is_whitespace()
                || matches!(character, '(' | '[' | '{' | ')' | ']' | '}' | '*')
                || self.separator(start + place, character).is_some();
            // A word holds a character at least: `run` has found none of these at its start.
            if ends && !(character == ';' && is_entity(&self.text[start..start + place])) {
                self.push(Kind::Word, start + place);
                return;
            }
        }
        self.push(Kind::Word, self.text.len());
    }

    /// The separator that `character` is where it stands, at the byte `place`; none where it belongs to a word.
    fn separator(&self, place: usize, character: char) -> Option<Kind> {
        let rest = &self.text[place + character.len_utf8()..];
        match character {
            ';' | '；' | '•' => Some(Kind::Semicolon),
            // Thousands, ratios and times.
            ',' | ':' if self.ends_in_digit(place) && rest.starts_with(|next: char| next.is_ascii_digit()) => None,
            ',' | '，' | '、' => Some(Kind::Comma),
            ':' => Some(Kind::Colon),
            '.' if !rest.starts_with(|next: char| next.is_alphanumeric()) => Some(Kind::Stop),
            _ => None,
        }
    }

    fn ends_in_digit(&self, place: usize) -> bool {
        self.text[..place].ends_with(|before: char| before.is_ascii_digit())
    }
}

/// Whether a semicolon behind `word` ends an entity, as in `&amp;`.
fn is_entity(word: &str) -> bool {
    let Some(begin) = word.rfind('&').filter(|begin| word.len() - begin <= MAX_ENTITY_BYTES) else { return false };
    let entity = format!("{};", &word[begin..]);
    decode_html_entities(&entity) != entity
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kinds(text: &str) -> Vec<(Kind, &str)> {
        tokens(text, 0, text.len()).iter().map(|token| (token.kind, token.of(text))).collect()
    }

    #[test]
    fn separators_belong_to_words_where_they_separate_nothing() {
        use Kind::{Colon, Comma, Semicolon, Stop, Word};
        assert_eq!(
            kinds("9.5 mm, 1,000 pcs.; ratio 10:1: e.g. a"),
            [
                (Word, "9.5"),
                (Word, "mm"),
                (Comma, ","),
                (Word, "1,000"),
                (Word, "pcs"),
                (Stop, "."),
                (Semicolon, ";"),
                (Word, "ratio"),
                (Word, "10:1"),
                (Colon, ":"),
                (Word, "e.g"),
                (Stop, "."),
                (Word, "a"),
            ]
        );
        assert_eq!(kinds("a &amp; b; R&D; c"), {
            [(Word, "a"), (Word, "&amp;"), (Word, "b"), (Semicolon, ";"), (Word, "R&D"), (Semicolon, ";"), (Word, "c")]
        });
    }

    #[test]
    fn groups_are_whole_and_double_parentheses_are_nothing() {
        use Kind::{Bracket, Comma, Line, Paragraph, Parenthesis, Word};
        assert_eq!(kinds("a (b, [c]) [d"), [(Word, "a"), (Parenthesis, "(b, [c])"), (Word, "d")]);
        assert_eq!(kinds("((a, b)) [c]) *d*"), {
            [(Word, "a"), (Comma, ","), (Word, "b"), (Bracket, "[c]"), (Word, "d")]
        });
        assert_eq!(kinds("a\r\nb\n \nc").into_iter().map(|(kind, _)| kind).collect::<Vec<_>>(), {
            [Word, Line, Word, Paragraph, Word]
        });
    }
}
