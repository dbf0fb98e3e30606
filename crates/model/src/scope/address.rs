//! Kinds of addresses: which no scope allows, and which are public.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

/// Why an address is never scanned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NeverReason {
    /// Hands out credentials to whoever runs on a cloud machine.
    CloudMetadata,
    /// 169.254.0.0/16 and fe80::/10, where metadata services live.
    LinkLocal,
    /// 0.0.0.0/8 and ::, which mean "this host" to some systems.
    Unspecified,
    /// One packet, many receivers.
    Multicast,
    /// One packet, every receiver.
    Broadcast,
    /// 240.0.0.0/4.
    Reserved,
}

impl fmt::Display for NeverReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            NeverReason::CloudMetadata => "a cloud metadata address",
            NeverReason::LinkLocal => "a link-local address",
            NeverReason::Unspecified => "the unspecified address or its network",
            NeverReason::Multicast => "a multicast address",
            NeverReason::Broadcast => "the broadcast address",
            NeverReason::Reserved => "a reserved address",
        })
    }
}

/// Metadata services outside the link-local networks: Alibaba Cloud, Azure's wire server, Oracle Cloud, and the IPv6 addresses
/// of AWS and Google Cloud.
const METADATA: [IpAddr; 5] = [
    IpAddr::V4(Ipv4Addr::new(100, 100, 100, 200)),
    IpAddr::V4(Ipv4Addr::new(168, 63, 129, 16)),
    IpAddr::V4(Ipv4Addr::new(192, 0, 0, 192)),
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254)),
    IpAddr::V6(Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254)),
];

/// The machine that an address means: IPv4 inside IPv6 (mapped and compatible, RFC 4291; NAT64, RFC 6052; 6to4, RFC 3056) is
/// unwrapped, so that no spelling of an address passes where the address would not.
pub fn canonical(address: IpAddr) -> IpAddr {
    let IpAddr::V6(v6) = address else { return address };
    let segments = v6.segments();
    let embedded = |high: u16, low: u16| {
        let [a, b] = high.to_be_bytes();
        let [c, d] = low.to_be_bytes();
        IpAddr::V4(Ipv4Addr::new(a, b, c, d))
    };
    match segments {
        [0, 0, 0, 0, 0, 0xffff, high, low] | [0x64, 0xff9b, 0, 0, 0, 0, high, low] => embedded(high, low),
        [0x2002, high, low, ..] => embedded(high, low),
        [0, 0, 0, 0, 0, 0, high, low] if high != 0 => embedded(high, low),
        _ => address,
    }
}

/// The reason why no scope allows the address, if there is one.
pub fn never_permitted(address: IpAddr) -> Option<NeverReason> {
    let address = canonical(address);
    if METADATA.contains(&address) {
        return Some(NeverReason::CloudMetadata);
    }
    match address {
        IpAddr::V4(v4) if v4.octets()[0] == 0 => Some(NeverReason::Unspecified),
        IpAddr::V4(v4) if v4.is_link_local() => Some(NeverReason::LinkLocal),
        IpAddr::V4(v4) if v4.is_broadcast() => Some(NeverReason::Broadcast),
        IpAddr::V4(v4) if v4.is_multicast() => Some(NeverReason::Multicast),
        IpAddr::V4(v4) if v4.octets()[0] >= 240 => Some(NeverReason::Reserved),
        IpAddr::V6(v6) if v6.is_unspecified() => Some(NeverReason::Unspecified),
        IpAddr::V6(v6) if v6.is_multicast() => Some(NeverReason::Multicast),
        IpAddr::V6(v6) if v6.segments()[0] & 0xffc0 == 0xfe80 => Some(NeverReason::LinkLocal),
        _ => None,
    }
}

/// Where the packets for an address go: only the mapped form is IPv4 on the wire. The others are routed as IPv6, towards a
/// translator or relay, so that 64:ff9b::127.0.0.1 is not this machine.
pub(super) fn as_sent(address: IpAddr) -> IpAddr {
    address.to_canonical()
}

/// Can the address be somebody's on the Internet? (The special-purpose registries of RFC 6890 say which cannot.) Of IPv6 only
/// global unicast can (RFC 4291, 2.4), and what leads to public IPv4 addresses; not Teredo (RFC 4380), whose addresses name a
/// relay and a host behind it.
pub(super) fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => {
            let [a, b, c, _] = v4.octets();
            let shared = a == 100 && (64..128).contains(&b);
            let protocol_assignments = (a, b, c) == (192, 0, 0);
            let benchmarking = a == 198 && (b == 18 || b == 19);
            !(v4.is_private() || v4.is_loopback() || shared || protocol_assignments || benchmarking)
        }
        IpAddr::V6(v6) => match (v6.segments(), canonical(address)) {
            ([0x2002, ..] | [0x64, 0xff9b, ..], embedded @ IpAddr::V4(_)) => is_public(embedded),
            ([0x2001, 0, ..], _) => false,
            ([first, ..], _) => first & 0xe000 == 0x2000,
        },
    }
}
