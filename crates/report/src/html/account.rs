//! What was looked at, and what was not: the account of every check, and proof that it balances.

use std::io;

use model::{Account, CheckId, Summary};

use super::{
    charts::{self, Share},
    markup::{line, put, short},
};
use crate::words::counted;

/// Entries of a list on the page.
const ENTRIES: usize = 500;
/// Checks with an account of their own.
const CHECKS: usize = 1_000;
/// Characters of an entry.
const TEXT: usize = 600;

pub(super) fn write(summary: &Summary, out: &mut dyn io::Write) -> io::Result<()> {
    let total = summary.ledger.total();
    put!(out, "<section id=\"account\" aria-labelledby=\"account-title\">\n<h2 id=\"account-title\">");
    put!(out, "What was looked at, and what was not</h2>\n<div class=\"card\">\n");
    put!(
        out,
        "<p class=\"intro\">A look is one check on one name, service or site. Each that was planned must end exactly once.</p>\n"
    );
    let shares = [
        ("matched", total.matched),
        ("not-matched", total.not_matched),
        ("failed", total.failed_total()),
        ("skipped", total.skipped_total()),
    ];
    let label = format!(
        "{} looks planned: {} matched, {} not matched, {} failed, {} skipped",
        total.planned, shares[0].1, shares[1].1, shares[2].1, shares[3].1
    );
    charts::bar(&shares.map(|(class, count)| Share { class, count }), &label, out)?;
    balance(summary, &total, out)?;
    put!(out, "<div class=\"reasons\">\n");
    let failed: Vec<(&str, u64)> = total.failed.iter().map(|(why, count)| (why.as_str(), *count)).collect();
    let skipped: Vec<(&str, u64)> = total.skipped.iter().map(|(why, count)| (why.as_str(), *count)).collect();
    reasons("Failed: could not find out", "failed", &failed, out)?;
    reasons("Skipped: did not look", "skipped", &skipped, out)?;
    put!(out, "</div>\n");
    checks(summary, out)?;
    put!(out, "</div>\n");
    entries(
        "Undetermined",
        "could not be found out",
        &summary.undetermined,
        summary.undetermined_count,
        out,
    )?;
    let (left_out, count) = (&summary.left_out, summary.left_out_count);
    entries("Left out", "by the limits or the scope of this scan", left_out, count, out)?;
    let refused = summary.refused_checks.len() as u64;
    entries("Refused checks", "could not be loaded and did not run", &summary.refused_checks, refused, out)?;
    put!(out, "</section>\n");
    Ok(())
}

/// The sum, written out.
fn balance(summary: &Summary, total: &Account, out: &mut dyn io::Write) -> io::Result<()> {
    put!(out, "<p class=\"equation\"><span><b>", total.planned, "</b> planned</span><i>=</i>");
    put!(out, "<span><i class=\"dot matched\"></i><b>", total.matched, "</b> matched</span><i>+</i>");
    put!(
        out,
        "<span><i class=\"dot not-matched\"></i><b>",
        total.not_matched,
        "</b> not matched</span><i>+</i>"
    );
    put!(out, "<span><i class=\"dot failed\"></i><b>", total.failed_total(), "</b> failed</span><i>+</i>");
    put!(out, "<span><i class=\"dot skipped\"></i><b>", total.skipped_total(), "</b> skipped</span></p>\n");
    if summary.ledger.balances() {
        put!(out, "<p class=\"balanced\">The account balances, in all and for each of ");
        put!(out, line(&counted(summary.ledger.checks.len() as u64, "check", "checks")), ".</p>\n");
    } else {
        put!(out, "<p class=\"unbalanced\" role=\"note\">The account does not balance: ");
        put!(
            out,
            total.ended(),
            " of ",
            total.planned,
            " planned looks ended. The checks concerned come first below.</p>\n"
        );
    }
    Ok(())
}

fn reasons(
    title: &'static str,
    class: &'static str,
    counts: &[(&'static str, u64)],
    out: &mut dyn io::Write,
) -> io::Result<()> {
    if counts.is_empty() {
        return Ok(());
    }
    let most = counts.iter().map(|(_, count)| *count).max().unwrap_or(1);
    put!(out, "<div><h3>", title, "</h3>\n<ul class=\"tally\">\n");
    for (reason, count) in counts {
        put!(out, "<li><span>", *reason, "</span>");
        charts::bar(
            &[Share { class, count: *count }, Share { class: "rest", count: most - count }],
            reason,
            out,
        )?;
        put!(out, "<b>", *count, "</b></li>\n");
    }
    put!(out, "</ul></div>\n");
    Ok(())
}

/// Unbalanced checks first, then those that could not find out, then those that matched.
fn checks(summary: &Summary, out: &mut dyn io::Write) -> io::Result<()> {
    let mut accounts: Vec<(&CheckId, &Account)> = summary.ledger.checks.iter().collect();
    if accounts.is_empty() {
        return Ok(());
    }
    let interest = |account: &Account| {
        (account.planned != account.ended(), account.failed_total(), account.skipped_total(), account.matched)
    };
    accounts.sort_by_key(|(_, account)| std::cmp::Reverse(interest(account)));
    put!(
        out,
        "<details class=\"plain\"><summary>Account of each check</summary>\n<div class=\"scroll\"><table class=\"rows sums\">\n"
    );
    put!(
        out,
        "<caption class=\"unseen\">Account of each check</caption>\n<thead><tr><th scope=\"col\">Check</th>"
    );
    put!(
        out,
        "<th scope=\"col\">planned</th><th scope=\"col\">matched</th><th scope=\"col\">not matched</th>"
    );
    put!(out, "<th scope=\"col\">failed</th><th scope=\"col\">skipped</th></tr></thead>\n<tbody>\n");
    for (check, account) in accounts.iter().take(CHECKS) {
        put!(out, "<tr><td data-of=\"Check\"><code>", short(check.as_str(), 160), "</code>");
        if account.planned != account.ended() {
            put!(out, " <span class=\"chip warn\">", account.ended(), " ended</span>");
        }
        put!(out, "</td>");
        put!(
            out,
            "<td data-of=\"planned\">",
            account.planned,
            "</td><td data-of=\"matched\">",
            account.matched,
            "</td>"
        );
        put!(out, "<td data-of=\"not matched\">", account.not_matched, "</td>");
        put!(out, "<td data-of=\"failed\">", account.failed_total(), "</td>");
        put!(out, "<td data-of=\"skipped\">", account.skipped_total(), "</td></tr>\n");
    }
    put!(out, "</tbody>\n</table></div>\n");
    rest(accounts.len().min(CHECKS), accounts.len() as u64, out)?;
    put!(out, "</details>\n");
    Ok(())
}

fn entries(
    title: &'static str,
    explanation: &'static str,
    list: &[String],
    count: u64,
    out: &mut dyn io::Write,
) -> io::Result<()> {
    if count == 0 {
        return Ok(());
    }
    let few = if count <= 12 { " open" } else { "" };
    put!(
        out,
        "<details class=\"card kind\"",
        few,
        "><summary><h3>",
        title,
        "</h3><span class=\"count\">",
        count,
        "</span> "
    );
    put!(out, "<span class=\"soft\">", explanation, "</span></summary>\n<ul class=\"entries\">\n");
    for entry in list.iter().take(ENTRIES) {
        put!(out, "<li>", short(entry, TEXT), "</li>\n");
    }
    put!(out, "</ul>\n");
    rest(list.len().min(ENTRIES), count, out)?;
    put!(out, "</details>\n");
    Ok(())
}

fn rest(shown: usize, count: u64, out: &mut dyn io::Write) -> io::Result<()> {
    if count > shown as u64 {
        put!(out, "<p class=\"note\">", shown as u64, " of ", count, " are shown.</p>\n");
    }
    Ok(())
}
