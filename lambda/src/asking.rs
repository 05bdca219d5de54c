//! Asks the endpoint again while that may help, and never for longer than the caller waits.

use std::time::Duration;

use aws_sdk_sagemakerruntime::primitives::Blob;
use serde_json::value::RawValue;

use crate::deadline::Deadline;
use crate::endpoint::{Endpoint, Failure};

/// The pause before the second request, at most; each further one may be twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// The longest pause, unless the container asks for more.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// What came of it, and after how many requests.
#[derive(Debug)]
pub(crate) struct Asked {
    pub(crate) outcome: Result<Box<RawValue>, Failure>,
    pub(crate) requests: u32,
}

/// Asks until there is an answer, asking again is useless, or the caller's time is over.
pub(crate) async fn ask(endpoint: &Endpoint, body: Vec<u8>, deadline: Deadline) -> Asked {
    let (body, mut requests) = (Blob::new(body), 0);
    loop {
        requests += 1;
        let answer = tokio::time::timeout_at(deadline.end(), endpoint.ask(&body)).await;
        let failure = match answer {
            Ok(Ok(answer)) => return Asked { outcome: Ok(answer), requests },
            Ok(Err(failure)) => failure,
            Err(_) => Failure::Late,
        };
        let Some(pause) = pause(&failure, requests, fastrand::f64()).filter(|pause| *pause < deadline.left()) else {
            return Asked { outcome: Err(failure), requests };
        };
        tracing::warn!(requests, pause = ?pause, "{failure}: asking again");
        tokio::time::sleep(pause).await;
    }
}

/// How long to wait after the failure of request number `requests`; nothing where it will not pass. `drawn`, 0 to 1, keeps
/// those apart who failed together.
fn pause(failure: &Failure, requests: u32, drawn: f64) -> Option<Duration> {
    if !failure.is_transient() {
        return None;
    }
    if let Some(asked_for) = failure.retry_after() {
        return Some(asked_for + FIRST_PAUSE.mul_f64(drawn));
    }
    let longest = FIRST_PAUSE.saturating_mul(2u32.saturating_pow(requests.saturating_sub(1))).min(LONGEST_PAUSE);
    // At least half of it: a pause of nothing would be none.
    Some(longest.mul_f64(0.5 + drawn / 2.0))
}

#[cfg(test)]
mod tests {
    use unspsc_contract::invocation::ErrorDetail;

    use super::*;

    #[test]
    fn pauses_grow_and_are_drawn() {
        let millis = |requests, drawn| pause(&Failure::NotReady, requests, drawn).unwrap().as_millis();
        assert_eq!([1, 2, 3].map(|requests| millis(requests, 1.0)), [100, 200, 400]);
        assert_eq!([1, 2, 3].map(|requests| millis(requests, 0.0)), [50, 100, 200]);
        assert_eq!((millis(40, 1.0), millis(u32::MAX, 0.0)), (5_000, 2_500));
    }

    #[test]
    fn a_container_that_names_a_time_is_left_alone_for_it() {
        let detail = |retry_after| ErrorDetail {
            code: "overloaded".to_owned(),
            message: "busy".to_owned(),
            retry_after,
            request_id: None,
        };
        let refused = |retry_after| Failure::Refused { status: 503, detail: detail(retry_after) };
        assert_eq!(pause(&refused(Some(7)), 1, 0.0), Some(Duration::from_secs(7)));
        assert_eq!(pause(&refused(None), 1, 0.0), None);
        assert_eq!(pause(&Failure::Late, 1, 0.0), None);
    }
}
