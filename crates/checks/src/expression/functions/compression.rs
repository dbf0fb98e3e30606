//! Compressed data, and ZIP archives.

use std::io::{Read, Write};

use flate2::read::{DeflateDecoder, GzDecoder, ZlibDecoder};
use flate2::write::{DeflateEncoder, ZlibEncoder};
use flate2::{Compression, Crc, GzBuilder};

use super::{Arguments, Arity, Function, Outcome, bounded};
use crate::expression::{EvaluationError, MAX_VALUE, Value};

pub(super) const FUNCTIONS: &[Function] = &[
    Function::new("gzip", Arity::exactly(1), "the data compressed as gzip", |arguments| {
        // 255 is "unknown operating system", which Go writes and some targets are matched on.
        let builder = GzBuilder::new().operating_system(255);
        arguments.compress(builder.write(Vec::new(), Compression::default()), |encoder| encoder.finish())
    }),
    Function::new("zlib", Arity::exactly(1), "the data compressed as zlib", |arguments| {
        arguments.compress(ZlibEncoder::new(Vec::new(), Compression::default()), |encoder| encoder.finish())
    }),
    Function::new(
        "deflate",
        Arity::exactly(1),
        "the data compressed as a bare deflate stream",
        |arguments| {
            arguments
                .compress(DeflateEncoder::new(Vec::new(), Compression::default()), |encoder| encoder.finish())
        },
    ),
    Function::new(
        "gzip_decode",
        Arity::between(1, 2),
        "the data that gzip compressed; with a limit, its start",
        |arguments| arguments.decompress(GzDecoder::new),
    ),
    Function::new(
        "zlib_decode",
        Arity::between(1, 2),
        "the data that zlib compressed; with a limit, its start",
        |arguments| arguments.decompress(ZlibDecoder::new),
    ),
    Function::new(
        "inflate",
        Arity::between(1, 2),
        "the data of a bare deflate stream; with a limit, its start",
        |arguments| arguments.decompress(DeflateDecoder::new),
    ),
    Function::new(
        "gzip_mtime",
        Arity::exactly(1),
        "the modification time in a gzip header, as Unix time, or 0",
        modification_time,
    ),
    Function::new("zip", Arity::at_least(2), "a ZIP archive of pairs of a file name and its content", zip),
];

impl Arguments<'_, '_> {
    fn compress<'e, W: Write>(
        &self,
        mut encoder: W,
        finish: impl FnOnce(W) -> std::io::Result<Vec<u8>>,
    ) -> Outcome<'e> {
        let written = encoder.write_all(&self.text(0)).and_then(|()| finish(encoder));
        let compressed = written.map_err(|error| self.error(format!("cannot compress: {error}")))?;
        Ok(compressed.into())
    }

    /// Never makes more than [`MAX_VALUE`], however small the compressed data is.
    fn decompress<'e, 's, R: Read>(&'s self, open: impl FnOnce(&'s [u8]) -> R) -> Outcome<'e> {
        let Value::Bytes(data) = self.value(0) else {
            return Err(self.error("the data must be text"));
        };
        let limit = if self.len() > 1 { Some(self.count(1)?) } else { None };
        // One byte more than allowed tells a stream that is too long from one that just fits.
        let most = limit.unwrap_or(MAX_VALUE + 1) as u64;
        let mut plain = Vec::new();
        open(data)
            .take(most)
            .read_to_end(&mut plain)
            .map_err(|error| self.error(format!("cannot decompress: {error}")))?;
        bounded(plain.len())?;
        Ok(plain.into())
    }
}

fn modification_time<'e>(arguments: Arguments<'_, 'e>) -> Outcome<'e> {
    let text = arguments.text(0);
    let decoder = GzDecoder::new(text.as_ref());
    match decoder.header() {
        Some(header) => Ok(Value::Number(f64::from(header.mtime()))),
        None => Err(arguments.error("the data has no gzip header")),
    }
}

/// An archive whose files are stored without compression (APPNOTE.TXT, sections 4.3.7, 4.3.12 and 4.3.16). Every file is
/// of 1 January 1980, the zero of the format, so that the archive depends on nothing but its content.
fn zip<'e>(arguments: Arguments<'_, 'e>) -> Outcome<'e> {
    const DATE: u16 = 0x21;
    const UTF_8_NAMES: u16 = 0x800;
    const VERSION: u16 = 20;
    if !arguments.len().is_multiple_of(2) {
        return Err(arguments.error("the arguments must be pairs of a file name and its content"));
    }
    let mut archive = Vec::new();
    let mut directory = Vec::new();
    let mut files = 0_u16;
    for pair in arguments.values.chunks(2) {
        let [name, content] = pair else { continue };
        let (name, content) = (name.text(), content.text());
        bounded(archive.len() + directory.len() + 2 * name.len() + content.len() + 200)?;
        let too_large =
            |_| EvaluationError::Limit { what: "a file in an archive", limit: usize::from(u16::MAX) };
        let name_length = u16::try_from(name.len()).map_err(too_large)?;
        files = files.checked_add(1).ok_or(EvaluationError::Limit { what: "an archive", limit: 65_535 })?;
        let mut checksum = Crc::new();
        checksum.update(&content);
        // The limit on values is far below 4 GB, so lengths and offsets fit.
        let (size, offset) = (content.len() as u32, archive.len() as u32);

        let mut described = Vec::new();
        described.extend_from_slice(&UTF_8_NAMES.to_le_bytes());
        described.extend_from_slice(&[0; 4]);
        described.extend_from_slice(&DATE.to_le_bytes());
        described.extend_from_slice(&checksum.sum().to_le_bytes());
        described.extend_from_slice(&size.to_le_bytes());
        described.extend_from_slice(&size.to_le_bytes());
        described.extend_from_slice(&name_length.to_le_bytes());
        described.extend_from_slice(&[0; 2]);

        archive.extend_from_slice(b"PK\x03\x04");
        archive.extend_from_slice(&VERSION.to_le_bytes());
        archive.extend_from_slice(&described);
        archive.extend_from_slice(&name);
        archive.extend_from_slice(&content);

        directory.extend_from_slice(b"PK\x01\x02");
        directory.extend_from_slice(&VERSION.to_le_bytes());
        directory.extend_from_slice(&VERSION.to_le_bytes());
        directory.extend_from_slice(&described);
        directory.extend_from_slice(&[0; 10]);
        directory.extend_from_slice(&offset.to_le_bytes());
        directory.extend_from_slice(&name);
    }
    let (start, size) = (archive.len() as u32, directory.len() as u32);
    archive.extend_from_slice(&directory);
    archive.extend_from_slice(b"PK\x05\x06\0\0\0\0");
    archive.extend_from_slice(&files.to_le_bytes());
    archive.extend_from_slice(&files.to_le_bytes());
    archive.extend_from_slice(&size.to_le_bytes());
    archive.extend_from_slice(&start.to_le_bytes());
    archive.extend_from_slice(&[0; 2]);
    Ok(archive.into())
}
