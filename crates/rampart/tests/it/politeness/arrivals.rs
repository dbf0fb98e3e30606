//! When what was sent arrived, as the kernel saw it: a busy test cannot make arrivals look closer together than they were.

use std::{
    io::{self, IoSliceMut},
    net::{SocketAddr, UdpSocket},
    os::fd::AsRawFd,
    time::Duration,
};

use nix::sys::socket::{
    ControlMessageOwned, MsgFlags, TimestampingFlag, recvmsg, setsockopt, sockopt::Timestamping,
};

/// Time since the epoch.
pub(super) type Arrival = Duration;

/// Asks for arrival times; sockets accepted from a listener inherit it.
pub(super) fn stamp(socket: &impl std::os::fd::AsFd) {
    let flags = TimestampingFlag::SOF_TIMESTAMPING_RX_SOFTWARE | TimestampingFlag::SOF_TIMESTAMPING_SOFTWARE;
    setsockopt(socket, Timestamping, &flags).unwrap();
}

/// Reads what is there without waiting.
pub(super) fn receive(socket: &impl AsRawFd, buffer: &mut [u8]) -> io::Result<(usize, Option<Arrival>)> {
    let mut space = nix::cmsg_space!([u8; 256]);
    let mut slices = [IoSliceMut::new(buffer)];
    let message = recvmsg::<()>(socket.as_raw_fd(), &mut slices, Some(&mut space), MsgFlags::MSG_DONTWAIT)?;
    let arrived = message.cmsgs()?.find_map(|control| match control {
        ControlMessageOwned::ScmTimestampsns(stamps) => Some(Duration::from(stamps.system)),
        _ => None,
    });
    Ok((message.bytes, arrived))
}

/// Reads a datagram that is there without waiting.
pub(super) fn receive_from(
    socket: &UdpSocket,
    buffer: &mut [u8],
) -> io::Result<(usize, Arrival, SocketAddr)> {
    // Looked at first: the address and the time come by different calls.
    socket.set_nonblocking(true)?;
    let (_, peer) = socket.peek_from(buffer)?;
    let (length, arrived) = receive(socket, buffer)?;
    Ok((length, arrived.expect("the kernel stamps what arrives"), peer))
}

/// The most arrivals in any window of one second.
pub(super) fn busiest_second(arrivals: impl IntoIterator<Item = Arrival>) -> usize {
    busiest(arrivals, Duration::from_secs(1))
}

/// The most arrivals in any window of this length.
pub(super) fn busiest(arrivals: impl IntoIterator<Item = Arrival>, window: Duration) -> usize {
    let mut arrivals: Vec<Arrival> = arrivals.into_iter().collect();
    arrivals.sort_unstable();
    let mut first = 0;
    let mut most = 0;
    for (index, arrival) in arrivals.iter().enumerate() {
        while *arrival - arrivals[first] >= window {
            first += 1;
        }
        most = most.max(index - first + 1);
    }
    most
}

#[test]
fn the_busiest_second_may_begin_anywhere() {
    let at =
        |milliseconds: &[u64]| busiest_second(milliseconds.iter().map(|time| Duration::from_millis(*time)));
    assert_eq!(at(&[]), 0);
    assert_eq!(at(&[0, 999, 1_000, 1_500, 1_998]), 4);
    assert_eq!(at(&[0, 1_000, 2_000]), 1);
    let milliseconds = [0, 999, 1_000, 1_500, 1_999, 2_000].map(Duration::from_millis);
    assert_eq!(busiest(milliseconds, Duration::from_secs(2)), 5);
}
