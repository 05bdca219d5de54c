//! Under which names the server lets itself be addressed.

use std::net::IpAddr;

use axum::http::StatusCode;
use axum::http::header::{HOST, HeaderMap};

use crate::error::ApiError;

/// Refuses a request that was sent to a name other than `localhost`: whoever owns a name can let it point here, and would be let in by a
/// browser as that name's own site.
pub(crate) fn check_host(headers: &HeaderMap) -> Result<(), ApiError> {
    let host = headers.get(HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.rsplit_once(':').map_or(host, |(name, _)| name),
    };
    if name == "localhost" || name.parse::<IpAddr>().is_ok() {
        return Ok(());
    }
    Err(ApiError::new(
        StatusCode::FORBIDDEN,
        "AccessDenied",
        "sagemaker-local is reached by the address of its machine, or as localhost, and by no other name.",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;

    #[test]
    fn the_server_is_reached_by_addresses_and_not_by_names() {
        let host = |host: &'static str| check_host(&HeaderMap::from_iter([(HOST, HeaderValue::from_static(host))]));
        for good in ["127.0.0.1:4570", "localhost:4570", "localhost", "[::1]:80", "10.0.0.7"] {
            assert!(host(good).is_ok(), "{good}");
        }
        for bad in ["evil.example:4570", "127.0.0.1.evil.example", "", "localhost.evil.example:1"] {
            assert!(host(bad).is_err(), "{bad}");
        }
    }
}
