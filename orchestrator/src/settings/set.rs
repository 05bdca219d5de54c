//! A value that a verb writes into the file of settings.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use toml_edit::{DocumentMut, Item, Table, value};

use super::FILE;

/// Sets `table`, `key` and value in the file `path`, or the one that is read by default, and leaves all else in it as it is.
pub(crate) fn set(path: Option<&Path>, entries: &[(&str, &str, String)]) -> anyhow::Result<PathBuf> {
    let path = path.unwrap_or(Path::new(FILE));
    let text = match std::fs::read_to_string(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => String::new(),
        text => text.with_context(|| format!("cannot read {}", path.display()))?,
    };
    let text = with(&text, entries).with_context(|| format!("cannot change {}", path.display()))?;
    std::fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))?;
    Ok(path.to_owned())
}

fn with(text: &str, entries: &[(&str, &str, String)]) -> anyhow::Result<String> {
    let mut document: DocumentMut = text.parse()?;
    for (table, key, new) in entries {
        if !document.contains_key(table) {
            add(&mut document, table);
        }
        let table = document.get_mut(table).and_then(Item::as_table_like_mut);
        let table =
            table.with_context(|| format!("{key} belongs into a table, and it has a value in that one's place"))?;
        match table.get_mut(key).and_then(Item::as_value_mut) {
            Some(there) => {
                // What stands around it, such as a comment, stays.
                let around = there.decor().clone();
                *there = new.as_str().into();
                *there.decor_mut() = around;
            }
            None => drop(table.insert(key, value(new.as_str()))),
        }
    }
    Ok(document.to_string())
}

/// Adds a table at the end, behind the comments that stand there.
fn add(document: &mut DocumentMut, name: &str) {
    let mut table = Table::new();
    let behind = document.trailing().as_str().unwrap_or_default().to_owned();
    let gap = if document.is_empty() && behind.is_empty() { "" } else { "\n" };
    table.decor_mut().set_prefix(format!("{behind}{gap}"));
    document.set_trailing("");
    document.insert(name, Item::Table(table));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_set_stays_as_it_is() {
        let entries = [("training", "train-image", "t@1".to_owned()), ("serving", "serve-image", "s@1".to_owned())];
        let new = "[training]\ntrain-image = \"t@1\"\n\n[serving]\nserve-image = \"s@1\"\n";
        assert_eq!(with("", &entries).unwrap(), new);
        assert_eq!(with(new, &entries).unwrap(), new, "a second time nothing is new");
        let there = "# mine\n[training]  # table\nspot = true\ntrain-image = \"t@0\"  # old\n# train-image = \"x\"\n";
        let expected = "# mine\n[training]  # table\nspot = true\ntrain-image = \"t@1\"  # old\n# train-image = \"x\"\n\n\
                        [serving]\nserve-image = \"s@1\"\n";
        assert_eq!(with(there, &entries).unwrap(), expected);
        assert!(with("training = 1\n", &entries).is_err());
    }
}
