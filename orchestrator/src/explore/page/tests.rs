//! The page as a reader's eyes would check it: order, bounds, balanced, no foreign text unescaped, nothing fetched.

use std::path::Path;

use unspsc_dataset::{Loaded, Options, Row, Source};
use unspsc_taxonomy::Level;

use super::*;
use crate::explore::survey::MAX_CLASSES;

const BAD: &str = "</td><script>alert(\"1\")</script>";

fn survey(classes: u32) -> Survey {
    let rows = |code: u32| {
        let code = format!("{code}").parse().unwrap();
        (0..12).map(move |number| Row::new(&format!("thing {number} of {code}"), code, "own.csv"))
    };
    let codes = (0..classes).map(|number| 10_101_501 + number % 98 + 100 * (number / 98));
    let source = Source {
        path: format!("data/{BAD}.csv").into(),
        sha256: "abc".to_owned(),
        encoding: "UTF-8".to_owned(),
        damaged: 0,
        layout: "descriptions".to_owned(),
        rows: 24,
        rejects: 0,
        repeats: 0,
    };
    let loaded = Loaded { rows: codes.flat_map(rows).collect(), sources: vec![source], ..Loaded::default() };
    let options = Options { max_per_class: Some(9), ..Options::new(Level::Commodity, 17) };
    Survey::of_loaded(loaded, options, Path::new("nowhere")).unwrap()
}

fn about() -> About {
    About {
        name: BAD.to_owned(),
        command: format!("unspsc data explore --data '{BAD}'"),
        columns: vec![BAD.to_owned()],
    }
}

/// Names of elements that are open at the end, or closed without having been opened.
fn unbalanced(html: &str) -> Vec<String> {
    let mut open = Vec::new();
    for tag in html.split('<').skip(1).filter_map(|rest| rest.split_once('>')).map(|(tag, _)| tag) {
        let name = tag.trim_start_matches('/').split([' ', '/']).next().unwrap_or_default().to_owned();
        if tag.starts_with('/') {
            if open.last() != Some(&name) {
                return vec![format!("</{name}> within {open:?}")];
            }
            open.pop();
        } else if !tag.ends_with('/') && !["!doctype", "meta"].contains(&name.as_str()) {
            open.push(name);
        }
    }
    open
}

#[test]
fn everything_is_there_in_the_order_in_which_one_asks() {
    let page = page(&survey(2), &about());
    let order = [
        "class=\"tiles\"",
        "Rows by source",
        "Rows by class",
        "logarithmic scale",
        "Length of the texts",
        "median and mode 4",
        "Tokens are not counted",
        "What became of the rows",
        "left out: above the cap of a label",
        "Texts that sources share",
        "Texts of each class",
        "<article><h3><code>10101501</code>",
        "Options",
        "Files",
        "Command",
    ];
    let places: Vec<usize> = order.iter().map(|text| page.find(text).unwrap_or_else(|| panic!("{text}"))).collect();
    assert!(places.is_sorted(), "{places:?}");
    assert!(page.matches("<svg").count() == page.matches("role=\"img\" aria-label=\"").count());
    assert!(page.matches("<th").count() - page.matches("<thead").count() == page.matches("<th scope=").count());
}

#[test]
fn the_page_stands_alone_whatever_is_in_the_data() {
    let mut survey = survey(2);
    survey.classes[0].samples[0].text = BAD.to_owned();
    survey.classes[0].title = Some(BAD.to_owned());
    survey.sources[0].name = BAD.into();
    survey.tokens = Err(BAD.to_owned());
    let page = page(&survey, &about());
    for part in ["<script", "</script", "http:", "https:", "src=", "href=", "@import", "url("] {
        assert!(!page.contains(part), "{part}: the page has to stand alone");
    }
    assert!(page.matches("&lt;script&gt;").count() >= 9, "{}", page.matches("&lt;script&gt;").count());
    assert_eq!(unbalanced(&page), Vec::<String>::new());
}

#[test]
fn of_many_classes_the_first_are_shown_and_the_others_counted() {
    let page = page(&survey(300), &about());
    assert!(page.contains("180 smaller classes with 2,160 rows together, 12 at most each, are not shown."));
    assert_eq!(page.matches("<article>").count(), MAX_CLASSES);
    assert!(page.len() < 300_000, "{} bytes", page.len());
}
