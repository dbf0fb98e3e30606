//! The parts of a TLS handshake.

use serde_json::{Map, Value as Json, json};

use crate::{
    exchange::{Certificate, TlsResponse},
    expression::Value,
};

/// Does the part say something of the handshake itself, whatever certificate there is?
pub(super) fn is_of_handshake(name: &str) -> bool {
    matches!(name, "probe_status" | "tls_connection" | "sni" | "cipher" | "tls_version")
}

/// Does it follow from the certificate?
pub(super) fn is_of_certificate(name: &str) -> bool {
    const OTHERS: [&str; 6] = ["mismatched", "expired", "self_signed", "untrusted", "response", "all"];
    let leaf = Certificate::default();
    let shown = TlsResponse { established: true, certificates: vec![leaf], ..TlsResponse::default() };
    !is_of_handshake(name)
        && (OTHERS.contains(&name)
            || part(&shown, name).is_some()
            || [
                "subject_",
                "issuer_",
                "fingerprint",
                "signature_",
                "key_",
                "not_",
                "domains",
                "serial",
                "sha",
                "md5",
            ]
            .iter()
            .any(|start| name.starts_with(start)))
}

pub(super) fn part(tls: &TlsResponse, name: &str) -> Option<Value<'static>> {
    let text = |text: &str| (!text.is_empty()).then(|| Value::from(text.to_owned()));
    let of_handshake = match name {
        "probe_status" => Some(Value::from(tls.established)),
        "tls_connection" => Some(Value::from("ctls")),
        "sni" => tls.sni.clone().map(Value::from),
        _ if !tls.established => return None,
        "cipher" => text(&tls.cipher),
        "tls_version" => tls.version.map(|version| Value::from(version.as_str())),
        "mismatched" => Some(Value::from(tls.mismatched)),
        "expired" => Some(Value::from(tls.expired)),
        "self_signed" => Some(Value::from(tls.self_signed)),
        "untrusted" => tls.untrusted.map(Value::from),
        _ => None,
    };
    if of_handshake.is_some() {
        return of_handshake;
    }
    let leaf = tls.certificates.first()?;
    match name {
        "subject_cn" => text(&leaf.subject_cn),
        "subject_dn" => text(&leaf.subject_dn),
        "subject_org" => list(&leaf.subject_org),
        "subject_an" => list(&leaf.subject_an),
        "issuer_cn" => text(&leaf.issuer_cn),
        "issuer_dn" => text(&leaf.issuer_dn),
        "issuer_org" => list(&leaf.issuer_org),
        "domains" => list(&domains(leaf)),
        "serial" => text(&leaf.serial),
        "not_before" => Some(Value::from(date(leaf.not_before))),
        "not_after" => Some(Value::from(date(leaf.not_after))),
        "wildcard_certificate" => Some(Value::from(is_wildcard(leaf))),
        "fingerprint_hash" | "fingerprint_hash_sha256" | "sha256" => text(&leaf.sha256),
        "fingerprint_hash_sha1" | "sha1" => text(&leaf.sha1),
        "fingerprint_hash_md5" | "md5" => text(&leaf.md5),
        "signature_algorithm" => text(&leaf.signature_algorithm),
        "key_algorithm" => text(&leaf.key_algorithm),
        "key_bits" => (leaf.key_bits > 0).then(|| Value::Number(f64::from(leaf.key_bits))),
        "chain_length" => Some(Value::from(tls.certificates.len())),
        _ => None,
    }
}

fn list(texts: &[String]) -> Option<Value<'static>> {
    let values = texts.iter().map(|text| Value::from(text.clone()));
    (!texts.is_empty()).then(|| Value::from(values.collect::<Vec<_>>()))
}

fn domains(leaf: &Certificate) -> Vec<String> {
    let mut domains = leaf.subject_an.clone();
    if !leaf.subject_cn.is_empty() && !domains.contains(&leaf.subject_cn) {
        domains.insert(0, leaf.subject_cn.clone());
    }
    domains
}

fn is_wildcard(leaf: &Certificate) -> bool {
    domains(leaf).iter().any(|name| name.starts_with("*."))
}

/// RFC 3339 in UTC; the bare number where no calendar reaches.
fn date(seconds: i64) -> String {
    jiff::Timestamp::from_second(seconds).map_or_else(|_| seconds.to_string(), |instant| instant.to_string())
}

/// All facts as one JSON object, for word matchers and JSON queries.
pub(super) fn json(tls: &TlsResponse, host: &str, port: u16) -> String {
    let mut facts = Map::new();
    facts.insert("host".to_owned(), json!(host));
    facts.insert("port".to_owned(), json!(port.to_string()));
    facts.insert("probe_status".to_owned(), json!(tls.established));
    if let Some(version) = tls.version {
        facts.insert("tls_version".to_owned(), json!(version.as_str()));
    }
    if !tls.cipher.is_empty() {
        facts.insert("cipher".to_owned(), json!(tls.cipher));
    }
    if let Some(sni) = &tls.sni {
        facts.insert("sni".to_owned(), json!(sni));
    }
    for (name, flag) in [
        ("expired", tls.expired),
        ("self_signed", tls.self_signed),
        ("mismatched", tls.mismatched),
        ("untrusted", tls.untrusted == Some(true)),
    ] {
        if flag {
            facts.insert(name.to_owned(), json!(true));
        }
    }
    if let Some(leaf) = tls.certificates.first() {
        let known: [(&str, Json); 13] = [
            ("not_before", json!(date(leaf.not_before))),
            ("not_after", json!(date(leaf.not_after))),
            ("subject_dn", json!(leaf.subject_dn)),
            ("subject_cn", json!(leaf.subject_cn)),
            ("subject_org", json!(leaf.subject_org)),
            ("subject_an", json!(leaf.subject_an)),
            ("issuer_dn", json!(leaf.issuer_dn)),
            ("issuer_cn", json!(leaf.issuer_cn)),
            ("issuer_org", json!(leaf.issuer_org)),
            ("serial", json!(leaf.serial)),
            ("domains", json!(domains(leaf))),
            ("wildcard_certificate", json!(is_wildcard(leaf))),
            ("fingerprint_hash", json!({ "md5": leaf.md5, "sha1": leaf.sha1, "sha256": leaf.sha256 })),
        ];
        let present =
            |(_, value): &(&str, Json)| *value != json!("") && *value != json!([]) && *value != json!(false);
        facts.extend(known.into_iter().filter(present).map(|(name, value)| (name.to_owned(), value)));
    }
    Json::Object(facts).to_string()
}
