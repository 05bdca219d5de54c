//! A trade mark's statement of goods and services, from its text to the items that it names.
//!
//! Rules, in the order in which they apply:
//!
//! 1. **Class headings** (`Class 30:`, `IC 030. US 046. G & S:`, `30 -`, `(Class 9)` before goods) give the items
//!    behind them their Nice class. `(Class 9)`, `, Class 9,` or `in Class 9` behind goods is that of the items
//!    before it in the clause, `all included in class 9` that of all items before it that stand under no other class.
//!    Goods under a heading of several classes, or of a number that is none, have no class.
//! 2. **Semicolons**, bullets, empty lines and full stops before a capital letter end a clause. Under a heading without
//!    any semicolon each line is a clause, unless the line before it ends in a comma; elsewhere line breaks are blanks.
//! 3. **Brackets**: `[…]` is a deletion where it holds the separator or stands at an item's beginning, as the USPTO
//!    prints it. Other brackets and parentheses explain an item and belong to it, with all commas and semicolons in
//!    them. Double parentheses and asterisks are blanks: by TMEP 1402.12 and the legend of TSDR they stand around goods
//!    that are registered all the same.
//! 4. **Remarks** name no goods: exclusions ("excluding …", "other than …", "none of the aforesaid …"), limitations
//!    ("not included in other classes", "not included in class 5", at the beginning of a member "all the aforesaid for
//!    …"), and at the beginning of a member what the USPTO's records add of the filing ("FIRST USE: 20190101"). They
//!    reach to the end of their clause or parentheses, but not past "but including", "but also including" or "and
//!    including", nor "not included in …" past a comma or an introducing word: there goods are named again. The basis
//!    of the filing in parentheses, "(Based on 44(e))", ends a clause.
//! 5. **Introducing words**: "namely", "i.e." and a colon leave what stands before them out, since the goods behind are
//!    all that is meant; "including", "in particular", "such as" and the like keep it, since these are examples (so the
//!    EUIPO and WIPO; the USPTO takes "in particular" for "namely"). The items behind are classified with the clause's
//!    words up to and with the introducing one but without remarks, "Clothing, namely, hats", where these are at most
//!    [`MAX_CONTEXT_BYTES`] long.
//! 6. **Commas** separate, but not behind "consisting of", "relating to", "by land, air" and their like, and not before
//!    "for", "of", "made" or an adjective alone, which describe the member before them.
//! 7. **"and"**, "or" and "&" separate only where they close a list with a comma: the first that no "for" or "of"
//!    governs and that is in no pair such as "parts and fittings". If members of such a list lack a word of another
//!    ("cleaning, polishing and abrasive preparations", "repair, maintenance and installation of lifts") the list is
//!    one item.
//! 8. An item with "therefor", "thereof" or "the aforesaid" is classified together with the one before it.
//!
//! Where the grammar leaves it open, as in "jackets of leather, plastic and textile", commas separate. Reading takes
//! time in proportion to the statement's length.

mod answer;
mod clause;
mod list;
mod nice_class;
mod phrases;
mod profile;
mod token;

use std::ops::Range;

use unspsc_contract::invocation::RemarkKind;

pub(crate) use profile::Classified;

/// Longest statement. The longest in the registers are some hundred kilobytes.
pub(crate) const MAX_STATEMENT_BYTES: usize = 1 << 20;

/// Most items and remarks of a statement.
pub(crate) const MAX_PARTS: usize = 10_000;

/// Longest words that are put before an item to be classified with it: the model reads few tokens, and those of the
/// item must be among them.
const MAX_CONTEXT_BYTES: usize = 120;

/// Why a statement cannot be split.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum StatementError {
    /// Nothing but white space and punctuation.
    #[error("`statement` names no goods or services; send the text of a mark's statement")]
    Empty,
    /// The text is too long.
    #[error("`statement` is longer than {MAX_STATEMENT_BYTES} bytes; send its classes one at a time")]
    TooLong,
    /// The text has too many parts.
    #[error("`statement` has more than {MAX_PARTS} items; send its classes one at a time")]
    TooManyParts,
}

/// A statement, split.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Statement {
    /// As the caller wrote it.
    pub(crate) text: String,
    /// The goods and services, in order, without overlap.
    pub(crate) items: Vec<Item>,
    /// What names no goods, in order.
    pub(crate) remarks: Vec<Remark>,
}

/// One of the goods or services.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Item {
    /// Bytes of the statement.
    pub(crate) span: Range<usize>,
    /// The Nice class under which it stands, 1 to 45, where the statement says so.
    pub(crate) nice_class: Option<u8>,
    /// What is to be classified.
    pub(crate) wording: String,
}

/// A part of a statement that names no goods.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Remark {
    pub(crate) kind: RemarkKind,
    /// Bytes of the statement.
    pub(crate) span: Range<usize>,
}

impl Statement {
    /// Splits `text` by the rules above.
    pub(crate) fn parse(text: String) -> Result<Self, StatementError> {
        if text.len() > MAX_STATEMENT_BYTES {
            return Err(StatementError::TooLong);
        }
        let tokens = nice_class::mark(&text, &token::tokens(&text, 0, text.len()));
        let mut reader = clause::Reader::new(&text);
        reader.read(&tokens)?;
        let (items, mut remarks) = (reader.items, reader.remarks);
        if items.is_empty() && remarks.is_empty() {
            return Err(StatementError::Empty);
        }
        remarks.sort_by_key(|remark| remark.span.start);
        Ok(Self { text, items, remarks })
    }
}

#[cfg(test)]
mod tests;
