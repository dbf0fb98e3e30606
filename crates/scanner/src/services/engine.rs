//! What every protocol's file is written in terms of, and the dialogue that asks them in turn. Nothing in here knows a protocol.

mod detection;
mod dialogue;
mod printable;
mod probe;
mod reader;
mod recognised;
mod text;

pub use self::detection::Identified;
#[cfg(test)]
pub(super) use self::probe::{Sample, sample};
pub(super) use self::{
    detection::Detection,
    probe::{Asker, Opening, Probe},
    reader::Reader,
    recognised::Recognised,
    text::{line, lossy, version_after, version_at},
};
