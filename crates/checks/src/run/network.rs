//! Building DNS, TCP and TLS requests from a block.

use model::DomainName;

use super::{BuildError, RunTarget, target::TargetKind};
use crate::{
    exchange::{DnsRequest, TcpInput, TcpRequest, TlsRequest},
    expression::{Ambient, Lookup},
    operators::decode_hex,
    template::TcpData,
    template::{DnsBlock, SslBlock, TcpBlock, Text},
};

fn text(text: &Text, lookup: &Lookup<'_, '_>, ambient: &Ambient) -> Result<String, BuildError> {
    let bytes = text.render(lookup, ambient)?;
    Ok(String::from_utf8_lossy(&bytes).trim().to_owned())
}

pub(super) fn dns(
    block: &DnsBlock,
    lookup: &Lookup<'_, '_>,
    ambient: &Ambient,
) -> Result<DnsRequest, BuildError> {
    let name = text(&block.name, lookup, ambient)?;
    let name = match name.parse::<std::net::IpAddr>() {
        // PTR records of an address live under its reversed name (RFC 1035, section 3.5; RFC 3596, section 2.5).
        Ok(address) if block.record_type == "PTR" => reversed(address),
        Ok(_) => return Err(BuildError::Invalid(format!("`{name}` is an address, not a domain name"))),
        Err(_) => match name.parse::<DomainName>() {
            Ok(name) => name.to_string(),
            Err(error) => return Err(BuildError::Invalid(error.to_string())),
        },
    };
    Ok(DnsRequest {
        name,
        record_type: block.record_type.to_owned(),
        class: block.class.to_owned(),
        recursion: block.recursion,
    })
}

fn reversed(address: std::net::IpAddr) -> String {
    match address {
        std::net::IpAddr::V4(address) => {
            let [a, b, c, d] = address.octets();
            format!("{d}.{c}.{b}.{a}.in-addr.arpa")
        }
        std::net::IpAddr::V6(address) => {
            let digits =
                address.octets().into_iter().rev().map(|byte| format!("{:x}.{:x}.", byte & 15, byte >> 4));
            format!("{}ip6.arpa", digits.collect::<String>())
        }
    }
}

/// The dialogue with that number; none when the block leaves that port alone.
pub(super) fn tcp(
    block: &TcpBlock,
    index: usize,
    target: &RunTarget,
    lookup: &Lookup<'_, '_>,
    ambient: &Ambient,
) -> Result<Option<TcpRequest>, BuildError> {
    let ports = block.ports.len().max(1);
    let Some(host) = block.hosts.get(index / ports) else { return Ok(None) };
    let given = text(host, lookup, ambient)?;
    let (tls_wanted, address) = match given.strip_prefix("tls://") {
        Some(address) => (true, address),
        None => (false, given.as_str()),
    };
    let (host, port) = split_port(address);
    let named_by_target = matches!(target.kind(), TargetKind::Service { .. });
    let own = port.or_else(|| target.own_port().filter(|_| named_by_target || block.ports.is_empty()));
    let port = match own {
        // The address names its port, so the template's list does not multiply it.
        Some(_) if !index.is_multiple_of(ports) => return Ok(None),
        Some(port) => Some(port),
        None => block.ports.get(index % ports).copied(),
    };
    let Some(port) = port else {
        return Err(BuildError::Invalid(format!("`{given}` has no port, and the template names none")));
    };
    if host.is_empty() {
        return Err(BuildError::Invalid(format!("`{given}` has no host")));
    }
    if block.excluded_ports.contains(&port) {
        return Ok(None);
    }
    let tls = tls_wanted
        || matches!(target.kind(), TargetKind::Service { tls: true, port: own, .. } if *own == port);
    let mut inputs = Vec::with_capacity(block.steps.len());
    for step in &block.steps {
        let data = match &step.data {
            TcpData::Bytes(bytes) => bytes.clone(),
            TcpData::Text(text) => text.render(lookup, ambient)?.into_owned(),
            TcpData::RenderedHex(hex) => {
                let hex = text(hex, lookup, ambient)?;
                decode_hex(&hex).ok_or_else(|| BuildError::Invalid(format!("`{hex}` is not hexadecimal")))?
            }
        };
        inputs.push(TcpInput { data, read: step.read, name: step.name.clone() });
    }
    Ok(Some(TcpRequest {
        host: host.to_owned(),
        port,
        tls,
        inputs,
        read_size: block.read_size,
        read_all: block.read_all,
    }))
}

pub(super) fn tls(
    block: &SslBlock,
    target: &RunTarget,
    lookup: &Lookup<'_, '_>,
    ambient: &Ambient,
) -> Result<TlsRequest, BuildError> {
    let given = text(&block.address, lookup, ambient)?;
    let (host, port) = split_port(&given);
    if host.is_empty() {
        return Err(BuildError::Invalid(format!("`{given}` has no host")));
    }
    Ok(TlsRequest {
        host: host.to_owned(),
        port: port.or_else(|| target.own_port()).unwrap_or(443),
        min_version: block.min_version,
        max_version: block.max_version,
        cipher_suites: block.cipher_suites.clone(),
    })
}

/// Host without brackets, and port if there is one.
fn split_port(address: &str) -> (&str, Option<u16>) {
    if address.parse::<std::net::Ipv6Addr>().is_ok() {
        return (address, None);
    }
    let (host, port) = match address.rsplit_once(':') {
        Some((host, port)) => (host, port.parse().ok().filter(|port| *port != 0)),
        None => (address, None),
    };
    (host.trim_matches(['[', ']']), port)
}
