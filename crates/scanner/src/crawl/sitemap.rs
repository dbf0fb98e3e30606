//! Sitemaps: XML, index of sitemaps, plain text, each perhaps compressed (sitemaps.org protocol 0.9).

use std::io::Read;

/// What a sitemap lists.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sitemap {
    /// Pages.
    pub pages: Vec<String>,
    /// Further sitemaps.
    pub sitemaps: Vec<String>,
}

/// The protocol allows 50,000 URLs in a file.
const MOST: usize = 50_000;
/// Bytes of the longest element name that is read.
const LONGEST_NAME: usize = 64;

/// Reads at most `cap` bytes, after decompression. Total over any bytes.
pub fn parse(body: &[u8], cap: usize) -> Sitemap {
    let inflated;
    let body = if body.starts_with(b"\x1f\x8b") {
        let mut bytes = Vec::new();
        // What was inflated before an error counts: a cut file still lists pages.
        let _ = flate2::read::MultiGzDecoder::new(body).take(cap as u64).read_to_end(&mut bytes);
        inflated = bytes;
        &inflated[..]
    } else {
        &body[..body.len().min(cap)]
    };
    let text = String::from_utf8_lossy(body);
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text).trim_start();
    if text.starts_with('<') { xml(text) } else { plain(text) }
}

/// One URL a line. Anything else is no sitemap.
fn plain(text: &str) -> Sitemap {
    let lines = text
        .lines()
        .map(str::trim)
        .filter(|line| line.starts_with("http://") || line.starts_with("https://"));
    Sitemap { pages: lines.take(MOST).map(str::to_owned).collect(), sitemaps: Vec::new() }
}

fn xml(text: &str) -> Sitemap {
    let mut map = Sitemap::default();
    let mut in_index = false;
    let mut rest = text;
    while let Some(start) = rest.find('<') {
        rest = &rest[start + 1..];
        let beginning = &rest.as_bytes()[..rest.len().min(LONGEST_NAME)];
        let ends = |byte: &u8| matches!(byte, b'>' | b'/' | b'<') || byte.is_ascii_whitespace();
        let Some(name) = beginning.iter().position(ends).and_then(|end| rest.get(..end)) else { continue };
        let name = name.rsplit_once(':').map_or(name, |(_, local)| local);
        match name {
            "sitemap" => in_index = true,
            "url" => in_index = false,
            "loc" => {
                let Some(open) = rest.find('>') else { break };
                rest = &rest[open + 1..];
                let (content, after) = content(rest);
                rest = after;
                let list = if in_index { &mut map.sitemaps } else { &mut map.pages };
                let location = content.trim();
                if !location.is_empty() && list.len() < MOST {
                    list.push(location.to_owned());
                }
            }
            _ => {}
        }
    }
    map
}

/// Text up to the next tag, and the rest.
fn content(text: &str) -> (String, &str) {
    let trimmed = text.trim_start();
    if let Some(raw) = trimmed.strip_prefix("<![CDATA[") {
        return match raw.split_once("]]>") {
            Some((content, rest)) => (content.to_owned(), rest),
            None => (String::new(), ""),
        };
    }
    let end = text.find('<').unwrap_or(text.len());
    (unescape(&text[..end]), &text[end..])
}

/// The five entities of XML; numbers do not occur in escaped URLs.
fn unescape(text: &str) -> String {
    if !text.contains('&') {
        return text.to_owned();
    }
    let mut plain = text.to_owned();
    for (entity, character) in
        [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&apos;", "'"), ("&#38;", "&"), ("&amp;", "&")]
    {
        plain = plain.replace(entity, character);
    }
    plain
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use proptest::prelude::*;

    use super::*;

    const PAGES: &str = "<?xml version='1.0'?><urlset xmlns='x'><url><loc> http://a.test/1?x=1&amp;y=2 </loc><lastmod>2024</lastmod></url>\
                         <sm:url><sm:loc><![CDATA[http://a.test/2?a&b]]></sm:loc></sm:url></urlset>";

    #[test]
    fn pages_and_indexes_are_read() {
        assert_eq!(
            parse(PAGES.as_bytes(), 1 << 20).pages,
            ["http://a.test/1?x=1&y=2", "http://a.test/2?a&b"]
        );
        let index = parse(b"<sitemapindex><sitemap><loc>/a.xml</loc></sitemap><sitemap><loc>/b.xml.gz</loc></sitemap></sitemapindex>", 1_000);
        assert_eq!(
            (index.pages.len(), index.sitemaps),
            (0, vec!["/a.xml".to_owned(), "/b.xml.gz".to_owned()])
        );
        assert_eq!(
            parse(b"http://a.test/x\nnot a url\nhttps://a.test/y\n", 1_000).pages,
            ["http://a.test/x", "https://a.test/y"]
        );
        assert_eq!(
            parse(b"<!doctype html><title>Not found</title><a href=/>home</a>", 1_000),
            Sitemap::default()
        );
    }

    #[test]
    fn compressed_maps_are_inflated_up_to_the_cap() {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(PAGES.as_bytes()).unwrap();
        encoder.write_all(&vec![b' '; 4 << 20]).unwrap();
        encoder.write_all(b"<url><loc>http://a.test/beyond</loc></url>").unwrap();
        let bomb = encoder.finish().unwrap();
        assert_eq!(parse(&bomb, 64 << 10).pages.len(), 2);
        assert_eq!(parse(&bomb[..bomb.len() / 2], 64 << 10).pages.len(), 2);
    }

    proptest! {
        #[test]
        fn any_bytes_are_read(bytes in prop::collection::vec(any::<u8>(), 0..300), text in "(<loc>|</loc>|<sitemap|>|<!\\[CDATA\\[|\\]\\]>|&amp;|a| ){0,30}") {
            parse(&bytes, 1_000);
            parse(&[b"\x1f\x8b", &bytes[..]].concat(), 1_000);
            parse(text.as_bytes(), 1_000);
        }
    }
}
