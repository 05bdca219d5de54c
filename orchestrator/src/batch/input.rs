//! What is to be coded: a file of this machine, or objects of S3, which are downloaded to be read.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use unspsc_dataset::Texts;

use crate::aws::ServiceError;
use crate::options::BatchArgs;
use crate::scratch::Scratch;
use crate::session::Session;
use crate::storage::{self, S3Uri};
use crate::whole;

/// The ending that makes way for that of the coded table; others stay, so that `a.csv` and `a.csv.gz` have one each.
const TABLE: &str = ".csv";
/// The ending of a coded table.
const CODED: &str = ".coded.csv";
/// Where the tables of several objects go unless a folder is named.
const FOLDER: &str = "coded";

/// A table on this machine.
#[derive(Debug)]
pub(super) struct Input {
    pub(super) texts: Texts,
    /// The file that is to be written.
    pub(super) target: PathBuf,
    /// What keeps a download where it is.
    _downloaded: Option<std::sync::Arc<Scratch>>,
}

/// Reads what `args` name.
pub(super) async fn read(session: &Session, args: &BatchArgs) -> anyhow::Result<Vec<Input>> {
    let inputs = if args.data.starts_with("s3://") {
        from_s3(session, args, &place(&args.data)?).await?
    } else {
        let path = Path::new(&args.data);
        if path.is_dir() {
            bail!("{} is a folder: name a file, or a prefix of S3", path.display());
        }
        let texts = open(path, path, args).await?;
        let beside = path.parent().unwrap_or(Path::new("")).join(coded(&name_of(path)));
        let target = args.output.clone().unwrap_or(beside);
        whole::refuse_input(path, &target)?;
        vec![Input { texts, target, _downloaded: None }]
    };
    for input in &inputs {
        if input.target.exists() && !input.target.is_file() {
            bail!("{} is there and is no file: name another --output", input.target.display());
        }
        if input.texts.damaged() > 0 {
            let (damaged, data) = (input.texts.damaged(), &args.data);
            let said = format!("{damaged} characters of {data} cannot be read and are replaced; it should be UTF-8");
            session.progress.say(&said);
        }
    }
    Ok(inputs)
}

async fn open(file: &Path, name: &Path, args: &BatchArgs) -> anyhow::Result<Texts> {
    let (file, name, columns) = (file.to_owned(), name.to_owned(), args.description_column.clone());
    let opened = tokio::task::spawn_blocking(move || Texts::open(&file, &name, &columns)).await;
    Ok(opened.context("the reading came to a sudden end")??)
}

/// The object or prefix that `data` names; a bucket alone stands for all that it holds.
fn place(data: &str) -> anyhow::Result<S3Uri> {
    let rest = data.strip_prefix("s3://").unwrap_or(data);
    let (bucket, key) = rest.split_once('/').unwrap_or((rest, ""));
    if bucket.is_empty() {
        bail!("--data `{data}` names no bucket; it should look like s3://bucket/prefix");
    }
    Ok(S3Uri::new(bucket, key))
}

async fn from_s3(session: &Session, args: &BatchArgs, place: &S3Uri) -> anyhow::Result<Vec<Input>> {
    let mut keys = match storage::list(session, place).await {
        Err(error) if error.downcast_ref().is_some_and(ServiceError::is_missing) => {
            bail!("there is no bucket {}: correct --data", place.bucket)
        }
        keys => keys?,
    };
    // An object that is named outright is meant, and none whose name only begins like it.
    if keys.contains(&place.key) {
        keys.retain(|key| *key == place.key);
    }
    if keys.is_empty() {
        bail!("{place} holds no objects");
    }
    let targets = targets(&place.key, &keys, args.output.as_deref())?;
    let folder = std::sync::Arc::new(Scratch::new().context("cannot make a temporary folder")?);
    let step = session.progress.count(&format!("downloading {place}"), keys.len() as u64);
    let mut inputs = Vec::with_capacity(keys.len());
    for (number, (key, target)) in keys.iter().zip(targets).enumerate() {
        let object = S3Uri::new(&place.bucket, key);
        let file = folder.path().join(number.to_string());
        storage::download(session, &object, &file).await?;
        let texts = open(&file, Path::new(&object.to_string()), args).await?;
        inputs.push(Input { texts, target, _downloaded: Some(std::sync::Arc::clone(&folder)) });
        step.advance(1);
    }
    Ok(inputs)
}

/// The files that are to be written for the objects `keys` below `prefix`.
fn targets(prefix: &str, keys: &[String], output: Option<&Path>) -> anyhow::Result<Vec<PathBuf>> {
    if let [key] = keys {
        return Ok(vec![output.map_or_else(|| PathBuf::from(coded(&name_of(Path::new(key)))), Path::to_path_buf)]);
    }
    let (folder, mut taken, mut targets) = (output.unwrap_or(Path::new(FOLDER)), HashMap::new(), Vec::new());
    for key in keys {
        let target = folder.join(coded(&path_below(prefix, key)?));
        if let Some(other) = taken.insert(target.clone(), key) {
            bail!(
                "the objects {other} and {key} would both be coded into {}: rename one of them, or name each alone, with \
                 an --output",
                target.display()
            );
        }
        targets.push(target);
    }
    Ok(targets)
}

/// Where a key lies below a prefix, as a path that stays below a folder.
fn path_below(prefix: &str, key: &str) -> anyhow::Result<String> {
    let folder = prefix.rfind('/').map_or(0, |slash| slash + 1);
    let below = key.get(folder..).unwrap_or(key);
    if below.split('/').any(|part| matches!(part, "" | "." | "..")) {
        bail!("the object {key} has a name that is no path: name it alone, with an --output");
    }
    Ok(below.to_owned())
}

fn name_of(path: &Path) -> String {
    path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned()
}

/// The name of the coded table for a file of this name.
fn coded(name: &str) -> String {
    format!("{}{CODED}", name.strip_suffix(TABLE).unwrap_or(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_objects_have_one_coded_table() {
        let targets =
            |keys: &[&str]| targets("in/", &keys.iter().map(|key| (*key).to_owned()).collect::<Vec<_>>(), None);
        assert_eq!(targets(&["in/a.csv"]).unwrap(), [Path::new("a.coded.csv")]);
        let two = targets(&["in/a.csv", "in/b/a.csv"]).unwrap();
        assert_eq!(two, [Path::new("coded/a.coded.csv"), Path::new("coded/b/a.coded.csv")]);
        assert!(targets(&["in/a.csv", "in/a.csv.gz", "in/a.jsonl"]).is_ok());
        let error = targets(&["in/a.csv", "in/b.csv", "in/a"]).unwrap_err().to_string();
        for part in ["in/a.csv and in/a", "coded/a.coded.csv", "rename one"] {
            assert!(error.contains(part), "{error}");
        }
    }

    #[test]
    fn a_bucket_alone_stands_for_all_of_it() {
        for (data, key) in [("s3://b", ""), ("s3://b/", ""), ("s3://b/in/", "in/")] {
            assert_eq!(place(data).unwrap(), S3Uri::new("b", key));
        }
        assert!(place("s3://").unwrap_err().to_string().contains("should look like s3://bucket/prefix"));
    }

    #[test]
    fn coded_tables_lie_where_their_inputs_did() {
        for (name, expected) in [("a.csv", "a.coded.csv"), ("a.csv.gz", "a.csv.gz.coded.csv"), ("b/a", "b/a.coded.csv")]
        {
            assert_eq!(coded(name), expected);
        }
        assert_eq!(path_below("in/tables/2025", "in/tables/2025-01/a.csv").unwrap(), "2025-01/a.csv");
        assert_eq!(path_below("", "a.csv").unwrap(), "a.csv");
        assert!(path_below("in/", "in/../a.csv").is_err() && path_below("in/", "in//a.csv").is_err());
    }
}
