//! The name of an image on this machine, and the repository that follows from it.

use std::fmt;
use std::str::FromStr;

/// ECR's limits for the name of a repository.
const LENGTH: std::ops::RangeInclusive<usize> = 2..=256;

/// The name of an image as `docker` takes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LocalName {
    given: String,
    repository: String,
}

impl LocalName {
    /// The repository's name: that of the image without registry, tag and digest.
    pub(super) fn repository(&self) -> &str {
        &self.repository
    }

    /// As it was given.
    pub(crate) fn as_str(&self) -> &str {
        &self.given
    }
}

impl AsRef<Self> for LocalName {
    fn as_ref(&self) -> &Self {
        self
    }
}

impl FromStr for LocalName {
    type Err = String;

    fn from_str(given: &str) -> Result<Self, String> {
        let name = given.split_once('@').map_or(given, |(name, _)| name);
        // As Docker tells registries: by a dot or a port.
        let path = match name.split_once('/') {
            Some((host, path)) if host.contains(['.', ':']) || host == "localhost" => path,
            _ => name,
        };
        let repository = path.split_once(':').map_or(path, |(path, _)| path);
        if LENGTH.contains(&repository.len()) && repository.split('/').all(is_component) {
            Ok(Self { given: given.to_owned(), repository: repository.to_owned() })
        } else {
            Err("write it like unspsc-serve or team/unspsc-serve:0.1.0, in lower case: the name is the repository's too".to_owned())
        }
    }
}

impl fmt::Display for LocalName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.given)
    }
}

/// Lower-case letters and digits, and between them one dot, one or two underscores, or hyphens.
fn is_component(text: &str) -> bool {
    let is_word = |character: char| character.is_ascii_lowercase() || character.is_ascii_digit();
    let ends = text.starts_with(is_word) && text.ends_with(is_word);
    let is_separator = |run: &str| matches!(run, "" | "." | "_" | "__") || run.chars().all(|each| each == '-');
    ends && text.split(is_word).all(is_separator)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_repository_has_the_name_of_the_image() {
        for (given, repository) in [
            ("unspsc-serve", "unspsc-serve"),
            ("unspsc-serve:latest", "unspsc-serve"),
            ("team/unspsc_serve:0.1.0", "team/unspsc_serve"),
            ("localhost:5000/a--b/c.d__e@sha256:0123", "a--b/c.d__e"),
            ("localhost/serve", "serve"),
            ("ghcr.io/team/serve:1", "team/serve"),
        ] {
            assert_eq!(given.parse::<LocalName>().map(|name| name.repository), Ok(repository.to_owned()), "{given}");
        }
        for given in ["", "a", "Serve", "-serve", "a//b", "a..b", "a___b", "serve-", ":tag", "a b", "--all", "ü/serve"]
        {
            assert!(given.parse::<LocalName>().is_err(), "{given}");
        }
    }
}
