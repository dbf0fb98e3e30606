//! A name server that counts. It knows one name.

use std::{
    net::{Ipv4Addr, SocketAddr, UdpSocket},
    os::fd::AsFd,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::arrivals::{Arrival, stamp};

pub(super) struct CountingNameServer {
    pub(super) address: SocketAddr,
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Vec<Arrival>>,
}

impl CountingNameServer {
    pub(super) fn start() -> CountingNameServer {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = socket.local_addr().unwrap();
        stamp(&socket);
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = std::thread::spawn(move || serve(&socket, &stopped));
        CountingNameServer { address, stop, thread }
    }

    pub(super) fn count(self) -> Vec<Arrival> {
        self.stop.store(true, Ordering::SeqCst);
        self.thread.join().unwrap()
    }
}

fn serve(socket: &UdpSocket, stop: &AtomicBool) -> Vec<Arrival> {
    let mut arrivals = Vec::new();
    let mut buffer = [0; 2_048];
    while !stop.load(Ordering::SeqCst) {
        poll(&mut [PollFd::new(socket.as_fd(), PollFlags::POLLIN)], PollTimeout::from(20_u8)).unwrap();
        while let Ok((length, arrived, peer)) = super::arrivals::receive_from(socket, &mut buffer) {
            arrivals.push(arrived);
            if let Some(answer) = answer(&buffer[..length]) {
                socket.send_to(&answer, peer).unwrap();
            }
        }
    }
    arrivals
}

/// The question with an address behind it, or with the news that there is no such name (RFC 1035, 4.1).
fn answer(query: &[u8]) -> Option<Vec<u8>> {
    let name_end = 12 + query.get(12..)?.iter().position(|byte| *byte == 0)? + 1;
    let question = query.get(12..name_end + 4)?;
    let known = question[..name_end - 12].eq_ignore_ascii_case(b"\x04acme\x04test\0");
    let wants_address = question.ends_with(&[0, 1, 0, 1]);
    let mut answer = query[..2].to_vec();
    answer.extend([
        0x85,
        if known { 0x80 } else { 0x83 },
        0,
        1,
        0,
        u8::from(known && wants_address),
        0,
        0,
        0,
        0,
    ]);
    answer.extend(question);
    if known && wants_address {
        answer.extend([0xc0, 0x0c, 0, 1, 0, 1, 0, 0, 1, 0x2c, 0, 4, 127, 92, 1, 1]);
    }
    Some(answer)
}
