//! Certificates (RFC 5280) as facts. Everything in them is the peer's word.

use std::{fmt::Write, net::IpAddr};

use checks::exchange::Certificate;
use md5::Md5;
use model::{DomainName, Host};
use sha1::Sha1;
use sha2::{Digest, Sha256};
use x509_parser::{
    certificate::X509Certificate,
    extensions::{GeneralName, ParsedExtension},
    prelude::FromDer,
    public_key::PublicKey,
    x509::{AttributeTypeAndValue, SubjectPublicKeyInfo, X509Name},
};

/// Names listed of one certificate; the largest real ones have a few hundred.
const MOST_NAMES: usize = 2_000;
/// Object identifiers of names and keys.
const COMMON_NAME: &str = "2.5.4.3";
const ORGANIZATION: &str = "2.5.4.10";
/// BMPString, in which some old certificates write names: UTF-16, big end first.
const BMP_STRING: u32 = 30;

/// A certificate, and what follows from it.
#[derive(Debug, Clone, Default)]
pub struct Reading {
    /// The facts. Of a certificate that does not parse, only the fingerprints.
    pub certificate: Certificate,
    /// It parsed.
    pub is_readable: bool,
    /// Names itself as its issuer, and its key identifiers do not say otherwise.
    pub self_signed: bool,
    names: Vec<String>,
    addresses: Vec<IpAddr>,
}

/// Reads a certificate in DER.
pub fn read(der: &[u8]) -> Reading {
    let fingerprints = Certificate {
        sha256: hexadecimal(&Sha256::digest(der)),
        sha1: hexadecimal(&Sha1::digest(der)),
        md5: hexadecimal(&Md5::digest(der)),
        ..Certificate::default()
    };
    let Ok((_, parsed)) = X509Certificate::from_der(der) else {
        return Reading { certificate: fingerprints, ..Reading::default() };
    };
    let (names, addresses) = alternative_names(&parsed);
    let (key_algorithm, key_bits) = key(parsed.public_key());
    let subject_an = names.iter().cloned().chain(addresses.iter().map(ToString::to_string)).collect();
    let serial = parsed.raw_serial().iter().map(|byte| format!("{byte:02X}")).collect::<Vec<_>>().join(":");
    Reading {
        certificate: Certificate {
            subject_cn: first(parsed.subject(), COMMON_NAME),
            subject_org: every(parsed.subject(), ORGANIZATION),
            subject_dn: distinguished_name(parsed.subject()),
            subject_an,
            issuer_cn: first(parsed.issuer(), COMMON_NAME),
            issuer_org: every(parsed.issuer(), ORGANIZATION),
            issuer_dn: distinguished_name(parsed.issuer()),
            serial,
            not_before: parsed.validity().not_before.timestamp(),
            not_after: parsed.validity().not_after.timestamp(),
            signature_algorithm: signature_algorithm(&parsed.signature_algorithm.algorithm.to_id_string()),
            key_algorithm,
            key_bits,
            ..fingerprints
        },
        is_readable: true,
        self_signed: is_self_signed(&parsed),
        names,
        addresses,
    }
}

impl Reading {
    /// Is the certificate valid for the host? By alternative names only; the common name has not counted since RFC 9525 (1.2).
    pub fn covers(&self, host: &Host) -> bool {
        match host {
            Host::Address(address) => self.addresses.contains(&model::scope::canonical(*address)),
            Host::Name(name) => self.names.iter().any(|pattern| covers_name(pattern, name)),
        }
    }

    /// Is that moment (in seconds since 1970) outside its validity?
    pub fn is_expired(&self, now: i64) -> bool {
        self.is_readable && !(self.certificate.not_before..=self.certificate.not_after).contains(&now)
    }
}

/// RFC 9525, 6.3: a wildcard is the whole leftmost label and stands for exactly one; none below a top-level domain.
fn covers_name(pattern: &str, name: &DomainName) -> bool {
    let pattern = pattern.strip_suffix('.').unwrap_or(pattern);
    match pattern.strip_prefix("*.") {
        Some(rest) => {
            rest.contains('.')
                && name.as_str().split_once('.').is_some_and(|(_, parent)| parent.eq_ignore_ascii_case(rest))
        }
        None => pattern.eq_ignore_ascii_case(name.as_str()),
    }
}

fn alternative_names(parsed: &X509Certificate<'_>) -> (Vec<String>, Vec<IpAddr>) {
    let (mut names, mut addresses) = (Vec::new(), Vec::new());
    let listed = parsed.extensions().iter().filter_map(|extension| match extension.parsed_extension() {
        ParsedExtension::SubjectAlternativeName(names) => Some(&names.general_names),
        _ => None,
    });
    for name in listed.flatten().take(MOST_NAMES) {
        match name {
            GeneralName::DNSName(name) => names.push((*name).to_owned()),
            GeneralName::IPAddress(bytes) => {
                let address = <[u8; 4]>::try_from(*bytes).map(IpAddr::from);
                let address = address.or_else(|_| <[u8; 16]>::try_from(*bytes).map(IpAddr::from));
                addresses.extend(address.ok().map(model::scope::canonical));
            }
            _ => {}
        }
    }
    (names, addresses)
}

/// Not by checking the signature: the keys and hashes that self-signed certificates are found with are often too weak for any
/// current library to check.
fn is_self_signed(parsed: &X509Certificate<'_>) -> bool {
    let extensions = || parsed.extensions().iter().map(|extension| extension.parsed_extension());
    let own_key = extensions().find_map(|extension| match extension {
        ParsedExtension::SubjectKeyIdentifier(key) => Some(key.0),
        _ => None,
    });
    let signing_key = extensions().find_map(|extension| match extension {
        ParsedExtension::AuthorityKeyIdentifier(key) => key.key_identifier.as_ref().map(|key| key.0),
        _ => None,
    });
    let other_key = matches!((own_key, signing_key), (Some(own), Some(signing)) if own != signing);
    parsed.subject().as_raw() == parsed.issuer().as_raw() && !other_key
}

fn key(key: &SubjectPublicKeyInfo<'_>) -> (String, u32) {
    let algorithm = key.algorithm.algorithm.to_id_string();
    let parameter = key.algorithm.parameters.as_ref().and_then(|parameters| parameters.as_oid().ok());
    let bits = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
    let (name, size) = match (algorithm.as_str(), key.parsed()) {
        (_, Ok(PublicKey::RSA(rsa))) => {
            let significant =
                rsa.modulus.iter().position(|byte| *byte != 0).map_or(&[][..], |at| &rsa.modulus[at..]);
            let unused = significant.first().map_or(0, |byte| byte.leading_zeros() as usize);
            ("RSA", significant.len() * 8 - unused)
        }
        (_, Ok(PublicKey::EC(point))) => {
            let size = match parameter.map(|curve| curve.to_id_string()).as_deref() {
                Some("1.2.840.10045.3.1.7") => 256,
                Some("1.3.132.0.34") => 384,
                Some("1.3.132.0.35") => 521,
                _ => point.key_size(),
            };
            ("ECDSA", size)
        }
        (_, Ok(PublicKey::DSA(value))) => ("DSA", value.len().saturating_sub(1).next_multiple_of(8) * 8),
        ("1.3.101.112", _) => ("Ed25519", 256),
        ("1.3.101.113", _) => ("Ed448", 456),
        (other, _) => (other, 0),
    };
    (name.to_owned(), bits(size))
}

/// Names as Go's standard library prints them, which is what checks compare with.
fn signature_algorithm(identifier: &str) -> String {
    match identifier {
        "1.2.840.113549.1.1.2" => "MD2-RSA",
        "1.2.840.113549.1.1.4" => "MD5-RSA",
        "1.2.840.113549.1.1.5" | "1.3.14.3.2.29" => "SHA1-RSA",
        "1.2.840.113549.1.1.11" => "SHA256-RSA",
        "1.2.840.113549.1.1.12" => "SHA384-RSA",
        "1.2.840.113549.1.1.13" => "SHA512-RSA",
        "1.2.840.113549.1.1.10" => "RSAPSS",
        "1.2.840.10040.4.3" => "DSA-SHA1",
        "2.16.840.1.101.3.4.3.2" => "DSA-SHA256",
        "1.2.840.10045.4.1" => "ECDSA-SHA1",
        "1.2.840.10045.4.3.2" => "ECDSA-SHA256",
        "1.2.840.10045.4.3.3" => "ECDSA-SHA384",
        "1.2.840.10045.4.3.4" => "ECDSA-SHA512",
        "1.3.101.112" => "Ed25519",
        "1.3.101.113" => "Ed448",
        other => other,
    }
    .to_owned()
}

fn every(name: &X509Name<'_>, identifier: &str) -> Vec<String> {
    let wanted = |attribute: &&AttributeTypeAndValue<'_>| attribute.attr_type().to_id_string() == identifier;
    name.iter_attributes().filter(wanted).map(text).collect()
}

fn first(name: &X509Name<'_>, identifier: &str) -> String {
    every(name, identifier).into_iter().next().unwrap_or_default()
}

fn text(attribute: &AttributeTypeAndValue<'_>) -> String {
    let bytes = attribute.as_slice();
    if attribute.attr_value().tag().0 == BMP_STRING {
        let units: Vec<u16> =
            bytes.chunks_exact(2).map(|pair| u16::from_be_bytes([pair[0], pair[1]])).collect();
        return String::from_utf16_lossy(&units);
    }
    String::from_utf8_lossy(bytes).into_owned()
}

/// RFC 4514: last component first, special characters escaped.
fn distinguished_name(name: &X509Name<'_>) -> String {
    let components: Vec<_> = name.iter_rdn().collect();
    let written = components.into_iter().rev().map(|component| {
        component
            .iter()
            .map(|attribute| format!("{}={}", attribute_name(attribute), escaped(&text(attribute))))
            .collect::<Vec<_>>()
            .join("+")
    });
    written.collect::<Vec<_>>().join(",")
}

fn attribute_name(attribute: &AttributeTypeAndValue<'_>) -> String {
    let identifier = attribute.attr_type().to_id_string();
    match identifier.as_str() {
        COMMON_NAME => "CN",
        "2.5.4.5" => "SERIALNUMBER",
        "2.5.4.6" => "C",
        "2.5.4.7" => "L",
        "2.5.4.8" => "ST",
        "2.5.4.9" => "STREET",
        ORGANIZATION => "O",
        "2.5.4.11" => "OU",
        "2.5.4.17" => "POSTALCODE",
        "0.9.2342.19200300.100.1.1" => "UID",
        "0.9.2342.19200300.100.1.25" => "DC",
        "1.2.840.113549.1.9.1" => "emailAddress",
        other => other,
    }
    .to_owned()
}

fn escaped(value: &str) -> String {
    let mut out = String::with_capacity(value.len());
    let last = value.chars().count().saturating_sub(1);
    for (index, character) in value.chars().enumerate() {
        match character {
            ',' | '+' | '"' | '\\' | '<' | '>' | ';' => out.extend(['\\', character]),
            '#' if index == 0 => out.push_str("\\#"),
            ' ' if index == 0 || index == last => out.push_str("\\ "),
            '\0' => out.push_str("\\00"),
            other => out.push(other),
        }
    }
    out
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use testkit::tls::{Wanted, certify};

    use super::*;

    fn host(text: &str) -> Host {
        text.parse().unwrap()
    }

    #[test]
    fn the_facts_are_read() {
        let wanted = Wanted {
            common_name: "a, b",
            names: &["a.example", "127.0.0.1", "::1"],
            years: (2001, 2002),
            self_signed: false,
        };
        let certified = certify(&wanted);
        let leaf = read(&certified.chain[0]);
        let facts = &leaf.certificate;
        assert_eq!((facts.subject_cn.as_str(), facts.subject_dn.as_str()), ("a, b", "O=Example,CN=a\\, b"));
        assert_eq!(
            (facts.subject_org.as_slice(), facts.issuer_cn.as_str()),
            (&["Example".to_owned()][..], "Example Authority")
        );
        assert_eq!(facts.subject_an, ["a.example", "127.0.0.1", "::1"]);
        assert_eq!((facts.not_before, facts.not_after), (978_307_200, 1_009_843_200));
        assert_eq!(
            (facts.signature_algorithm.as_str(), facts.key_algorithm.as_str(), facts.key_bits),
            ("ECDSA-SHA256", "ECDSA", 256)
        );
        assert_eq!((facts.sha256.len(), facts.sha1.len(), facts.md5.len()), (64, 40, 32));
        assert!(
            facts.serial.split(':').all(|byte| byte.len() == 2 && u8::from_str_radix(byte, 16).is_ok()),
            "{}",
            facts.serial
        );
        assert!(!leaf.self_signed && read(&certified.chain[1]).self_signed);
        assert!(
            leaf.is_expired(978_307_199) && !leaf.is_expired(978_307_200) && leaf.is_expired(1_009_843_201)
        );
    }

    #[test]
    fn names_are_compared_label_by_label() {
        let names = ["www.example.com", "*.apps.example.com", "*.com", "127.0.0.1"];
        let leaf = read(&certify(&Wanted { names: &names, self_signed: true, ..Wanted::default() }).chain[0]);
        assert!(leaf.self_signed);
        for (name, covered) in [
            ("www.example.com", true),
            ("WWW.example.com", true),
            ("example.com", false),
            ("x.apps.example.com", true),
            ("apps.example.com", false),
            ("a.b.apps.example.com", false),
            ("localhost", false),
            ("127.0.0.1", true),
            ("::ffff:127.0.0.1", true),
            ("127.0.0.2", false),
        ] {
            assert_eq!(leaf.covers(&host(name)), covered, "{name}");
        }
    }

    #[test]
    fn what_does_not_parse_still_has_fingerprints() {
        let reading = read(b"");
        assert_eq!(reading.certificate.md5, "d41d8cd98f00b204e9800998ecf8427e");
        assert!(!reading.is_readable && !reading.is_expired(0) && !reading.covers(&host("localhost")));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn hostile_certificates_do_no_harm(changes in proptest::collection::vec((0_usize..2_000, any::<u8>()), 1..6), cut in 0_usize..2_000) {
            let mut der = certify(&Wanted::default()).chain[0].to_vec();
            for (at, byte) in changes {
                let length = der.len();
                der[at % length] = byte;
            }
            der.truncate(cut.max(1));
            let _ = read(&der).covers(&host("localhost"));
        }
    }
}
