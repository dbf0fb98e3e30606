//! HTML: one self-contained page.
//!
//! Nothing is loaded from anywhere: styles and the few lines of script are inside, and the content security policy allows exactly
//! those two by their hashes, so that even markup that got past the escaping could neither run nor phone home. Without
//! script the page loses text search and copy buttons, nothing else.

mod account;
mod charts;
mod findings;
mod hosts;
mod inventory;
mod markup;
mod overview;
mod place;
mod scope;

use std::io;

use base64::Engine as _;
use sha2::{Digest as _, Sha256};

use self::markup::{attribute, line, put};
use crate::{ReportError, Source, digest::Digest, words::moment};

const STYLE: &str = include_str!("html/style.css");
const SCRIPT: &str = include_str!("html/script.js");
/// The mark: a wall with three merlons.
const ICON: &str = "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16'%3E%3Cpath \
                    fill='%23b3123a' d='M1 3h4v3h1.5V3h3v3H11V3h4v11H1z'/%3E%3C/svg%3E";

pub(crate) fn write(source: &Source<'_>, out: &mut dyn io::Write) -> Result<(), ReportError> {
    let digest = Digest::of(source)?;
    head(source, out)?;
    overview::header(source.summary, &digest, out)?;
    put!(out, "<main id=\"main\">\n");
    if digest.findings > 0 {
        overview::first(&digest, out)?;
        hosts::write(&digest, out)?;
        findings::write(source, &digest, out)?;
        inventory::write(source, out)?;
        account::write(source.summary, out)?;
    } else {
        account::write(source.summary, out)?;
        inventory::write(source, out)?;
    }
    scope::write(source.summary, out)?;
    put!(out, "</main>\n");
    foot(source, out)?;
    Ok(())
}

/// The policy's name for an inline style or script (CSP level 3, 2.3.1).
fn hash(content: &str) -> String {
    format!(
        "'sha256-{}'",
        base64::engine::general_purpose::STANDARD.encode(Sha256::digest(content.as_bytes()))
    )
}

fn head(source: &Source<'_>, out: &mut dyn io::Write) -> io::Result<()> {
    let policy = format!(
        "default-src 'none'; style-src {}; script-src {}; img-src data:; base-uri 'none'; form-action 'none'",
        hash(STYLE),
        hash(SCRIPT)
    );
    put!(
        out,
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n",
        "<meta http-equiv=\"Content-Security-Policy\" content=\"",
        attribute(&policy),
        "\">\n<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n",
        "<meta name=\"color-scheme\" content=\"light dark\">\n<meta name=\"referrer\" content=\"no-referrer\">\n",
        "<meta name=\"robots\" content=\"noindex\">\n<link rel=\"icon\" href=\"",
        ICON,
        "\">\n<title>Rampart report, ",
        line(&moment(source.summary.started_at)),
        "</title>\n<style>",
        STYLE,
        "</style>\n</head>\n<body>\n<a class=\"skip\" href=\"#main\">Skip to the report</a>\n"
    );
    Ok(())
}

fn foot(source: &Source<'_>, out: &mut dyn io::Write) -> io::Result<()> {
    put!(
        out,
        "<footer>\n<p>Made by ",
        line(&source.summary.tool),
        ". Critical and high: act today. Medium and low: plan. Info: know. A finding is certain when its evidence is the thing \
         itself, firm when its content matched, tentative when it is a hint.</p>\n\
         <p>Text from targets is shown as it came; characters that would act instead of being seen are written as \
         <code>\\x1b</code> or <code>\\u{202e}</code>.</p>\n</footer>\n<script>",
        SCRIPT,
        "</script>\n</body>\n</html>\n"
    );
    Ok(())
}
