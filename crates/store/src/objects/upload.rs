//! A document of unknown length on its way.

use std::io::{self, Write};

use object_store::buffered::BufWriter;
use tokio::runtime::Handle;
use tokio_util::io::SyncIoBridge;

use super::{ObjectKey, Objects, brief};
use crate::StoreError;

/// What is sent at once: the least that every object storage takes as a part.
pub(super) const PART: usize = 5 << 20;
/// The same of what may be a whole database: object storage takes ten thousand parts, so 320 GB.
pub(super) const LARGE_PART: usize = 32 << 20;
/// Parts on their way at once.
const PARTS: usize = 2;

/// It appears as a whole when it is finished. Given up before, or dropped, nothing of it is left.
///
/// For a thread that may wait, such as those of `spawn_blocking`.
#[derive(Debug)]
pub struct Upload {
    objects: Objects,
    key: ObjectKey,
    runtime: Handle,
    /// Until it is finished.
    writer: Option<SyncIoBridge<BufWriter>>,
}

impl Upload {
    pub(super) fn begin(objects: Objects, key: ObjectKey, part: usize) -> Upload {
        let runtime = Handle::current();
        let writer = BufWriter::with_capacity(objects.inner.clone(), key.path(), part);
        let writer = SyncIoBridge::new_with_handle(writer.with_max_concurrency(PARTS), runtime.clone());
        Upload { objects, key, runtime, writer: Some(writer) }
    }

    /// Everything is written.
    pub fn finish(mut self) -> Result<(), StoreError> {
        // It takes back what it sent by itself when this fails, and cannot be given up any more.
        let Some(mut writer) = self.writer.take() else { return Ok(()) };
        let done = writer.shutdown();
        let failed =
            |error| StoreError::Objects(format!("{}: `{}`: {}", self.objects, self.key, brief(error)));
        done.map_err(failed)
    }
}

impl Write for Upload {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        let Some(writer) = &mut self.writer else {
            return Err(io::Error::other("the document was given up, or is finished"));
        };
        let written = writer.write(buffer);
        if written.is_err() {
            // Whoever buffers writes once more when dropped, and what failed must not be asked again.
            self.give_up();
        }
        written.map_err(|error| io::Error::new(error.kind(), brief(error)))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Upload {
    fn give_up(&mut self) {
        if let Some(writer) = self.writer.take() {
            let mut writer = writer.into_inner();
            if let Err(error) = self.runtime.block_on(writer.abort()) {
                let error = brief(error);
                tracing::warn!(error, key = %self.key, "an unfinished object is left");
            }
        }
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        // A thread that panics may do so because its runtime is gone: another panic would end the process.
        if !std::thread::panicking() {
            self.give_up();
        }
    }
}
