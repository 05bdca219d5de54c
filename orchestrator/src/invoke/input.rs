//! Where the texts come from: arguments, a file, or standard input.

use std::fs::File;
use std::io::{self, IsTerminal as _, Read as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use tokio::sync::oneshot;
use unspsc_dataset::{TextRow, Texts};

use crate::options::InvokeArgs;
use crate::scratch::Scratch;

/// What stands for standard input.
const STDIN: &str = "-";
/// The longest statement that the server takes, in bytes.
const MAX_STATEMENT: usize = 1 << 20;

/// Rows to ask about.
pub(super) enum Input {
    /// Texts of the command line.
    Given { texts: Vec<String>, header: Vec<String> },
    /// A file, with that which keeps it there where it is standard input.
    File { texts: Texts, header: Vec<String>, spooled: Option<Scratch> },
}

/// What the options name.
enum Named {
    Given(Vec<String>),
    File(PathBuf),
    Stdin,
}

fn named(args: &InvokeArgs) -> anyhow::Result<Named> {
    match (&args.file, args.texts.as_slice()) {
        (Some(file), _) if file.as_os_str() == STDIN => Ok(Named::Stdin),
        (Some(file), _) => Ok(Named::File(file.clone())),
        (None, [only]) if only == STDIN => Ok(Named::Stdin),
        (None, []) if io::stdin().is_terminal() => {
            bail!("nothing to ask about: give a text, a file with --file, or pipe texts in")
        }
        (None, []) => Ok(Named::Stdin),
        (None, texts) => Ok(Named::Given(texts.to_vec())),
    }
}

/// The rows that the options name, read through once, and how many there are.
pub(super) async fn rows(args: &InvokeArgs) -> anyhow::Result<(Input, usize)> {
    // Made here, where a signal drops it, and not by the thread that reads, which may wait for ever.
    let spooled = Scratch::new().context("cannot make a temporary folder")?;
    let (args, place) = (args.clone(), spooled.path().join("input"));
    let (mut input, total) = apart(move || {
        let input = open(&args, &place)?;
        let total = input.count()?;
        Ok((input, total))
    })
    .await?;
    if let Input::File { spooled: keeper, .. } = &mut input {
        *keeper = Some(spooled);
    }
    Ok((input, total))
}

/// Does `work` on a thread for which nothing waits when the program is interrupted.
async fn apart<T: Send + 'static>(work: impl FnOnce() -> anyhow::Result<T> + Send + 'static) -> anyhow::Result<T> {
    let (sender, receiver) = oneshot::channel();
    std::thread::spawn(move || {
        // Whoever asked may be gone.
        let _ = sender.send(work());
    });
    receiver.await.context("the reading came to a sudden end")?
}

/// Opens what the options name; standard input is copied to `place`.
fn open(args: &InvokeArgs, place: &Path) -> anyhow::Result<Input> {
    let open = |file: &Path, name: &Path| Texts::open(file, name, &args.description_column);
    let texts = match named(args)? {
        Named::Given(_) if !args.description_column.is_empty() => {
            bail!("--description-column names a column of a table: give one with --file or on standard input")
        }
        Named::Given(texts) => return Ok(Input::Given { texts, header: vec!["description".to_owned()] }),
        Named::File(file) => open(&file, &file)?,
        Named::Stdin => {
            // It is read twice: what it is shows only at its end.
            let mut spooled = File::create(place).context("cannot write a temporary file")?;
            io::copy(&mut io::stdin().lock(), &mut spooled).context("cannot read standard input")?;
            open(place, Path::new("standard input"))?
        }
    };
    let header = texts.header().to_vec();
    Ok(Input::File { texts, header, spooled: None })
}

/// The statement that the options name, whole.
pub(super) async fn statement(args: &InvokeArgs) -> anyhow::Result<String> {
    let args = args.clone();
    apart(move || whole(&args)).await
}

fn whole(args: &InvokeArgs) -> anyhow::Result<String> {
    let read = |mut from: Box<dyn io::Read>, name: &str| {
        let (mut text, cannot) = (Vec::new(), || format!("cannot read {name}"));
        from.as_mut().take(MAX_STATEMENT as u64 + 1).read_to_end(&mut text).with_context(cannot)?;
        if text.len() > MAX_STATEMENT {
            bail!("{name} is longer than a statement can be: 1 MiB");
        }
        String::from_utf8(text).with_context(cannot)
    };
    match named(args)? {
        Named::Given(texts) => match <[String; 1]>::try_from(texts) {
            Ok([text]) => Ok(text),
            Err(texts) => bail!("--statement takes one text, not {}: put it in quotation marks", texts.len()),
        },
        Named::File(file) => {
            let name = file.display().to_string();
            read(Box::new(File::open(&file).with_context(|| format!("cannot read {name}"))?), &name)
        }
        Named::Stdin => read(Box::new(io::stdin()), "standard input"),
    }
}

impl Input {
    /// Names of the columns.
    pub(super) fn header(&self) -> &[String] {
        match self {
            Self::Given { header, .. } | Self::File { header, .. } => header,
        }
    }

    /// How many rows there are.
    fn count(&self) -> anyhow::Result<usize> {
        match self {
            Self::Given { texts, .. } => Ok(texts.len()),
            Self::File { texts, .. } => {
                let mut rows = 0;
                for row in texts.rows()? {
                    row?;
                    rows += 1;
                }
                if rows == 0 {
                    bail!("there is no row below the header");
                }
                Ok(rows)
            }
        }
    }

    /// Characters of the file that could not be read as such.
    pub(super) fn damaged(&self) -> usize {
        match self {
            Self::Given { .. } => 0,
            Self::File { texts, .. } => texts.damaged(),
        }
    }

    /// The rows, one after another.
    pub(super) fn rows(&self) -> anyhow::Result<Box<dyn Iterator<Item = anyhow::Result<TextRow>> + Send + '_>> {
        Ok(match self {
            Self::Given { texts, .. } => {
                let row = |text: &String| Ok(TextRow { cells: vec![text.clone()], text: Ok(text.clone()) });
                Box::new(texts.iter().map(row))
            }
            Self::File { texts, .. } => Box::new(texts.rows()?.map(|row| Ok(row?))),
        })
    }
}
