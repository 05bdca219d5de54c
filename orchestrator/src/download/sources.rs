//! What can be fetched, from whom, and under which terms.

use url::Url;

/// A publisher's data set.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Source {
    /// What the command line and the folder call it.
    pub(crate) name: &'static str,
    /// Whose it is, and on which terms.
    pub(crate) licence: &'static str,
    /// Its files.
    pub(crate) files: &'static [RemoteFile],
}

/// One file of a data set.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct RemoteFile {
    /// The publisher's name for it.
    pub(crate) name: &'static str,
    /// Where the publisher keeps it.
    pub(crate) url: &'static str,
}

/// Every source, in the order in which they are fetched.
pub(crate) static SOURCES: [Source; 4] = [
    Source {
        name: "california",
        licence: "State of California, Department of General Services: purchase orders 2012 to 2015; \
                      terms of use of data.ca.gov",
        files: &[RemoteFile {
            name: "purchase-order-data-2012-2015-.csv",
            url: "https://data.ca.gov/dataset/ae343670-f827-4bc8-9d44-2af937d60190/resource/\
                  bb82edc5-9c78-44e2-8947-68ece26197c5/download/purchase-order-data-2012-2015-.csv",
        }],
    },
    Source {
        name: "austender",
        licence: "Australian Government, Department of Finance: AusTender contract notices; CC BY 3.0 AU",
        files: &[
            RemoteFile {
                name: "20142015fy.csv",
                url: "https://data.gov.au/data/dataset/5c7fa69b-b0e9-4553-b8df-2a022dd2e982/resource/\
                      561a549b-5a65-450e-86cf-81d392d8fef3/download/20142015fy.csv",
            },
            RemoteFile {
                name: "2016-2017-australian-government-contract-data.csv",
                url: "https://data.gov.au/data/dataset/5c7fa69b-b0e9-4553-b8df-2a022dd2e982/resource/\
                      21212500-169f-4745-86b3-6ac1c1174151/download/2016-2017-australian-government-contract-data.csv",
            },
            RemoteFile {
                name: "17-18-fy-dataset.csv",
                url: "https://data.gov.au/data/dataset/5c7fa69b-b0e9-4553-b8df-2a022dd2e982/resource/\
                      bc2097b7-8116-4e9d-9953-98813635892a/download/17-18-fy-dataset.csv",
            },
        ],
    },
    Source {
        name: "oklahoma",
        licence: "State of Oklahoma: the UNSPSC code list; codes and titles are © UNDP",
        files: &[RemoteFile {
            name: "data-unspsc-codes.csv",
            url: "https://data.ok.gov/dataset/18a622a6-32d1-48f6-842a-8232bc4ca06c/resource/\
                  b92ad3ac-b0f5-4c62-9bd0-eac023cfd083/download/data-unspsc-codes.csv",
        }],
    },
    Source {
        name: "onet",
        licence: "O*NET 29.2 Database, U.S. Department of Labor, Employment and Training Administration; CC BY 4.0: \
                      name both where results are shown",
        files: &[
            RemoteFile {
                name: "Tools Used.txt",
                url: "https://www.onetcenter.org/dl_files/database/db_29_2_text/Tools%20Used.txt",
            },
            RemoteFile {
                name: "Technology Skills.txt",
                url: "https://www.onetcenter.org/dl_files/database/db_29_2_text/Technology%20Skills.txt",
            },
            RemoteFile {
                name: "UNSPSC Reference.txt",
                url: "https://www.onetcenter.org/dl_files/database/db_29_2_text/UNSPSC%20Reference.txt",
            },
        ],
    },
];

/// The source of that name; the error lists those there are.
pub(crate) fn named(name: &str) -> Result<&'static Source, String> {
    let names = || SOURCES.iter().map(|source| source.name).collect::<Vec<_>>().join(", ");
    SOURCES.iter().find(|source| source.name == name).ok_or_else(|| format!("the sources are {}", names()))
}

/// The address of a mirror.
pub(crate) fn mirror(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|error| error.to_string())?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err("write http:// or https:// in front".to_owned());
    }
    Ok(url)
}

/// Where to fetch `file` from: the publisher, or `MIRROR/<source>/<file>`.
///
/// # Errors
/// None for the addresses above, which a test parses, and for what [`mirror`] has let through.
pub(crate) fn address(source: &Source, file: &RemoteFile, mirror: Option<&Url>) -> Result<Url, url::ParseError> {
    let Some(mirror) = mirror else { return Url::parse(file.url) };
    let mut url = mirror.clone();
    url.path_segments_mut()
        .map_err(|()| url::ParseError::RelativeUrlWithCannotBeABaseBase)?
        .pop_if_empty()
        .extend([source.name, file.name]);
    Ok(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_publisher_is_asked_over_tls_for_the_file_that_is_named() {
        for source in &SOURCES {
            for file in source.files {
                let url = address(source, file, None).unwrap();
                assert_eq!(url.scheme(), "https");
                assert!(url.path().replace("%20", " ").ends_with(&format!("/{}", file.name)), "{url}");
            }
        }
    }

    #[test]
    fn a_mirror_has_a_folder_for_each_source() {
        let onet = named("onet").unwrap();
        for base in ["http://mirror.example:8080/data", "http://mirror.example:8080/data/"] {
            let url = address(onet, &onet.files[0], Some(&mirror(base).unwrap())).unwrap();
            assert_eq!(url.as_str(), "http://mirror.example:8080/data/onet/Tools%20Used.txt");
        }
        assert!(mirror("mirror.example/data").is_err() && mirror("ftp://mirror.example").is_err());
        assert_eq!(named("texas").unwrap_err(), "the sources are california, austender, oklahoma, onet");
    }
}
