//! Asking until something has happened.

use std::time::Duration;

use crate::aws::ServiceError;

/// So many unanswered questions in a row are borne: a job of hours should survive a minute without network.
const PATIENCE: u32 = 6;

/// Asks every `interval` until `ask` has an answer.
///
/// # Errors
/// A refusal at once, no answer after several attempts.
pub(crate) async fn until<T>(
    interval: Duration,
    mut ask: impl AsyncFnMut() -> Result<Option<T>, ServiceError>,
) -> Result<T, ServiceError> {
    let mut unanswered = 0;
    loop {
        match ask().await {
            Ok(Some(answer)) => return Ok(answer),
            Ok(None) => unanswered = 0,
            Err(error) if error.is_transient() && unanswered < PATIENCE => unanswered += 1,
            Err(error) => return Err(error),
        }
        tokio::time::sleep(interval).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn ask_with(mut answers: Vec<Result<Option<u8>, ServiceError>>) -> Result<u8, ServiceError> {
        answers.reverse();
        until(Duration::ZERO, async || answers.pop().unwrap()).await
    }

    fn no_answer() -> ServiceError {
        ServiceError::NoAnswer { operation: "X", reason: "connection refused".to_owned() }
    }

    #[tokio::test]
    async fn a_gap_is_borne_a_lasting_silence_and_a_refusal_are_not() {
        assert_eq!(ask_with(vec![Ok(None), Err(no_answer()), Ok(None), Ok(Some(1))]).await, Ok(1));
        let silence = (0..=PATIENCE).map(|_| Err(no_answer())).collect();
        assert_eq!(ask_with(silence).await, Err(no_answer()));
        let refusal = ServiceError::Refused { operation: "X", code: "C".to_owned(), message: "M".to_owned() };
        assert_eq!(ask_with(vec![Err(refusal.clone())]).await, Err(refusal));
    }
}
