//! Settings: `unspsc.toml` under the environment under options.
//!
//! What can be set is what the options of some headings say: keys, help, variables and defaults are taken from the
//! command line's own definition, so that there is one list of them. A value of the file becomes the option's default;
//! that is how clap lets environment and command line go before it, and how `--help` shows it.

mod file;
mod init;
mod set;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;

use clap::builder::Resettable;
use clap::{Arg, Command};

pub(crate) use init::run as init;
pub(crate) use set::set;

use file::Entry;

/// The file that is read where none is named.
pub(crate) const FILE: &str = "unspsc.toml";
/// The variable that names another.
const VARIABLE: &str = "UNSPSC_CONFIG";
/// Headings of the help whose options can be set; lower case they are the tables of the file.
const HEADINGS: [&str; 6] = ["Platform", "Training", "Tuning", "Serving", "Batch", "Lambda"];
/// Options of these headings that are for one run alone.
const NOT_SET: [&str; 3] = ["local", "job-name", "warm-start"];

/// Why settings cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SettingsError {
    /// The file cannot be read.
    #[error("cannot read {}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// Something in it is wrong.
    #[error("{}:{line}: {reason}", path.display())]
    Wrong {
        /// The file.
        path: PathBuf,
        /// Line, from 1.
        line: usize,
        /// What is wrong, and what would be right.
        reason: String,
    },
}

impl SettingsError {
    /// Whether there is no such file.
    pub(crate) fn is_missing(&self) -> bool {
        matches!(self, Self::Unreadable { source, .. } if source.kind() == std::io::ErrorKind::NotFound)
    }
}

/// `command` for which a variable that is empty is one that is not set: so it is left in scripts.
pub(crate) fn unless_empty(command: Command) -> Command {
    let is_empty = |argument: &Arg| {
        let value = argument.get_env().and_then(std::env::var_os);
        value.is_some_and(|value| value.is_empty())
    };
    let command =
        command.mut_args(|argument| if is_empty(&argument) { argument.env(Resettable::Reset) } else { argument });
    command.mut_subcommands(unless_empty)
}

/// `command` with the defaults that the file of settings has for it.
pub(crate) fn apply(command: Command, arguments: &[OsString]) -> Result<Command, SettingsError> {
    let named = named(arguments).or_else(|| std::env::var_os(VARIABLE).filter(|name| !name.is_empty()));
    let path = named.clone().map_or_else(|| PathBuf::from(FILE), PathBuf::from);
    let text = match std::fs::read_to_string(&path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound && named.is_none() => return Ok(command),
        text => text.map_err(|source| SettingsError::Unreadable { path: path.clone(), source })?,
    };
    let entries = file::read(&text, &keys(&command)).map_err(|(offset, reason)| {
        let line = text.bytes().take(offset).filter(|byte| *byte == b'\n').count() + 1;
        SettingsError::Wrong { path, line, reason }
    })?;
    Ok(with_defaults(command, &entries))
}

/// The file that `--config` names; asked before the command line is read as a whole, since that needs its settings.
fn named(arguments: &[OsString]) -> Option<OsString> {
    let mut arguments = arguments.iter().skip(1).take_while(|argument| *argument != "--");
    while let Some(argument) = arguments.next() {
        if argument == "--config" {
            return arguments.next().cloned();
        }
        if let Some(name) = argument.to_str().and_then(|argument| argument.strip_prefix("--config=")) {
            return Some(name.into());
        }
    }
    None
}

/// What can be set, by table and key.
type Keys = BTreeMap<String, BTreeMap<String, Arg>>;

/// The options of `command` and all below it that can be set.
fn keys(command: &Command) -> Keys {
    let mut keys = Keys::new();
    gather(command, &mut keys);
    keys
}

fn gather(command: &Command, keys: &mut Keys) {
    for argument in command.get_arguments() {
        if let Some((table, key)) = place(argument) {
            keys.entry(table).or_default().entry(key).or_insert_with(|| argument.clone());
        }
    }
    command.get_subcommands().for_each(|command| gather(command, keys));
}

/// The table and key that set `argument`.
fn place(argument: &Arg) -> Option<(String, String)> {
    let heading = argument.get_help_heading().filter(|heading| HEADINGS.contains(heading))?;
    let key = argument.get_long().filter(|key| !NOT_SET.contains(key))?;
    Some((heading.to_lowercase(), key.to_owned()))
}

fn with_defaults(command: Command, entries: &[Entry]) -> Command {
    let entry = |argument: &Arg| {
        let (table, key) = place(argument)?;
        entries.iter().find(|entry| entry.table == table && entry.key == key)
    };
    let command = command.mut_args(|argument| match entry(&argument) {
        Some(entry) => argument.default_values(entry.values.clone()),
        None => argument,
    });
    command.mut_subcommands(|command| with_defaults(command, entries))
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory as _, FromArgMatches as _};

    use crate::options::{Cli, Command as Verb, TrainVerb};

    use super::*;

    fn train(text: &str, options: &[&str]) -> TrainVerb {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("settings.toml");
        std::fs::write(&path, text).unwrap();
        let arguments = ["unspsc", "train", "--config", path.to_str().unwrap()];
        let arguments: Vec<OsString> = arguments.iter().chain(options).map(OsString::from).collect();
        let command = apply(Cli::command(), &arguments).unwrap();
        let cli = Cli::from_arg_matches(&command.get_matches_from(arguments)).unwrap();
        let Verb::Train(train) = cli.command else { panic!("{cli:?}") };
        train
    }

    #[test]
    fn options_go_before_the_file_and_the_file_before_defaults() {
        let text = "[training]\nvolume-gb = 50\nspot = true\nhyperparameter = { epochs = 2.5, optimiser = \"x\" }\n";
        let job = train(text, &[]).train.job;
        assert_eq!((job.volume_gb, job.spot, job.max_retries), (50, true, 2));
        let pairs = [("epochs", "2.5"), ("optimiser", "x")].map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(job.hyperparameters, pairs);
        let job = train(text, &["--volume-gb", "60", "--spot=false", "--hyperparameter", "seed=1"]).train.job;
        assert_eq!((job.volume_gb, job.spot, job.hyperparameters.len()), (60, false, 1));
    }

    #[test]
    fn the_file_is_found_wherever_it_is_named() {
        let of = |arguments: &[&str]| named(&arguments.iter().map(OsString::from).collect::<Vec<_>>());
        assert_eq!(of(&["unspsc", "train", "--config", "a"]), Some("a".into()));
        assert_eq!(of(&["unspsc", "--config=a", "train"]), Some("a".into()));
        assert_eq!(of(&["unspsc", "invoke", "--", "--config=a"]), None);
    }

    #[test]
    fn a_file_that_is_named_has_to_be_there() {
        let arguments = ["unspsc", "status", "--config", "no-such-file.toml"].map(OsString::from);
        let error = apply(Cli::command(), &arguments).unwrap_err().to_string();
        assert!(error.contains("cannot read no-such-file.toml"), "{error}");
    }
}
