//! On the way to a place what is backed up is compressed, then encrypted, then counted; on the way back the reverse.

use std::io::{self, BufReader, Read, Write};

use age::stream::StreamWriter;
use sha2::{Digest, Sha256};

use crate::{BackupError, Keys, Recipients};

/// Of Zstandard's levels the one that keeps up with disks.
const LEVEL: i32 = 3;

/// What came by: how long, and its SHA-256 in hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Sum {
    pub(crate) bytes: u64,
    pub(crate) sha256: String,
}

/// Counts what comes by.
pub(crate) struct Counting<T> {
    inner: T,
    bytes: u64,
    hash: Sha256,
}

impl<T> Counting<T> {
    pub(crate) fn new(inner: T) -> Counting<T> {
        Counting { inner, bytes: 0, hash: Sha256::new() }
    }

    pub(crate) fn finish(self) -> (T, Sum) {
        let sha256 = self.hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
        (self.inner, Sum { bytes: self.bytes, sha256 })
    }

    fn count(&mut self, passed: &[u8]) {
        self.bytes += passed.len() as u64;
        self.hash.update(passed);
    }
}

impl<W: Write> Write for Counting<W> {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(buffer)?;
        self.count(&buffer[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

impl<R: Read> Read for Counting<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.count(&buffer[..read]);
        Ok(read)
    }
}

enum Lock<W: Write> {
    Closed(StreamWriter<Counting<W>>),
    Open(Counting<W>),
}

impl<W: Write> Write for Lock<W> {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        match self {
            Lock::Closed(writer) => writer.write(buffer),
            Lock::Open(writer) => writer.write(buffer),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Lock::Closed(writer) => writer.flush(),
            Lock::Open(writer) => writer.flush(),
        }
    }
}

/// Compresses and encrypts what is written to it.
pub(crate) struct Sealing<W: Write>(zstd::Encoder<'static, Lock<W>>);

impl<W: Write> Sealing<W> {
    pub(crate) fn new(into: W, recipients: &Recipients) -> Result<Sealing<W>, BackupError> {
        let into = Counting::new(into);
        let broken = |why: io::Error| BackupError::Invalid(format!("nothing can be sealed: {why}"));
        let lock = match recipients.is_nobody() {
            true => Lock::Open(into),
            false => Lock::Closed(recipients.encryptor()?.wrap_output(into).map_err(broken)?),
        };
        let mut encoder = zstd::Encoder::new(lock, LEVEL).map_err(broken)?;
        encoder.include_checksum(true).map_err(broken)?;
        Ok(Sealing(encoder))
    }

    /// What it was written into, and what went there.
    pub(crate) fn finish(self) -> io::Result<(W, Sum)> {
        let counting = match self.0.finish()? {
            Lock::Closed(writer) => writer.finish()?,
            Lock::Open(writer) => writer,
        };
        Ok(counting.finish())
    }
}

impl<W: Write> Write for Sealing<W> {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        self.0.write(buffer)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// How the names of objects end that are sealed so.
pub(crate) fn ending(recipients: &Recipients) -> &'static str {
    if recipients.is_nobody() { ".zst" } else { ".zst.age" }
}

/// Decrypts and decompresses; `name` says how it was sealed, and is for errors.
pub(crate) fn unseal<'a, R: Read + 'a>(
    sealed: R,
    name: &str,
    keys: &Keys,
) -> Result<Box<dyn Read + 'a>, BackupError> {
    let broken = |why: io::Error| BackupError::Damaged(format!("`{name}`: {why}"));
    Ok(match name.ends_with(".age") {
        true => Box::new(zstd::Decoder::new(keys.open(sealed, name)?).map_err(broken)?),
        false => Box::new(zstd::Decoder::new(BufReader::new(sealed)).map_err(broken)?),
    })
}

/// All of it, which is small.
pub(crate) fn seal(bytes: &[u8], recipients: &Recipients) -> Result<(Vec<u8>, Sum), BackupError> {
    let mut sealing = Sealing::new(Vec::new(), recipients)?;
    let sealed = sealing.write_all(bytes).and_then(|()| sealing.finish());
    sealed.map_err(|why| BackupError::Invalid(format!("nothing can be sealed: {why}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The recipient of a new key.
    fn key_in(file: &std::path::Path) -> String {
        let key = crate::make_key();
        std::fs::write(file, key.reveal()).unwrap();
        key.recipient
    }

    #[test]
    fn what_is_sealed_is_the_same_again_and_what_was_changed_is_seen() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("key");
        let recipient = key_in(&file);
        let recipients = Recipients::read([recipient.as_str()]).unwrap();
        let keys = Keys::read(&file).unwrap();
        let text = b"what Rampart knows".repeat(20_000);
        for (recipients, name) in [(recipients, "a.zst.age"), (Recipients::default(), "a.zst")] {
            let (sealed, sum) = seal(&text, &recipients).unwrap();
            assert!(sealed.len() < text.len());
            assert_eq!(sum.bytes, sealed.len() as u64);
            let mut again = Vec::new();
            unseal(&sealed[..], name, &keys).unwrap().read_to_end(&mut again).unwrap();
            assert_eq!(again, text);
            for at in [sealed.len() / 2, sealed.len() - 1] {
                let mut changed = sealed.clone();
                changed[at] ^= 1;
                let read = unseal(&changed[..], name, &keys).and_then(|mut read| {
                    read.read_to_end(&mut Vec::new()).map_err(|why| BackupError::Damaged(why.to_string()))
                });
                assert!(read.is_err(), "{name}: byte {at}");
            }
            let cut = unseal(&sealed[..sealed.len() - 1], name, &keys).and_then(|mut read| {
                read.read_to_end(&mut Vec::new()).map_err(|why| BackupError::Damaged(why.to_string()))
            });
            assert!(cut.is_err(), "{name}: the end is missing");
        }
    }

    #[test]
    fn no_key_and_the_wrong_key_open_nothing_and_say_so() {
        let directory = tempfile::tempdir().unwrap();
        let [mine, other] = ["mine", "other"].map(|name| directory.path().join(name));
        let recipient = key_in(&mine);
        key_in(&other);
        let (sealed, _) = seal(b"secret", &Recipients::read([recipient.as_str()]).unwrap()).unwrap();
        for (keys, says) in
            [(Keys::default(), "--identity"), (Keys::read(&other).unwrap(), "encrypted for others")]
        {
            let Err(error) = unseal(&sealed[..], "a.zst.age", &keys) else { panic!("it opened") };
            assert!(error.to_string().contains(says), "{error}");
        }
    }
}
