//! A page in a headless Chromium, where there is one.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Names under which Chromium is installed.
const BROWSERS: [&str; 3] = ["chromium", "chromium-browser", "google-chrome"];

/// A path to a browser; where there is none, says so past the test's capture.
pub(crate) fn browser() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).flat_map(|folder| BROWSERS.map(|name| folder.join(name)));
    let found = found.into_iter().find(|file| file.is_file());
    if found.is_none() {
        let line = format!("skipped: the page was not opened, as there is no {}\n", BROWSERS.join(", "));
        std::io::stderr().write_all(line.as_bytes()).unwrap();
    }
    found
}

/// What `<main>` of the page holds ten seconds, by the page's clock, after it was opened, and what its console said.
pub(crate) fn opened(browser: &Path, url: &str) -> (String, Vec<String>) {
    let profile = tempfile::tempdir().unwrap();
    let mut command = Command::new(browser);
    command.args(["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]);
    // The clock of the page stands still while it waits for the server, so that no machine is too slow.
    command.args(["--virtual-time-budget=10000", "--enable-logging=stderr", "--dump-dom"]);
    command.arg(format!("--user-data-dir={}", profile.path().display())).arg(url);
    let output = command.output().unwrap();
    let log = String::from_utf8_lossy(&output.stderr);
    let console = log.lines().filter(|line| line.contains(":CONSOLE")).map(str::to_owned).collect();
    let page = String::from_utf8(output.stdout).unwrap();
    // Without the script, whose text would be found as well.
    let shown = page.split("<footer").next().unwrap().split("<main>").nth(1);
    (shown.unwrap_or_else(|| panic!("no page: {page} {log}")).to_owned(), console)
}
