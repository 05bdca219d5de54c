//! The words by which statements are built, and where they stand. Tables separate their phrases by `|`.
//!
//! Sources: TMEP 1402.01(a), 1402.03(a) and 1402.12 (USPTO), the EUIPO's Guidelines, Part B, Section 3, 4.1.2, and
//! WIPO's Examination Guidelines on classification under the Madrid System, 2.5.

use super::token::{Kind, Token};

/// Tokens of the longest conjunction or introducing words with the marks around them, "including, but not limited to,".
pub(super) const MAX_PHRASE_TOKENS: usize = 7;

/// What follows is all that is meant: the goods before are a category and no item.
const RESTRICTIVE: &str = "namely|viz|i.e|that is to say|to wit|limited to";

/// What follows are examples of the goods before.
const ILLUSTRATIVE: &str = "\
    including|incl|including but not limited to|including , but not limited to|including without limitation|\
    including , without limitation|in particular|particularly|more particularly|especially|notably|such as|\
    for example|for instance|e.g|inter alia";

/// From here to the end of the clause, the statement says what is not meant.
const EXCLUSION: &str = "\
    excluding|excl|exclusive of|except|excepting|with the exception of|other than|save for|but not|not including|\
    not being|not of|not for use|not for medical|not for human|not for veterinary|none of|none being|\
    all excluding|all except|all other than|all not|all the aforesaid excluding";

/// At the beginning of a member: what is said of goods that were named before.
const LIMITATION: &str = "\
    all of|all the|all being|all for|all in|all relating|all related|all made|all sold|all such|all these|\
    all said|all aforesaid|all aforementioned|all goods|all services|the aforesaid|the aforementioned|\
    the foregoing|the above|said goods|said services|these goods|these services";

/// What the USPTO's records print beside the goods of the basis of the application, as in `(Based on 44(e))` (TMEP
/// 806.01).
const BASIS: &str = "\
    based on use|based on intent|based on intent-to-use|based on 1 (a)|based on 1 (b)|based on 44 (d)|\
    based on 44 (e)|based on 66 (a)|based on section";

/// What the USPTO's records print before a colon or a date (TMEP 903).
const FIRST_USE: &str = "\
    first use|first use anywhere|first use in commerce|first used|first used anywhere|first used in commerce|\
    use in commerce|used in commerce";

/// Words before "including" by which goods are named again.
const CONTRAST: &str = "but|but also|but specifically|but expressly|and|and also|and specifically";

/// The commas behind these words list what one good or service is made of or is about.
const ABOUT: &str = "\
    consisting of|consisting primarily of|comprising|comprised of|composed of|containing|featuring|relating to|\
    related to|in relation to|in the field of|in the fields of|in the nature of|connected with|\
    in connection with|for use in|for use with|for the treatment of|for treatment of|for treating|\
    for the prevention of|sale of|retailing of|distribution of|rental of|hire of|leasing of|repair of|\
    maintenance of|installation of|transport of|manufacture of|provision of|by land , air|by land , sea|\
    by land , water|by air , land|by air , sea|by air , water";

/// What the last member of a list is joined by.
const CONJUNCTIONS: &str = "and|or|and/or|&|&amp;|as well as|and also";

/// Words that tie what follows to what stands before: a member that begins so goes on with the one before it.
const LINKS: &str = "\
    for|of|against|from|with|without|by|on|in|to|as|at|into|using|via|being|having|used|made|adapted|sold|intended|\
    designed|incorporating|featuring|containing|consisting|comprising|that|which|both|whether";

/// Two words with "and" between them that name one thing.
const PAIRS: &str = "\
    apparatus instruments|apparatus installations|arts crafts|bed breakfast|black white|bread butter|\
    food beverage|food drink|fruit vegetable|health safety|hook loop|import export|macaroni cheese|nuts bolts|\
    oil gas|parts accessories|parts fittings|r d|repair maintenance|research development|salt pepper";

/// Services that are done to something. In a list of them only the last says to what: "repair and installation of
/// lifts".
const ACTIONS: &str = "\
    assembly|conversion|demolition|disassembly|dismantling|inspection|installation|maintenance|overhaul|\
    reconstruction|refurbishment|renovation|repair|replacement|restoration|servicing|upgrading|upkeep";

/// Words that point at the item before.
const BACK: &str = "therefor|therefore|thereof|thereto|aforesaid|aforementioned|foregoing|above-mentioned";

/// Members that name nothing.
const FILLERS: &str = "etc|etcetera|the like|so on";

/// Words that a full stop does not end a sentence behind.
const ABBREVIATIONS: &str = "e.g|i.e|viz|incl|excl|approx|no|nos|dr|st|inc|ltd|co|int|cl|ic";

/// Endings of words that describe a noun: "cleaning, polishing and abrasive preparations".
const MODIFIER_ENDINGS: &str = "ing|ic|al|ed|ary|ive|able|ible";

/// Nouns with such an ending.
const NOUNS: &str = "\
    additive|adhesive|animal|antibiotic|bed|bedding|building|cable|ceramic|cereal|charcoal|chemical|clothing|\
    coal|coating|cosmetic|crystal|cutting|dictionary|drawing|dressing|earring|electronic|endive|explosive|\
    fabric|feed|fencing|flooring|footing|frosting|garlic|herring|icing|jewelling|journal|library|lining|linseed|\
    magic|manual|material|meal|medal|metal|mineral|music|oatmeal|olive|packaging|painting|pedal|periodical|\
    piping|plastic|preservative|pudding|rapeseed|ring|roofing|seasoning|seed|shed|shortening|signal|spring|\
    string|stuffing|table|terminal|tonic|tubing|vegetable|weed";

/// What follows an introducing word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Introducer {
    /// All that is meant.
    Restrictive,
    /// A part of what is meant.
    Illustrative,
    /// No goods: "adhesives, in particular for paper" names a purpose.
    Purpose,
}

/// How many tokens the longest phrase of `table` takes at the beginning of `tokens`.
pub(super) fn longest(text: &str, tokens: &[Token], table: &str) -> Option<usize> {
    let length = |phrase: &str| {
        let mut words = 0;
        for word in phrase.split(' ') {
            tokens.get(words).filter(|token| token.is(text, word))?;
            words += 1;
        }
        Some(words)
    };
    table.split('|').filter_map(length).max()
}

/// Whether `token` alone is a phrase of `table`.
fn is_any(text: &str, token: &Token, table: &str) -> bool {
    table.split('|').any(|word| token.is(text, word))
}

/// The introducing word at the beginning of `tokens` and how many it takes with the comma or colon behind it.
pub(super) fn introducer(text: &str, tokens: &[Token]) -> Option<(Introducer, usize)> {
    let first = tokens.first()?;
    let (introducer, words) = match first.kind {
        Kind::Colon => (Introducer::Restrictive, 1),
        Kind::Word => longest(text, tokens, RESTRICTIVE)
            .map(|words| (Introducer::Restrictive, words))
            .or_else(|| longest(text, tokens, ILLUSTRATIVE).map(|words| (Introducer::Illustrative, words)))?,
        _ => return None,
    };
    let marks = tokens[words..].iter().take_while(|token| matches!(token.kind, Kind::Comma | Kind::Colon)).count();
    let after = &tokens[words + marks..];
    let introduces = longest(text, after, ILLUSTRATIVE).or_else(|| conjunction(text, after)).is_some();
    let plain = tokens[..words].iter().all(|token| token.kind == Kind::Word);
    let purpose = plain && !introduces && after.first().is_some_and(|next| is_link(text, next));
    Some((if purpose { Introducer::Purpose } else { introducer }, words + marks))
}

/// Whether the clause says from here on what is not meant.
pub(super) fn is_exclusion(text: &str, tokens: &[Token]) -> bool {
    longest(text, tokens, EXCLUSION).is_some()
}

/// Whether a member that begins so says something about the goods before it.
pub(super) fn is_limitation(text: &str, tokens: &[Token]) -> bool {
    longest(text, tokens, LIMITATION).is_some()
}

/// Whether what follows is of the register's record and names no goods.
pub(super) fn is_filing(text: &str, tokens: &[Token]) -> bool {
    let is_value =
        |next: &Token| next.kind == Kind::Colon || next.of(text).starts_with(|first: char| first.is_ascii_digit());
    let dated = |words: usize| tokens.get(words).is_some_and(is_value);
    longest(text, tokens, BASIS).is_some() || longest(text, tokens, FIRST_USE).is_some_and(dated)
}

/// How many tokens before the introducing word say at `at` that goods are named again behind what was excluded: "but"
/// in "but including port". Nothing is named by "up to and including 10%", nor again by "and in particular".
pub(super) fn contrast(text: &str, tokens: &[Token], at: usize) -> Option<usize> {
    let words = longest(text, &tokens[at..], CONTRAST)?;
    let after = &tokens[at + words..];
    let includes = tokens[at].is(text, "but") || after.first().is_some_and(|next| next.is(text, "including"));
    let is_limit = at.checked_sub(1).is_some_and(|before| tokens[before].is(text, "to"));
    let introduces = || introducer(text, after).is_some_and(|(kind, _)| kind == Introducer::Illustrative);
    (includes && !is_limit && introduces()).then_some(words)
}

/// Whether `token` is a service that is done to something.
pub(super) fn is_action(text: &str, token: &Token) -> bool {
    is_any(text, token, ACTIONS)
}

/// Whether all commas from here on belong to one item.
pub(super) fn is_about(text: &str, tokens: &[Token]) -> bool {
    longest(text, tokens, ABOUT).is_some()
}

/// How many tokens the conjunction at the beginning of `tokens` takes.
pub(super) fn conjunction(text: &str, tokens: &[Token]) -> Option<usize> {
    longest(text, tokens, CONJUNCTIONS)
}

/// How many tokens the conjunction at the end of `tokens` takes.
pub(super) fn trailing_conjunction(text: &str, tokens: &[Token]) -> Option<usize> {
    let ends = |words: &usize| conjunction(text, &tokens[tokens.len() - words..]) == Some(*words);
    (1..=tokens.len().min(MAX_PHRASE_TOKENS)).rev().find(ends)
}

/// Whether `token` ties what follows to what stands before.
pub(super) fn is_link(text: &str, token: &Token) -> bool {
    is_any(text, token, LINKS)
}

/// Whether "and" between the two words joins them to one thing.
pub(super) fn is_pair(text: &str, left: &Token, right: &Token) -> bool {
    let joins =
        |pair: &str| pair.split_once(' ').is_some_and(|(first, second)| left.is(text, first) && right.is(text, second));
    PAIRS.split('|').any(joins)
}

/// Whether an item can only be understood together with the one before it.
pub(super) fn points_back(text: &str, tokens: &[Token]) -> bool {
    tokens.iter().any(|token| is_any(text, token, BACK))
}

/// Whether a member names nothing.
pub(super) fn is_filler(text: &str, tokens: &[Token]) -> bool {
    longest(text, tokens, FILLERS) == Some(tokens.len())
}

/// Whether a full stop behind `token` ends no sentence: an abbreviation or an initial.
pub(super) fn is_abbreviation(text: &str, token: &Token) -> bool {
    let word = token.of(text);
    (word.len() == 1 && word.starts_with(|initial: char| initial.is_ascii_alphabetic()))
        || is_any(text, token, ABBREVIATIONS)
}

/// Whether `token` describes a noun, by its ending.
pub(super) fn is_modifier(text: &str, token: &Token) -> bool {
    let word = token.of(text).to_ascii_lowercase();
    token.kind == Kind::Word
        && MODIFIER_ENDINGS.split('|').any(|ending| word.ends_with(ending))
        && !is_any(text, token, NOUNS)
}
