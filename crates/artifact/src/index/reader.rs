//! An index's tensors, each checked as it is taken.

use std::ops::Range;

use safetensors::Dtype;
use safetensors::tensor::TensorInfo;
use unspsc_taxonomy::Code;

use super::{FORMAT, VERSION, Words};
use crate::ArtifactError;
use crate::mapped::Mapped;

/// What to do about an index that cannot be used.
const WAY_OUT: &str = "train again, which writes the index anew";

/// Takes tensors out of an index file.
pub(super) struct Reader<'a> {
    file: &'a Mapped,
}

impl<'a> Reader<'a> {
    pub(super) fn new(file: &'a Mapped) -> Self {
        Self { file }
    }

    /// Refuses a file that is no index, or one of another version or for another model.
    pub(super) fn check_metadata(&self, hidden: usize) -> Result<(), ArtifactError> {
        let unsupported = |reason: String| Err(self.file.unsupported(format!("{reason}: {WAY_OUT}")));
        let said =
            self.file.metadata().metadata().as_ref().and_then(|all| all.get("format")).map_or("", String::as_str);
        let mut words = said.split(' ');
        let [format, version, stored] = std::array::from_fn(|_| words.next().unwrap_or_default());
        if format != FORMAT {
            return unsupported(format!("is no title index: its format is `{format}` and not `{FORMAT}`"));
        }
        if version != VERSION {
            return unsupported(format!("has version `{version}`; this program reads version {VERSION}"));
        }
        if stored != hidden.to_string() {
            return unsupported(format!("has vectors of `{stored}` values; the model's have {hidden}"));
        }
        Ok(())
    }

    /// The whole numbers of `name`, of any number.
    pub(super) fn u32s(&self, name: &str) -> Result<Vec<u32>, ArtifactError> {
        let rows = self.rows(name)?;
        if u32::try_from(rows).is_err() {
            return Err(self.wrong(name, &format!("has {rows} rows, more than can be numbered in 32 bits")));
        }
        let bytes = self.values(name, Dtype::U32, &[rows])?;
        Ok(bytes.as_chunks().0.iter().map(|bytes| u32::from_le_bytes(*bytes)).collect())
    }

    /// Where the bytes of `name` are.
    pub(super) fn bytes(&self, name: &str, shape: &[usize]) -> Result<Range<usize>, ArtifactError> {
        self.range(name, Dtype::U8, shape)
    }

    /// Refuses numbers that are no codes or out of order.
    pub(super) fn check_codes(
        &self,
        name: &str,
        codes: &[u32],
        ordered: impl Fn(u32, u32) -> bool,
    ) -> Result<(), ArtifactError> {
        if let Some(number) = codes.iter().find(|number| Code::of_number(**number).is_none()) {
            return Err(self.wrong(name, &format!("holds {number}, which is no UNSPSC code")));
        }
        let wrong = codes.windows(2).position(|pair| !ordered(pair[0], pair[1]));
        wrong.map_or(Ok(()), |at| Err(self.wrong(name, &format!("is out of order after row {at}"))))
    }

    /// The scales of `entries` vectors.
    pub(super) fn scales(&self, entries: usize) -> Result<Vec<f32>, ArtifactError> {
        let bytes = self.values("scales", Dtype::F32, &[entries])?;
        let scales: Vec<f32> = bytes.as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
        // A seventh is the most that a vector of length 1 needs.
        match scales.iter().position(|scale| !(*scale > 0.0 && *scale <= 1.0)) {
            Some(at) => Err(self.wrong("scales", &format!("holds {} in row {at}, which is no scale", scales[at]))),
            None => Ok(scales),
        }
    }

    /// Where the kinds of `entries` entries are.
    pub(super) fn kinds(&self, entries: usize) -> Result<Range<usize>, ArtifactError> {
        let range = self.bytes("kinds", &[entries])?;
        match self.file.bytes()[range.clone()].iter().find(|kind| **kind > 1) {
            Some(kind) => Err(self.wrong("kinds", &format!("holds {kind}; a kind is 0 or 1"))),
            None => Ok(range),
        }
    }

    /// The words of titles among the entries of these `kinds`.
    pub(super) fn words(&self, kinds: &Range<usize>) -> Result<Words, ArtifactError> {
        let kinds = &self.file.bytes()[kinds.clone()];
        let rows = self.rows("words")?;
        let bytes = self.values("words", Dtype::U64, &[rows])?;
        let numbers: Vec<u64> = bytes.as_chunks().0.iter().map(|bytes| u64::from_le_bytes(*bytes)).collect();
        if let Some(at) = numbers.windows(2).position(|pair| pair[0] >= pair[1]) {
            return Err(self.wrong("words", &format!("is out of order after row {at}")));
        }
        self.range("word_ends", Dtype::U32, &[rows])?;
        let (ends, entries) = (self.u32s("word_ends")?, self.u32s("word_entries")?);
        if !ends.is_sorted() || ends.last().map_or(0, |end| *end as usize) != entries.len() {
            return Err(self.wrong("word_ends", "does not cut `word_entries` into the entries of words"));
        }
        let starts = [0].into_iter().chain(ends.iter().copied());
        for (start, end) in starts.zip(&ends) {
            let own = &entries[start as usize..*end as usize];
            let ascending = own.windows(2).all(|pair| pair[0] < pair[1]);
            if !ascending || !own.iter().all(|entry| kinds.get(*entry as usize) == Some(&0)) {
                let reason = format!("holds in rows {start} to {end} what are no titles in order");
                return Err(self.wrong("word_entries", &reason));
            }
        }
        Ok(Words { numbers, ends, entries })
    }

    /// The ends of so many titles, and where their bytes are.
    pub(super) fn titles(&self, titles: usize) -> Result<(Vec<u32>, Range<usize>), ArtifactError> {
        let ends = self.u32s("title_ends")?;
        self.range("title_ends", Dtype::U32, &[titles])?;
        let length = ends.last().map_or(0, |end| *end as usize);
        let range = self.bytes("title_bytes", &[length])?;
        let bytes = &self.file.bytes()[range.clone()];
        let text =
            std::str::from_utf8(bytes).map_err(|error| self.wrong("title_bytes", &format!("is no UTF-8: {error}")))?;
        let ordered = ends.is_sorted() && ends.iter().all(|end| text.is_char_boundary(*end as usize));
        if !ordered {
            return Err(self.wrong("title_ends", "does not cut `title_bytes` into texts"));
        }
        Ok((ends, range))
    }

    fn tensor(&self, name: &str) -> Result<(&TensorInfo, Range<usize>), ArtifactError> {
        self.file.tensor(name).ok_or_else(|| self.wrong(name, "is missing"))
    }

    /// How many rows `name` has.
    fn rows(&self, name: &str) -> Result<usize, ArtifactError> {
        Ok(self.tensor(name)?.0.shape.first().copied().unwrap_or(0))
    }

    fn range(&self, name: &str, dtype: Dtype, shape: &[usize]) -> Result<Range<usize>, ArtifactError> {
        let (info, range) = self.tensor(name)?;
        if info.dtype != dtype || info.shape != shape {
            let found = format!("is {:?} {:?}; it should be {dtype:?} {shape:?}", info.dtype, info.shape);
            return Err(self.wrong(name, &found));
        }
        Ok(range)
    }

    fn values(&self, name: &str, dtype: Dtype, shape: &[usize]) -> Result<&'a [u8], ArtifactError> {
        Ok(&self.file.bytes()[self.range(name, dtype, shape)?])
    }

    fn wrong(&self, name: &str, reason: &str) -> ArtifactError {
        self.file.wrong_tensor(name, format!("{reason}: {WAY_OUT}"))
    }
}
