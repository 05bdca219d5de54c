//! The connections: how many at a time, and how long each may take to ask.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio_io_timeout::TimeoutStream;

/// Most connections at a time; further ones wait in the system's queue until one is closed. Many times what a platform
/// opens to one container, and with [`MAX_HEAD_BYTES`] at most 128 MiB of heads that never end.
const MAX_CONNECTIONS: usize = 2048;

/// Files that the process needs beside its connections, with some to spare.
const OTHER_FILES: usize = 64;

/// From the opening of a connection, or the end of an answer, to the end of the next request's head. It also ends
/// connections that nobody uses, so it is nginx's 75 seconds (`keepalive_timeout`): longer than callers keep theirs,
/// who would lose a request on a connection that is closed at that moment.
const HEAD_TIMEOUT: Duration = Duration::from_secs(75);

/// Longest head of a request, of which SageMaker's own headers are about 2 KB; also what is read of a body at a time.
const MAX_HEAD_BYTES: usize = 64 << 10;

/// How long no connection is taken after the system refused one, for lack of files or memory.
const REFUSAL_PAUSE: Duration = Duration::from_secs(1);

/// Serves `app` on `listener` until `stop`; then takes no further connections and ends when all answers are sent. A client
/// that takes nothing of its answer for as long as `write_timeout` is given up.
pub(crate) async fn serve(listener: TcpListener, app: Router, write_timeout: Duration, stop: impl Future<Output = ()>) {
    let slots = Arc::new(Semaphore::new(most_connections()));
    let (drain, draining) = watch::channel(());
    let mut stop = pin!(stop);
    loop {
        let (stream, slot) = tokio::select! {
            accepted = accept(&listener, &slots) => accepted,
            () = &mut stop => break,
        };
        let mut stream = TimeoutStream::new(stream);
        stream.set_write_timeout(Some(write_timeout));
        let connection = serve_connection(Box::pin(stream), app.clone(), HEAD_TIMEOUT, draining.clone());
        tokio::spawn(async move {
            connection.await;
            drop(slot);
        });
    }
    drop((listener, draining));
    // Without receivers there is nobody to tell.
    let _ = drain.send(());
    drain.closed().await;
}

/// The next connection, once there is room for it.
async fn accept(listener: &TcpListener, slots: &Arc<Semaphore>) -> (TcpStream, Option<OwnedSemaphorePermit>) {
    // Fails only for a semaphore that was closed, which this one never is.
    let slot = Arc::clone(slots).acquire_owned().await.ok();
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                // Answers are small and sent at once. Where the option cannot be set, they are only a little later.
                let _ = stream.set_nodelay(true);
                return (stream, slot);
            }
            Err(error) => {
                tracing::warn!("a connection could not be taken: {error}");
                tokio::time::sleep(REFUSAL_PAUSE).await;
            }
        }
    }
}

/// Answers the requests of one connection, one after another, until the client closes it, is too slow or breaks the
/// rules of HTTP, or until `draining` changes and no answer is under way.
async fn serve_connection(
    stream: impl AsyncRead + AsyncWrite + Unpin + 'static,
    app: Router,
    head_timeout: Duration,
    mut draining: watch::Receiver<()>,
) {
    let mut server = http1::Builder::new();
    server.timer(TokioTimer::new()).header_read_timeout(head_timeout).max_buf_size(MAX_HEAD_BYTES);
    let connection = server.serve_connection(TokioIo::new(stream), TowerToHyperService::new(app));
    let mut connection = pin!(connection);
    // How a connection ends concerns its client alone, who sees it.
    let _ = tokio::select! {
        ended = &mut connection => ended,
        _ = draining.changed() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
}

/// [`MAX_CONNECTIONS`], or fewer where the system allows the process fewer files.
fn most_connections() -> usize {
    let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) else { return MAX_CONNECTIONS };
    let wanted = ((MAX_CONNECTIONS + OTHER_FILES) as u64).min(hard);
    let raised = soft < wanted && setrlimit(Resource::RLIMIT_NOFILE, wanted, hard).is_ok();
    let files = if raised { wanted } else { soft };
    usize::try_from(files).unwrap_or(usize::MAX).saturating_sub(OTHER_FILES).clamp(1, MAX_CONNECTIONS)
}

#[cfg(test)]
mod tests {
    use axum::routing::get;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};

    use super::*;

    /// A client's end of a connection on which a head may take `timeout`.
    fn connect(timeout: Duration) -> DuplexStream {
        let (client, server) = duplex(1 << 20);
        let app = Router::new().route("/", get(async || "ok"));
        let (drain, draining) = watch::channel(());
        tokio::spawn(async move {
            serve_connection(server, app, timeout, draining).await;
            drop(drain);
        });
        client
    }

    #[tokio::test]
    async fn a_client_that_takes_nothing_of_its_answer_is_given_up() {
        let (mut client, server) = duplex(64);
        let app = Router::new().route("/", get(async || "x".repeat(1 << 10)));
        let (_drain, draining) = watch::channel(());
        let mut stream = TimeoutStream::new(server);
        stream.set_write_timeout(Some(Duration::from_millis(50)));
        client.write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
        // Ends although the client neither reads nor leaves.
        serve_connection(Box::pin(stream), app, HEAD_TIMEOUT, draining).await;
    }

    #[tokio::test]
    async fn a_head_that_never_ends_and_a_connection_that_nobody_uses_are_closed() {
        let timeout = Duration::from_millis(50);
        for (sent, answered) in
            [("", false), ("GET / HTTP/1.1\r\nhost: a\r\n\r\n", true), ("GET / HTTP/1.1\r\nx", false)]
        {
            let mut client = connect(timeout);
            client.write_all(sent.as_bytes()).await.unwrap();
            let mut answer = String::new();
            client.read_to_string(&mut answer).await.unwrap();
            assert_eq!(answer.starts_with("HTTP/1.1 200 OK"), answered, "{sent}: {answer}");
        }
        let mut client = connect(timeout);
        let mut slow = async || -> std::io::Result<()> {
            client.write_all(b"GET / HTTP/1.1\r\nx: ").await?;
            loop {
                client.write_all(b"x").await?;
                tokio::time::sleep(timeout / 10).await;
            }
        };
        assert!(slow().await.is_err(), "each byte came soon, and the head never ended");
    }
}
