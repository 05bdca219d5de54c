//! Pages that a server shows: they may load nothing and run nothing but their own text.

use base64::prelude::{BASE64_STANDARD, Engine as _};
use sha2::{Digest as _, Sha256};

/// A page with a script, and what a browser may do with it.
#[derive(Debug)]
pub struct LivePage {
    /// The whole file.
    pub html: String,
    /// The value of its header `Content-Security-Policy`.
    pub policy: String,
}

impl LivePage {
    /// Puts `css`, after [`crate::STYLE`], and `script` where `template_html` has `{style}` and `{script}`.
    #[must_use]
    pub fn new(template_html: &str, css: &str, script: &str) -> Self {
        let style = [crate::STYLE, css].concat();
        let html = template_html.replace("{style}", &style).replace("{script}", script);
        let (style, script) = (source(&style), source(script));
        let policy = format!(
            "default-src 'none'; style-src {style}; script-src {script}; connect-src 'self'; img-src data:; \
             base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
        );
        Self { html, policy }
    }
}

/// What allows exactly this text between tags (<https://www.w3.org/TR/CSP3/#framework-directive-source-list>).
fn source(text: &str) -> String {
    format!("'sha256-{}'", BASE64_STANDARD.encode(Sha256::digest(text)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_may_run_its_own_script_and_no_other() {
        let page = LivePage::new("<style>{style}</style><script>{script}</script>", "a{}", "run()");
        assert!(page.html.ends_with("a{}</style><script>run()</script>"));
        // printf 'run()' | openssl dgst -sha256 -binary | base64
        assert!(page.policy.contains(&format!("script-src {};", source("run()"))), "{}", page.policy);
        assert_ne!(source("run()"), source("run();"));
    }
}
