//! Content codings (RFC 9110, 8.4.1), undone within a cap: a megabyte on the wire can be a gigabyte in memory.

use std::io::{self, Read};

/// Codings stacked on one another beyond this are left alone.
const MOST_LAYERS: usize = 3;

/// A body with its codings undone.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Decoded {
    pub(super) body: Vec<u8>,
    /// The cap cut it, or it broke in the middle.
    pub(super) cut: bool,
}

/// Undoes `codings`, the last applied last in the list, keeping at most `cap` bytes of every layer. A coding that is unknown, or
/// of which nothing can be undone, leaves the bytes as they are; one that breaks in the middle leaves what came before.
pub(super) fn decode(codings: &[String], raw: Vec<u8>, cap: usize) -> Decoded {
    let mut decoded = Decoded { cut: false, body: raw };
    let layers: Vec<&str> =
        codings.iter().map(String::as_str).filter(|coding| *coding != "identity").collect();
    if layers.len() <= MOST_LAYERS {
        for coding in layers.iter().rev() {
            match undo(coding, &decoded.body, cap) {
                Some(undone) => decoded = Decoded { cut: decoded.cut || undone.cut, ..undone },
                None => break,
            }
        }
    }
    decoded.cut |= decoded.body.len() > cap;
    decoded.body.truncate(cap);
    decoded
}

fn undo(coding: &str, raw: &[u8], cap: usize) -> Option<Decoded> {
    match coding {
        "gzip" | "x-gzip" => bounded(flate2::read::MultiGzDecoder::new(raw), cap),
        // RFC 9110 means zlib by "deflate"; some servers send the bare stream.
        "deflate" if is_zlib(raw) => bounded(flate2::read::ZlibDecoder::new(raw), cap),
        "deflate" => bounded(flate2::read::DeflateDecoder::new(raw), cap),
        "br" => bounded(brotli_decompressor::Decompressor::new(raw, 4_096), cap),
        _ => None,
    }
}

/// The first two bytes of zlib (RFC 1950, 2.2).
fn is_zlib(raw: &[u8]) -> bool {
    matches!(raw, [method, flags, ..] if method & 0x0f == 8 && (u16::from(*method) << 8 | u16::from(*flags)).is_multiple_of(31))
}

fn bounded(mut decoder: impl Read, cap: usize) -> Option<Decoded> {
    let mut body = Vec::new();
    let mut piece = [0_u8; 16 << 10];
    loop {
        match decoder.read(&mut piece) {
            Ok(0) => return Some(Decoded { body, cut: false }),
            Ok(count) => body.extend_from_slice(&piece[..count]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) if body.is_empty() => return None,
            Err(_) => return Some(Decoded { body, cut: true }),
        }
        if body.len() > cap {
            body.truncate(cap);
            return Some(Decoded { body, cut: true });
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::{Compression, write};
    use proptest::prelude::*;

    use super::*;

    fn gzip(data: &[u8]) -> Vec<u8> {
        let mut encoder = write::GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(data).unwrap();
        encoder.finish().unwrap()
    }

    fn zlib(data: &[u8]) -> Vec<u8> {
        let mut encoder = write::ZlibEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(data).unwrap();
        encoder.finish().unwrap()
    }

    fn deflate(data: &[u8]) -> Vec<u8> {
        let mut encoder = write::DeflateEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(data).unwrap();
        encoder.finish().unwrap()
    }

    fn codings(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    /// "hello hello hello\n" in brotli, uncompressed meta-block (RFC 7932, 9.2): no encoder at hand.
    const BROTLI: &[u8] = &[0x0b, 0x02, 0x80, b'h', b'e', b'l', b'l', b'o', 0x03];

    #[test]
    fn every_coding_is_undone() {
        let text = b"some text, some text, some text".to_vec();
        for (names, raw) in [
            (&["gzip"][..], gzip(&text)),
            (&["x-gzip"], [gzip(&text[..9]), gzip(&text[9..])].concat()),
            (&["deflate"], zlib(&text)),
            (&["deflate"], deflate(&text)),
            (&["deflate", "identity", "gzip"], gzip(&zlib(&text))),
            (&["identity"], text.clone()),
            (&[], text.clone()),
        ] {
            assert_eq!(
                decode(&codings(names), raw, 1_000),
                Decoded { body: text.clone(), cut: false },
                "{names:?}"
            );
        }
        assert_eq!(decode(&codings(&["br"]), BROTLI.to_vec(), 1_000).body, b"hello");
    }

    #[test]
    fn what_cannot_be_undone_stays_raw() {
        for (names, raw) in [
            (&["zstd"][..], &b"plain"[..]),
            (&["gzip"], b"not gzip at all"),
            (&["br"], b"\xff\xff\xff\xff"),
            (&["gzip", "gzip", "gzip", "gzip"], b"four layers"),
        ] {
            assert_eq!(
                decode(&codings(names), raw.to_vec(), 1_000),
                Decoded { body: raw.to_vec(), cut: false },
                "{names:?}"
            );
        }
    }

    #[test]
    fn a_stream_that_breaks_off_leaves_what_came() {
        let noise: Vec<u8> =
            (0..40_000_u32).map(|index| (index.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
        let mut raw = gzip(&noise);
        raw.truncate(raw.len() / 2);
        let decoded = decode(&codings(&["gzip"]), raw, 1_000_000);
        assert!(decoded.body.len() > 1_000 && noise.starts_with(&decoded.body), "{}", decoded.body.len());
    }

    #[test]
    fn bombs_are_cut_at_the_cap_in_every_layer() {
        let bomb = gzip(&vec![0; 8 << 20]);
        let nested = gzip(&bomb);
        for (names, raw) in
            [(&["gzip"][..], bomb), (&["gzip", "gzip"], nested), (&["deflate"], zlib(&vec![0; 8 << 20]))]
        {
            assert_eq!(
                decode(&codings(names), raw, 10_000),
                Decoded { body: vec![0; 10_000], cut: true },
                "{names:?}"
            );
        }
        assert_eq!(decode(&[], b"abcdef".to_vec(), 3), Decoded { body: b"abc".to_vec(), cut: true });
        assert_eq!(
            decode(&codings(&["gzip"]), gzip(b"abc"), 3),
            Decoded { body: b"abc".to_vec(), cut: false }
        );
    }

    proptest! {
        #[test]
        fn hostile_bytes_do_no_harm(raw in proptest::collection::vec(any::<u8>(), 0..400), coding in "gzip|deflate|br") {
            prop_assert!(decode(&[coding], raw, 5_000).body.len() <= 5_000);
        }
    }
}
