//! What the reports for people share: one HTML file that needs nothing beside it, on screen and on paper.
//!
//! Arguments are plain text, which is escaped here, except those whose names end in `html`.

mod bars;
mod live;
pub mod plot;
mod reliability;

use std::borrow::Cow;
use std::fmt::{Display, Write as _};

use html_escape::encode_double_quoted_attribute;

pub use bars::recall_bars;
pub use live::LivePage;
pub use reliability::{probability_histogram, reliability_diagram};

/// The pages' style: two colour schemes, and rules that keep a figure on one sheet.
pub const STYLE: &str = include_str!("style.css");

/// What a report may do in a browser: show its own style, and nothing else.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'";

/// `text` as it may stand in an element or in a quoted attribute.
#[must_use]
pub fn escape(text: &str) -> Cow<'_, str> {
    encode_double_quoted_attribute(text)
}

/// The whole file: `kind` says what sort of report it is, `title` what it is about.
#[must_use]
pub fn document(kind: &str, title: &str, body_html: &str) -> String {
    let (kind, title) = (escape(kind), escape(title));
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"{POLICY}\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>{kind}: {title}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n\
         <header><p class=\"kicker\">{kind}</p><h1>{title}</h1></header>\n\
         <main>\n{body_html}</main>\n</body>\n</html>\n"
    )
}

/// The numbers that one looks for first, each with what it is.
#[must_use]
pub fn tiles(tiles: &[(String, String)]) -> String {
    let mut html = String::from("<section class=\"tiles\">\n");
    for (value, label) in tiles {
        let _ = writeln!(html, "<div><strong>{}</strong><span>{}</span></div>", escape(value), escape(label));
    }
    html.push_str("</section>\n");
    html
}

/// Names with their values under a heading; several of these stand side by side in a section of the class `facts`.
#[must_use]
pub fn pairs<'a>(title: &str, rows: impl IntoIterator<Item = (&'a str, String)>) -> String {
    let mut html = format!("<div><h2>{}</h2>\n<table>\n", escape(title));
    for (name, value) in rows {
        let _ = writeln!(html, "<tr><th scope=\"row\">{}</th><td>{}</td></tr>", escape(name), escape(&value));
    }
    html.push_str("</table></div>\n");
    html
}

/// A table of figures: in each row the first cell names it, `words` cells are set as words and the others as numbers.
#[must_use]
pub fn table<H: Display>(
    caption: &str,
    head: impl IntoIterator<Item = H>,
    words: usize,
    rows: impl IntoIterator<Item = Vec<String>>,
) -> String {
    let class = |column: usize| if column < words { " class=\"word\"" } else { "" };
    let mut html = String::from("<div class=\"wide\"><table class=\"figures\">\n");
    let _ = write!(html, "<caption>{}</caption>\n<thead><tr>", escape(caption));
    for (column, name) in head.into_iter().enumerate() {
        let _ = write!(html, "<th scope=\"col\"{}>{}</th>", class(column), escape(&name.to_string()));
    }
    html.push_str("</tr></thead>\n<tbody>\n");
    for row in rows {
        html.push_str("<tr>");
        for (column, cell) in row.iter().enumerate() {
            let (tag, scope) = if column == 0 { ("th", " scope=\"row\"") } else { ("td", "") };
            let _ = write!(html, "<{tag}{scope}{}>{}</{tag}>", class(column), escape(cell));
        }
        html.push_str("</tr>\n");
    }
    html.push_str("</tbody></table></div>\n");
    html
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_text_comes_in_stays_text() {
        let bad = "</title><script>\"&";
        let cells = || vec![bad.to_owned(), bad.to_owned()];
        let parts = [
            tiles(&[(bad.to_owned(), bad.to_owned())]),
            pairs(bad, [(bad, bad.to_owned())]),
            table(bad, [bad, bad], 1, [cells()]),
        ];
        let page = document(bad, bad, &parts.concat());
        assert!(!page.contains("<script") && page.matches("&lt;script&gt;&quot;&amp;").count() == 14, "{page}");
    }
}
