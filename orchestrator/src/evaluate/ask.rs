//! Asks an endpoint or a server about all rows, in batches.

use std::fmt;
use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, bail};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Bytes;
use hyper::{Request, header};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use unspsc_contract::invocation::{BatchRequest, BatchResponse, Depth};
use unspsc_dataset::Row;
use url::Url;

use crate::aws::innermost;
use crate::invoke::{self, patiently};
use crate::options::AnswererArgs;
use crate::progress::Progress;
use crate::session::Session;

use super::answers::Written;
use super::rows::LabelledRows;

/// Descriptions in a request: the engine is at its best, and the request ends long before a deadline.
const BATCH: usize = 200;
/// Candidates to ask for at each level.
const TOP_K: usize = 5;
/// Longest time for one request: SageMaker allows its containers no more.
const TIMEOUT: Duration = Duration::from_secs(60);

/// What answers.
#[derive(Debug)]
pub(super) enum Answerer<'a> {
    /// A SageMaker endpoint.
    Endpoint { session: &'a Session, name: String },
    /// A container that runs by itself.
    Server { client: Box<Client<HttpConnector, Full<Bytes>>>, url: Url },
}

impl fmt::Display for Answerer<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Endpoint { name, .. } => write!(f, "endpoint {name}"),
            Self::Server { url, .. } => write!(f, "{url}"),
        }
    }
}

impl<'a> Answerer<'a> {
    /// The one that `args` name.
    pub(super) fn of(args: &AnswererArgs, session: Option<&'a Session>) -> anyhow::Result<Self> {
        match (args, session) {
            (AnswererArgs { endpoint: Some(name), .. }, Some(session)) => {
                Ok(Self::Endpoint { session, name: name.clone() })
            }
            (AnswererArgs { url: Some(url), .. }, _) => {
                let client = Box::new(Client::builder(TokioExecutor::new()).build_http());
                Ok(Self::Server { client, url: url.clone() })
            }
            _ => bail!("nothing is named to be asked: pass --endpoint or --url"),
        }
    }

    async fn ask(&self, request: &BatchRequest) -> anyhow::Result<BatchResponse> {
        match self {
            Self::Endpoint { session, name } => invoke::ask(session, name, request).await,
            Self::Server { client, url } => {
                let answer = post(client, url, request);
                let in_time = tokio::time::timeout(TIMEOUT, answer).await;
                in_time.with_context(|| format!("{url} gave no answer within {} s", TIMEOUT.as_secs()))?
            }
        }
    }
}

/// Sends `request` to `/invocations` of the server at `url`.
async fn post(
    client: &Client<HttpConnector, Full<Bytes>>,
    url: &Url,
    request: &BatchRequest,
) -> anyhow::Result<BatchResponse> {
    let address = url.join("/invocations").with_context(|| format!("{url} is no address of a server"))?;
    let body = Full::from(serde_json::to_vec(request)?);
    let request = Request::post(address.as_str())
        .header(header::CONTENT_TYPE, "application/json")
        .header(header::ACCEPT, "application/json")
        .body(body)
        .with_context(|| format!("{address} cannot be asked"))?;
    let answer = client.request(request).await;
    let answer = answer.map_err(|error| anyhow::anyhow!("no answer from {url}: {}", innermost(&error)))?;
    let status = answer.status();
    let body = answer.into_body().collect().await.with_context(|| format!("{url} broke off its answer"))?.to_bytes();
    if !status.is_success() {
        return Err(invoke::refusal(&String::from_utf8_lossy(&body)));
    }
    serde_json::from_slice(&body).with_context(|| format!("{url} answered something else than predictions"))
}

/// Asks about all `rows` and writes a line for each into `file`.
pub(super) async fn ask_all(
    answerer: &Answerer<'_>,
    progress: &Progress,
    rows: &LabelledRows,
    file: &Path,
) -> anyhow::Result<()> {
    let cannot = || format!("cannot write {}", file.display());
    let mut lines = BufWriter::new(File::create(file).with_context(cannot)?);
    let step = progress.count(&format!("asking {answerer}"), rows.rows.len() as u64);
    for batch in rows.rows.chunks(BATCH) {
        let instances: Vec<String> = batch.iter().map(|row| row.description.clone()).collect();
        let request = BatchRequest { instances, top_k: Some(TOP_K), depth: Some(Depth::Auto), by_level: true };
        let answer = patiently(progress, TIMEOUT, || answerer.ask(&request)).await?;
        if answer.predictions.len() != batch.len() {
            bail!("{answerer} answered {} of {} descriptions", answer.predictions.len(), batch.len());
        }
        for (Row { description, code, .. }, outcome) in batch.iter().zip(&answer.predictions) {
            serde_json::to_writer(&mut lines, &Written { description, code: *code, outcome }).with_context(cannot)?;
            lines.write_all(b"\n").with_context(cannot)?;
        }
        // What is answered stays where a later batch is not.
        lines.flush().with_context(cannot)?;
        step.advance(batch.len() as u64);
    }
    Ok(())
}
