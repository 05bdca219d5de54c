//! Following a log file: its new lines, and the times at which they were seen.

use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use crate::time::Time;

/// How much of a line is looked at; what is longer is no line of a metric.
const MAX_LINE_BYTES: usize = 64 * 1024;

/// A log file that grows.
#[derive(Debug)]
pub(crate) struct Follower {
    log: PathBuf,
    /// Bytes that have been read.
    offset: u64,
    /// The beginning of a line whose end is not written yet.
    partial: Vec<u8>,
}

impl Follower {
    /// Follows the file at `log` from its end on; it need not be there yet.
    pub(crate) fn new(log: PathBuf) -> Self {
        let offset = std::fs::metadata(&log).map_or(0, |file| file.len());
        Self { log, offset, partial: Vec::new() }
    }

    /// The lines that have been completed since the last call, which were seen at `now`; the last one also without its end if the log is
    /// `over`.
    ///
    /// # Errors
    /// When the log cannot be read or the time not be kept; no log at all is no error.
    pub(crate) fn new_lines(&mut self, now: Time, over: bool) -> io::Result<Vec<String>> {
        let mut file = match File::open(&self.log) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            opened => opened?,
        };
        file.seek(SeekFrom::Start(self.offset))?;
        let read = file.read_to_end(&mut self.partial)?;
        if read > 0 {
            self.offset += read as u64;
            let mut times = OpenOptions::new().create(true).append(true).open(times_of(&self.log))?;
            times.write_all(format!("{} {}\n", self.offset, now.millis()).as_bytes())?;
        }
        let whole = if over {
            self.partial.len()
        } else {
            self.partial.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1)
        };
        if over && !self.partial.is_empty() && !self.partial.ends_with(b"\n") {
            // What was cut off in the middle of a line is a line too, for whoever reads the log later.
            OpenOptions::new().append(true).open(&self.log)?.write_all(b"\n")?;
            self.offset += 1;
        }
        let rest = self.partial.split_off(whole);
        let lines = std::mem::replace(&mut self.partial, rest);
        // A program that never ends its line must not fill the memory.
        self.partial.truncate(MAX_LINE_BYTES);
        Ok(String::from_utf8_lossy(&lines).lines().map(str::to_owned).collect())
    }
}

/// The file of times that belongs to the log: a line for each look that found it longer, with its length in bytes and the milliseconds since 1970.
fn times_of(log: &Path) -> PathBuf {
    log.with_extension("times")
}

/// When the bytes of a log were seen.
#[derive(Debug)]
pub(crate) struct Times(Vec<(u64, Time)>);

impl Times {
    /// Reads the times of `log`; those that were not noted are `otherwise`.
    pub(crate) fn read(log: &Path, otherwise: Time) -> Self {
        let mut times = Vec::new();
        if let Ok(file) = File::open(times_of(log)) {
            for line in BufReader::new(file).lines().map_while(Result::ok) {
                let numbers = line.split_once(' ').and_then(|(end, at)| Some((end.parse().ok()?, at.parse().ok()?)));
                times.extend(numbers.map(|(end, at)| (end, Time::from_millis(at))));
            }
        }
        let last = times.last().map_or(otherwise, |(_, at)| *at);
        times.push((u64::MAX, last));
        Self(times)
    }

    /// When the line that ends before the byte `end` was seen.
    pub(crate) fn at(&self, end: u64) -> Time {
        let index = self.0.partition_point(|(seen, _)| *seen < end);
        self.0.get(index).or(self.0.last()).map_or(Time::from_millis(0), |(_, at)| *at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_come_once_when_they_are_whole_and_keep_their_time() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("job.log");
        let mut follower = Follower::new(log.clone());
        let at = Time::from_millis;
        assert!(follower.new_lines(at(1), false).unwrap().is_empty(), "there is no file yet");
        let mut file = File::create(&log).unwrap();
        file.write_all(b"one\ntw").unwrap();
        assert_eq!(follower.new_lines(at(10), false).unwrap(), ["one"]);
        file.write_all(b"o\nthree").unwrap();
        assert_eq!(follower.new_lines(at(20), false).unwrap(), ["two"]);
        assert_eq!(follower.new_lines(at(30), true).unwrap(), ["three"]);
        let times = Times::read(&log, at(99));
        assert_eq!([4, 8, 13].map(|end| times.at(end).millis()), [10, 20, 20]);
        assert_eq!(times.at(1000).millis(), 20, "what no look has seen is as late as the last look");
    }

    #[test]
    fn a_log_without_times_has_the_time_that_it_is_given() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(Times::read(&folder.path().join("old.log"), Time::from_millis(7)).at(3).millis(), 7);
    }
}
