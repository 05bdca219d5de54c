//! From tokens to items: clauses, and in each what introduces, lists, excludes and limits.

use std::mem::take;
use std::ops::Range;

use super::list::{begins_member, members, trim};
use super::nice_class::{is_class, residual};
use super::phrases::{self, Introducer, contrast, introducer};
use super::token::{Kind, Reach, Token};
use super::{Item, MAX_CONTEXT_BYTES, MAX_PARTS, Remark, RemarkKind, StatementError};

/// Reads a statement from its beginning to its end.
pub(super) struct Reader<'t> {
    text: &'t str,
    pub(super) items: Vec<Item>,
    pub(super) remarks: Vec<Remark>,
    /// The class of the heading that was read last.
    heading: Option<u8>,
    /// The first item that a class behind the goods may stand for.
    unclassed: usize,
}

impl<'t> Reader<'t> {
    pub(super) fn new(text: &'t str) -> Self {
        Self { text, items: Vec::new(), remarks: Vec::new(), heading: None, unclassed: 0 }
    }

    /// Reads all `tokens`, in which classes are marked: a section is what stands under one class heading.
    pub(super) fn read(&mut self, tokens: &[Token]) -> Result<(), StatementError> {
        let is_heading = |token: &Token| matches!(token.kind, Kind::Class(_, Reach::Following));
        for section in tokens.split_inclusive(is_heading) {
            let (section, next) = match section.split_last() {
                Some((Token { kind: Kind::Class(number, Reach::Following), .. }, section)) => (section, *number),
                _ => (section, self.heading),
            };
            self.section(section)?;
            self.heading = next;
            self.unclassed = self.items.len();
        }
        Ok(())
    }

    /// Cuts a section into clauses.
    fn section(&mut self, tokens: &[Token]) -> Result<(), StatementError> {
        let lines_separate = tokens.iter().all(|token| token.kind != Kind::Semicolon);
        let mut clause: Vec<Token> = Vec::new();
        for (at, token) in tokens.iter().enumerate() {
            let before = at.checked_sub(1).map(|before| tokens[before]);
            let goes_on = before.is_some_and(|before| before.kind == Kind::Comma);
            let ends = match token.kind {
                Kind::Semicolon => true,
                Kind::Paragraph => !goes_on,
                Kind::Line => lines_separate && !goes_on,
                Kind::Stop => self.is_end_of_sentence(before, &tokens[at + 1..]),
                Kind::Parenthesis | Kind::Bracket if phrases::is_filing(self.text, &token.inner(self.text)) => {
                    self.remark(RemarkKind::Filing, token.start..token.end)?;
                    true
                }
                Kind::Bracket if self.is_deletion(&clause, token) => {
                    self.remark(RemarkKind::Deletion, token.start..token.end)?;
                    clause.push(Token { kind: Kind::Comma, ..*token });
                    self.separates_clauses(token)
                }
                _ => {
                    clause.push(*token);
                    false
                }
            };
            if ends {
                self.clause(&take(&mut clause))?;
            }
        }
        self.clause(&clause)
    }

    fn is_end_of_sentence(&self, before: Option<Token>, after: &[Token]) -> bool {
        let next = after.iter().find(|token| !matches!(token.kind, Kind::Line | Kind::Paragraph));
        next.is_some_and(|next| next.is_capitalised(self.text))
            && before.is_some_and(|before| !phrases::is_abbreviation(self.text, &before))
    }

    /// Whether brackets are those by which the USPTO deletes goods: at the beginning of an item, or with the separator
    /// in them. Other brackets explain the words before them, as in the Nice Classification: `lifts [elevators]`.
    fn is_deletion(&self, clause: &[Token], token: &Token) -> bool {
        let inner = token.inner(self.text);
        let separates =
            |edge: Option<&Token>| edge.is_some_and(|edge| matches!(edge.kind, Kind::Comma | Kind::Semicolon));
        let remarks = clause.iter().rev().take_while(|token| self.remark_in(token).is_some()).count();
        begins_member(self.text, &clause[..clause.len() - remarks])
            || separates(inner.first())
            || separates(inner.last())
            || phrases::conjunction(self.text, &inner).is_some()
    }

    /// Whether a deletion takes the semicolon beside it along.
    fn separates_clauses(&self, deletion: &Token) -> bool {
        let inner = deletion.inner(self.text);
        [inner.first(), inner.last()].into_iter().flatten().any(|edge| edge.kind == Kind::Semicolon)
    }

    /// Reads one clause and gives its items their class.
    fn clause(&mut self, tokens: &[Token]) -> Result<(), StatementError> {
        let first = self.items.len();
        self.introduced(tokens)?;
        let mut unclassed = first;
        for token in tokens {
            let Kind::Class(Some(number), reach) = token.kind else { continue };
            let end = self.items.partition_point(|item| item.span.start < token.start);
            // In a clause of its own a class stands for all goods before it, whatever the words.
            if reach == Reach::Preceding || end == first {
                self.items[self.unclassed..end].iter_mut().for_each(|item| _ = item.nice_class.get_or_insert(number));
                self.unclassed = end;
            } else {
                self.items[unclassed..end].iter_mut().for_each(|item| item.nice_class = Some(number));
            }
            unclassed = end;
        }
        Ok(())
    }

    /// Reads the lists of a clause, each but the first behind the word that introduces it.
    fn introduced(&mut self, tokens: &[Token]) -> Result<(), StatementError> {
        let mut tokens = tokens.to_vec();
        let first = self.items.len();
        // The list that is being read, what introduces it, and the category that it may be all of.
        let (mut list, mut lead_in, mut category) = (0, None, 0..0);
        let mut at = 0;
        while at < tokens.len() {
            if let Some((introducer, words)) = introducer(self.text, &tokens[at..]) {
                match introducer {
                    Introducer::Illustrative => self.list(&tokens[list..at], lead_in.as_deref())?,
                    Introducer::Restrictive => category = list..at,
                    Introducer::Purpose => {
                        at += words;
                        continue;
                    }
                }
                lead_in = self.lead_in(&tokens[..at + words], at);
                at += words;
                list = at;
            } else if let Some(kind) = self.remark_at(&tokens, at) {
                let end = self.end_of_remark(&tokens, at);
                let said = trim(self.text, &tokens[at..end]);
                self.remark(kind, tokens[at].start..said.last().map_or(tokens[at].end, |last| last.end))?;
                tokens[at..end].iter_mut().for_each(|token| token.kind = Kind::Remark);
                at = end;
            } else if let Some(words) = contrast(self.text, &tokens, at) {
                tokens[at..at + words].iter_mut().for_each(|token| token.kind = Kind::Remark);
                at += words;
            } else {
                if let Some(kind) = self.remark_in(&tokens[at]) {
                    self.remark(kind, tokens[at].start..tokens[at].end)?;
                    tokens[at].kind = Kind::Remark;
                }
                at += 1;
            }
        }
        self.list(&tokens[list..], lead_in.as_deref())?;
        if self.items.len() == first {
            self.list(&tokens[category], None)?;
        }
        Ok(())
    }

    /// The words of a clause up to and with the introducing one, which stands at `at`, unless they are too long or
    /// nothing is before it.
    fn lead_in(&self, tokens: &[Token], at: usize) -> Option<String> {
        trim(self.text, &tokens[..at]).first()?;
        let span = tokens.first()?.start..tokens.last()?.end;
        (span.len() <= MAX_CONTEXT_BYTES).then(|| self.wording(tokens))
    }

    /// What the words of a clause from `at` on say, if they name no goods.
    fn remark_at(&self, tokens: &[Token], at: usize) -> Option<RemarkKind> {
        if phrases::is_exclusion(self.text, &tokens[at..]) {
            return Some(RemarkKind::Exclusion);
        }
        if residual(self.text, &tokens[at..]).is_some() {
            return Some(RemarkKind::Limitation);
        }
        let is_filing = phrases::is_filing(self.text, &tokens[at..]);
        let is_said = is_filing || phrases::is_limitation(self.text, &tokens[at..]);
        if !is_said || !begins_member(self.text, &tokens[..at]) {
            return None;
        }
        if is_filing {
            return Some(RemarkKind::Filing);
        }
        let mut said = at..self.end_of_remark(tokens, at);
        let excludes = said.any(|at| phrases::is_exclusion(self.text, &tokens[at..]));
        Some(if excludes { RemarkKind::Exclusion } else { RemarkKind::Limitation })
    }

    /// The same for words in parentheses.
    fn remark_in(&self, token: &Token) -> Option<RemarkKind> {
        matches!(token.kind, Kind::Parenthesis | Kind::Bracket).then(|| self.remark_at(&token.inner(self.text), 0))?
    }

    /// Where the remark that begins at `at` ends: before "but including", behind "not included in other classes"
    /// before a comma or an introducing word, or else with the clause.
    fn end_of_remark(&self, tokens: &[Token], at: usize) -> usize {
        let residual = residual(self.text, &tokens[at..]);
        let resumes = |at: &usize| {
            let rest = &tokens[*at..];
            let introduces = || introducer(self.text, rest).is_some_and(|(kind, _)| kind != Introducer::Purpose);
            let goes_on = || rest[0].kind == Kind::Comma || introduces();
            contrast(self.text, tokens, *at).is_some() || residual.is_some() && goes_on()
        };
        (at + residual.unwrap_or(1)..tokens.len()).find(resumes).unwrap_or(tokens.len())
    }

    fn list(&mut self, tokens: &[Token], lead_in: Option<&str>) -> Result<(), StatementError> {
        for member in members(self.text, tokens) {
            self.item(member, lead_in)?;
        }
        Ok(())
    }

    fn item(&mut self, member: &[Token], lead_in: Option<&str>) -> Result<(), StatementError> {
        let (Some(first), Some(last)) = (member.first(), member.last()) else { return Ok(()) };
        let span = first.start..last.end;
        let is_nothing = phrases::is_filler(self.text, member) || is_class(self.text, member);
        if is_nothing || !self.text[span.clone()].contains(char::is_alphabetic) {
            return Ok(());
        }
        let mut wording = self.wording(member);
        if let Some(lead_in) = lead_in {
            wording = format!("{lead_in} {wording}");
        } else if phrases::points_back(self.text, member)
            && let Some(before) = self.items[self.unclassed..].last()
            && before.span.len() <= MAX_CONTEXT_BYTES
        {
            wording = format!("{}, {wording}", &self.text[before.span.clone()]);
        }
        self.count()?;
        self.items.push(Item { span, nice_class: self.heading, wording });
        Ok(())
    }

    /// The words of `tokens` without those that name no goods.
    fn wording(&self, tokens: &[Token]) -> String {
        let mut wording = String::new();
        for part in tokens.split(Token::is_hidden) {
            // Of two commas around a remark one is left.
            let doubled = wording.is_empty() || wording.ends_with(',');
            let commas = part.iter().take_while(|token| doubled && token.kind == Kind::Comma).count();
            let (Some(first), Some(last)) = (part.get(commas), part.last()) else { continue };
            if !wording.is_empty() && !matches!(first.kind, Kind::Comma | Kind::Colon) {
                wording.push(' ');
            }
            wording += &self.text[first.start..last.end];
        }
        wording
    }

    fn remark(&mut self, kind: RemarkKind, span: Range<usize>) -> Result<(), StatementError> {
        self.count()?;
        self.remarks.push(Remark { kind, span });
        Ok(())
    }

    fn count(&self) -> Result<(), StatementError> {
        if self.items.len() + self.remarks.len() < MAX_PARTS { Ok(()) } else { Err(StatementError::TooManyParts) }
    }
}
