//! `GET /`: a page to try the classifier in, which needs nothing beside it.

use std::sync::LazyLock;

use axum::http::header;
use axum::response::{Html, IntoResponse};
use base64::prelude::{BASE64_STANDARD, Engine as _};
use sha2::{Digest as _, Sha256};

static PAGE: LazyLock<Page> = LazyLock::new(Page::new);

/// The page and what a browser may do with it.
struct Page {
    html: String,
    policy: String,
}

impl Page {
    fn new() -> Self {
        let style = [unspsc_page::STYLE, include_str!("page.css")].concat();
        let script = include_str!("page.js");
        let html = include_str!("page.html").replace("{style}", &style).replace("{script}", script);
        let (style, script) = (source(&style), source(script));
        let policy = format!(
            "default-src 'none'; style-src {style}; script-src {script}; connect-src 'self'; img-src data:; \
             base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
        );
        Self { html, policy }
    }
}

/// What allows exactly this text between tags (<https://www.w3.org/TR/CSP3/#framework-directive-source-list>).
fn source(text: &str) -> String {
    format!("'sha256-{}'", BASE64_STANDARD.encode(Sha256::digest(text)))
}

/// Answers with the page.
pub(crate) async fn show() -> impl IntoResponse {
    let headers = [
        (header::CONTENT_SECURITY_POLICY, PAGE.policy.as_str()),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CACHE_CONTROL, "no-cache"),
    ];
    (headers, Html(PAGE.html.as_str()))
}
