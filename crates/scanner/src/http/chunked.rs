//! The chunked transfer coding (RFC 9112, 7.1), read from pieces of any size.

/// Longest size line, with its extensions, and longest trailer section.
const LONGEST_LINE: usize = 4_096;
const LONGEST_TRAILERS: usize = 16_384;
const NO_SIZE: &str = "a chunk's size is no hexadecimal number";

/// Where in the coding the next byte stands.
#[derive(Debug, Clone, PartialEq, Eq)]
enum At {
    /// In a size line; what has come of it.
    Size(Vec<u8>),
    /// In a chunk; bytes still to come.
    Data(u64),
    /// After a chunk's data, before the line break.
    DataEnd,
    /// In the trailer section: bytes so far, and whether the line has anything in it yet.
    Trailers { length: usize, in_line: bool },
    /// After the last byte.
    End,
}

/// A decoder.
#[derive(Debug, Clone)]
pub(super) struct Chunked {
    at: At,
}

impl Chunked {
    pub(super) fn new() -> Chunked {
        Chunked { at: At::Size(Vec::new()) }
    }

    /// The last chunk and the trailers have been read.
    pub(super) fn is_complete(&self) -> bool {
        self.at == At::End
    }

    /// Appends the data in `input` to `body` and says how many bytes of `input` belong to the coding: all, unless it ends.
    pub(super) fn decode(&mut self, input: &[u8], body: &mut Vec<u8>) -> Result<usize, &'static str> {
        let mut used = 0;
        while let Some(&byte) = input.get(used) {
            match &mut self.at {
                At::Size(line) if byte == b'\n' => {
                    used += 1;
                    self.at = match chunk_size(line)? {
                        0 => At::Trailers { length: 0, in_line: false },
                        size => At::Data(size),
                    };
                }
                At::Size(line) => {
                    used += 1;
                    line.push(byte);
                    if line.len() > LONGEST_LINE {
                        return Err("a chunk's size line has no end");
                    }
                    // At once, and not when the line ends: a body that was never chunked may have no line breaks.
                    if line.len() < 17
                        && !line.contains(&b';')
                        && !byte.is_ascii_hexdigit()
                        && !byte.is_ascii_whitespace()
                    {
                        return Err(NO_SIZE);
                    }
                }
                At::Data(left) => {
                    let available = &input[used..];
                    let take = usize::try_from(*left).unwrap_or(usize::MAX).min(available.len());
                    body.extend_from_slice(&available[..take]);
                    used += take;
                    *left -= take as u64;
                    if *left == 0 {
                        self.at = At::DataEnd;
                    }
                }
                At::DataEnd => match byte {
                    b'\r' => used += 1,
                    b'\n' => {
                        used += 1;
                        self.at = At::Size(Vec::new());
                    }
                    _ => return Err("a chunk is longer than its size"),
                },
                At::Trailers { length, in_line } => {
                    used += 1;
                    *length += 1;
                    match byte {
                        b'\n' if !*in_line => self.at = At::End,
                        b'\n' => *in_line = false,
                        b'\r' => {}
                        _ if *length > LONGEST_TRAILERS => return Err("the trailers have no end"),
                        _ => *in_line = true,
                    }
                }
                At::End => break,
            }
        }
        Ok(used)
    }
}

fn chunk_size(line: &[u8]) -> Result<u64, &'static str> {
    let digits = line.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
    if digits.is_empty() || digits.len() > 16 || !digits.iter().all(u8::is_ascii_hexdigit) {
        return Err(NO_SIZE);
    }
    let text = std::str::from_utf8(digits).map_err(|_| NO_SIZE)?;
    u64::from_str_radix(text, 16).map_err(|_| NO_SIZE)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn whole(input: &[u8]) -> Result<(Vec<u8>, usize, bool), &'static str> {
        let (mut decoder, mut body) = (Chunked::new(), Vec::new());
        let used = decoder.decode(input, &mut body)?;
        Ok((body, used, decoder.is_complete()))
    }

    #[test]
    fn the_coding_and_its_dialects() {
        assert_eq!(whole(b"3\r\nabc\r\n0\r\n\r\nNEXT"), Ok((b"abc".to_vec(), 13, true)));
        assert_eq!(
            whole(b"3;name=\"v\"\r\nabc\r\n 2 \nde\n0;x\nTrailer: 1\n\n"),
            Ok((b"abcde".to_vec(), 40, true))
        );
        assert_eq!(whole(b"A\r\n0123"), Ok((b"0123".to_vec(), 7, false)));
        assert_eq!(whole(b""), Ok((Vec::new(), 0, false)));
    }

    #[test]
    fn broken_codings_are_refused() {
        for broken in [&b"x\r\n"[..], b"\r\n", b"-1\r\n", b"3\r\nabcd", b"fffffffffffffffff\r\n", b"0x3\r\n"]
        {
            assert!(whole(broken).is_err(), "{:?}", broken.escape_ascii().to_string());
        }
        assert!(whole(&[b'1'; LONGEST_LINE + 2]).is_err());
        let endless = [b"0\r\n".to_vec(), b"A: b\r\n".repeat(LONGEST_TRAILERS / 6 + 2)].concat();
        assert!(whole(&endless).is_err());
    }

    #[test]
    fn a_huge_size_reserves_nothing() {
        assert_eq!(whole(b"ffffffffffffffff\r\nab"), Ok((b"ab".to_vec(), 20, false)));
    }

    proptest! {
        #[test]
        fn pieces_decode_as_the_whole(chunks in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 1..40), 0..8), cuts in proptest::collection::vec(1_usize..9, 1..60)) {
            let mut coded = Vec::new();
            for chunk in &chunks {
                coded.extend_from_slice(format!("{:x};e=1\r\n", chunk.len()).as_bytes());
                coded.extend_from_slice(chunk);
                coded.extend_from_slice(b"\r\n");
            }
            coded.extend_from_slice(b"0\r\nT: x\r\n\r\n");
            let (mut decoder, mut body, mut rest) = (Chunked::new(), Vec::new(), coded.as_slice());
            let mut cuts = cuts.iter().cycle();
            while !rest.is_empty() {
                let (piece, after) = rest.split_at(rest.len().min(*cuts.next().unwrap()));
                prop_assert_eq!(decoder.decode(piece, &mut body), Ok(piece.len()));
                rest = after;
            }
            prop_assert!(decoder.is_complete());
            prop_assert_eq!(body, chunks.concat());
        }

        #[test]
        fn hostile_bytes_do_no_harm(input in proptest::collection::vec(any::<u8>(), 0..300)) {
            if let Ok((body, used, _)) = whole(&input) {
                prop_assert!(used <= input.len() && body.len() <= used);
            }
        }
    }
}
