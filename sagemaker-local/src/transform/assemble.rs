//! Putting the answers to one object together, in the order of its records.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

/// Bytes that are copied at a time.
const CHUNK_BYTES: usize = 64 * 1024;

/// The output of one object: a file that goes with this value.
#[derive(Debug)]
pub(super) struct Assembler<R> {
    path: PathBuf,
    file: BufWriter<File>,
    /// Whether each answer gets a line feed if it ends without one.
    lines: bool,
    /// Answers that came before their turn.
    waiting: BTreeMap<u64, R>,
    next: u64,
}

impl<R: Read> Assembler<R> {
    /// An output without answers, in the new file at `path`.
    pub(super) fn new(path: PathBuf, lines: bool) -> io::Result<Self> {
        let file = BufWriter::new(File::create(&path)?);
        Ok(Self { path, file, lines, waiting: BTreeMap::new(), next: 0 })
    }

    /// Takes the answer to the body with this number, the first being 0; writes it when its turn comes.
    pub(super) fn add(&mut self, number: u64, answer: R) -> io::Result<()> {
        self.waiting.insert(number, answer);
        while let Some(mut answer) = self.waiting.remove(&self.next) {
            self.write(&mut answer)?;
            self.next += 1;
        }
        Ok(())
    }

    /// The number of the answer that is written next.
    pub(super) fn next(&self) -> u64 {
        self.next
    }

    /// The file with all that was added.
    pub(super) fn finish(&mut self) -> io::Result<&Path> {
        self.file.flush()?;
        Ok(&self.path)
    }

    fn write(&mut self, answer: &mut R) -> io::Result<()> {
        let mut chunk = vec![0; CHUNK_BYTES];
        let mut last = None;
        loop {
            let read = answer.read(&mut chunk)?;
            let Some(part) = chunk.get(..read).filter(|part| !part.is_empty()) else { break };
            self.file.write_all(part)?;
            last = part.last().copied();
        }
        if self.lines && last != Some(b'\n') {
            self.file.write_all(b"\n")?;
        }
        Ok(())
    }
}

impl<R> Drop for Assembler<R> {
    fn drop(&mut self) {
        // It may be gone with its folder.
        let _ = std::fs::remove_file(&self.path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn assembled(lines: bool, answers: &[(u64, &'static str)]) -> String {
        let folder = tempfile::tempdir().unwrap();
        let mut assembler = Assembler::new(folder.path().join("out"), lines).unwrap();
        for (number, answer) in answers {
            assembler.add(*number, answer.as_bytes()).unwrap();
        }
        std::fs::read_to_string(assembler.finish().unwrap()).unwrap()
    }

    #[test]
    fn answers_stand_in_the_order_of_their_records_however_they_come() {
        assert_eq!(assembled(true, &[(2, "c"), (0, "a"), (3, "d"), (1, "b")]), "a\nb\nc\nd\n");
    }

    #[test]
    fn an_answer_ends_with_one_line_feed_or_as_it_came() {
        assert_eq!(assembled(true, &[(0, "a\nb\n"), (1, ""), (2, "c")]), "a\nb\n\nc\n");
        assert_eq!(assembled(false, &[(0, "a\n"), (1, ""), (2, "c")]), "a\nc");
        assert_eq!(assembled(true, &[]), "");
    }

    #[test]
    fn the_file_goes_with_its_value() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out");
        let assembler = Assembler::<&[u8]>::new(path.clone(), true).unwrap();
        assert!(path.exists());
        drop(assembler);
        assert!(!path.exists());
    }
}
