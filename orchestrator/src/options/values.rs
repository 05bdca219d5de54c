//! Values of options, and what is said of those that cannot be used.

use std::time::Duration;

use url::Url;

/// A name as SageMaker takes it for jobs and endpoints: letters, digits and hyphens between them, 63 at most.
pub(super) fn resource_name(text: &str) -> Result<String, String> {
    let is_inner = |character: char| character.is_ascii_alphanumeric() || character == '-';
    let is_outer = |character: Option<char>| character.is_some_and(|character| character.is_ascii_alphanumeric());
    let mut characters = text.chars();
    let ends = (characters.next(), characters.next_back().or(text.chars().next()));
    if text.len() <= 63 && text.chars().all(is_inner) && is_outer(ends.0) && is_outer(ends.1) {
        Ok(text.to_owned())
    } else {
        Err("allowed: 1 to 63 letters, digits and hyphens, none of these at either end".to_owned())
    }
}

/// The name of an endpoint that a Lambda asks: SageMaker writes it in lower case into the ARN by which that is allowed.
pub(super) fn endpoint_name(text: &str) -> Result<String, String> {
    let name = resource_name(text)?;
    if name.contains(|character: char| character.is_ascii_uppercase()) {
        return Err("allowed: lower-case letters, digits and hyphens, since the role of the Lambda names it".to_owned());
    }
    Ok(name)
}

/// A share of the whole.
pub(super) fn share(text: &str) -> Result<f64, String> {
    text.parse().ok().filter(|share| (0.0..=1.0).contains(share)).ok_or_else(|| "allowed: 0 to 1".to_owned())
}

/// A price.
pub(super) fn price(text: &str) -> Result<f64, String> {
    let price = text.parse().ok().filter(|price: &f64| price.is_finite() && *price >= 0.0);
    price.ok_or_else(|| "write a number, such as 0.736".to_owned())
}

/// The address of a container that is asked without TLS.
pub(super) fn plain_http(text: &str) -> Result<Url, String> {
    let url: Url = text.parse().map_err(|error| format!("{error}; write it like http://127.0.0.1:8080"))?;
    if url.scheme() == "http" { Ok(url) } else { Err("allowed: http://HOST:PORT".to_owned()) }
}

/// A number of requests that are under way together.
pub(super) fn at_a_time(text: &str) -> Result<usize, String> {
    text.parse().ok().filter(|number| (1..=64).contains(number)).ok_or_else(|| "allowed: 1 to 64".to_owned())
}

/// The address of a service, as it was written.
pub(super) fn address(text: &str) -> Result<String, String> {
    let form = "write it like http://127.0.0.1:4570";
    let url: Url = text.parse().map_err(|error| format!("{error}; {form}"))?;
    let is_web = matches!(url.scheme(), "http" | "https") && url.has_host();
    if is_web { Ok(text.to_owned()) } else { Err(format!("no address of a service; {form}")) }
}

/// The ARN of a role.
pub(super) fn role(text: &str) -> Result<String, String> {
    if text.starts_with("arn:aws") && text.contains(":role/") {
        Ok(text.to_owned())
    } else {
        Err("write the ARN of the role, such as arn:aws:iam::123456789012:role/unspsc".to_owned())
    }
}

/// The name of a bucket, by the rules that hold for all but the oldest of one region.
pub(super) fn bucket(text: &str) -> Result<String, String> {
    let is_end = |byte: Option<u8>| byte.is_some_and(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
    let is_inner = |byte: u8| is_end(Some(byte)) || matches!(byte, b'.' | b'-');
    let ends = (text.bytes().next(), text.bytes().next_back());
    if (3..=63).contains(&text.len()) && text.bytes().all(is_inner) && is_end(ends.0) && is_end(ends.1) {
        Ok(text.to_owned())
    } else {
        Err("allowed: 3 to 63 lower-case letters, digits, dots and hyphens, the last two not at either end".to_owned())
    }
}

/// An instance type.
pub(super) fn instance(text: &str) -> Result<String, String> {
    let parts: Vec<&str> = text.split('.').collect();
    match parts.as_slice() {
        ["ml", family, size] if !family.is_empty() && !size.is_empty() => Ok(text.to_owned()),
        _ => Err("write it like ml.m5.large".to_owned()),
    }
}

/// A name and its value.
pub(super) fn pair(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("write NAME=VALUE, such as epochs=5")?;
    Ok((name.trim().to_owned(), value.trim().to_owned()))
}

/// A tag; the service keeps `aws:` to itself, and we keep `unspsc:`.
pub(super) fn tag(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("write NAME=VALUE, such as team=catalogue")?;
    let (name, value) = (name.trim(), value.trim());
    if name.is_empty() || name.chars().count() > 128 || value.chars().count() > 256 {
        return Err("allowed: a name of 1 to 128 characters and a value of at most 256".to_owned());
    }
    if ["aws:", "unspsc:"].iter().any(|taken| name.starts_with(taken)) {
        return Err("names that begin with `aws:` or `unspsc:` are taken".to_owned());
    }
    Ok((name.to_owned(), value.to_owned()))
}

/// A span of time: seconds, or a number with its unit.
pub(super) fn span(text: &str) -> Result<Duration, String> {
    let text = text.trim();
    let digits = text.trim_end_matches(|character: char| character.is_ascii_alphabetic());
    let seconds = match &text[digits.len()..] {
        "" | "s" => Some(1),
        "m" => Some(60),
        "h" => Some(3600),
        "d" => Some(86_400),
        _ => None,
    };
    let number: Option<u64> = digits.parse().ok();
    let seconds = seconds.zip(number).and_then(|(unit, number)| number.checked_mul(unit));
    // A thousand years: whatever is added to or taken from a date stays one.
    let bounded = seconds.filter(|seconds| *seconds <= 31_536_000_000);
    bounded.map(Duration::from_secs).ok_or_else(|| "write a number and s, m, h or d, such as 10m".to_owned())
}

/// The value of an option that was typed, or that its variable has, for this command alone perhaps: not from settings.
pub(crate) fn typed_or_set(option: &str, variable: &str) -> Option<String> {
    typed(option).or_else(|| std::env::var(variable).ok().filter(|value| !value.is_empty()))
}

/// The value of an option that was typed.
pub(crate) fn typed(option: &str) -> Option<String> {
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        if word == option {
            return words.next();
        }
        if let Some(value) = word.strip_prefix(option).and_then(|rest| rest.strip_prefix('=')) {
            return Some(value.to_owned());
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_container_is_asked_over_plain_http() {
        assert!(plain_http("http://127.0.0.1:8080").is_ok());
        for text in ["127.0.0.1:8080", "https://example.com", "file:///tmp"] {
            assert!(plain_http(text).is_err(), "{text}");
        }
    }

    #[test]
    fn what_names_nothing_of_aws_is_refused() {
        for url in ["http://127.0.0.1:4570", "https://sagemaker.eu-central-1.amazonaws.com"] {
            assert_eq!(address(url).as_deref(), Ok(url));
        }
        for url in ["foo", "ftp://foo", "http://127.0.0.1:43769,", ""] {
            assert!(address(url).unwrap_err().contains("write it like"), "{url}");
        }
        assert!(role("arn:aws:iam::123456789012:role/unspsc").is_ok() && role("unspsc").is_err());
        assert!(["unspsc-1", "a.b"].iter().all(|text| bucket(text).is_ok()));
        assert!(["ab", "Bad_Bucket", "-ab", "abc-", "s3://abc"].iter().all(|text| bucket(text).is_err()));
        assert!(instance("ml.g4dn.xlarge").is_ok());
        assert!(["m4", "ml.m4", "m5.large", "ml..x"].iter().all(|text| instance(text).is_err()));
    }

    #[test]
    fn settings_are_pairs() {
        assert_eq!(pair("epochs = 5"), Ok(("epochs".to_owned(), "5".to_owned())));
        assert!(pair("epochs").is_err());
    }

    #[test]
    fn tags_of_others_cannot_be_set() {
        assert_eq!(tag("team=a=b"), Ok(("team".to_owned(), "a=b".to_owned())));
        for text in ["team", "=x", "aws:x=1", "unspsc:content=1"] {
            assert!(tag(text).is_err(), "{text}");
        }
    }

    #[test]
    fn spans_have_units() {
        for (text, seconds) in [("90", 90), ("90s", 90), ("10m", 600), ("2h", 7200), ("1d", 86_400)] {
            assert_eq!(span(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
        for text in ["", "m", "-1m", "1.5h", "10 minutes", "99999999999999999999", "9999999999999d", "5ü"] {
            assert!(span(text).is_err(), "{text}");
        }
    }
}
