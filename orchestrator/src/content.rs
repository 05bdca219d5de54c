//! What is made of what: hashes from which names and places follow, and the tags that say so.

use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::sync::Arc;

use anyhow::Context as _;
use aws_sdk_sagemaker::Client;
use aws_sdk_sagemaker::types::Tag;
use serde::Serialize;
use sha2::{Digest as _, Sha256};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::aws::{ServiceError, failed};
use crate::download::{each_block, hex};

/// Tag of everything that this program makes, by which `status` finds it.
pub(crate) const MANAGED_BY: (&str, &str) = ("unspsc:managed-by", "unspsc");
/// Tag with the hash of what something was made of.
pub(crate) const CONTENT: &str = "unspsc:content";
/// Tag with the fingerprint of the data.
pub(crate) const DATA: &str = "unspsc:data";
/// Tag with the program's version.
pub(crate) const VERSION: &str = "unspsc:version";
/// Tag of the pieces of a deployment with its endpoint's name.
pub(crate) const ENDPOINT: &str = "unspsc:endpoint";
/// Tag of an endpoint with the configuration that it had before an update which is not known to be good yet.
pub(crate) const FORMER: &str = "unspsc:former";
/// Hexadecimal digits of a hash that a name ends in: one name in a million million means something else.
const DIGITS: usize = 10;
/// Questions after tags that are under way at the same time.
const PARALLEL: usize = 8;
/// SageMaker's limit for a name.
const MAX_NAME: usize = 63;

/// A hash of everything that decides a result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Content(String);

impl Content {
    /// The hash of `parts`, whose fields must come in the same order each time.
    pub(crate) fn of(parts: &impl Serialize) -> anyhow::Result<Self> {
        Ok(Self(hex(Sha256::new().chain_update(serde_json::to_vec(parts)?))))
    }

    /// All of it.
    pub(crate) fn hash(&self) -> &str {
        &self.0
    }

    /// The beginning of it, as names end in it.
    pub(crate) fn digits(&self) -> &str {
        self.0.get(..DIGITS).unwrap_or(&self.0)
    }

    /// The name of a `what` with this content.
    pub(crate) fn name(&self, what: &str) -> String {
        format!("{}{}", Self::prefix(what), self.digits())
    }

    /// What the names of all that are a `what` begin with.
    pub(crate) fn prefix(what: &str) -> String {
        format!("unspsc-{what}-")
    }

    /// The name of a piece of `endpoint` with this content, which SageMaker's limit leaves room for.
    pub(crate) fn piece_of(&self, endpoint: &str) -> String {
        format!("{}-{}", stem(endpoint), self.digits())
    }
}

/// What the names of all pieces of `endpoint` begin with.
pub(crate) fn stem(endpoint: &str) -> String {
    endpoint.chars().take(MAX_NAME - DIGITS - 1).collect()
}

/// The tags of something with this content, and `more`.
pub(crate) fn tags(content: &Content, more: &[(&str, &str)]) -> Vec<Tag> {
    let own = [MANAGED_BY, (CONTENT, content.hash()), (VERSION, env!("CARGO_PKG_VERSION"))];
    own.iter().chain(more).map(|(key, value)| Tag::builder().key(*key).value(*value).build()).collect()
}

/// Tags of the resource `arn`.
pub(crate) async fn tags_of(client: &Client, arn: &str) -> Result<Vec<(String, String)>, ServiceError> {
    let mut tags = Vec::new();
    let mut token = None;
    loop {
        let request = client.list_tags().resource_arn(arn).set_next_token(token);
        let page = request.send().await.map_err(failed("ListTags"))?;
        let pairs = page.tags().iter().filter_map(|tag| Some((tag.key()?.to_owned(), tag.value()?.to_owned())));
        tags.extend(pairs);
        token = page.next_token().map(str::to_owned);
        if token.is_none() {
            return Ok(tags);
        }
    }
}

/// The tags of each of `arns` that is still there.
pub(crate) async fn tags_of_all(
    client: &Client,
    arns: impl Iterator<Item = String>,
) -> anyhow::Result<HashMap<String, Vec<(String, String)>>> {
    let free = Arc::new(Semaphore::new(PARALLEL));
    let mut asked = JoinSet::new();
    for arn in arns {
        let (client, free) = (client.clone(), Arc::clone(&free));
        asked.spawn(async move {
            let _turn = free.acquire().await?;
            match tags_of(&client, &arn).await {
                Ok(tags) => Ok(Some((arn, tags))),
                // It has been deleted since it was listed.
                Err(error) if error.is_missing() => Ok(None),
                Err(error) => Err(anyhow::Error::from(error)),
            }
        });
    }
    let mut found = HashMap::new();
    while let Some(answer) = asked.join_next().await {
        found.extend(answer.context("a question after tags came to a sudden end")??);
    }
    Ok(found)
}

/// Those of `arns` whose tag `key` is `value`.
pub(crate) async fn bearing(
    client: &Client,
    arns: impl Iterator<Item = String>,
    key: &str,
    value: &str,
) -> anyhow::Result<HashSet<String>> {
    let all = tags_of_all(client, arns).await?;
    Ok(all.into_iter().filter(|(_, tags)| self::value(tags, key) == Some(value)).map(|(arn, _)| arn).collect())
}

/// Whether this program has made what bears `tags`.
pub(crate) fn is_ours(tags: &[(String, String)]) -> bool {
    value(tags, MANAGED_BY.0) == Some(MANAGED_BY.1)
}

/// The value of the tag `key`.
pub(crate) fn value<'a>(tags: &'a [(String, String)], key: &str) -> Option<&'a str> {
    tags.iter().find(|(other, _)| other == key).map(|(_, value)| value.as_str())
}

/// SHA-256 of a file, in hexadecimal digits.
pub(crate) fn digest(path: &Path) -> anyhow::Result<String> {
    let mut digest = Sha256::new();
    each_block(path, |block| digest.update(block))?;
    Ok(hex(digest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_parts_have_one_name() {
        let content = |seed: u32| Content::of(&("data", [("seed", seed)])).unwrap();
        assert_eq!(content(1), content(1));
        assert_ne!(content(1).name("rnn"), content(2).name("rnn"));
        assert_eq!(content(1).name("rnn").len(), "unspsc-rnn-".len() + DIGITS);
    }

    #[test]
    fn the_names_of_pieces_keep_to_the_limit() {
        let content = Content::of(&"model").unwrap();
        assert_eq!(content.piece_of("e").len(), "e-".len() + DIGITS);
        assert_eq!(content.piece_of(&"e".repeat(63)).len(), MAX_NAME);
        assert!(content.piece_of(&"e".repeat(63)).starts_with(&stem(&"e".repeat(63))));
    }

    #[test]
    fn files_are_hashed_as_others_do() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "abc").unwrap();
        let known = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(digest(file.path()).unwrap(), known);
    }
}
