//! In which order ports are asked.

use std::net::IpAddr;

use model::PortSet;
use rand::{SeedableRng, rngs::StdRng, seq::SliceRandom};

use super::top::{USUAL, top_ports};

/// Another order for every address, the same one every time.
pub(super) fn seed(address: IpAddr) -> u64 {
    let octets = match address {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    };
    octets.iter().fold(0, |seed: u64, octet| seed.wrapping_mul(257).wrapping_add(u64::from(*octet)))
}

/// Every port of the set once: the usual ones first, because they are the likely findings, each part shuffled so that no host
/// is walked in order.
pub(super) fn permuted(ports: &PortSet, seed: u64) -> Vec<u16> {
    let usual = top_ports(USUAL.len());
    let (mut ordered, mut others): (Vec<u16>, Vec<u16>) =
        ports.iter().partition(|port| usual.contains(*port));
    let mut random = StdRng::seed_from_u64(seed);
    ordered.shuffle(&mut random);
    others.shuffle(&mut random);
    ordered.append(&mut others);
    ordered
}

/// Deals the ports to `lanes` lists in turn; no list is empty.
pub(super) fn deal(ports: Vec<u16>, lanes: usize) -> Vec<Vec<u16>> {
    let lane = |first: usize| ports.iter().skip(first).step_by(lanes).copied().collect::<Vec<u16>>();
    (0..lanes).map(lane).filter(|lane| !lane.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_is_a_permutation_that_depends_on_the_seed_only() {
        let all = PortSet::all();
        for number in 0..10 {
            let order = permuted(&all, number);
            assert_eq!(order, permuted(&all, number));
            assert_ne!(order, permuted(&all, number + 1));
            let mut sorted = order.clone();
            sorted.sort_unstable();
            assert!(sorted.into_iter().eq(1..=u16::MAX));
            assert!(order[..USUAL.len()].contains(&80) && order[..USUAL.len()].contains(&443));
        }
    }

    #[test]
    fn addresses_have_their_own_order() {
        let seeds: std::collections::BTreeSet<u64> =
            ["127.0.0.1", "127.0.0.2", "127.0.1.0", "10.0.0.1", "::1"]
                .map(|text| seed(text.parse().unwrap()))
                .into();
        assert_eq!(seeds.len(), 5);
    }

    #[test]
    fn dealing_loses_nothing() {
        for (count, lanes, lists) in [(0, 2, 0), (1, 2, 1), (5, 2, 2), (1_000, 3, 3)] {
            let ports: Vec<u16> = (1..=count).collect();
            let dealt = deal(ports.clone(), lanes);
            assert_eq!(dealt.len(), lists);
            let mut together = dealt.concat();
            together.sort_unstable();
            assert_eq!(together, ports);
        }
    }
}
