//! The package of a Lambda: a zip with the program `bootstrap`, the same bytes for the same program.

use std::fs;
use std::io::{Cursor, Read as _, Write as _};
use std::path::Path;

use anyhow::{Context as _, bail};
use aws_smithy_types::base64;
use clap::ValueEnum as _;
use sha2::{Digest as _, Sha256};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, DateTime, ZipArchive, ZipWriter};

use crate::download::hex;
use crate::options::Architecture;
use crate::scratch::Scratch;
use crate::session::Session;
use crate::storage::S3Uri;
use crate::tables::count;
use crate::upload::Bundle;

use super::Front;

/// The program that Lambda starts.
pub(super) const PROGRAM: &str = "bootstrap";
/// What a program for Linux begins with.
const ELF: &[u8] = b"\x7fELF";
/// What a zip begins with.
const ZIP: &[u8] = b"PK\x03\x04";
/// Where an ELF file says for which processor it is, and how it says so.
const MACHINE: usize = 18;
const AARCH64: u16 = 183;
const X86_64: u16 = 62;
/// Lambda's limit for what a zip holds.
const LARGEST: u64 = 250 * 1024 * 1024;

/// A package that Lambda takes.
#[derive(Debug)]
pub(super) struct Package {
    bytes: Vec<u8>,
    digest: Vec<u8>,
}

impl Package {
    /// Reads that of `front`, on a thread that may take its time.
    pub(super) async fn read(front: &Front) -> anyhow::Result<Self> {
        let (path, architecture) = (front.package.clone(), front.architecture);
        let read = move || read(&path, architecture);
        tokio::task::spawn_blocking(read).await.context("the reading of the package came to a sudden end")?
    }

    /// The digest of its bytes, as Lambda has it.
    pub(super) fn code_sha256(&self) -> String {
        base64::encode(&self.digest)
    }

    /// Uploads it under a name that follows from its bytes, unless it is there already.
    pub(super) async fn upload(&self, session: &Session, parent: &S3Uri) -> anyhow::Result<S3Uri> {
        let scratch = Scratch::new().context("cannot make a temporary folder")?;
        let name = format!("{}.zip", hex(Sha256::new().chain_update(&self.bytes)));
        let path = scratch.path().join(&name);
        fs::write(&path, &self.bytes).context("cannot write the package into a temporary folder")?;
        let bundle = Bundle::read(vec![path]).await?;
        let step = session.sending("bringing the package of the Lambda to S3", bundle.bytes());
        let sent = bundle.upload(session, parent, &step).await?;
        drop(step);
        let place = parent.join(&name);
        if sent > 0 && !session.is_plan() {
            let bytes = count(self.bytes.len());
            session.progress.say(&format!("the package, {bytes} bytes, is at {place}"));
        }
        Ok(place)
    }
}

fn read(path: &Path, architecture: Architecture) -> anyhow::Result<Package> {
    let bytes = match fs::read(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => bail!(
            "there is no {}: build it with `scripts/build-lambda{}`, or name the program or a zip of it with --package",
            path.display(),
            if architecture == Architecture::X86 { " --x86-64" } else { "" }
        ),
        bytes => bytes.with_context(|| format!("cannot read {}", path.display()))?,
    };
    let within = || format!("{} is no package for a Lambda", path.display());
    let bytes = if bytes.starts_with(ZIP) {
        check_zip(&bytes, architecture).with_context(within)?;
        bytes
    } else {
        check_program(&bytes, architecture).with_context(within)?;
        zipped(&bytes).with_context(|| format!("cannot put {} into a zip", path.display()))?
    };
    let digest = Sha256::digest(&bytes).to_vec();
    Ok(Package { bytes, digest })
}

/// The program as a zip: no time and no owner are in it, so that the same program is the same zip.
fn zipped(program: &[u8]) -> anyhow::Result<Vec<u8>> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    let options = SimpleFileOptions::default().compression_method(CompressionMethod::Deflated);
    // Lambda starts what its user may run.
    let options = options.unix_permissions(0o755).last_modified_time(DateTime::default());
    zip.start_file(PROGRAM, options)?;
    zip.write_all(program)?;
    Ok(zip.finish()?.into_inner())
}

/// Refuses a zip that Lambda would refuse, or could not start.
fn check_zip(bytes: &[u8], architecture: Architecture) -> anyhow::Result<()> {
    let mut zip = ZipArchive::new(Cursor::new(bytes)).context("the zip cannot be read")?;
    let sizes =
        (0..zip.len()).map(|number| zip.by_index_raw(number).map(|file| file.size())).sum::<Result<u64, _>>()?;
    if sizes > LARGEST {
        bail!("it holds {sizes} bytes, and Lambda takes {LARGEST} at most");
    }
    let mut program = zip.by_name(PROGRAM).context("it holds no file `bootstrap` at its top")?;
    if program.unix_mode().is_some_and(|mode| mode & 0o111 == 0) {
        bail!("its file `bootstrap` cannot be run: `chmod +x bootstrap` before it is zipped");
    }
    let mut head = Vec::new();
    program.by_ref().take(64).read_to_end(&mut head).context("its file `bootstrap` cannot be read")?;
    check_program(&head, architecture)
}

/// Refuses what is no program for the processor.
fn check_program(program: &[u8], architecture: Architecture) -> anyhow::Result<()> {
    let machine = program.get(MACHINE..MACHINE + 2).and_then(|bytes| bytes.try_into().ok()).map(u16::from_le_bytes);
    let (Some(machine), true) = (machine, program.starts_with(ELF)) else {
        bail!("`bootstrap` is no program for Linux");
    };
    let built_for = match machine {
        AARCH64 => Architecture::Arm64,
        X86_64 => Architecture::X86,
        other => bail!("`bootstrap` was built for a processor that Lambda does not have (ELF machine {other})"),
    };
    if built_for == architecture {
        return Ok(());
    }
    let word = |one: Architecture| one.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default();
    bail!(
        "`bootstrap` was built for {0}, and the Lambda is to run on {1}: pass --architecture {0}, or name one that was built for {1}",
        word(built_for),
        word(architecture)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn program(machine: u16) -> Vec<u8> {
        let mut program = [ELF, &[0; 60]].concat();
        program[MACHINE..MACHINE + 2].copy_from_slice(&machine.to_le_bytes());
        program
    }

    #[test]
    fn the_same_program_is_the_same_package_and_can_be_run() {
        let zip = zipped(&program(AARCH64)).unwrap();
        assert_eq!(zip, zipped(&program(AARCH64)).unwrap());
        let mut archive = ZipArchive::new(Cursor::new(&zip)).unwrap();
        assert_eq!(archive.len(), 1);
        let file = archive.by_name(PROGRAM).unwrap();
        assert_eq!(file.unix_mode().map(|mode| mode & 0o777), Some(0o755));
        check_zip(&zip, Architecture::Arm64).unwrap();
    }

    #[test]
    fn what_lambda_could_not_start_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let said = |bytes: &[u8]| {
            let path = folder.path().join("bootstrap");
            fs::write(&path, bytes).unwrap();
            format!("{:#}", read(&path, Architecture::Arm64).unwrap_err())
        };
        assert!(said(&program(X86_64)).contains("built for x86_64, and the Lambda is to run on arm64"));
        assert!(said(&program(8)).contains("ELF machine 8"));
        assert!(said(b"#!/bin/sh\n").contains("no program for Linux"));
        assert!(said(b"PK\x03\x04").contains("cannot be read"));
        assert!(said(&zipped(&program(X86_64)).unwrap()).contains("--architecture x86_64"));
        let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
        zip.start_file("other", SimpleFileOptions::default()).unwrap();
        assert!(said(&zip.finish().unwrap().into_inner()).contains("no file `bootstrap`"));
        let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
        zip.start_file(PROGRAM, SimpleFileOptions::default().unix_permissions(0o644)).unwrap();
        zip.write_all(&program(AARCH64)).unwrap();
        assert!(said(&zip.finish().unwrap().into_inner()).contains("chmod +x"));
    }
}
