//! Sitemaps: XML, index of sitemaps, plain text, each perhaps compressed (sitemaps.org protocol 0.9).

use std::io::Read as _;

/// What a sitemap lists.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sitemap {
    /// Pages.
    pub pages: Vec<String>,
    /// Further sitemaps.
    pub sitemaps: Vec<String>,
    /// It lists, or may list, more than that: only its beginning was read.
    pub cut: bool,
}

/// The protocol allows 50,000 URLs in a file.
const MOST: usize = 50_000;
/// Bytes of the longest element name that is read.
const LONGEST_NAME: usize = 64;
/// Elements that only sitemaps have.
const OWN: [&str; 5] = ["urlset", "sitemapindex", "sitemap", "url", "loc"];

/// Reads at most `cap` bytes, after decompression, of a file that is there as a whole or only in its beginning. Total over any bytes.
pub fn parse(body: &[u8], whole: bool, cap: usize) -> Sitemap {
    let mut whole = whole;
    let mut inflated = Vec::new();
    let is_packed = body.starts_with(b"\x1f\x8b");
    let body = if is_packed {
        // What was inflated before an error counts: a cut file still lists pages.
        let reading = flate2::read::MultiGzDecoder::new(body).take(cap as u64 + 1).read_to_end(&mut inflated);
        whole &= reading.is_ok();
        &inflated[..]
    } else {
        body
    };
    whole &= body.len() <= cap;
    let text = String::from_utf8_lossy(&body[..body.len().min(cap)]);
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text).trim_start();
    let read = if text.starts_with('<') { xml(text, whole) } else { plain(text, whole) };
    // What does not look like a sitemap, such as a page that says so, is none of which something was cut.
    let is_one = is_packed || read.is_one;
    Sitemap { cut: is_one && (!whole || read.has_more), ..read.map }
}

#[derive(Default)]
struct Read {
    map: Sitemap,
    is_one: bool,
    /// Than was kept of it.
    has_more: bool,
}

/// One URL a line. Anything else is no sitemap.
fn plain(text: &str, whole: bool) -> Read {
    // Of a file that was cut the last line may be half an address.
    let lines = if whole { text } else { text.rsplit_once('\n').map_or("", |(lines, _)| lines) };
    let is_address = |line: &&str| line.starts_with("http://") || line.starts_with("https://");
    let mut lines = lines.lines().map(str::trim).filter(is_address);
    let pages: Vec<String> = lines.by_ref().take(MOST).map(str::to_owned).collect();
    let is_one = text.lines().next().is_some_and(|line| is_address(&line.trim())) || !pages.is_empty();
    Read { map: Sitemap { pages, ..Sitemap::default() }, is_one, has_more: lines.next().is_some() }
}

fn xml(text: &str, whole: bool) -> Read {
    let mut read = Read::default();
    let mut in_index = false;
    let mut rest = text;
    while let Some(start) = rest.find('<') {
        rest = &rest[start + 1..];
        let beginning = &rest.as_bytes()[..rest.len().min(LONGEST_NAME)];
        let ends = |byte: &u8| matches!(byte, b'>' | b'/' | b'<') || byte.is_ascii_whitespace();
        let Some(name) = beginning.iter().position(ends).and_then(|end| rest.get(..end)) else { continue };
        let name = name.rsplit_once(':').map_or(name, |(_, local)| local);
        read.is_one |= OWN.contains(&name);
        match name {
            "sitemap" => in_index = true,
            "url" => in_index = false,
            "loc" => {
                let Some(open) = rest.find('>') else { break };
                rest = &rest[open + 1..];
                let (content, after) = content(rest);
                rest = after;
                if rest.is_empty() && !whole {
                    // Half an address.
                    break;
                }
                let list = if in_index { &mut read.map.sitemaps } else { &mut read.map.pages };
                let location = content.trim();
                if location.is_empty() {
                    continue;
                }
                if list.len() < MOST { list.push(location.to_owned()) } else { read.has_more = true }
            }
            _ => {}
        }
    }
    read
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
            parse(PAGES.as_bytes(), true, 1 << 20).pages,
            ["http://a.test/1?x=1&y=2", "http://a.test/2?a&b"]
        );
        let index = parse(b"<sitemapindex><sitemap><loc>/a.xml</loc></sitemap><sitemap><loc>/b.xml.gz</loc></sitemap></sitemapindex>", true, 1_000);
        assert_eq!(
            (index.pages.len(), index.sitemaps),
            (0, vec!["/a.xml".to_owned(), "/b.xml.gz".to_owned()])
        );
        assert_eq!(
            parse(b"http://a.test/x\nnot a url\nhttps://a.test/y\n", true, 1_000).pages,
            ["http://a.test/x", "https://a.test/y"]
        );
        assert_eq!(
            parse(b"<!doctype html><title>Not found</title><a href=/>home</a>", true, 1_000),
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
        for bomb in [&bomb[..], &bomb[..bomb.len() / 2]] {
            let map = parse(bomb, true, 64 << 10);
            assert_eq!((map.pages.len(), map.cut), (2, true));
        }
        assert!(!parse(&bomb, true, 8 << 20).cut);
        assert!(parse(&bomb[..bomb.len() / 2], true, 8 << 20).cut, "the file ends before it should");
    }

    #[test]
    fn what_is_cut_says_so_and_lists_no_half_address() {
        let map = parse(PAGES.as_bytes(), true, PAGES.len());
        assert_eq!((map.pages.len(), map.cut), (2, false));
        let end = PAGES.find("a&b]]").unwrap();
        let lines = b"http://a.test/x\nhttps://a.test/yyy";
        for (body, cap, listed) in [
            (PAGES.as_bytes(), PAGES.len() - 1, 2),
            (PAGES.as_bytes(), end, 1),
            (PAGES.as_bytes(), PAGES.find("1?x").unwrap(), 0),
            (lines, lines.len() - 1, 1),
            (lines, 10, 0),
        ] {
            for (whole, body) in [(true, body), (false, &body[..cap])] {
                let map = parse(body, whole, cap);
                assert_eq!((map.pages.len(), map.cut), (listed, true), "{cap}");
            }
        }
        let many: String = (0..=MOST).map(|number| format!("http://a.test/{number}\n")).collect();
        let loc: String = many.lines().map(|line| format!("<loc>{line}</loc>")).collect();
        for many in [many, loc] {
            let map = parse(many.as_bytes(), true, 64 << 20);
            assert_eq!((map.pages.len(), map.cut), (MOST, true));
        }
        let page = b"<!doctype html><title>Not found</title><a href=/>home</a>";
        assert_eq!(parse(page, false, 30), Sitemap::default(), "it is none");
        assert_eq!(parse(b"not found", false, 5), Sitemap::default(), "it is none");
    }

    proptest! {
        #[test]
        fn any_bytes_are_read(bytes in prop::collection::vec(any::<u8>(), 0..300), text in "(<loc>|</loc>|<sitemap|>|<!\\[CDATA\\[|\\]\\]>|&amp;|a| ){0,30}") {
            parse(&bytes, true, 1_000);
            parse(&[b"\x1f\x8b", &bytes[..]].concat(), true, 1_000);
            parse(text.as_bytes(), false, 1_000);
        }
    }
}
