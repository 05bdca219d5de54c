//! What is left behind when a job fails.

use std::any::Any;
use std::panic::{self, AssertUnwindSafe};
use std::path::Path;

use crate::TrainError;

/// Runs `job`; a panic inside becomes an error like any other.
pub(crate) fn catch<T>(job: impl FnOnce() -> Result<T, TrainError>) -> Result<T, TrainError> {
    panic::set_hook(Box::new(|info| tracing::error!("{info}")));
    // The job's state is dropped with it, so that nobody sees what a panic left half done.
    let result = panic::catch_unwind(AssertUnwindSafe(job));
    drop(panic::take_hook());
    result.unwrap_or_else(|payload| Err(TrainError::Panic(message(payload.as_ref()))))
}

fn message(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| payload.downcast_ref::<String>().cloned()).unwrap_or_else(|| "no message".into())
}

/// Writes `error` to `path`, of which SageMaker shows the first [`unspsc_contract::MAX_FAILURE_CHARS`] characters.
///
/// A path that cannot be written is logged and changes nothing else: the exit code still tells.
pub(crate) fn record(path: &Path, error: &TrainError) {
    let folder = path.parent().unwrap_or(path);
    let written = std::fs::create_dir_all(folder).and_then(|()| std::fs::write(path, error.to_string()));
    if let Err(error) = written {
        tracing::warn!("cannot write {}: {error}", path.display());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_becomes_an_error_with_its_message() {
        let error = catch::<()>(|| panic!("index {} of 3", 7)).unwrap_err();
        assert_eq!(error.to_string(), "internal fault (a defect of this program): index 7 of 3");
        assert_eq!(error.exit_code(), 3);
        assert_eq!(catch(|| Ok(5)).unwrap(), 5);
    }

    #[test]
    fn the_reason_is_written_where_it_can_be() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("output/failure");
        record(&path, &TrainError::Data("no rows".into()));
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "no rows");
        // A file in the folder's place: nothing can be written below it, and that is no second failure.
        record(&path.join("failure"), &TrainError::Data("no rows".into()));
    }
}
