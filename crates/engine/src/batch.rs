//! A batch of texts, packed end to end.

use std::ops::Range;

use unspsc_artifact::TokenIds;

use crate::EngineError;
use crate::attention::Task;

/// Query rows of one attention task: enough for an efficient product, few enough to share a long text among threads.
const QUERY_ROWS: usize = 32;

/// Texts end to end: which rows of a `[tokens, …]` matrix belong to which text.
#[derive(Debug)]
pub(crate) struct Batch {
    /// `[tokens]`
    pub(crate) ids: Vec<u32>,
    /// The rows of each text, consecutive and never empty: `[texts]`.
    pub(crate) spans: Vec<Range<usize>>,
}

impl Batch {
    /// Packs `texts` after checking them against the model's size.
    pub(crate) fn pack(texts: &[TokenIds], vocabulary: usize, positions: usize) -> Result<Self, EngineError> {
        let total = texts.iter().map(|text| text.ids.len()).sum();
        let mut batch = Self { ids: Vec::with_capacity(total), spans: Vec::with_capacity(texts.len()) };
        for (text, TokenIds { ids, .. }) in texts.iter().enumerate() {
            if ids.is_empty() {
                return Err(EngineError::Empty { text });
            }
            if ids.len() > positions {
                return Err(EngineError::TooLong { text, tokens: ids.len(), positions });
            }
            if let Some(id) = ids.iter().find(|id| **id as usize >= vocabulary) {
                return Err(EngineError::UnknownToken { text, id: *id, vocabulary });
            }
            let start = batch.ids.len();
            batch.ids.extend_from_slice(ids);
            batch.spans.push(start..batch.ids.len());
        }
        Ok(batch)
    }

    /// Attention of every token to its text.
    pub(crate) fn tasks(&self) -> Vec<Task> {
        let blocks = |span: &Range<usize>| {
            let (keys, end) = (span.clone(), span.end);
            let block = move |start: usize| Task { queries: start..(start + QUERY_ROWS).min(end), keys: keys.clone() };
            span.clone().step_by(QUERY_ROWS).map(block)
        };
        self.spans.iter().flat_map(blocks).collect()
    }

    /// Attention of each text's first token alone; queries are numbered by text.
    pub(crate) fn first_token_tasks(&self) -> Vec<Task> {
        self.spans.iter().enumerate().map(|(text, span)| Task { queries: text..text + 1, keys: span.clone() }).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(ids: &[u32]) -> TokenIds {
        TokenIds { ids: ids.to_vec(), ..TokenIds::default() }
    }

    #[test]
    fn texts_lie_end_to_end() {
        let long: Vec<u32> = (0..70).collect();
        let batch = Batch::pack(&[text(&[2, 3]), text(&long), text(&[5])], 70, 70).unwrap();
        assert_eq!(batch.spans, [0..2, 2..72, 72..73]);
        assert_eq!(batch.ids.len(), 73);
        let rows: Vec<Range<usize>> = batch.tasks().into_iter().map(|task| task.queries).collect();
        assert_eq!(rows, [0..2, 2..34, 34..66, 66..72, 72..73]);
        let keys: Vec<Range<usize>> = batch.first_token_tasks().into_iter().map(|task| task.keys).collect();
        assert_eq!(keys, batch.spans);
    }

    #[test]
    fn what_the_model_cannot_take_is_an_error() {
        let pack = |ids: &[u32]| Batch::pack(&[text(&[1]), text(ids)], 10, 4).unwrap_err().to_string();
        assert_eq!(pack(&[]), "text 1 of the batch has no tokens");
        assert_eq!(pack(&[1; 5]), "text 1 of the batch has 5 tokens; the model has 4 positions");
        assert_eq!(pack(&[1, 10]), "text 1 of the batch has token id 10; the model has 10 tokens");
        assert_eq!(pack(&[u32::MAX]), "text 1 of the batch has token id 4294967295; the model has 10 tokens");
    }
}
