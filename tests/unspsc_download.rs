//! `unspsc data download` against a server that breaks off, lies, refuses and confuses.

#![allow(clippy::unwrap_used, reason = "helpers of tests: a panic is the report")]

#[path = "support/faulty_server.rs"]
mod faulty_server;
#[path = "support/unspsc.rs"]
mod support;

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use faulty_server::{Reply, Server};
use support::{texts, unspsc};

/// The one file of the source `oklahoma`.
const FILE: &str = "oklahoma/data-unspsc-codes.csv";

/// What the server has: long enough to be sent in several pieces, and different everywhere.
fn data() -> Vec<u8> {
    (0..40_000).flat_map(|row| format!("{row},valve {row},40141600\n").into_bytes()).collect()
}

/// A folder to download into.
struct Downloads(tempfile::TempDir);

/// How the program ended.
struct Outcome {
    code: Option<i32>,
    out: String,
    err: String,
}

impl Downloads {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn command(&self, mirror: &str, sources: &[&str]) -> Command {
        let mut command = unspsc(["data", "download", "--mirror", mirror, "--output"]);
        command.arg(self.0.path()).args(sources);
        for name in ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"] {
            command.env_remove(name).env_remove(name.to_ascii_lowercase());
        }
        command
    }

    /// Downloads the one file of `oklahoma`.
    fn fetch(&self, server: &Server) -> Outcome {
        Outcome::of(&mut self.command(&server.url(), &["oklahoma"]))
    }

    /// Everything in the folder of `oklahoma`.
    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.path("oklahoma")).unwrap();
        let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    /// The file is there, whole, and nothing beside it.
    fn assert_whole(&self, expected: &[u8]) {
        assert!(fs::read(self.path(FILE)).unwrap() == expected, "the bytes are others");
        assert_eq!(self.names(), ["data-unspsc-codes.csv"]);
        let records: serde_json::Value =
            serde_json::from_slice(&fs::read(self.path("downloads.json")).unwrap()).unwrap();
        assert_eq!(records[FILE]["bytes"], expected.len());
        assert_eq!(records[FILE]["sha256"].as_str().map(str::len), Some(64));
    }
}

impl Outcome {
    fn of(command: &mut Command) -> Self {
        let output = command.output().unwrap();
        let (out, err) = texts(&output);
        Self { code: output.status.code(), out, err }
    }

    fn assert_done(&self) {
        assert_eq!(self.code, Some(0), "{}", self.err);
    }

    /// It failed, and says this, what to do, and how many of how many.
    fn assert_failed(&self, reason: &str) {
        assert_eq!(self.code, Some(1), "{}", self.err);
        assert!(self.err.contains(reason), "{reason} is not in\n{}", self.err);
        assert!(self.err.contains("yourself, or train on files that you have with --data"), "{}", self.err);
        assert_eq!(self.err.lines().last(), Some("error: 1 of 1 files could not be downloaded"));
    }
}

#[test]
fn a_second_run_downloads_nothing_and_a_damaged_file_is_fetched_again() {
    let (server, folder) = (Server::start([Reply::whole(data()), Reply::whole(data())]), Downloads::new());
    let first = folder.fetch(&server);
    first.assert_done();
    folder.assert_whole(&data());
    assert!(first.out.contains("downloaded") && first.out.contains("UNDP"), "{}", first.out);
    assert_eq!(first.err.lines().count(), 1, "one line a file: {}", first.err);
    let second = folder.fetch(&server);
    second.assert_done();
    assert!(second.out.contains("unchanged"), "{}", second.out);
    assert_eq!(server.requests().len(), 1);
    assert!(server.requests()[0].starts_with(&format!("GET /{FILE} HTTP/1.1\r\n")));
    assert_eq!(server.header(0, "user-agent").as_deref(), Some(concat!("unspsc/", env!("CARGO_PKG_VERSION"))));

    let mut damaged = data();
    damaged[12_345] ^= 1;
    fs::write(folder.path(FILE), &damaged).unwrap();
    let third = folder.fetch(&server);
    third.assert_done();
    assert!(third.err.contains("other bytes of the same length"), "{}", third.err);
    assert!(third.out.contains("replaced"), "{}", third.out);
    folder.assert_whole(&data());

    // Nobody answers any more: what is there stays there.
    fs::write(folder.path(FILE), "short").unwrap();
    drop(server);
    let server = Server::start([Reply::status(404)]);
    let fourth = folder.fetch(&server);
    fourth.assert_failed("404 Not Found");
    assert!(fourth.err.contains("5 bytes instead of") && fourth.err.contains("was left as it is"), "{}", fourth.err);
    assert_eq!(fs::read(folder.path(FILE)).unwrap(), b"short");
}

#[test]
fn a_broken_transfer_goes_on_where_it_ended() {
    let half = data().len() / 2;
    let (server, folder) =
        (Server::start([Reply::whole(data()).cut_at(half), Reply::rest(&data(), half)]), Downloads::new());
    let outcome = folder.fetch(&server);
    outcome.assert_done();
    folder.assert_whole(&data());
    assert!(outcome.err.contains("trying again in") && outcome.err.contains("resuming"), "{}", outcome.err);
    assert_eq!(server.header(0, "range"), None);
    assert_eq!(server.header(1, "range"), Some(format!("bytes={half}-")));
    assert_eq!(server.header(1, "if-range").as_deref(), Some("\"v1\""));
}

#[test]
fn a_later_run_goes_on_too_and_no_half_file_has_the_name() {
    let half = data().len() / 2;
    let folder = Downloads::new();
    let server = Server::start([Reply::whole(data()).cut_at(half), Reply::status(403)]);
    let outcome = folder.fetch(&server);
    outcome.assert_failed("403 Forbidden");
    assert!(outcome.err.contains(".part is kept: the same command goes on from there"), "{}", outcome.err);
    assert_eq!(folder.names(), [".data-unspsc-codes.csv.part", ".data-unspsc-codes.csv.part.json"]);
    // Another server under the same name is another story, so this one has to be the same.
    server.then([Reply::rest(&data(), half)]);
    folder.fetch(&server).assert_done();
    assert_eq!(server.header(2, "range"), Some(format!("bytes={half}-")));
    folder.assert_whole(&data());
}

#[test]
fn ctrl_c_keeps_the_part() {
    let folder = Downloads::new();
    let half = data().len() / 2;
    let server = Server::start([Reply::whole(data()).stall_at(half), Reply::rest(&data(), half)]);
    let mut child = folder.command(&server.url(), &["oklahoma"]).stderr(std::process::Stdio::piped()).spawn().unwrap();
    let part = folder.path("oklahoma/.data-unspsc-codes.csv.part");
    let begun = Instant::now();
    while fs::metadata(&part).map_or(0, |metadata| metadata.len()) < half as u64 {
        assert!(begun.elapsed() < Duration::from_secs(20), "nothing came");
        std::thread::sleep(Duration::from_millis(10));
    }
    assert!(!folder.path(FILE).exists());
    let killed = Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(killed.success());
    let mut err = String::new();
    std::io::Read::read_to_string(&mut child.stderr.take().unwrap(), &mut err).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(130), "{err}");
    assert!(err.contains(".part is kept: the same command goes on from there"), "{err}");
    folder.fetch(&server).assert_done();
    folder.assert_whole(&data());
}

#[test]
fn a_file_that_has_changed_meanwhile_is_not_pieced_together() {
    let half = data().len() / 2;
    let new: Vec<u8> = data().iter().rev().copied().collect();
    let part_of_new = Reply::rest(&new, half).etag("\"v2\"");
    let cases: [(&str, Vec<Reply>); 5] = [
        ("the whole new file", vec![Reply::whole(new.clone()).etag("\"v2\"")]),
        ("a part of the new one", vec![part_of_new, Reply::whole(new.clone()).etag("\"v2\"")]),
        ("a part from elsewhere", vec![Reply::rest(&data(), half - 1), Reply::whole(new.clone())]),
        ("416", vec![Reply::status(416), Reply::whole(new.clone())]),
        ("ranges are unknown here", vec![Reply::whole(new.clone()).without("accept-ranges").without("etag")]),
    ];
    for (name, replies) in cases {
        let folder = Downloads::new();
        let first = Reply::whole(data()).cut_at(half);
        let server = Server::start(std::iter::once(first).chain(replies));
        let outcome = folder.fetch(&server);
        assert_eq!(outcome.code, Some(0), "{name}: {}", outcome.err);
        folder.assert_whole(&new);
        assert!(server.header(1, "range").is_some(), "{name}");
    }
}

#[test]
fn without_a_validator_nothing_is_continued() {
    let half = data().len() / 2;
    let bare = || Reply::whole(data()).without("etag").without("last-modified");
    let (server, folder) = (Server::start([bare().cut_at(half), bare()]), Downloads::new());
    folder.fetch(&server).assert_done();
    folder.assert_whole(&data());
    assert_eq!(server.header(1, "range"), None);
    let weak = |reply: Reply| reply.etag("W/\"1\"");
    let replies = [weak(Reply::whole(data())).cut_at(9), weak(Reply::rest(&data(), 9))];
    let (server, folder) = (Server::start(replies), Downloads::new());
    folder.fetch(&server).assert_done();
    assert_eq!(server.header(1, "if-range").as_deref(), Some("Sun, 22 Nov 2026 10:00:00 GMT"));
}

#[test]
fn busy_servers_are_waited_for_and_asked_no_sooner_than_they_say() {
    let soon = Reply::status(429).with("retry-after", "1");
    let replies = [soon, Reply::status(500), Reply::status(503).with("retry-after", "0"), Reply::whole(data())];
    let (server, folder, begun) = (Server::start(replies), Downloads::new(), Instant::now());
    let outcome = folder.fetch(&server);
    outcome.assert_done();
    folder.assert_whole(&data());
    assert!(begun.elapsed() >= Duration::from_secs(1));
    for part in ["429 Too Many Requests and asks for 1 second of patience; trying again in 1.0 s", "500 Internal"] {
        assert!(outcome.err.contains(part), "{part} is not in\n{}", outcome.err);
    }
}

#[test]
fn patience_ends() {
    let busy = || Reply::status(503).with("retry-after", "0");
    let (server, folder) = (Server::start((0..9).map(|_| busy())), Downloads::new());
    folder.fetch(&server).assert_failed("reason: the server answered 503 Service Unavailable\n");
    assert_eq!(server.requests().len(), 5);
    let (server, folder) = (Server::start([Reply::status(429).with("retry-after", "3600")]), Downloads::new());
    folder.fetch(&server).assert_failed("429 Too Many Requests and asks for 60 minutes of patience");
    assert_eq!(server.requests().len(), 1);
}

#[test]
fn what_is_not_the_file_is_refused_at_once_and_leaves_nothing() {
    let page = b"\n<!DOCTYPE html><title>Down for maintenance</title>".to_vec();
    let mut long = Reply::whole(data());
    long.body.extend_from_slice(b"and more");
    let cases = [
        ("404 Not Found", Reply::status(404)),
        ("a web page instead of the file", Reply::whole(page.clone()).with("content-type", "text/html")),
        ("a web page instead of the file", Reply::whole(page)),
        ("an empty file", Reply::whole(Vec::new())),
        ("more than it declared", long),
        (
            "is larger than 2.00 GiB",
            Reply::whole(data()).without("content-length").with("content-length", "3000000000"),
        ),
        ("declares no length", Reply::whole(data()).without("content-length")),
        ("in the coding `gzip`", Reply::whole(data()).with("content-encoding", "gzip")),
        ("redirects to `mailto:x`", Reply::status(302).with("location", "mailto:x")),
    ];
    for (reason, reply) in cases {
        let (server, folder) = (Server::start([reply]), Downloads::new());
        folder.fetch(&server).assert_failed(reason);
        assert_eq!(server.requests().len(), 1, "{reason}");
        assert!(folder.names().is_empty(), "{reason}: {:?}", folder.names());
        assert!(!folder.path("downloads.json").exists(), "{reason}");
    }
}

#[test]
fn redirections_and_chunks_are_followed() {
    let chunked = Reply::chunked(data());
    let server = Server::start([Reply::status(302).with("location", "/storage/x.csv?signature=1"), chunked]);
    let folder = Downloads::new();
    folder.fetch(&server).assert_done();
    folder.assert_whole(&data());
    assert!(server.requests()[1].starts_with("GET /storage/x.csv?signature=1 HTTP/1.1\r\n"));
}

#[test]
fn one_failure_does_not_stop_the_others() {
    let (server, folder) =
        (Server::start([Reply::status(404), Reply::whole(data()), Reply::whole(data())]), Downloads::new());
    let outcome = Outcome::of(&mut folder.command(&server.url(), &["onet"]));
    assert_eq!(outcome.code, Some(1));
    assert_eq!(outcome.err.lines().last(), Some("error: 1 of 3 files could not be downloaded"));
    assert!(!folder.path("onet/Tools Used.txt").exists());
    for name in ["Technology Skills.txt", "UNSPSC Reference.txt"] {
        assert!(fs::read(folder.path("onet").join(name)).unwrap() == data(), "{name}");
    }
    assert!(server.requests()[0].starts_with("GET /onet/Tools%20Used.txt HTTP/1.1\r\n"));
    // The user does what the message says, and everything is there.
    assert!(outcome.err.contains(&format!("place the file at {}", folder.path("onet/Tools Used.txt").display())));
    fs::write(folder.path("onet/Tools Used.txt"), "by hand").unwrap();
    let outcome = Outcome::of(&mut folder.command(&server.url(), &["onet"]));
    outcome.assert_done();
    assert!(outcome.out.contains("not downloaded, left as it is"), "{}", outcome.out);
    assert_eq!(server.requests().len(), 3);
}

#[test]
fn offline_every_address_is_named_once_with_what_to_do() {
    let folder = Downloads::new();
    let outcome = Outcome::of(&mut folder.command("http://127.0.0.1:9/files", &["california", "austender"]));
    assert_eq!(outcome.code, Some(1));
    assert_eq!(outcome.err.matches("trying again").count(), 2, "{}", outcome.err);
    for part in [
        "california/purchase-order-data-2012-2015-.csv did not come from http://127.0.0.1:9/files/california/purchase",
        "reason: 127.0.0.1:9 cannot be reached: Connection refused",
        "error: 4 of 4 files could not be downloaded",
    ] {
        assert!(outcome.err.contains(part), "{part} is not in\n{}", outcome.err);
    }
    assert!(outcome.out.is_empty() && fs::read_dir(folder.path("california")).unwrap().next().is_none());
}

#[test]
fn the_environments_proxy_is_used() {
    let (server, folder) = (Server::start([Reply::whole(data())]), Downloads::new());
    let mut command = folder.command("http://mirror.invalid/files", &["oklahoma"]);
    Outcome::of(command.env("HTTP_PROXY", server.url())).assert_done();
    folder.assert_whole(&data());
    assert_eq!(server.header(0, "host").as_deref(), Some("mirror.invalid"));
    assert_eq!(server.tunnels(), ["CONNECT mirror.invalid:80 HTTP/1.1"]);
}

#[test]
fn this_machines_own_faults_are_named() {
    let (server, folder) = (Server::start([Reply::whole(data())]), Downloads::new());
    fs::write(folder.path("oklahoma"), "a file, not a folder").unwrap();
    folder.fetch(&server).assert_failed(&format!("cannot read {}", folder.path(FILE).display()));
    fs::remove_file(folder.path("oklahoma")).unwrap();
    fs::write(folder.path("downloads.json"), "{").unwrap();
    let outcome = folder.fetch(&server);
    assert!(outcome.err.starts_with(&format!("error: cannot understand {}", folder.path("downloads.json").display())));
    fs::remove_file(folder.path("downloads.json")).unwrap();
    let lock = fs::File::open(folder.path("")).unwrap();
    lock.lock().unwrap();
    let outcome = folder.fetch(&server);
    assert!(outcome.err.contains("is under way"), "{}", outcome.err);
    assert!(server.requests().is_empty());
}

#[test]
fn the_list_has_every_address_in_one_piece() {
    let folder = tempfile::tempdir().unwrap();
    let output = unspsc(["data", "download", "--list"]).current_dir(&folder).output().unwrap();
    let (out, err) = texts(&output);
    assert!(output.status.success() && err.is_empty(), "{err}");
    for url in [
        "https://data.ok.gov/dataset/18a622a6-32d1-48f6-842a-8232bc4ca06c/resource/\
         b92ad3ac-b0f5-4c62-9bd0-eac023cfd083/download/data-unspsc-codes.csv",
        "https://www.onetcenter.org/dl_files/database/db_29_2_text/Tools%20Used.txt",
    ] {
        assert!(out.contains(url), "{url} is not in\n{out}");
    }
    assert!(out.contains("CC BY 4.0"), "{out}");
    let output = unspsc(["data", "download", "texas"]).current_dir(&folder).output().unwrap();
    assert!(texts(&output).1.contains("the sources are california, austender, oklahoma, onet"));
    assert!(fs::read_dir(&folder).unwrap().next().is_none());
}
