//! The page at `/` in a headless Chromium, where there is one: what it shows for a description and for a statement.

use std::io::Write as _;

use reqwest::Url;

use super::*;

/// Names under which Chromium is installed.
const BROWSERS: [&str; 3] = ["chromium", "chromium-browser", "google-chrome"];

/// A path to a browser; where there is none, says so past the test's capture.
fn browser() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).flat_map(|folder| BROWSERS.map(|name| folder.join(name)));
    let found = found.into_iter().find(|file| file.is_file());
    if found.is_none() {
        let line = format!("skipped: the page was not opened, as there is no {}\n", BROWSERS.join(", "));
        std::io::stderr().write_all(line.as_bytes()).unwrap();
    }
    found
}

/// The page's elements once it has classified `text`, and what its console said.
fn opened(browser: &Path, server: &Server, mode: &str, text: &str) -> (String, Vec<String>) {
    let mut url = Url::parse(&server.address).unwrap();
    url.query_pairs_mut().append_pair(mode, text);
    let fragment = url.query().unwrap().to_owned();
    url.set_query(None);
    url.set_fragment(Some(&fragment));
    let profile = tempfile::tempdir().unwrap();
    let mut command = Command::new(browser);
    command.args(["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]);
    // The clock of the page stands still while it waits for the server, so that no machine is too slow.
    command.args(["--virtual-time-budget=10000", "--enable-logging=stderr", "--dump-dom"]);
    command.arg(format!("--user-data-dir={}", profile.path().display())).arg(url.as_str());
    let output = command.output().unwrap();
    let log = String::from_utf8_lossy(&output.stderr);
    let console = log.lines().filter(|line| line.contains(":CONSOLE")).map(str::to_owned).collect();
    let page = String::from_utf8(output.stdout).unwrap();
    // Without the script, whose text would be found as well.
    let shown = page.split("<footer").next().unwrap().split("<main>").nth(1);
    (shown.unwrap_or_else(|| panic!("no page: {page} {log}")).to_owned(), console)
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
