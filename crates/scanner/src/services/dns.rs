//! DNS over TCP (RFC 7766): the name server's version, class CHAOS, as BIND introduced it.

use super::engine::{Opening, Probe, Reader, Recognised, lossy, version_after, version_at};
#[cfg(test)]
use super::engine::{Sample, sample};

pub(super) const PROBE: Probe = Probe {
    protocol: "dns",
    ports: &[53, 5353],
    tls_ports: &[853],
    opening: Opening::Speak(VERSION_BIND),
    recognise,
    #[cfg(test)]
    samples: &[SAMPLES],
};

/// Length, then message `ra` with one question: `version.bind TXT CH`.
const VERSION_BIND: &[u8] = b"\0\x1era\0\0\0\x01\0\0\0\0\0\0\x07version\x04bind\0\0\x10\0\x03";
const QUESTION: &[u8] = b"\x07version\x04bind\0\0\x10\0\x03";

fn recognise(answer: &[u8]) -> Option<Recognised> {
    let mut message = Reader::new(answer);
    let length = message.u16()?;
    if length < 12 {
        return None;
    }
    message.expect(b"ra")?;
    let flags = message.u16()?;
    // A response to an ordinary query.
    if flags & 0xf800 & !0x0400 != 0x8000 {
        return None;
    }
    let (questions, _answers) = (message.u16()?, message.u16()?);
    message.take(4)?;
    if questions > 1 {
        return None;
    }
    Some(text(&mut message).map_or_else(Recognised::protocol, |text| server(&text)))
}

/// The first string of the first answer.
fn text(message: &mut Reader<'_>) -> Option<String> {
    message.expect(QUESTION)?;
    let name =
        [&b"\xc0\x0c"[..], &QUESTION[..14]].into_iter().find(|name| message.rest().starts_with(name))?;
    message.expect(name)?;
    message.expect(b"\0\x10\0\x03")?;
    // Time to live and length of the data.
    message.take(4 + 2)?;
    let length = message.u8()?;
    Some(lossy(message.take(usize::from(length))?).into_owned())
}

fn server(text: &str) -> Recognised {
    let known = [
        ("Knot DNS ", "Knot DNS", ("nic", "knot_dns")),
        ("unbound ", "Unbound", ("nlnetlabs", "unbound")),
        ("NSD ", "NSD", ("nlnetlabs", "nsd")),
        ("dnsmasq-", "dnsmasq", ("thekelleys", "dnsmasq")),
        ("PowerDNS Authoritative Server ", "PowerDNS Authoritative Server", ("powerdns", "authoritative")),
        ("PowerDNS Recursor ", "PowerDNS Recursor", ("powerdns", "recursor")),
        ("CoreDNS-", "CoreDNS", ("coredns.io", "coredns")),
    ];
    for (marker, name, (vendor, product)) in known {
        if text.starts_with(marker) {
            return Recognised::product(name).version(version_after(text, marker)).cpe(vendor, product);
        }
    }
    // BIND tells nothing but its version, unless it was told to say something else.
    if text.starts_with("9.") {
        let version = text.split('-').next().unwrap_or_default();
        return Recognised::product("BIND").version(version_at(version)).cpe("isc", "bind");
    }
    Recognised::protocol()
}

#[cfg(test)]
const SAMPLES: &[Sample] = &[
    sample(b"\0\x3dra\x84\0\0\x01\0\x01\0\0\0\0\x07version\x04bind\0\0\x10\0\x03\xc0\x0c\0\x10\0\x03\0\0\0\0\0\x13\x129.18.24-1-Debian  ", "BIND", "9.18.24", "cpe:2.3:a:isc:bind:9.18.24:*:*:*:*:*:*:*"),
    sample(b"\0\x39ra\x84\0\0\x01\0\x01\0\0\0\0\x07version\x04bind\0\0\x10\0\x03\xc0\x0c\0\x10\0\x03\0\0\0\0\0\x0f\x0eKnot DNS 3.2.6", "Knot DNS", "3.2.6", "cpe:2.3:a:nic:knot_dns:3.2.6:*:*:*:*:*:*:*"),
    sample(b"\0\x1era\x80\x05\0\x01\0\0\0\0\0\0\x07version\x04bind\0\0\x10\0\x03", "", "", ""),
];
