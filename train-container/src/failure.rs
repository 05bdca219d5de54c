//! What is left behind when a job fails.

use std::any::Any;
use std::error::Error;
use std::fs;
use std::io::{self, Write as _};
use std::panic::{self, AssertUnwindSafe};
use std::path::Path;

use unspsc_contract::MAX_FAILURE_CHARS;

use crate::TrainError;

/// What joins an error to its cause.
const LINK: &str = ": ";
/// What stands for the middle of a long text.
const GAP: &str = " … ";
/// What C++ stacks begin with in libtorch's messages.
const STACK: [&str; 2] = ["Exception raised from", "frame #0:"];

/// How libtorch, CUDA's libraries, C++ and Rust say that there is no memory left.
const OUT_OF_MEMORY: [&str; 7] = [
    "out of memory",
    "DefaultCPUAllocator",
    "not enough memory",
    "ALLOC_FAILED",
    // oneDNN's words where a primitive that it has described gets no memory.
    "could not create a primitive",
    "std::bad_alloc",
    "memory allocation of",
];

/// The error that `message` is, where it tells of memory that was refused.
pub(crate) fn out_of_memory(message: &str) -> Option<TrainError> {
    let told = OUT_OF_MEMORY.iter().any(|words| message.contains(words));
    told.then(|| TrainError::OutOfMemory(one_line(message)))
}

/// Runs `job`; a panic inside becomes an error like any other.
pub(crate) fn catch<T>(job: impl FnOnce() -> Result<T, TrainError>) -> Result<T, TrainError> {
    panic::set_hook(Box::new(|info| tracing::error!("{info}")));
    // The job's state is dropped with it, so that nobody sees what a panic left half done.
    let result = panic::catch_unwind(AssertUnwindSafe(job));
    drop(panic::take_hook());
    result.unwrap_or_else(|payload| {
        let message = message(payload.as_ref());
        Err(out_of_memory(&message).unwrap_or(TrainError::Panic(message)))
    })
}

fn message(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| payload.downcast_ref::<String>().cloned()).unwrap_or_else(|| "no message".into())
}

/// Logs `error` with its causes, then writes them to `path`, of which SageMaker shows the first [`MAX_FAILURE_CHARS`].
///
/// A path that cannot be written is logged and changes nothing else: the exit code still tells.
pub(crate) fn report(path: &Path, error: &TrainError) {
    tracing::error!("{}", links(error).join(LINK));
    // The platform reads the file when the log is complete.
    let _ = io::stdout().flush();
    write(path, &reason(error));
}

/// Writes `text` to `path`, or logs why not.
pub(crate) fn write(path: &Path, text: &str) {
    let folder = path.parent().unwrap_or(path);
    if let Err(error) = fs::create_dir_all(folder).and_then(|()| fs::write(path, text)) {
        tracing::warn!("cannot write {}: {error}", path.display());
    }
}

/// `error` and its causes, outermost first, on one line of at most [`MAX_FAILURE_CHARS`] characters: where they are longer,
/// each keeps its beginning and its end.
fn reason(error: &dyn Error) -> String {
    let links: Vec<String> = links(error).iter().map(|link| one_line(link)).collect();
    let whole = links.join(LINK);
    if whole.chars().count() <= MAX_FAILURE_CHARS {
        return whole;
    }
    let room = (MAX_FAILURE_CHARS / links.len().max(1)).saturating_sub(LINK.len());
    links.iter().map(|link| shortened(link, room)).collect::<Vec<_>>().join(LINK)
}

/// The messages of `error` and of its causes; one that quotes its cause speaks for it.
fn links(error: &dyn Error) -> Vec<String> {
    let mut links: Vec<String> = Vec::new();
    let mut next = Some(error);
    while let Some(link) = next {
        let message = link.to_string();
        if !links.iter().any(|outer| outer.contains(&message)) {
            links.push(message);
        }
        next = link.source();
    }
    links
}

/// `text` without line breaks and without a C++ stack.
pub(crate) fn one_line(text: &str) -> String {
    let end = STACK.iter().filter_map(|mark| text.find(mark)).min().unwrap_or(text.len());
    let message = text.get(..end).unwrap_or(text);
    message.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// `text` with as much of its middle left out as `room` characters want, two thirds of them for the beginning.
fn shortened(text: &str, room: usize) -> String {
    let count = text.chars().count();
    if count <= room {
        return text.to_owned();
    }
    let kept = room.saturating_sub(GAP.chars().count());
    let tail = kept / 3;
    let head: String = text.chars().take(kept - tail).collect();
    head + GAP + &text.chars().skip(count - tail).collect::<String>()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_becomes_an_error_with_its_message() {
        let error = catch::<()>(|| panic!("index {} of 3", 7)).unwrap_err();
        assert_eq!(error.to_string(), "internal fault (a defect of this program): index 7 of 3");
        assert_eq!(error.exit_code(), 9);
        assert_eq!(catch(|| Ok(5)).unwrap(), 5);
        let error = catch::<()>(|| panic!("[enforce fail] DefaultCPUAllocator: can't allocate memory")).unwrap_err();
        assert_eq!(error.exit_code(), 8);
    }

    #[test]
    fn the_reason_is_written_where_it_can_be() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("output/failure");
        report(&path, &TrainError::Data("no rows".into()));
        assert_eq!(fs::read_to_string(&path).unwrap(), "no rows");
        // A file in the folder's place: nothing can be written below it, and that is no second failure.
        report(&path.join("failure"), &TrainError::Data("no rows".into()));
    }

    #[derive(Debug, thiserror::Error)]
    #[error("{text}")]
    struct Link {
        text: String,
        source: Option<Box<Link>>,
    }

    fn chain(texts: &[&str]) -> Link {
        let below = |source, text: &&str| Some(Box::new(Link { text: (*text).to_owned(), source }));
        *texts.iter().rev().fold(None, below).unwrap()
    }

    #[test]
    fn the_whole_chain_is_told_once_and_within_the_limit() {
        assert_eq!(reason(&chain(&["cannot read a: denied", "denied"])), "cannot read a: denied");
        assert_eq!(reason(&chain(&["outer", "middle\nof it", "inner"])), "outer: middle of it: inner");
        assert_eq!(reason(&chain(&["oops\nException raised from f (most recent call first):\nframe #0"])), "oops");
        let (first, second) = (format!("a{}b", "ä".repeat(3000)), format!("c{}d", "€".repeat(3000)));
        let long = reason(&chain(&[&first, &second]));
        assert!((1000..=MAX_FAILURE_CHARS).contains(&long.chars().count()), "{long}");
        assert!(long.starts_with('a') && long.contains("b: c") && long.ends_with('d'), "{long}");
    }
}
