//! The options of `unspsc data`, and of whatever reads data.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::{Args, Subcommand};
use unspsc_dataset::{AugmentMode, TitleForm};
use unspsc_taxonomy::Level;
use url::Url;

use super::values::share;
use crate::download::{self, Source};

/// What to do with data.
#[derive(Debug, Subcommand)]
pub(crate) enum DataCommand {
    /// Download published data sets, to be prepared with --data
    #[command(after_help = "\
Examples:
  unspsc data download                            all sources, into downloads/
  unspsc data download onet oklahoma --output DIR
  unspsc data download --list                     what there is, from where, under which terms
  unspsc data download --mirror https://files.example.com/unspsc

A transfer that broke off goes on where it ended. A file that is there and is what was downloaded is not fetched again: \
delete it to have it anew. Files that you placed there yourself are left alone. Lengths, SHA-256 digests and origins \
stand in DIR/downloads.json. Proxies are taken from HTTPS_PROXY and NO_PROXY. The exit code is 0 only when every file \
is there.")]
    Download(DownloadArgs),
    /// Clean, label and split descriptions into train.csv, validation.csv and test.csv
    #[command(after_help = "\
Examples:
  unspsc data prepare                             the starter set that the program carries
  unspsc data prepare --data purchases.csv --output prepared --level family
  unspsc data prepare --data downloads/ --max-per-class 2000
  unspsc data prepare --data erp.csv --description-column Text --code-column Category
  unspsc data prepare --data downloads/ --group-count 6 --output router

Layouts are recognised by the header: description,unspsc; California's purchase orders; AusTender's yearly files; \
O*NET's Tools Used.txt and Technology Skills.txt; the UNSPSC code list; the prepared description,code,label,origin. \
For any other table, name its columns. Comma, semicolon, tab or bar; UTF-8, UTF-16 or latin-1; plain or gzip. A folder is \
searched for .csv, .tsv, .txt and .csv.gz files; folders named `validation`, and those of prepared sets, are never entered.

Rows that cannot be used go to rejects.csv with file, line and reason.")]
    Prepare(PrepareArgs),
    /// Add training rows to small classes: the same texts with some words replaced by synonyms
    #[command(after_help = "\
Examples:
  unspsc data augment --data prepared --output augmented
  unspsc data augment --data prepared --output even --to 500 --mode equality
  unspsc train --local --data augmented

Reads a folder that `unspsc data prepare` has written. Only train.csv gets new rows, each with its origin after \
`augmented:`; none says what a text of validation or test says. Proper names are left alone.")]
    Augment(AugmentArgs),
    /// Look at data before and after preparation: one HTML page and a short summary
    #[command(after_help = "\
Examples:
  unspsc data explore                             the starter set that the program carries
  unspsc data explore --data purchases.csv --output purchases.html
  unspsc data explore --data downloads/ --level family --max-per-class 2000
  unspsc data explore --data augmented            a folder that `prepare` or `augment` has written

Takes the options of `unspsc data prepare`, prepares in memory and writes nothing but the page, which needs neither \
network nor script and can be printed. Rows by source and class, lengths in words and tokens, imbalance, duplicates, \
contradictions, rejects, texts that sources share, and ten training texts of each class.")]
    Explore(ExploreArgs),
}

/// `data download`.
#[derive(Debug, Args)]
pub(crate) struct DownloadArgs {
    /// Sources to download: california, austender, oklahoma, onet [default: all]
    #[arg(value_name = "SOURCE", value_parser = download::named)]
    pub(crate) sources: Vec<&'static Source>,
    /// Folder to keep the files in, as DIR/SOURCE/FILE
    #[arg(long, value_name = "DIR", default_value = "downloads")]
    pub(crate) output: PathBuf,
    /// Fetch URL/SOURCE/FILE from a mirror of your own instead of the publishers'
    #[arg(long, value_name = "URL", value_parser = download::mirror)]
    pub(crate) mirror: Option<Url>,
    /// Print the sources with their addresses and terms, and download nothing
    #[arg(long)]
    pub(crate) list: bool,
}

/// What to train on.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Data")]
pub(crate) struct DataArgs {
    /// File or folder with descriptions and codes; for training and `explore`, a prepared folder too [default: the starter
    /// set that the program carries]
    #[arg(long, value_name = "PATH")]
    pub(crate) data: Option<PathBuf>,
    /// Column of the description, where the header says something else; may be repeated, and is joined
    #[arg(long, value_name = "NAME", requires = "data")]
    pub(crate) description_column: Vec<String>,
    /// Column of the UNSPSC code, where the header says something else
    #[arg(long, value_name = "NAME", requires = "data")]
    pub(crate) code_column: Option<String>,
    /// Level of the labels: segment, family, class or commodity [default: segment]
    #[arg(long)]
    pub(crate) level: Option<Level>,
    /// Label by groups of codes instead: a CSV with the columns `code` and `group`; the closest ancestor decides
    #[arg(long, value_name = "FILE", conflicts_with_all = ["group_count", "level"])]
    pub(crate) groups: Option<PathBuf>,
    /// Label by N groups, 2 to 57, of neighbouring segments with about the same number of rows
    #[arg(long, value_name = "N", conflicts_with = "level", value_parser = clap::value_parser!(u8).range(2..=57))]
    pub(crate) group_count: Option<u8>,
    /// How titles of the code list become texts: `alone`, `parents` (with the titles above) or `both` [default: alone]
    #[arg(long)]
    pub(crate) titles: Option<TitleForm>,
    /// Train on at most N commodity titles of each class of the standard; validation and test keep theirs
    #[arg(long, value_name = "N")]
    pub(crate) titles_per_class: Option<NonZeroUsize>,
    /// Seed of the split and of the training; the same seed gives the same data, byte for byte
    #[arg(long, value_name = "N", default_value_t = 17)]
    pub(crate) seed: u32,
    /// Train on at most N rows of each label; validation and test keep theirs
    #[arg(long, value_name = "N")]
    pub(crate) max_per_class: Option<NonZeroUsize>,
}

impl DataArgs {
    /// The level of the labels.
    pub(crate) fn level(&self) -> Level {
        self.level.unwrap_or(Level::Segment)
    }
}

/// `data prepare`.
#[derive(Debug, Args)]
pub(crate) struct PrepareArgs {
    #[command(flatten)]
    pub(crate) data: DataArgs,
    /// Folder to write train.csv, validation.csv, test.csv, rejects.csv and dataset.json into
    #[arg(long, value_name = "DIR", default_value = "prepared")]
    pub(crate) output: PathBuf,
}

/// `data augment`.
#[derive(Debug, Clone, Args)]
pub(crate) struct AugmentArgs {
    /// Folder with a prepared set
    #[arg(long, value_name = "DIR", default_value = "prepared")]
    pub(crate) data: PathBuf,
    /// Folder to write the larger set into
    #[arg(long, value_name = "DIR", default_value = "augmented")]
    pub(crate) output: PathBuf,
    /// Training rows that each class is to have
    #[arg(long, value_name = "N", default_value = "1000")]
    pub(crate) to: NonZeroUsize,
    /// What happens to classes with more: `augment` leaves them, `equality` moves the excess to the test set
    #[arg(long, default_value_t = AugmentMode::Augment)]
    pub(crate) mode: AugmentMode,
    /// Share of the replaceable words of a text that are replaced, 0 to 1; one at least
    #[arg(long, value_name = "SHARE", default_value_t = 0.3, value_parser = share)]
    pub(crate) share: f64,
    /// Seed of the choice of words; the same seed gives the same rows, byte for byte
    #[arg(long, value_name = "N", default_value_t = 17)]
    pub(crate) seed: u32,
    /// Folder with the files of WordNet 3.0; scripts/setup puts them into .deps/wordnet
    #[arg(long, env = "UNSPSC_WORDNET", value_name = "DIR", default_value = ".deps/wordnet")]
    pub(crate) wordnet: PathBuf,
}

/// `data explore`.
#[derive(Debug, Clone, Args)]
pub(crate) struct ExploreArgs {
    #[command(flatten)]
    pub(crate) data: DataArgs,
    /// File to write the page into
    #[arg(long, value_name = "FILE", default_value = "explore.html")]
    pub(crate) output: PathBuf,
    /// Folder with the encoder whose tokens are counted; scripts/setup puts one into .deps/encoder
    #[arg(long, env = "UNSPSC_ENCODER", value_name = "DIR", default_value = ".deps/encoder/all-MiniLM-L6-v2")]
    pub(crate) encoder: PathBuf,
}
