//! The page at `/` in a headless Chromium, where there is one: what it shows for a description and for a statement.

use reqwest::Url;

use super::*;
use crate::browser::{self, browser};

/// The page's elements once it has classified `text`, and what its console said.
fn opened(browser: &Path, server: &Server, mode: &str, text: &str) -> (String, Vec<String>) {
    let mut url = Url::parse(&server.address).unwrap();
    url.query_pairs_mut().append_pair(mode, text);
    let fragment = url.query().unwrap().to_owned();
    url.set_query(None);
    url.set_fragment(Some(&fragment));
    browser::opened(browser, url.as_str())
}

/// A model whose labels are classes, in a base directory.
fn finer() -> TempDir {
    let base = base("bert");
    let path = base.path().join("model/config.json");
    let segments = fs::read_to_string(&path).unwrap();
    let classes = (10..22).fold(segments, |config, segment| {
        config.replace(&format!("\"{segment}000000\""), &format!("\"{segment}101500\""))
    });
    fs::write(path, classes).unwrap();
    base
}

#[tokio::test]
async fn the_page_shows_a_description_down_the_levels_and_a_statement_by_segment() {
    let Some(browser) = browser() else { return };
    let base = finer();
    let server = Server::start(base.path());
    server.ready().await;

    let (page, console) = opened(&browser, &server, "text", "toner cartridge & <b>ink</b>");
    assert_eq!(console, [""; 0]);
    assert!(page.contains("ms, network included"), "{page}");
    for part in ["<h2>The path</h2>", "<h2>Segment</h2>", "<h2>Family</h2>", "<h2>Class</h2>"] {
        assert!(page.contains(part), "{part} is missing: {page}");
    }
    assert_eq!(page.matches("class=\"level\"").count(), 3, "a step for each level: {page}");
    assert_eq!(page.matches("class=\"percent\"").count(), 3 + 15, "and five labels of each: {page}");
    assert!(page.contains("needs review"), "labels of random weights are not to be trusted: {page}");
    assert!(!page.contains("<b>ink"), "{page}");

    let statement = "Coffee; <img src=x onerror=console.error(1)> bread; tea, other than herbal tea";
    let (page, console) = opened(&browser, &server, "statement", statement);
    assert_eq!(console, [""; 0]);
    assert_eq!(page.matches("<mark ").count(), 3, "{page}");
    let written = "&lt;img src=x onerror=console.error(1)&gt; bread";
    assert!(page.contains(written) && !page.contains("<img src=\"x\""), "{page}");
    assert!(page.contains("exclusion: other than herbal tea"), "{page}");
    assert!(page.contains("segments that are not listed have "), "{page}");
    assert!(
        page.contains("000000</code>") && !page.contains("101500</code>"),
        "the profile is not of segments: {page}"
    );

    let (page, console) = opened(&browser, &server, "text", " ");
    assert!(page.contains("`description` is empty after cleaning"), "{page}");
    assert!(console.iter().all(|line| line.contains("400")), "{console:?}");
}
