//! Asking until something has happened.

use std::time::{Duration, Instant};

use crate::aws::ServiceError;

/// How to ask.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pace {
    /// From one question to the next.
    pub(crate) interval: Duration,
    /// For how long without any answer: a job of hours should survive minutes without network.
    pub(crate) patience: Duration,
}

/// Asks at this pace until `ask` has an answer.
///
/// # Errors
/// A refusal for good at once; a transient one, or silence, once nothing else has come for as long as patience lasts.
pub(crate) async fn until<T>(
    pace: Pace,
    mut ask: impl AsyncFnMut() -> Result<Option<T>, ServiceError>,
) -> Result<T, ServiceError> {
    let mut heard = Instant::now();
    loop {
        match ask().await {
            Ok(Some(answer)) => return Ok(answer),
            Ok(None) => heard = Instant::now(),
            Err(error) if error.is_transient() && heard.elapsed() < pace.patience => {}
            Err(error) => return Err(error),
        }
        tokio::time::sleep(pace.interval).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn ask_with(
        patience: Duration,
        mut answers: Vec<Result<Option<u8>, ServiceError>>,
    ) -> Result<u8, ServiceError> {
        answers.reverse();
        until(Pace { interval: Duration::ZERO, patience }, async || answers.pop().unwrap()).await
    }

    fn no_answer() -> ServiceError {
        ServiceError::NoAnswer { operation: "X", reason: "connection refused".to_owned() }
    }

    fn refusal(code: &str) -> ServiceError {
        ServiceError::Refused { operation: "X", code: code.to_owned(), message: "M".to_owned() }
    }

    #[tokio::test]
    async fn a_gap_is_borne_a_lasting_silence_and_a_refusal_are_not() {
        let long = Duration::from_secs(3600);
        let gap = vec![Ok(None), Err(no_answer()), Err(refusal("ThrottlingException")), Ok(Some(1))];
        assert_eq!(ask_with(long, gap).await, Ok(1));
        assert_eq!(ask_with(Duration::ZERO, vec![Ok(None), Err(no_answer())]).await, Err(no_answer()));
        assert_eq!(
            ask_with(long, vec![Err(refusal("ValidationException"))]).await,
            Err(refusal("ValidationException"))
        );
    }
}
