//! The members of a list: where commas and "and" separate goods, and where they belong to one.

use std::ops::Range;

use super::phrases::{
    Introducer, MAX_PHRASE_TOKENS, conjunction, introducer, is_about, is_action, is_link, is_modifier, is_pair,
    trailing_conjunction,
};
use super::token::{Kind, Token};

/// The members that `tokens`, a list without introducing words, has, in order.
pub(super) fn members<'a>(text: &str, tokens: &'a [Token]) -> Vec<&'a [Token]> {
    let tokens = trim(text, tokens);
    let mut members = comma_members(text, tokens);
    let closed = close(text, tokens, &mut members);
    if closed && share_a_word(text, tokens, &members) {
        return vec![tokens];
    }
    members.into_iter().map(|member| trim(text, &tokens[member])).filter(|member| !member.is_empty()).collect()
}

/// The members between commas, none of them empty: up to words such as "consisting of", whose commas are their own.
fn comma_members(text: &str, tokens: &[Token]) -> Vec<Range<usize>> {
    let about = (0..tokens.len()).find(|at| is_about(text, &tokens[*at..])).unwrap_or(tokens.len());
    let commas = (0..about).filter(|at| tokens[*at].kind == Kind::Comma).chain([tokens.len()]);
    let mut members: Vec<Range<usize>> = Vec::new();
    let (mut start, mut after_adjective) = (0, false);
    for comma in commas {
        let written = &tokens[start..comma];
        match (members.last_mut(), trim(text, written)) {
            (_, []) => {}
            (Some(before), member) if describes(text, written, member, after_adjective) => before.end = comma,
            (_, member) => {
                after_adjective = is_adjective(text, member);
                members.push(start..comma);
            }
        }
        start = comma + 1;
    }
    members
}

/// Whether `member`, which stands in `written`, describes the one before it: "for children", or "electric" behind
/// "lamps" and not behind an adjective alone.
fn describes(text: &str, written: &[Token], member: &[Token], after_adjective: bool) -> bool {
    let linked = member.first().is_some_and(|first| is_link(text, first));
    let purpose = introducer(text, member).is_some_and(|(introducer, _)| introducer == Introducer::Purpose);
    let adjective = is_adjective(text, member) && !after_adjective;
    conjunction(text, written).is_none() && (linked || purpose || adjective)
}

/// Whether a member is an adjective alone; those in "-ing" are nouns as often.
fn is_adjective(text: &str, member: &[Token]) -> bool {
    matches!(member, [word] if is_modifier(text, word) && !word.of(text).to_ascii_lowercase().ends_with("ing"))
}

/// Splits the last member at the conjunction that closes the list, where there is one, and says whether the list has
/// any. A single member is no list: "bread and butter plates".
fn close(text: &str, tokens: &[Token], members: &mut Vec<Range<usize>>) -> bool {
    let Some(last) = members.last().cloned().filter(|_| members.len() > 1) else { return false };
    if conjunction(text, &tokens[last.clone()]).is_some() {
        return true;
    }
    let mut joined = false;
    for at in last.clone().skip(1) {
        // What an earlier word such as "for" governs is not of the list.
        if is_link(text, &tokens[at - 1]) {
            break;
        }
        let Some(words) = conjunction(text, &tokens[at..last.end]) else { continue };
        joined = true;
        let pair = tokens.get(at + words).is_some_and(|right| is_pair(text, &tokens[at - 1], right));
        if !pair && at + words < last.end {
            members.pop();
            members.extend([last.start..at, at + words..last.end]);
            break;
        }
    }
    joined
}

/// Whether members lack a word that stands in another: "cleaning, polishing and abrasive preparations", "machines for
/// washing, drying and ironing", "repair and installation of lifts". Where all are of that kind they are complete:
/// "advertising, marketing and printing".
fn share_a_word(text: &str, tokens: &[Token], members: &[Range<usize>]) -> bool {
    let members: Vec<&[Token]> = members.iter().map(|member| trim(text, &tokens[member.clone()])).collect();
    let [others @ .., last] = &members[..] else { return false };
    let is_done_to = matches!(last, [action, _, ..] if is_action(text, action));
    let lacks = |member: &[Token]| match member {
        [word] if is_action(text, word) => is_done_to,
        [word] => is_modifier(text, word),
        [.., link, word] => is_link(text, link) && is_modifier(text, word),
        [] => false,
    };
    others.iter().any(|member| lacks(member)) && !members.iter().all(|member| member.len() == 1 && lacks(member))
}

/// `tokens` without separators, bullets, conjunctions and hidden tokens at both ends.
pub(super) fn trim<'a>(text: &str, mut tokens: &'a [Token]) -> &'a [Token] {
    let is_edge = |token: &Token| {
        let words = matches!(token.kind, Kind::Word | Kind::Parenthesis | Kind::Bracket);
        !words || !token.of(text).contains(char::is_alphanumeric)
    };
    loop {
        if let Some(words) = conjunction(text, tokens) {
            tokens = &tokens[words..];
        } else if let [first, rest @ ..] = tokens
            && is_edge(first)
        {
            tokens = rest;
        } else if let Some(words) = trailing_conjunction(text, tokens) {
            tokens = &tokens[..tokens.len() - words];
        } else if let [rest @ .., last] = tokens
            && is_edge(last)
        {
            tokens = rest;
        } else {
            return tokens;
        }
    }
}

/// Whether a member begins behind `before`, the tokens of its clause: at the beginning, or behind a comma, a bullet, a
/// hidden token, a conjunction or an introducing word.
pub(super) fn begins_member(text: &str, before: &[Token]) -> bool {
    let nearest = &before[before.len().saturating_sub(MAX_PHRASE_TOKENS)..];
    let introduced = |at: usize| introducer(text, &nearest[at..]).is_some_and(|(_, taken)| at + taken == nearest.len());
    before.is_empty() || trim(text, nearest).last() != before.last() || (0..nearest.len()).any(introduced)
}
