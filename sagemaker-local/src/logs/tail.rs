//! The end of a log, for a reason.

use std::fs;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::Path;

/// How much of the log's end a reason quotes.
const TAIL_BYTES: u64 = 2048;
const TAIL_LINES: usize = 5;

/// The last lines of a log, from the byte `start` on.
pub(crate) fn tail(log: &Path, start: u64) -> Vec<String> {
    let mut bytes = Vec::new();
    // A log that cannot be read has nothing to say.
    let _ = fs::File::open(log).and_then(|mut file| {
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(TAIL_BYTES).max(start)))?;
        file.read_to_end(&mut bytes)
    });
    let text = String::from_utf8_lossy(&bytes);
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    lines.iter().skip(lines.len().saturating_sub(TAIL_LINES)).map(|line| (*line).to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tail_of_a_log_is_its_last_lines() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("log");
        assert!(tail(&log, 0).is_empty());
        fs::write(&log, "one\n\ntwo\n").unwrap();
        assert_eq!(tail(&log, 0), ["one", "two"]);
        assert_eq!(tail(&log, 5), ["two"], "what an earlier instance wrote is none of its words");
        let lines: Vec<String> = (0..1000).map(|i| format!("line {i}")).collect();
        fs::write(&log, lines.join("\n")).unwrap();
        assert_eq!(tail(&log, 0), ["line 995", "line 996", "line 997", "line 998", "line 999"]);
    }
}
