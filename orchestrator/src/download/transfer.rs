//! One file from its server to its place.

use std::collections::HashSet;
use std::hash::{BuildHasher as _, RandomState};

use indicatif::HumanBytes;
use jiff::Timestamp;
use url::{Position, Url};

use super::answer::{Next, Validator, WEB_PAGE, looks_like_html, next};
use super::error::Error;
use super::http::{Answer, Client, Timeouts};
use super::part::{HEAD_BYTES, Origin, Part, Place};
use super::record::Record;
use super::retry::{Schedule, Tries};
use crate::progress::{Progress, Step};

/// What a download is allowed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// Tries and waits.
    pub(crate) schedule: Schedule,
    /// Waits for bytes.
    pub(crate) timeouts: Timeouts,
    /// Largest file that is taken, in bytes.
    pub(crate) max_bytes: u64,
}

impl Default for Limits {
    /// Ten times the largest published file, and still nothing that fills a disk.
    fn default() -> Self {
        Self { schedule: Schedule::default(), timeouts: Timeouts::default(), max_bytes: 2 << 30 }
    }
}

/// A file to download.
#[derive(Debug)]
pub(crate) struct Target {
    /// SOURCE/FILE.
    pub(crate) label: String,
    /// Where it is asked for.
    pub(crate) url: Url,
    /// Where it goes.
    pub(crate) place: Place,
}

/// Downloads one file after the other.
#[derive(Debug)]
pub(crate) struct Downloader {
    client: Client,
    progress: Progress,
    limits: Limits,
    /// Hosts that gave no connection: their further files are tried once, or who is offline would wait for each.
    unreachable: HashSet<String>,
}

impl Downloader {
    /// One that shows its work on `progress`.
    pub(crate) fn new(progress: Progress, limits: Limits) -> Self {
        Self { client: Client::new(limits.timeouts), progress, limits, unreachable: HashSet::new() }
    }

    /// Downloads the file, going on from what an earlier download has left, until it is whole or no more tries are left.
    ///
    /// # Errors
    /// The last try's. What was at the file's place before is there still.
    pub(crate) async fn fetch(&mut self, target: &Target) -> Result<Record, Error> {
        let mut part = Part::open(target.place.clone(), target.url.as_str()).await?;
        let mut tries = Tries::new(self.schedule(target));
        let mut furthest = part.bytes();
        loop {
            let error = match self.attempt(target, &mut part).await {
                Ok(()) => return finish(target, part).await,
                Err(error) => error,
            };
            let has_progressed = part.bytes() > furthest;
            furthest = furthest.max(part.bytes());
            // Every hasher of this kind begins elsewhere.
            let random = RandomState::new().hash_one(&target.label);
            let Some(wait) = tries.wait_after(&error, has_progressed, random) else {
                return Err(self.give_up(part, error).await);
            };
            let seconds = wait.as_secs_f32();
            self.progress.say(&format!("{}: {error}; trying again in {seconds:.1} s", target.label));
            tokio::time::sleep(wait).await;
        }
    }

    fn schedule(&self, target: &Target) -> Schedule {
        let is_known = self.unreachable.contains(&target.url[Position::BeforeHost..Position::AfterPort]);
        let Schedule { unreachable_tries, .. } = self.limits.schedule;
        Schedule { unreachable_tries: if is_known { 1 } else { unreachable_tries }, ..self.limits.schedule }
    }

    /// Keeps of the part what is good for a later download.
    async fn give_up(&mut self, part: Part, error: Error) -> Error {
        if let Error::Unreachable { host, .. } = &error {
            self.unreachable.insert(host.clone());
        }
        if matches!(error, Error::Unusable(_)) {
            part.discard();
            return error;
        }
        part.suspend().await.err().unwrap_or(error)
    }

    /// Brings `part` to its end.
    async fn attempt(&self, target: &Target, part: &mut Part) -> Result<(), Error> {
        let (mut answer, total) = self.ask(target, part).await?;
        let step = self.show(target, part.bytes(), total);
        while let Some(bytes) = answer.bytes().await? {
            self.check_size(part.bytes() + bytes.len() as u64)?;
            part.append(&bytes).await?;
            if part.head().len() == HEAD_BYTES {
                check_head(part)?;
            }
            step.advance(bytes.len() as u64);
        }
        check_head(part)?;
        if part.bytes() == 0 {
            return Err(Error::Unusable("the server sent an empty file".to_owned()));
        }
        if answer.has_surplus().await {
            return Err(Error::Unusable(format!("the server sent more than it declared, {} bytes", part.bytes())));
        }
        Ok(())
    }

    /// Asks for what is missing; afterwards `part` holds what comes before the answer's body. Returns the length of the
    /// whole file too, where declared.
    async fn ask(&self, target: &Target, part: &mut Part) -> Result<(Answer, Option<u64>), Error> {
        let mut have = part.have();
        loop {
            let range = have.and_then(|have| Some((have.bytes, have.validator.if_range()?)));
            let answer = self.client.get(&target.url, range).await?;
            let total = match next(answer.status(), answer.headers(), have, Timestamp::now())? {
                Next::Rest(total) => Some(total),
                Next::Whole(total) => {
                    let validator = Validator::of(answer.headers());
                    part.restart(Origin { url: target.url.to_string(), total, validator }).await?;
                    total
                }
                // Without a range this is never the answer.
                Next::StartOver => {
                    have = None;
                    continue;
                }
            };
            self.check_size(total.unwrap_or_default())?;
            return Ok((answer, total));
        }
    }

    fn check_size(&self, bytes: u64) -> Result<(), Error> {
        let max_bytes = self.limits.max_bytes;
        if bytes > max_bytes {
            return Err(Error::Unusable(format!("the file is larger than {}", HumanBytes(max_bytes))));
        }
        Ok(())
    }

    /// Shows the transfer that begins with the file's byte `start`.
    fn show(&self, target: &Target, start: u64, total: Option<u64>) -> Step {
        let what = if start == 0 { "downloading" } else { "resuming" };
        let Some(total) = total else { return self.progress.step(&format!("{what} {}", target.label)) };
        let sizes = if start == 0 {
            HumanBytes(total).to_string()
        } else {
            format!("{} of {} are there", HumanBytes(start), HumanBytes(total))
        };
        let step = self.progress.bytes(&format!("{what} {} ({sizes})", target.label), total);
        step.advance(start);
        step
    }
}

fn check_head(part: &Part) -> Result<(), Error> {
    if looks_like_html(part.head()) { Err(Error::Unusable(WEB_PAGE.to_owned())) } else { Ok(()) }
}

async fn finish(target: &Target, part: Part) -> Result<Record, Error> {
    let bytes = part.bytes();
    let validator = part.origin().map(|origin| origin.validator.clone()).unwrap_or_default();
    let sha256 = part.finish().await?;
    Ok(Record { url: target.url.to_string(), bytes, sha256, validator, downloaded: Timestamp::now() })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::*;

    /// Downloads from a server that sends `answer` to whoever connects and then says nothing more.
    async fn fetch_from(answer: &'static str, limits: Limits) -> (tempfile::TempDir, Result<Record, Error>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/a.csv", listener.local_addr().unwrap());
        tokio::spawn(async move {
            let mut silent = Vec::new();
            while let Ok((mut stream, _)) = listener.accept().await {
                let _ = stream.read(&mut [0; 1024]).await;
                let _ = stream.write_all(answer.as_bytes()).await;
                silent.push(stream);
            }
        });
        let folder = tempfile::tempdir().unwrap();
        let place = Place::new(folder.path(), "a.csv");
        let target = Target { label: "x/a.csv".to_owned(), url: url.parse().unwrap(), place };
        let outcome = Downloader::new(Progress::new(), limits).fetch(&target).await;
        (folder, outcome)
    }

    fn names(folder: &tempfile::TempDir) -> Vec<String> {
        let names = std::fs::read_dir(folder).unwrap();
        let mut names: Vec<_> = names.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    fn limits() -> Limits {
        let schedule = Schedule { tries: 3, unreachable_tries: 1, first_delay: Duration::from_millis(1) };
        let timeouts = Timeouts { connect: Duration::from_secs(1), idle: Duration::from_millis(50) };
        Limits { schedule, timeouts, max_bytes: 100 }
    }

    #[tokio::test]
    async fn silence_ends_and_what_came_is_kept_if_it_can_be_continued() {
        let answer = "HTTP/1.1 200 OK\r\ncontent-length: 10\r\netag: \"a\"\r\n\r\n01234";
        let (folder, outcome) = fetch_from(answer, limits()).await;
        assert_eq!(outcome.unwrap_err().to_string(), "no byte came for 0.05 s");
        assert_eq!(names(&folder), [".a.csv.part", ".a.csv.part.json"]);
        let answer = "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n01234";
        let (folder, outcome) = fetch_from(answer, limits()).await;
        assert!(outcome.is_err() && names(&folder).is_empty(), "{:?}", names(&folder));
    }

    #[tokio::test]
    async fn the_size_is_bounded_declared_or_not() {
        let declared = "HTTP/1.1 200 OK\r\ncontent-length: 101\r\n\r\n";
        let chunked = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n80\r\n0123456789";
        for answer in [declared, chunked] {
            let (folder, outcome) = fetch_from(answer, Limits { max_bytes: 9, ..limits() }).await;
            assert_eq!(outcome.unwrap_err().to_string(), "the file is larger than 9 B");
            assert!(names(&folder).is_empty());
        }
    }
}
