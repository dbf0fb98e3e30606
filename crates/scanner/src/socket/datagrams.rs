//! Datagrams in batches: one system call for many (sendmmsg(2), recvmmsg(2)).

use std::{
    io::{self, IoSlice, IoSliceMut},
    net::UdpSocket,
    os::fd::AsRawFd,
};

use nix::{
    errno::Errno,
    sys::socket::{ControlMessage, MsgFlags, MultiHeaders, recvmmsg, sendmmsg},
};

/// Datagrams of one system call.
pub(crate) const BATCH: usize = 64;
/// Longest datagram taken whole. Queries offer 1,232 bytes (RFC 9715); servers that send more are read nevertheless.
const LONGEST: usize = 4_096;

/// What arrived with the last call. It holds raw pointers for the kernel, so it stays on the thread that made it.
pub(crate) struct Inbox {
    headers: MultiHeaders<()>,
    bytes: Box<[u8]>,
    datagrams: Vec<Datagram>,
}

#[derive(Clone, Copy)]
struct Datagram {
    length: usize,
    cut: bool,
}

impl Inbox {
    /// Room for one batch.
    pub(crate) fn new() -> Inbox {
        Inbox {
            headers: MultiHeaders::preallocate(BATCH, None),
            bytes: vec![0; BATCH * LONGEST].into_boxed_slice(),
            datagrams: Vec::with_capacity(BATCH),
        }
    }

    /// Takes what has arrived on a non-blocking socket, at most [`BATCH`] datagrams, and says how many.
    pub(crate) fn receive(&mut self, socket: &UdpSocket) -> io::Result<usize> {
        self.datagrams.clear();
        let mut buffers: Vec<[IoSliceMut<'_>; 1]> =
            self.bytes.chunks_exact_mut(LONGEST).map(|chunk| [IoSliceMut::new(chunk)]).collect();
        let received =
            recvmmsg(socket.as_raw_fd(), &mut self.headers, buffers.iter_mut(), MsgFlags::MSG_DONTWAIT, None);
        match received {
            Ok(messages) => {
                let datagrams = messages.map(|message| Datagram {
                    length: message.bytes,
                    cut: message.flags.contains(MsgFlags::MSG_TRUNC),
                });
                self.datagrams.extend(datagrams);
                Ok(self.datagrams.len())
            }
            Err(Errno::EAGAIN | Errno::EINTR) => Ok(0),
            Err(error) => Err(error.into()),
        }
    }

    /// One of them, and whether it was longer than what is here.
    pub(crate) fn datagram(&self, index: usize) -> (&[u8], bool) {
        let Datagram { length, cut } = self.datagrams[index];
        let start = index * LONGEST;
        (&self.bytes[start..start + length.min(LONGEST)], cut)
    }
}

/// Datagrams to be sent with one call.
pub(crate) struct Outbox {
    headers: MultiHeaders<()>,
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl Outbox {
    /// Room for one batch.
    pub(crate) fn new() -> Outbox {
        Outbox {
            headers: MultiHeaders::preallocate(BATCH, None),
            bytes: Vec::with_capacity(BATCH * 96),
            ends: Vec::with_capacity(BATCH),
        }
    }

    /// Forgets what is in it.
    pub(crate) fn clear(&mut self) {
        self.bytes.clear();
        self.ends.clear();
    }

    /// Is there no room for another?
    pub(crate) fn is_full(&self) -> bool {
        self.ends.len() >= BATCH
    }

    /// Adds what `write` appends as one datagram.
    pub(crate) fn push(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        write(&mut self.bytes);
        self.ends.push(self.bytes.len());
    }

    /// Sends them over a connected non-blocking socket, and says how many the kernel took.
    pub(crate) fn send(&mut self, socket: &UdpSocket) -> io::Result<usize> {
        let mut start = 0;
        let buffers: Vec<[IoSlice<'_>; 1]> = self
            .ends
            .iter()
            .map(|&end| {
                let datagram = &self.bytes[start..end];
                start = end;
                [IoSlice::new(datagram)]
            })
            .collect();
        let nowhere = [None::<()>; BATCH];
        let no_control: [ControlMessage<'_>; 0] = [];
        match sendmmsg(
            socket.as_raw_fd(),
            &mut self.headers,
            &buffers,
            nowhere,
            no_control,
            MsgFlags::MSG_DONTWAIT,
        ) {
            Ok(messages) => Ok(messages.count()),
            Err(Errno::EAGAIN | Errno::ENOBUFS | Errno::EINTR) => Ok(0),
            Err(error) => Err(error.into()),
        }
    }
}
