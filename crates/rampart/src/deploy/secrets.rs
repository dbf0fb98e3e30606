//! `rampart deploy secrets`: what an installation keeps to itself, made anew.

use std::process::ExitCode;

use anyhow::bail;
use cluster::{checklist::secrets_to_make, manifests::Manifests};
use model::audit::AuditKey;

use super::NAMESPACE;
use crate::cli::{put, say};

/// What a secret is made of: its key, and how its value comes to be.
enum Made {
    Password,
    AuditKey,
}

const KNOWN: [(&str, &str, Made); 8] = [
    ("audit", "audit.key", Made::AuditKey),
    ("database", "password", Made::Password),
    ("database-backup", "password", Made::Password),
    ("database-owner", "password", Made::Password),
    ("database-superuser", "password", Made::Password),
    ("doorbell", "password", Made::Password),
    ("doorbell-cookie", "cookie", Made::Password),
    ("webhooks", "key", Made::Password),
];

pub(super) fn print(manifests: &Manifests) -> anyhow::Result<ExitCode> {
    let wanted = secrets_to_make(manifests);
    if wanted.is_empty() {
        bail!("the overlay makes all secrets itself that its pods mount: there is nothing to print");
    }
    let (mut text, mut others) = (String::new(), Vec::new());
    for name in &wanted {
        let Some((_, key, made)) = KNOWN.iter().find(|(known, ..)| known == name) else {
            others.push(name.as_str());
            continue;
        };
        let value = match made {
            Made::Password => password(),
            Made::AuditKey => AuditKey::from_random(rand::random()).to_pem(),
        };
        let lines: String = value.trim_end().lines().map(|line| format!("    {line}\n")).collect();
        text.push_str(&format!(
            "---\napiVersion: v1\nkind: Secret\nmetadata:\n  name: {name}\n  namespace: {NAMESPACE}\n  labels:\n    \
             app.kubernetes.io/part-of: rampart\ntype: Opaque\nstringData:\n  {key}: |-\n{lines}"
        ));
    }
    put(&text)?;
    if !others.is_empty() {
        say(&format!("made elsewhere, and to be added: {}\n", others.join(", ")));
    }
    Ok(ExitCode::SUCCESS)
}

/// 256 bits, in hexadecimal: it fits into every URL.
fn password() -> String {
    let bits: [u8; 32] = rand::random();
    bits.iter().map(|byte| format!("{byte:02x}")).collect()
}
