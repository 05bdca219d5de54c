//! One request, one connection: HTTP/1.1 with redirects, timeouts, and the proxies that the environment names.
//!
//! No pool of connections and no second request on one: then bytes after the end of a body are noticed, which are the
//! only sign that a server has declared too short a length.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http_body_util::{BodyExt as _, Empty};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1::{self, Parts};
use hyper::header::{self, HeaderValue};
use hyper::{HeaderMap, Request, Response, StatusCode, Uri};
use hyper_rustls::{ConfigBuilderExt as _, HttpsConnector, MaybeHttpsStream};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::proxy::Tunnel;
use hyper_util::client::proxy::matcher::Matcher;
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tower::{Service, ServiceExt as _};
use url::{Position, Url};

use super::error::Error;
use crate::aws::innermost;

/// Portals redirect to a storage service, once or twice.
const MAX_REDIRECTS: u32 = 10;
/// A server that has sent all it had to closes the connection at once, as it was asked to.
const CLOSING: Duration = Duration::from_secs(1);

type BoxError = Box<dyn std::error::Error + Send + Sync>;
type Stream = MaybeHttpsStream<TokioIo<TcpStream>>;

/// How long to wait.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Timeouts {
    /// For a connection, TLS and proxy included.
    pub(crate) connect: Duration,
    /// For the next byte.
    pub(crate) idle: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self { connect: Duration::from_secs(20), idle: Duration::from_secs(30) }
    }
}

/// Asks servers for files.
#[derive(Debug)]
pub(crate) struct Client {
    dial: Dial,
    /// The same with TLS, or why there is none.
    https: Result<HttpsConnector<Dial>, String>,
    timeouts: Timeouts,
}

impl Client {
    /// A client that trusts the certificates that this machine trusts.
    pub(crate) fn new(timeouts: Timeouts) -> Self {
        let dial = Dial::new();
        let https =
            tls().map(|config| HttpsConnector::from((dial.clone(), config))).map_err(|error| innermost(&*error));
        Self { dial, https, timeouts }
    }

    /// Asks for the file at `url`, or with `range` for its bytes from there on if it still is the one that the validator
    /// beside it names.
    ///
    /// # Errors
    /// No connection, no answer, or a redirection into nowhere. Every status but a redirection is an answer.
    pub(crate) async fn get(&self, url: &Url, range: Option<(u64, &str)>) -> Result<Answer, Error> {
        let mut headers = HeaderMap::new();
        headers.insert(header::USER_AGENT, HeaderValue::from_static(concat!("unspsc/", env!("CARGO_PKG_VERSION"))));
        headers.insert(header::ACCEPT, HeaderValue::from_static("*/*"));
        // Ranges and lengths are those of the file itself.
        headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        if let Some((start, validator)) = range
            && let Ok(validator) = HeaderValue::from_str(validator)
        {
            headers.extend(HeaderValue::try_from(format!("bytes={start}-")).map(|range| (header::RANGE, range)));
            headers.insert(header::IF_RANGE, validator);
        }
        let mut url = url.clone();
        for _ in 0..=MAX_REDIRECTS {
            let answer = self.send(&url, &headers).await?;
            match answer.redirection() {
                None => return Ok(answer),
                Some(location) => url = follow(&url, location)?,
            }
        }
        Err(Error::Refused(format!("the server redirects more than {MAX_REDIRECTS} times")))
    }

    async fn send(&self, url: &Url, headers: &HeaderMap) -> Result<Answer, Error> {
        let host = &url[Position::BeforeHost..Position::AfterPort];
        let broken = |error: hyper::Error| Error::Broken(format!("no answer from {host}: {}", innermost(&error)));
        let mut request = Request::get(&url[Position::BeforePath..Position::AfterQuery])
            .header(header::HOST, host)
            .body(Empty::<Bytes>::new())
            .map_err(|error| Error::Refused(format!("{url} cannot be asked for: {error}")))?;
        request.headers_mut().extend(headers.clone());
        let stream = self.connect(url, host).await?;
        let (mut sender, connection) = http1::handshake(stream).await.map_err(broken)?;
        let driver = tokio::spawn(connection.without_shutdown());
        let idle = self.timeouts.idle;
        let response = timeout(idle, sender.send_request(request)).await.map_err(|_| silence(idle))?.map_err(broken)?;
        Ok(Answer { response, driver, idle })
    }

    async fn connect(&self, url: &Url, host: &str) -> Result<Stream, Error> {
        let unreachable = |reason: String| Error::Unreachable { host: host.to_owned(), reason };
        // With the port even where it is the scheme's own: the tunnel through a proxy takes every other one for 443.
        let port = url.port_or_known_default().unwrap_or_default();
        let uri: Uri = format!("{}://{}:{port}", url.scheme(), &url[Position::BeforeHost..Position::AfterHost])
            .parse()
            .map_err(|error| Error::Refused(format!("{url} cannot be asked for: {error}")))?;
        let connecting = async {
            if url.scheme() == "https" {
                self.https.clone()?.oneshot(uri).await
            } else {
                Ok(self.dial.clone().oneshot(uri).await?.into())
            }
        };
        match timeout(self.timeouts.connect, connecting).await {
            Ok(stream) => stream.map_err(|error: BoxError| unreachable(innermost(&*error))),
            Err(_) => Err(unreachable(format!("no connection within {} s", self.timeouts.connect.as_secs()))),
        }
    }
}

/// The head of an answer, with its body to come.
#[derive(Debug)]
pub(crate) struct Answer {
    response: Response<Incoming>,
    driver: JoinHandle<hyper::Result<Parts<Stream>>>,
    idle: Duration,
}

impl Answer {
    /// Its status.
    pub(crate) fn status(&self) -> StatusCode {
        self.response.status()
    }

    /// Its headers.
    pub(crate) fn headers(&self) -> &HeaderMap {
        self.response.headers()
    }

    /// The next bytes of the body, or `None` at its end.
    ///
    /// # Errors
    /// When the connection ends before the body does, or falls silent.
    pub(crate) async fn bytes(&mut self) -> Result<Option<Bytes>, Error> {
        loop {
            let frame = timeout(self.idle, self.response.body_mut().frame()).await.map_err(|_| silence(self.idle))?;
            let Some(frame) = frame else { return Ok(None) };
            let frame = frame.map_err(|error| Error::Broken(format!("the connection broke: {}", innermost(&error))))?;
            if let Ok(bytes) = frame.into_data() {
                return Ok(Some(bytes));
            }
        }
    }

    /// Whether the server goes on sending after the end of the body.
    pub(crate) async fn has_surplus(self) -> bool {
        drop(self.response);
        match timeout(CLOSING, self.driver).await {
            Ok(Ok(Ok(parts))) => {
                let mut io = TokioIo::new(parts.io);
                let more = timeout(CLOSING, io.read(&mut [0])).await;
                !parts.read_buf.is_empty() || matches!(more, Ok(Ok(1..)))
            }
            // What cannot be read as the next answer is no answer.
            Ok(Ok(Err(error))) => error.is_parse(),
            _ => false,
        }
    }

    /// Where to ask instead.
    fn redirection(&self) -> Option<&str> {
        let location = || self.headers().get(header::LOCATION)?.to_str().ok();
        matches!(self.status().as_u16(), 301 | 302 | 303 | 307 | 308).then(location).flatten()
    }
}

/// The URL that `location` means on the page at `url`.
fn follow(url: &Url, location: &str) -> Result<Url, Error> {
    let next = url.join(location).ok().filter(|next| matches!(next.scheme(), "http" | "https"));
    let next = next.ok_or_else(|| Error::Refused(format!("the server redirects to `{location}`")))?;
    if url.scheme() == "https" && next.scheme() == "http" {
        return Err(Error::Refused(format!("the server redirects from https to {next}, where anyone could answer")));
    }
    Ok(next)
}

fn silence(idle: Duration) -> Error {
    Error::Broken(format!("no byte came for {} s", idle.as_secs_f32()))
}

/// TLS by ring, with the root certificates of this machine.
fn tls() -> Result<ClientConfig, BoxError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    Ok(builder.with_native_roots()?.with_no_client_auth())
}

/// Connects to servers, through the proxies that the environment names.
#[derive(Debug, Clone)]
struct Dial {
    http: HttpConnector,
    proxies: Arc<Matcher>,
}

impl Dial {
    fn new() -> Self {
        let mut http = HttpConnector::new();
        // TLS comes on top of it.
        http.enforce_http(false);
        Self { http, proxies: Arc::new(Matcher::from_env()) }
    }
}

impl Service<Uri> for Dial {
    type Response = TokioIo<TcpStream>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let (proxy, http) = (self.proxies.intercept(&uri), self.http.clone());
        Box::pin(async move {
            let Some(proxy) = proxy else { return Ok(http.oneshot(uri).await?) };
            if proxy.uri().scheme_str() != Some("http") {
                return Err(
                    format!("the environment names the proxy {}, and only http:// is supported", proxy.uri()).into()
                );
            }
            let mut tunnel = Tunnel::new(proxy.uri().clone(), http);
            if let Some(auth) = proxy.basic_auth() {
                tunnel = tunnel.with_auth(auth.clone());
            }
            let refused = |error| format!("proxy {}: {}", proxy.uri(), innermost(&error));
            tunnel.oneshot(uri).await.map_err(|error| refused(error).into())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn redirections_are_followed_but_not_out_of_https() {
        let url: Url = "https://data.example.com/a/b".parse().unwrap();
        assert_eq!(follow(&url, "c?d=e").unwrap().as_str(), "https://data.example.com/a/c?d=e");
        assert_eq!(follow(&url, "https://s3.example.com/x").unwrap().as_str(), "https://s3.example.com/x");
        for location in ["http://data.example.com/a/b", "file:///etc/passwd", "https://"] {
            assert!(matches!(follow(&url, location), Err(Error::Refused(_))), "{location}");
        }
    }
}
