//! Targets, piece by piece: a network may be long, and little of it in scope.

use std::net::IpAddr;

use ipnet::IpNet;

use crate::{Scope, Target};

/// A network becomes those of its addresses that are in scope, lazily; anything else stays one target. Of a network that is
/// larger than the scope only the parts in scope are walked through, so that 10.0.0.0/8 with a scope of one /24 is short work. With `after`, only what comes after that address.
pub fn pieces(
    target: Target,
    scope: &Scope,
    after: Option<IpAddr>,
) -> Box<dyn Iterator<Item = Piece> + Send> {
    let Target::Network(network) = target else { return Box::new(std::iter::once(Piece::Whole(target))) };
    let parts: Vec<IpNet> = match scope.networks.iter().any(|allowed| allowed.contains(&network)) {
        true => vec![network],
        false => IpNet::aggregate(
            &scope.networks.iter().copied().filter(|allowed| network.contains(allowed)).collect(),
        ),
    };
    let excluded = scope.excluded_networks.clone();
    let scope = scope.clone();
    let addresses = parts.into_iter().flat_map(move |part| hosts_without(part, &excluded, after));
    Box::new(addresses.map(move |address| match scope.permits_address(address, None) {
        Ok(()) => Piece::OfNetwork(address),
        Err(_) => Piece::Nothing(address),
    }))
}

/// The addresses of a network that hosts may have, without those of the exclusions: these are stepped over as a whole, however
/// large they are.
fn hosts_without(
    network: IpNet,
    excluded: &[IpNet],
    after: Option<IpAddr>,
) -> impl Iterator<Item = IpAddr> + Send + use<> {
    let number = |address: IpAddr| match address {
        IpAddr::V4(v4) => u128::from(u32::from(v4)),
        IpAddr::V6(v6) => u128::from(v6),
    };
    let is_v4 = network.addr().is_ipv4();
    let mut gaps: Vec<(u128, u128)> = excluded
        .iter()
        .filter(|gap| gap.addr().is_ipv4() == is_v4)
        .map(|gap| (number(gap.network()), number(gap.broadcast())))
        .collect();
    gaps.sort_unstable();
    let (mut next, mut last) = (number(network.network()), number(network.broadcast()));
    if is_v4 && network.prefix_len() < 31 {
        // The network's own address and its broadcast address.
        (next, last) = (next + 1, last - 1);
    }
    let mut next = match after {
        Some(after) => number(after).checked_add(1).map(|first| first.max(next)),
        None => Some(next),
    };
    std::iter::from_fn(move || {
        let mut at = next?;
        for (from, to) in &gaps {
            if (*from..=*to).contains(&at) {
                at = to.checked_add(1)?;
            }
        }
        if at > last {
            next = None;
            return None;
        }
        next = at.checked_add(1);
        Some(match is_v4 {
            true => IpAddr::V4(u32::try_from(at).ok()?.into()),
            false => IpAddr::V6(at.into()),
        })
    })
}

/// What is taken of the targets at once.
#[derive(Debug, PartialEq, Eq)]
pub enum Piece {
    /// A target that is no network.
    Whole(Target),
    /// One address of a network.
    OfNetwork(IpAddr),
    /// One that no scope allows.
    Nothing(IpAddr),
}

#[cfg(test)]
mod tests;
