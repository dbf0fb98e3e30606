//! Drawings, as inline SVG. Colours come from the style sheet by class, so that they follow light, dark and print.

use std::io;

use model::Severity;

use super::markup::{Coordinate, attribute, line, put};
use crate::{digest::Digest, words::grouped};

/// One share of a whole.
pub(super) struct Share {
    /// Class that colours it.
    pub(super) class: &'static str,
    /// Its size.
    pub(super) count: u64,
}

/// Sizes in per mille of the whole, none so small that it could not be seen.
fn per_mille(shares: &[Share]) -> Vec<f64> {
    const LEAST: f64 = 12.0;
    let total: u64 = shares.iter().map(|share| share.count).sum();
    let exact = |share: &Share| 1_000.0 * share.count as f64 / total.max(1) as f64;
    let raised: Vec<f64> =
        shares.iter().map(|share| if share.count == 0 { 0.0 } else { exact(share).max(LEAST) }).collect();
    let sum: f64 = raised.iter().sum();
    raised.into_iter().map(|size| if sum > 0.0 { size * 1_000.0 / sum } else { 0.0 }).collect()
}

/// Findings by severity as a ring, their number in the middle.
pub(super) fn ring(digest: &Digest, out: &mut dyn io::Write) -> io::Result<()> {
    let shares: Vec<Share> = Severity::DESCENDING
        .into_iter()
        .map(|severity| Share { class: severity.as_str(), count: digest.count(severity) })
        .collect();
    let words: Vec<String> = shares
        .iter()
        .filter(|share| share.count > 0)
        .map(|share| format!("{} {}", grouped(share.count), share.class))
        .collect();
    let label =
        if words.is_empty() { "No findings".to_owned() } else { format!("Findings: {}", words.join(", ")) };
    put!(
        out,
        "<svg class=\"ring\" viewBox=\"0 0 200 200\" role=\"img\" aria-label=\"",
        attribute(&label),
        "\">\n"
    );
    put!(out, "<circle class=\"track\" cx=\"100\" cy=\"100\" r=\"84\"/>\n");
    let mut from = 0.0;
    let several = words.len() > 1;
    for (share, size) in shares.iter().zip(per_mille(&shares)).filter(|(share, _)| share.count > 0) {
        // A gap between neighbours, in the ring's own thousandths.
        let gap = if several { 7.0 } else { 0.0 };
        put!(
            out,
            "<circle class=\"arc ",
            share.class,
            "\" cx=\"100\" cy=\"100\" r=\"84\" pathLength=\"1000\" stroke-dasharray=\""
        );
        put!(
            out,
            Coordinate((size - gap).max(2.0)),
            " 1000\" stroke-dashoffset=\"",
            Coordinate(-(from + gap / 2.0))
        );
        put!(out, "\" transform=\"rotate(-90 100 100)\"/>\n");
        from += size;
    }
    let number = grouped(digest.findings);
    let class = match number.len() {
        0..=5 => "total",
        6 => "total long",
        _ => "total longer",
    };
    put!(out, "<text class=\"", class, "\" x=\"100\" y=\"108\">", line(&number), "</text>");
    let unit = if digest.findings == 1 { "finding" } else { "findings" };
    put!(out, "<text class=\"unit\" x=\"100\" y=\"132\">", unit, "</text>\n</svg>\n");
    Ok(())
}

/// Shares side by side.
pub(super) fn bar(shares: &[Share], label: &str, out: &mut dyn io::Write) -> io::Result<()> {
    put!(
        out,
        "<svg class=\"bar\" viewBox=\"0 0 1000 14\" preserveAspectRatio=\"none\" role=\"img\" aria-label=\""
    );
    put!(out, attribute(label), "\">\n<rect class=\"track\" width=\"1000\" height=\"14\"/>\n");
    let mut from = 0.0;
    for (share, size) in shares.iter().zip(per_mille(shares)).filter(|(share, _)| share.count > 0) {
        put!(
            out,
            "<rect class=\"",
            share.class,
            "\" x=\"",
            Coordinate(from),
            "\" width=\"",
            Coordinate(size),
            "\" height=\"14\"/>\n"
        );
        from += size;
    }
    put!(out, "</svg>\n");
    Ok(())
}

/// One field of the heat chart: the more findings, the fuller the colour.
pub(super) fn heat(severity: Severity, count: u64, most: u64, out: &mut dyn io::Write) -> io::Result<()> {
    put!(out, "<svg class=\"heat\" aria-hidden=\"true\">");
    if count == 0 {
        put!(out, "<rect class=\"none\" width=\"100%\" height=\"100%\" rx=\"6\"/>");
    } else {
        // Never so full that the number on it could not be read.
        let fullness = 0.22 + 0.33 * ((count as f64).ln_1p() / (most.max(1) as f64).ln_1p()).min(1.0);
        put!(
            out,
            "<rect class=\"",
            severity.as_str(),
            "\" width=\"100%\" height=\"100%\" rx=\"6\" fill-opacity=\""
        );
        put!(out, Coordinate(fullness), "\"/>");
    }
    put!(out, "</svg>");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_fill_the_whole_and_the_smallest_is_seen() {
        let shares = [1, 100_000, 0].map(|count| Share { class: "x", count });
        let sizes = per_mille(&shares);
        assert!((sizes.iter().sum::<f64>() - 1_000.0).abs() < 1e-6);
        assert!(sizes[0] > 10.0 && sizes[2] == 0.0, "{sizes:?}");
        assert!(per_mille(&[]).is_empty());
    }
}
