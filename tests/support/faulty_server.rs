//! An HTTP server that gives exactly the answers it is told to, right or wrong, one connection each.

use std::collections::VecDeque;
use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

/// One answer, as it goes over the wire.
#[derive(Debug, Clone)]
pub(crate) struct Reply {
    status: u16,
    headers: Vec<(String, String)>,
    /// Sent as it is, whatever the headers say.
    pub(crate) body: Vec<u8>,
    ends: Ends,
}

#[derive(Debug, Clone, Copy)]
enum Ends {
    Whole,
    /// The connection is closed after so many bytes of the body.
    CutAt(usize),
    /// It stays open after so many bytes of the body, and silent.
    StallAt(usize),
}

impl Reply {
    /// An answer without a body.
    pub(crate) fn status(status: u16) -> Self {
        let reply = Self { status, headers: Vec::new(), body: Vec::new(), ends: Ends::Whole };
        reply.with("content-length", "0")
    }

    /// All of `data`, as a good server sends it.
    pub(crate) fn whole(data: Vec<u8>) -> Self {
        let length = data.len().to_string();
        Self { body: data, ..Self::status(200) }.content(&length).with("accept-ranges", "bytes")
    }

    /// All of `data` in chunks, without a length.
    pub(crate) fn chunked(data: Vec<u8>) -> Self {
        let chunk = |bytes: &[u8]| [format!("{:x}\r\n", bytes.len()).as_bytes(), bytes, b"\r\n"].concat();
        let body = data.chunks(10_000).map(chunk).chain([chunk(b"")]).collect::<Vec<_>>().concat();
        Self { body, ..Self::whole(data) }.without("content-length").with("transfer-encoding", "chunked")
    }

    /// The bytes of `data` from `start` on.
    pub(crate) fn rest(data: &[u8], start: usize) -> Self {
        let range = format!("bytes {start}-{}/{}", data.len() - 1, data.len());
        let body = data[start..].to_vec();
        let length = body.len().to_string();
        Self { body, ..Self::status(206) }.content(&length).with("content-range", &range)
    }

    fn content(self, length: &str) -> Self {
        let reply = self.with("content-length", length).etag("\"v1\"").with("content-type", "text/csv");
        reply.with("last-modified", "Sun, 22 Nov 2026 10:00:00 GMT")
    }

    /// With this header instead of any of its name.
    pub(crate) fn with(self, name: &str, value: &str) -> Self {
        let mut reply = self.without(name);
        reply.headers.push((name.to_owned(), value.to_owned()));
        reply
    }

    /// Without the header of this name.
    pub(crate) fn without(mut self, name: &str) -> Self {
        self.headers.retain(|(known, _)| known != name);
        self
    }

    /// As this version of the file.
    pub(crate) fn etag(self, etag: &str) -> Self {
        self.with("etag", etag)
    }

    /// Breaking off after so many bytes of the body.
    pub(crate) fn cut_at(self, bytes: usize) -> Self {
        Self { ends: Ends::CutAt(bytes), ..self }
    }

    /// Falling silent after so many bytes of the body.
    pub(crate) fn stall_at(self, bytes: usize) -> Self {
        Self { ends: Ends::StallAt(bytes), ..self }
    }

    fn send(&self, mut stream: TcpStream) -> Option<TcpStream> {
        let headers: String = self.headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        // The client takes the reason from the number.
        let head = format!("HTTP/1.1 {} X\r\n{headers}\r\n", self.status);
        let body = match self.ends {
            Ends::Whole => &self.body[..],
            Ends::CutAt(bytes) | Ends::StallAt(bytes) => &self.body[..bytes],
        };
        // A client that does not want it all closes first.
        let _ = stream.write_all(&[head.as_bytes(), body].concat());
        if matches!(self.ends, Ends::StallAt(_)) {
            return Some(stream);
        }
        let _ = stream.shutdown(Shutdown::Write);
        None
    }
}

/// What came in, and what is to go out.
#[derive(Debug, Default)]
struct Log {
    replies: VecDeque<Reply>,
    requests: Vec<String>,
    tunnels: Vec<String>,
    /// Connections that stay open as long as the server is there.
    silent: Vec<TcpStream>,
}

/// A server on a free port of this machine; it also is a proxy that leads to itself.
#[derive(Debug)]
pub(crate) struct Server {
    address: SocketAddr,
    log: Arc<Mutex<Log>>,
}

impl Server {
    /// One that gives these answers in this order, and closes the connection on whoever asks for more.
    pub(crate) fn start(replies: impl IntoIterator<Item = Reply>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let log = Arc::new(Mutex::new(Log { replies: replies.into_iter().collect(), ..Log::default() }));
        let shared = Arc::clone(&log);
        thread::spawn(move || {
            for stream in listener.incoming() {
                answer(&shared, stream.unwrap());
            }
        });
        Self { address, log }
    }

    /// Where it is.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Adds further answers.
    pub(crate) fn then(&self, replies: impl IntoIterator<Item = Reply>) {
        self.log.lock().unwrap().replies.extend(replies);
    }

    /// The heads of the requests that came.
    pub(crate) fn requests(&self) -> Vec<String> {
        self.log.lock().unwrap().requests.clone()
    }

    /// The first lines of the requests for a tunnel.
    pub(crate) fn tunnels(&self) -> Vec<String> {
        self.log.lock().unwrap().tunnels.clone()
    }

    /// This header of the request number `request`, counted from 0.
    pub(crate) fn header(&self, request: usize, name: &str) -> Option<String> {
        let head = self.requests()[request].clone();
        let headers = head.lines().filter_map(|line| line.split_once(": "));
        headers.into_iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.to_owned())
    }
}

fn answer(log: &Mutex<Log>, mut stream: TcpStream) {
    let mut head = read_head(&mut stream);
    if head.starts_with("CONNECT ") {
        log.lock().unwrap().tunnels.push(head.lines().next().unwrap().to_owned());
        stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").unwrap();
        head = read_head(&mut stream);
    }
    let mut log = log.lock().unwrap();
    log.requests.push(head);
    let reply = log.replies.pop_front();
    log.silent.extend(reply.and_then(|reply| reply.send(stream)));
}

fn read_head(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).is_ok_and(|read| read == 1) {
        head.push(byte[0]);
    }
    String::from_utf8(head).unwrap()
}
