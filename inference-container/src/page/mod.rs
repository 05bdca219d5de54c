//! `GET /`: a page to try the classifier in, which needs nothing beside it.

use std::sync::LazyLock;

use axum::http::header;
use axum::response::{Html, IntoResponse};
use unspsc_page::LivePage;

static PAGE: LazyLock<LivePage> =
    LazyLock::new(|| LivePage::new(include_str!("page.html"), include_str!("page.css"), include_str!("page.js")));

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
