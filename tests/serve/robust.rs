//! Clients that are slow, leave in the middle, send too much or nonsense: each gets what it is due, and nobody else
//! notices.

use std::io::{ErrorKind, Write as _};

use flate2::Compression;
use flate2::write::GzEncoder;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::*;

const MEBIBYTE: usize = 1 << 20;

/// A pause between two pieces of what a slow client sends.
const PAUSE: Duration = Duration::from_millis(2);

impl Server {
    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address.trim_start_matches("http://")).await.unwrap()
    }

    /// Sends bytes as they are on a connection of their own; what comes back until the server closes it.
    async fn exchange(&self, bytes: &[u8]) -> String {
        let mut stream = self.connect().await;
        // A refusal may come before all is sent, and closes the connection.
        let _ = stream.write_all(bytes).await;
        until_closed(&mut stream).await
    }

    async fn is_well(&self) {
        assert_eq!(self.ping().await, StatusCode::OK);
        assert_eq!(self.invoke(json!({"description": "toner"})).await.0, 200);
    }
}

/// The head of an invocation, with further header lines.
fn head(lines: &str) -> String {
    format!("POST /invocations HTTP/1.1\r\nhost: a\r\n{lines}\r\n")
}

/// A whole invocation of one JSON document.
fn invocation(document: &Value) -> String {
    let body = document.to_string();
    head(&format!("content-length: {}\r\n", body.len())) + &body
}

/// All that comes until the server closes the connection, in whichever way.
async fn until_closed(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    match timeout(PATIENCE, stream.read_to_end(&mut bytes)).await.unwrap() {
        Ok(_) => {}
        // Closed with something unread.
        Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionReset),
    }
    String::from_utf8(bytes).unwrap()
}

/// One answer, with the connection left open: the status and the body.
async fn answer(stream: &mut TcpStream) -> (u16, String) {
    let mut bytes = Vec::new();
    let end = loop {
        bytes.push(timeout(PATIENCE, stream.read_u8()).await.unwrap().unwrap());
        if bytes.ends_with(b"\r\n\r\n") {
            break String::from_utf8(bytes).unwrap().to_ascii_lowercase();
        }
    };
    let length = end.lines().find_map(|line| line.strip_prefix("content-length: ")).map_or(0, |n| n.parse().unwrap());
    let mut body = vec![0; length];
    timeout(PATIENCE, stream.read_exact(&mut body)).await.unwrap().unwrap();
    (end[9..12].parse().unwrap(), String::from_utf8(body).unwrap())
}

/// A gibibyte of zeros, which is one megabyte of gzip.
fn bomb() -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    let zeros = vec![0; MEBIBYTE];
    (0..1024).for_each(|_| encoder.write_all(&zeros).unwrap());
    encoder.finish().unwrap()
}

#[tokio::test]
async fn a_request_that_comes_byte_by_byte_is_answered_and_keeps_nobody_waiting() {
    let base = base("bert");
    let server = Server::start(base.path());
    server.ready().await;
    let document = json!({"description": "toner"});
    let mut stream = server.connect().await;
    stream.set_nodelay(true).unwrap();
    for byte in invocation(&document).bytes() {
        stream.write_u8(byte).await.unwrap();
        server.is_well().await;
    }
    let (status, body) = answer(&mut stream).await;
    assert_eq!((status, serde_json::from_str::<Value>(&body).unwrap()), (200, server.invoke(document).await.1));
}

#[tokio::test]
async fn a_body_that_never_ends_is_given_up_at_the_deadline() {
    let base = base("bert");
    let server = Server::start_with(serve(base.path()).env("UNSPSC_DEADLINE_SECS", "1"));
    server.ready().await;
    for (kind, begin) in [("application/json", "{"), ("text/plain", ""), ("text/plain", "toner\nbread\n")] {
        let mut stream = server.connect().await;
        let begin = head(&format!("content-type: {kind}\r\ncontent-length: 1000000\r\n")) + begin;
        stream.write_all(begin.as_bytes()).await.unwrap();
        let (mut reading, mut writing) = stream.into_split();
        // Ends when the server closes the connection.
        let dribble = tokio::spawn(async move {
            while writing.write_u8(b' ').await.is_ok() {
                tokio::time::sleep(PAUSE).await;
            }
        });
        let mut bytes = Vec::new();
        let _ = timeout(PATIENCE, reading.read_to_end(&mut bytes)).await.unwrap();
        timeout(PATIENCE, dribble).await.unwrap().unwrap();
        let got = String::from_utf8(bytes).unwrap();
        if begin.ends_with("bread\n") {
            assert!(got.starts_with("HTTP/1.1 200") && got.matches("\"label\"").count() >= 2, "{got}");
            assert!(!got.ends_with("0\r\n\r\n"), "the answer looks whole: {got}");
        } else {
            assert!(got.starts_with("HTTP/1.1 503") && got.contains("deadline_exceeded"), "{kind}: {got}");
        }
    }
    server.is_well().await;
}

/// The end of what a client sends says that it has closed the connection, or the half of it in which it writes: TCP
/// shows both alike. Most clients that do so have hung up, and must cost nothing.
#[tokio::test]
async fn a_client_that_closes_its_writing_side_has_hung_up() {
    let base = base("bert");
    let server = Server::start_with(serve(base.path()).env("UNSPSC_MAX_BATCH_TOKENS", "1"));
    server.ready().await;
    let whole = invocation(&json!({"instances": vec!["toner"; 20_000]}));
    for sent in [&whole[..], &whole[..whole.len() / 2], "POST /invocations HTTP/1.1\r\nhost", ""] {
        let mut stream = server.connect().await;
        stream.write_all(sent.as_bytes()).await.unwrap();
        stream.shutdown().await.unwrap();
        assert!(!until_closed(&mut stream).await.starts_with("HTTP/1.1 200"), "{} bytes were answered", sent.len());
        server.is_well().await;
    }
    let (_, log) = server.stop(Signal::SIGTERM);
    assert!(log.lines().map(logged).all(|line| line["level"] != "ERROR"), "{log}");
}

#[tokio::test]
async fn a_flood_of_headers_is_refused() {
    let base = base("bert");
    let server = Server::start(base.path());
    server.ready().await;
    let before = server.peak_memory();
    let many: String = (0..10_000).map(|n| format!("x-{n}: y\r\n")).collect();
    let (long, word) = ("y".repeat(MEBIBYTE), "POST /invocations HTTP/1.1");
    for request in [
        head(&many),
        head(&format!("x: {long}\r\n")),
        format!("GET /{long} HTTP/1.1\r\nhost: a\r\n\r\n"),
        format!("{long} / HTTP/1.1\r\nhost: a\r\n\r\n"),
        format!("{word}\r\nhost: a\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nxx"),
        format!("{word}\r\nhost: a\r\ncontent-length: -1\r\n\r\n"),
        format!("{word}\r\nhost: a\r\nx\0: y\r\n\r\n"),
        "\u{16}\u{3}\u{1}\u{2}\0\u{1}\0\u{1}\u{fc}\u{3}\u{3}\r\n\r\n".to_owned(),
    ] {
        let got = server.exchange(request.as_bytes()).await;
        let status = got.get(9..12).unwrap_or_default();
        assert!(["400", "414", "431"].contains(&status), "{:?}: {got}", &request[..request.len().min(80)]);
        server.is_well().await;
    }
    let grown = server.peak_memory() - before;
    assert!(grown < 16 * MEBIBYTE, "{grown} bytes for heads that were refused");
}

#[tokio::test]
async fn a_decompression_bomb_is_413_in_bounded_memory() {
    let base = base("bert");
    let server = Server::start(base.path());
    server.ready().await;
    let (before, bomb) = (server.peak_memory(), bomb());
    for kind in ["application/json", "application/jsonlines", "text/csv", "text/plain"] {
        let request = reqwest::Client::new().post(format!("{}/invocations", server.address)).body(bomb.clone());
        let request = request.header("content-type", kind).header("content-encoding", "gzip");
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), StatusCode::PAYLOAD_TOO_LARGE, "{kind}");
        assert!(response.text().await.unwrap().contains("payload_too_large"));
    }
    let grown = server.peak_memory() - before;
    // A whole document's buffer doubles as it grows, so that it and its copy have up to thrice its length.
    assert!(grown < 96 * MEBIBYTE, "{grown} bytes for bodies of at most 25 MiB");
    let request = reqwest::Client::new().post(format!("{}/invocations", server.address)).body("no gzip");
    let response = request.header("content-encoding", "gzip").send().await.unwrap();
    assert_eq!(response.status(), StatusCode::BAD_REQUEST);
    assert!(response.text().await.unwrap().contains("unreadable_body"));
    server.is_well().await;
}

#[tokio::test]
async fn invalid_utf8_is_refused_and_costs_its_neighbours_nothing() {
    let base = base("bert");
    let server = Server::start(base.path());
    server.ready().await;
    let (status, got) = server.send("application/json", "*/*", &b"{\"description\": \"b\xff\"}"[..]).await;
    assert!(status == 400 && got.contains("malformed_json"), "{got}");
    for (kind, body, code) in [
        ("application/jsonlines", &b"\"toner\"\n\"b\xff\"\n\"bread\"\n"[..], "malformed_json"),
        ("text/csv", b"toner\nb\xff\nbread\n", "invalid_utf8"),
        ("text/plain", b"toner\n\xed\xa0\x80\nbread\n", "invalid_utf8"),
    ] {
        let (status, got) = server.send(kind, "application/jsonlines", body).await;
        let lines: Vec<Value> = got.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!((status, lines.len(), &lines[1]["error"]["code"]), (200, 3, &json!(code)), "{kind}");
        assert!(lines[0]["label"].is_string() && lines[2]["label"].is_string(), "{kind}: {got}");
    }
}

#[tokio::test]
async fn json_that_is_no_number_or_without_bottom_is_refused() {
    let base = base("bert");
    let server = Server::start(base.path());
    server.ready().await;
    let (open, close) = ("[".repeat(100_000), "]".repeat(100_000));
    let objects = "{\"description\":".repeat(50_000);
    for body in [
        "{\"description\": NaN}",
        "{\"description\": Infinity}",
        "{\"description\": \"a\", \"threshold\": 1e999}",
        "{\"description\": \"a\", \"top_k\": -1e999}",
        &open,
        &format!("{open}{close}"),
        &format!("{{\"description\": {open}{close}}}"),
        &format!("{{\"instances\": [\"a\", {open}{close}]}}"),
        &format!("{{\"inputs\": \"a\", \"parameters\": {open}{close}}}"),
        &objects,
    ] {
        let (status, got) = server.send("application/json", "*/*", body.to_owned()).await;
        assert!(status == 400 && got.contains("malformed_json"), "{:?}: {got}", &body[..40.min(body.len())]);
        let lines = format!("\"toner\"\n{body}\n\"bread\"");
        let (status, got) = server.send("application/jsonlines", "*/*", lines).await;
        let lines: Vec<&str> = got.lines().collect();
        assert!(status == 200 && lines.len() == 3 && lines[1].contains("malformed_json"), "{got}");
        assert!(lines[0].contains("\"label\"") && lines[2].contains("\"label\""), "{got}");
    }
    server.is_well().await;
}

#[tokio::test]
async fn a_text_of_10_mb_is_cut_off_while_others_are_answered() {
    let base = base("bert");
    let server = Server::start(base.path());
    server.ready().await;
    let before = server.peak_memory();
    let text = "toner cartridge, \u{e9}\u{4e2d} ".repeat(500_000);
    assert!(text.len() > 10_000_000);
    let long = server.invoke(json!({"description": text}));
    let others = async {
        for _ in 0..20 {
            server.is_well().await;
        }
    };
    let ((status, cut), ()) = tokio::join!(long, others);
    // The model reads 64 tokens, for each of which the tokenizer gets 100 characters.
    let beginning: String = text.chars().take(6400).collect();
    let (_, same) = server.invoke(json!({"description": beginning})).await;
    assert_eq!((status, &cut["truncated"]), (200, &json!(true)));
    // Who runs in the same batch changes the last digits of a sum.
    let difference = cut["probability"].as_f64().unwrap() - same["probability"].as_f64().unwrap();
    assert!(cut["label"] == same["label"] && difference.abs() < 1e-5, "{cut} {same}");
    let grown = server.peak_memory() - before;
    assert!(grown < 96 * MEBIBYTE, "{grown} bytes for a text of {}", text.len());
}

/// Lets this process have a thousand connections open.
fn allow_files() {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    setrlimit(Resource::RLIMIT_NOFILE, soft.max(4096.min(hard)), hard).unwrap();
}

#[tokio::test]
async fn a_thousand_idle_connections_keep_nobody_waiting() {
    allow_files();
    let base = base("bert");
    let server = Server::start(base.path());
    server.ready().await;
    let before = server.peak_memory();
    let mut idle = Vec::new();
    for n in 0..1000 {
        let mut stream = server.connect().await;
        // Half of them have begun a head.
        stream.write_all(&b"GET /ping HTTP/1.1\r\n"[..20 * (n % 2)]).await.unwrap();
        idle.push(stream);
    }
    server.is_well().await;
    let grown = server.peak_memory() - before;
    assert!(grown < 64 * MEBIBYTE, "{grown} bytes for idle connections");
    for (n, stream) in idle.iter_mut().enumerate().step_by(100) {
        stream.write_all(&b"GET /ping HTTP/1.1\r\nhost: a\r\n\r\n"[20 * (n % 2)..]).await.unwrap();
        assert_eq!(answer(stream).await.0, 200);
    }
}

#[tokio::test]
async fn connections_beyond_the_limit_wait_until_one_is_closed() {
    let base = base("bert");
    let mut command = Command::new("sh");
    // 64 files are for other things than connections, so that there is room for eight.
    command.args(["-c", "ulimit -n 72 && exec \"$0\" serve --host 127.0.0.1", env!("CARGO_BIN_EXE_serve")]);
    command.env_clear().env("SAGEMAKER_BASE_DIR", base.path()).env("SAGEMAKER_BIND_TO_PORT", "0");
    let server = Server::start_with(command.stderr(Stdio::piped()));
    server.ready().await;
    let ping = b"GET /ping HTTP/1.1\r\nhost: a\r\n\r\n";
    let mut taken = Vec::new();
    for _ in 0..8 {
        let mut stream = server.connect().await;
        stream.write_all(ping).await.unwrap();
        assert_eq!(answer(&mut stream).await.0, 200);
        taken.push(stream);
    }
    let mut waiting = server.connect().await;
    waiting.write_all(ping).await.unwrap();
    let early = timeout(Duration::from_millis(300), waiting.read_u8()).await;
    assert!(early.is_err(), "a ninth connection was served");
    drop(taken.pop());
    assert_eq!(answer(&mut waiting).await.0, 200);
}

#[tokio::test]
async fn requests_may_be_pipelined_and_chunked_and_wait_for_100() {
    let base = base("bert");
    let server = Server::start(base.path());
    server.ready().await;
    let (toner, bread) = (json!({"description": "toner"}), json!({"description": "bread"}));
    let expected = [server.invoke(toner.clone()).await.1, server.invoke(bread.clone()).await.1];
    let told =
        |(status, body): (u16, String)| (status, serde_json::from_str::<Value>(&body).unwrap()["logits"].clone());
    let due = |place: usize| (200, expected[place]["logits"].clone());

    let mut stream = server.connect().await;
    let both = invocation(&toner) + "GET /ping HTTP/1.1\r\nhost: a\r\n\r\n" + &invocation(&bread);
    stream.write_all(both.as_bytes()).await.unwrap();
    assert_eq!(told(answer(&mut stream).await), due(0));
    assert_eq!(answer(&mut stream).await, (200, String::new()));
    assert_eq!(told(answer(&mut stream).await), due(1));

    let chunks: String = bread.to_string().chars().map(|letter| format!("1;x=y\r\n{letter}\r\n")).collect();
    let chunked = head("transfer-encoding: chunked\r\ntrailer: x\r\n") + &chunks + "0\r\nx: y\r\n\r\n";
    stream.write_all(chunked.as_bytes()).await.unwrap();
    assert_eq!(told(answer(&mut stream).await), due(1));

    let body = toner.to_string();
    let waiting = head(&format!("content-length: {}\r\nexpect: 100-continue\r\n", body.len()));
    stream.write_all(waiting.as_bytes()).await.unwrap();
    assert_eq!(answer(&mut stream).await.0, 100);
    stream.write_all(body.as_bytes()).await.unwrap();
    assert_eq!(told(answer(&mut stream).await), due(0));
    let too_long = head("content-length: 99999999\r\nexpect: 100-continue\r\n");
    stream.write_all(too_long.as_bytes()).await.unwrap();
    let got = until_closed(&mut stream).await;
    assert!(got.starts_with("HTTP/1.1 413") && got.contains("payload_too_large"), "{got}");

    let broken = head("transfer-encoding: chunked\r\n") + "zz\r\n";
    let got = server.exchange(broken.as_bytes()).await;
    assert!(got.starts_with("HTTP/1.1 400"), "{got}");
    server.is_well().await;
}
