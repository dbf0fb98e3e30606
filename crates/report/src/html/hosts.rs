//! Which hosts, and how badly: a heat chart.

use std::io;

use model::Severity;

use super::{
    charts,
    markup::{line, put, short},
};
use crate::{digest::Digest, words::counted};

/// Rows that are seen at once, and rows in all.
const OPEN: usize = 12;
const ROWS: usize = 200;

pub(super) fn write(digest: &Digest, out: &mut dyn io::Write) -> io::Result<()> {
    put!(
        out,
        "<section id=\"hosts\" aria-labelledby=\"hosts-title\">\n<h2 id=\"hosts-title\">Where it is</h2>\n"
    );
    let columns: Vec<(usize, Severity)> = Severity::DESCENDING
        .into_iter()
        .enumerate()
        .filter(|(_, severity)| digest.count(*severity) > 0)
        .collect();
    let shown = &digest.hosts[..digest.hosts.len().min(ROWS)];
    let (open, folded) = shown.split_at(shown.len().min(OPEN));
    put!(out, "<div class=\"card\">\n");
    table(open, &columns, digest, out)?;
    if !folded.is_empty() {
        put!(
            out,
            "<details class=\"plain\"><summary>",
            line(&counted(folded.len() as u64, "more host", "more hosts"))
        );
        put!(out, "</summary>\n");
        table(folded, &columns, digest, out)?;
        put!(out, "</details>\n");
    }
    if digest.hosts.len() > ROWS || digest.elsewhere > 0 {
        put!(out, "<p class=\"note\">The ", shown.len() as u64, " worst of ");
        put!(
            out,
            if digest.elsewhere > 0 { "more than " } else { "" },
            digest.hosts.len() as u64,
            " hosts are shown.</p>\n"
        );
    }
    put!(out, "</div>\n</section>\n");
    Ok(())
}

fn table(
    hosts: &[(String, crate::digest::Row)],
    columns: &[(usize, Severity)],
    digest: &Digest,
    out: &mut dyn io::Write,
) -> io::Result<()> {
    let most = |column: usize| digest.hosts.iter().map(|(_, row)| row[column]).max().unwrap_or(1);
    put!(
        out,
        "<table class=\"hosts\">\n<caption class=\"unseen\">Findings by host and severity</caption>\n<thead><tr>"
    );
    put!(out, "<th scope=\"col\">Host</th>");
    for (_, severity) in columns {
        put!(out, "<th scope=\"col\">", severity.as_str(), "</th>");
    }
    put!(out, "</tr></thead>\n<tbody>\n");
    let most: Vec<u64> = columns.iter().map(|(column, _)| most(*column)).collect();
    for (host, row) in hosts {
        put!(out, "<tr><th scope=\"row\">", short(host, 120), "</th>");
        for ((column, severity), most) in columns.iter().zip(&most) {
            put!(out, "<td>");
            charts::heat(*severity, row[*column], *most, out)?;
            put!(
                out,
                if row[*column] == 0 { "<span class=\"zero\">" } else { "<span>" },
                row[*column],
                "</span></td>"
            );
        }
        put!(out, "</tr>\n");
    }
    put!(out, "</tbody>\n</table>\n");
    Ok(())
}
