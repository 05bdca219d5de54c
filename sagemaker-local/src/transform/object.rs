//! One object of a job's input: cut, sent, answered, put together, and put into its bucket.

use std::io::{BufReader, BufWriter, Seek as _, SeekFrom, Write as _};
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use tempfile::SpooledTempFile;
use tokio::task::{JoinSet, spawn_blocking};

use super::assemble::Assembler;
use super::invoke::{Body, Failure, Target};
use super::processing::Processing;
use super::split::{self, Splitter};

/// How many bodies may be under way or wait for their turn, for each that may be under way.
const WINDOW: u64 = 4;

/// One object of the input.
#[derive(Debug, Clone)]
pub(super) struct Object {
    pub(super) key: String,
    pub(super) file: PathBuf,
}

type Answers = JoinSet<(u64, Result<SpooledTempFile, Failure>)>;

/// Has the instance at `target` answer the records of `object`; `output` is the file for the answers.
///
/// The first failure is returned, and the requests that are still under way are broken off.
pub(super) async fn transform(
    target: &Arc<Target>,
    object: &Object,
    output: PathBuf,
) -> Result<Assembler<SpooledTempFile>, Failure> {
    let mut assembler = Assembler::new(output, target.plan.assemble_lines).map_err(|error| kept(&error))?;
    let mut bodies = Bodies::open(target, object)?;
    let mut answers = Answers::new();
    let concurrency = u64::try_from(target.plan.concurrency).unwrap_or(u64::MAX);
    let mut sent = 0;
    loop {
        let may_send = answers.len() < target.plan.concurrency && sent < assembler.next() + concurrency * WINDOW;
        if may_send && let Some(body) = bodies.next().await? {
            let (target, number) = (Arc::clone(target), sent);
            answers.spawn(async move { (number, answer(&target, body).await) });
            sent += 1;
            continue;
        }
        let Some(answered) = answers.join_next().await else { return Ok(assembler) };
        let (number, answer) = answered.map_err(|error| internal(&error))?;
        let answer = answer?;
        let added = spawn_blocking(move || assembler.add(number, answer).map(|()| assembler)).await;
        assembler = added.map_err(|error| internal(&error))?.map_err(|error| kept(&error))?;
    }
}

/// The bodies of an object, each made when it is wanted.
enum Bodies {
    /// The object as it is read.
    Streamed(Option<Body>),
    /// Taken along by the thread that reads.
    Cut(Option<Splitter>),
}

impl Bodies {
    fn open(target: &Target, object: &Object) -> Result<Self, Failure> {
        let plan = &target.plan;
        if plan.streams() {
            return Ok(Self::Streamed(Some(Body::File { path: object.file.clone(), gzip: plan.gzip })));
        }
        let unreadable = |error| Failure::client(&format_args!("the input cannot be read: {error}"));
        let reader = split::open(&object.file, plan.gzip).map_err(unreadable)?;
        Ok(Self::Cut(Some(Splitter::new(reader, plan.cut, plan.body_limit()))))
    }

    async fn next(&mut self) -> Result<Option<Body>, Failure> {
        let splitter = match self {
            Self::Streamed(body) => return Ok(body.take()),
            Self::Cut(splitter) => splitter.take(),
        };
        let Some(mut splitter) = splitter else { return Ok(None) };
        let read = spawn_blocking(move || splitter.next_body().map(|body| (body, splitter))).await;
        let (body, splitter) = read.map_err(|error| internal(&error))?.map_err(|error| Failure::client(&error))?;
        if body.is_some() {
            *self = Self::Cut(Some(splitter));
        }
        Ok(body.map(Body::Bytes))
    }
}

/// The answer to one body, processed as the job wants it.
async fn answer(target: &Arc<Target>, body: Body) -> Result<SpooledTempFile, Failure> {
    let (Some(processing), Body::Bytes(source)) = (&target.plan.processing, &body) else {
        return target.invoke(&body).await;
    };
    let (processing, source, folder) = (processing.clone(), source.clone(), target.folder.clone());
    let (filter, records) = (processing.clone(), source.clone());
    let request = spawn_blocking(move || filter.request(&records)).await.map_err(|error| internal(&error))?;
    let request = request.map_err(|error| Failure::client(&error))?;
    let answer = target.invoke(&Body::Bytes(request.into())).await?;
    let combined = spawn_blocking(move || combine(&processing, &source, answer, folder)).await;
    combined.map_err(|error| internal(&error))?
}

fn combine(
    processing: &Processing,
    source: &Bytes,
    answer: SpooledTempFile,
    folder: PathBuf,
) -> Result<SpooledTempFile, Failure> {
    let mut out = BufWriter::new(tempfile::spooled_tempfile_in(super::invoke::ANSWER_IN_MEMORY, folder));
    let combined = processing.combine(source, &mut BufReader::new(answer), &mut out);
    combined.map_err(|error| Failure::client(&error))?;
    out.flush().map_err(|error| kept(&error))?;
    let mut combined = out.into_inner().map_err(|error| kept(error.error()))?;
    combined.seek(SeekFrom::Start(0)).map_err(|error| kept(&error))?;
    Ok(combined)
}

/// What is made of an answer that this machine has no room for.
pub(super) fn kept(error: &std::io::Error) -> Failure {
    Failure::client(&format_args!("the answers cannot be kept: {error}"))
}

fn internal(error: &tokio::task::JoinError) -> Failure {
    Failure::algorithm(format!("a task broke off: {error}"))
}
