//! The text of `unspsc.toml`, checked against what can be set.

use clap::{Arg, ArgAction, Command};
use toml::Spanned;
use toml::de::{DeString, DeTable, DeValue};

use super::Keys;

/// Where in the text something is wrong, in bytes, and what.
type Wrong = (usize, String);

/// How alike two keys have to be for one to be taken for the other: 1 is the same.
const ALIKE: f64 = 0.7;

/// One setting of the file.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) table: String,
    pub(super) key: String,
    /// The values as the command line would have them.
    pub(super) values: Vec<String>,
}

/// The settings in `text`, which must be among `keys`.
pub(super) fn read(text: &str, keys: &Keys) -> Result<Vec<Entry>, Wrong> {
    let tables = DeTable::parse(text)
        .map_err(|error| (error.span().map_or(0, |span| span.start), error.message().to_owned()))?;
    let mut entries = Vec::new();
    for (table, value) in tables.get_ref() {
        let Some(known) = keys.get(table.get_ref().as_ref()) else {
            return Err(unknown("table", table, keys.keys()));
        };
        let DeValue::Table(settings) = value.get_ref() else {
            return Err((value.span().start, format!("`{0}` has to be a table: write [{0}]", table.get_ref())));
        };
        for (key, value) in settings {
            let Some(argument) = known.get(key.get_ref().as_ref()) else {
                return Err(unknown("key", key, known.keys()));
            };
            let name = key.get_ref().to_string();
            let of_key = |reason: String| (value.span().start, format!("`{name}`: {reason}"));
            let values = values(argument, value.get_ref()).map_err(of_key)?;
            check(argument, &name, &values).map_err(of_key)?;
            entries.push(Entry { table: table.get_ref().to_string(), key: name.clone(), values });
        }
    }
    Ok(entries)
}

fn unknown<'a>(what: &str, found: &Spanned<DeString<'_>>, known: impl Iterator<Item = &'a String>) -> Wrong {
    let name = found.get_ref().as_ref();
    let known: Vec<&str> = known.map(String::as_str).collect();
    let likeness = |other: &str| strsim::jaro_winkler(&name.replace('_', "-"), other);
    let nearest = known.iter().max_by(|one, other| likeness(one).total_cmp(&likeness(other)));
    let hint = match nearest {
        Some(nearest) if likeness(nearest) >= ALIKE => format!("did you mean `{nearest}`?"),
        _ => format!("known are {}", known.join(", ")),
    };
    (found.span().start, format!("unknown {what} `{name}`: {hint}"))
}

/// `value` as the command line would have it.
fn values(argument: &Arg, value: &DeValue<'_>) -> Result<Vec<String>, String> {
    let is_list = matches!(argument.get_action(), ArgAction::Append);
    match value {
        DeValue::Array(items) if is_list => items.iter().map(|item| scalar(item.get_ref())).collect(),
        DeValue::Table(pairs) if is_list => {
            let pair = |(name, value): (&Spanned<DeString<'_>>, &Spanned<DeValue<'_>>)| {
                Ok(format!("{}={}", name.get_ref(), scalar(value.get_ref())?))
            };
            pairs.iter().map(pair).collect()
        }
        value => scalar(value).map(|value| vec![value]),
    }
}

fn scalar(value: &DeValue<'_>) -> Result<String, String> {
    Ok(match value {
        DeValue::String(text) => text.to_string(),
        DeValue::Boolean(value) => value.to_string(),
        DeValue::Float(number) => number.as_str().to_owned(),
        DeValue::Integer(number) if number.radix() == 10 => number.as_str().to_owned(),
        value => return Err(format!("expected one text or number, not {}", value.type_str())),
    })
}

/// What the command line would say of these values, so that it is said of the file.
fn check(argument: &Arg, name: &str, values: &[String]) -> Result<(), String> {
    let command = Command::new("settings").no_binary_name(true).arg(argument.clone());
    let given = values.iter().map(|value| format!("--{name}={value}"));
    let Err(error) = command.try_get_matches_from(given) else { return Ok(()) };
    let text = error.to_string();
    let line = text.lines().next().unwrap_or_default();
    Err(line.trim_start_matches("error: ").to_owned())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use crate::options::Cli;
    use crate::settings::keys;

    use super::*;

    fn reason(text: &str) -> (usize, String) {
        read(text, &keys(&Cli::command())).unwrap_err()
    }

    #[test]
    fn every_kind_of_value_becomes_what_the_command_line_has() {
        let text = "[platform]\nrole = 'arn:aws:iam::1:role/r'\n[training]\nspot = true\nvolume-gb = 5\ntag = ['a=b', 'c=d']\n\
                    [training.hyperparameter]\nepochs = 3\n";
        let entries = read(text, &keys(&Cli::command())).unwrap();
        let values: Vec<(&str, Vec<String>)> = entries.into_iter().map(|e| (e.key.leak() as &str, e.values)).collect();
        let of = |key: &str| values.iter().find(|(other, _)| *other == key).unwrap().1.join(" ");
        for (key, value) in [
            ("role", "arn:aws:iam::1:role/r"),
            ("spot", "true"),
            ("volume-gb", "5"),
            ("tag", "a=b c=d"),
            ("hyperparameter", "epochs=3"),
        ] {
            assert_eq!(of(key), value, "{key}");
        }
    }

    #[test]
    fn unknown_keys_are_named_with_the_nearest_known_one() {
        let (at, reason_of_key) = reason("[training]\nvolume_gb = 5\n");
        assert_eq!((at, reason_of_key.as_str()), (11, "unknown key `volume_gb`: did you mean `volume-gb`?"));
        assert!(reason("[trainning]\n").1.contains("did you mean `training`?"));
        assert!(reason("[platform]\nqqq = 1\n").1.contains("known are bucket, endpoint-url"));
        assert!(reason("[platform]\nlocal = true\n").1.contains("unknown key `local`"));
    }

    #[test]
    fn values_are_refused_in_the_words_of_the_command_line() {
        assert!(reason("[training]\nvolume-gb = 0\n").1.contains("`volume-gb`: invalid value '0'"));
        assert!(reason("[training]\nvolume-gb = [1, 2]\n").1.contains("expected one text or number, not array"));
        assert!(reason("[training]\ntag = { 'aws:x' = 1 }\n").1.contains("are taken"));
        assert!(reason("training = 1\n").1.contains("write [training]"));
        assert!(reason("[training\n").0 > 0);
    }
}
