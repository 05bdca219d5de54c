//! `unspsc init`: a file of settings in which everything that can be set stands with its default.

use std::fs::OpenOptions;
use std::io::{ErrorKind, Write as _};
use std::path::Path;

use anyhow::{Context as _, bail};
use clap::{Arg, ArgAction, Command};

use crate::options::InitArgs;
use crate::progress::print;

use super::{FILE, HEADINGS, place};

/// Columns of the file's comments.
const WIDTH: usize = 110;

/// Writes the file `path`, or the one that is read by default.
pub(crate) fn run(command: &Command, path: Option<&Path>, args: &InitArgs) -> anyhow::Result<()> {
    let path = path.unwrap_or(Path::new(FILE));
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true).create_new(!args.force);
    let file = match options.open(path) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            bail!("{} is there: pass --force to replace it", path.display())
        }
        file => file,
    };
    let written = file.and_then(|mut file| file.write_all(text(command).as_bytes()));
    written.with_context(|| format!("cannot write {}", path.display()))?;
    print(&format!("written to {}: take the `#` from a line to set it", path.display()))
}

/// The file's text.
fn text(command: &Command) -> String {
    let mut text = "# Settings of unspsc. The environment goes before this file, and options before both; an option that may be\n\
                    # repeated replaces the list that stands here. Paths are relative to the folder that unspsc is started in.\n"
        .to_owned();
    for heading in HEADINGS {
        text += &format!("\n[{}]\n", heading.to_lowercase());
        let mut seen = Vec::new();
        describe(command, heading, &mut seen, &mut text);
    }
    text
}

/// Adds the options of `heading` in the order of the help, each once.
fn describe(command: &Command, heading: &str, seen: &mut Vec<String>, text: &mut String) {
    for argument in command.get_arguments().filter(|argument| argument.get_help_heading() == Some(heading)) {
        let Some((_, key)) = place(argument) else { continue };
        if !seen.contains(&key) {
            *text += &entry(argument, &key);
            seen.push(key);
        }
    }
    command.get_subcommands().for_each(|command| describe(command, heading, seen, text));
}

fn entry(argument: &Arg, key: &str) -> String {
    let help = argument.get_help().map(ToString::to_string).unwrap_or_default();
    let variable = argument.get_env().map(|name| format!(" ({})", name.to_string_lossy())).unwrap_or_default();
    let mut text = format!("\n{}", commented(&format!("{help}{variable}")));
    let placeholder = argument.get_value_names().and_then(|names| names.first()).map(ToString::to_string);
    let placeholder = placeholder.unwrap_or_else(|| key.to_uppercase());
    let value = match argument.get_default_values().first() {
        Some(value) => literal(&value.to_string_lossy()),
        // A list of pairs reads best as a table.
        None if matches!(argument.get_action(), ArgAction::Append) && placeholder.contains('=') => "{}".to_owned(),
        None if matches!(argument.get_action(), ArgAction::Append) => "[]".to_owned(),
        None => literal(&placeholder),
    };
    text += &format!("# {key} = {value}\n");
    text
}

/// `text` as lines of a comment.
fn commented(text: &str) -> String {
    let mut lines = vec!["#".to_owned()];
    for word in text.split_whitespace() {
        let line = lines.last_mut().filter(|line| line.len() + word.len() < WIDTH);
        match line {
            Some(line) => *line += &format!(" {word}"),
            None => lines.push(format!("# {word}")),
        }
    }
    lines.join("\n") + "\n"
}

/// A value in TOML: numbers and truth values as such, all else quoted.
fn literal(value: &str) -> String {
    let is_bare = value.parse::<i64>().is_ok() || value.parse::<bool>().is_ok();
    if is_bare { value.to_owned() } else { format!("\"{}\"", value.replace('\\', "\\\\").replace('"', "\\\"")) }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use clap::CommandFactory as _;

    use crate::options::Cli;
    use crate::settings::{file, keys};

    use super::*;

    /// What is checked and has no default.
    const NO_DEFAULT: [&str; 17] = [
        "alarm-topic",
        "architecture",
        "lambda-memory-mb",
        "provisioned-concurrency",
        "maximum-concurrency",
        "log-descriptions",
        "bucket",
        "endpoint-url",
        "role",
        "max-wait-secs",
        "goal",
        "price-per-hour",
        "base-line",
        "peak-calls-per-minute",
        "rollout-percent",
        "rollout-wait-secs",
        "rollout-timeout-secs",
    ];

    /// Lists, and the encoder, whose variable says where one lies and not that it is to be uploaded.
    const NO_VARIABLE: [&str; 5] = ["rollback-alarm", "encoder", "hyperparameter", "tag", "search"];

    #[test]
    fn all_that_can_be_set_stands_in_the_file_with_its_default() {
        let command = Cli::command();
        let text = text(&command);
        assert!(text.lines().all(|line| line.len() <= 120), "{text}");
        let keys = keys(&command);
        for key in keys.values().flat_map(|keys| keys.keys()) {
            assert_eq!(text.matches(&format!("\n# {key} = ")).count(), 1, "{key} in\n{text}");
        }
        assert!(text.contains("\n# volume-gb = 30\n") && text.contains("UNSPSC_VOLUME_GB"), "{text}");
        assert_eq!(file::read(&text, &keys), Ok(Vec::new()));
        let without = keys.values().flatten().filter(|(_, argument)| argument.get_env().is_none());
        let without: Vec<&str> = without.map(|(key, _)| key.as_str()).collect();
        assert_eq!(without, NO_VARIABLE, "docs/orchestrator.md names those without a variable");
    }

    #[test]
    fn defaults_that_are_uncommented_change_nothing() {
        let command = Cli::command();
        let keys = keys(&command);
        let is_setting = |line: &&str| {
            keys.values().flat_map(|keys| keys.keys()).any(|key| {
                line.strip_prefix("# ")
                    .and_then(|line| line.strip_prefix(key.as_str()))
                    .is_some_and(|l| l.starts_with(" = "))
            })
        };
        let text = text(&command);
        let text: Vec<&str> =
            text.lines().map(|line| if is_setting(&line) { line.trim_start_matches("# ") } else { line }).collect();
        // Placeholders of what has no default are no values where these are checked.
        let is_placeholder = |line: &&str| NO_DEFAULT.iter().any(|key| line.starts_with(&format!("{key} =")));
        let text: Vec<&str> = text.into_iter().filter(|line| !is_placeholder(line)).collect();
        let entries = file::read(&text.join("\n"), &keys).unwrap();
        assert_eq!(entries.len(), keys.values().map(BTreeMap::len).sum::<usize>() - NO_DEFAULT.len());
        let default = |entry: &file::Entry| keys[&entry.table][&entry.key].get_default_values().first().cloned();
        for entry in &entries {
            if let Some(default) = default(entry) {
                assert_eq!(entry.values, [default.to_string_lossy()], "{}", entry.key);
            }
        }
    }
}
