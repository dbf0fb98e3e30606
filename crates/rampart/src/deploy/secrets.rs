//! `rampart deploy secrets`: what an installation keeps to itself, made anew.

use std::process::ExitCode;

use anyhow::bail;
use cluster::{checklist::secrets_to_make, manifests::Manifests};
use model::audit::AuditKey;

use super::NAMESPACE;
use crate::cli::{put, say};

/// What a secret holds.
enum Made {
    /// Something that nobody can guess, under this key.
    Password(&'static str),
    /// The same, of a user of the database, whose operator wants to be told the name, too.
    PasswordOf(&'static str),
    AuditKey,
}

const KNOWN: [(&str, Made); 8] = [
    ("audit", Made::AuditKey),
    ("database", Made::PasswordOf("rampart_app")),
    ("database-backup", Made::PasswordOf("rampart_backup")),
    ("database-owner", Made::PasswordOf("rampart_owner")),
    ("database-superuser", Made::PasswordOf("postgres")),
    ("doorbell", Made::Password("password")),
    ("doorbell-cookie", Made::Password("cookie")),
    ("webhooks", Made::Password("key")),
];

pub(super) fn print(manifests: &Manifests) -> anyhow::Result<ExitCode> {
    let wanted = secrets_to_make(manifests);
    if wanted.is_empty() {
        bail!("the overlay makes all secrets itself that its pods mount: there is nothing to print");
    }
    let (mut text, mut others) = (String::new(), Vec::new());
    for name in &wanted {
        let Some((_, made)) = KNOWN.iter().find(|(known, _)| known == name) else {
            others.push(name.as_str());
            continue;
        };
        let (key, value) = match made {
            Made::Password(key) => (*key, password()),
            Made::PasswordOf(_) => ("password", password()),
            Made::AuditKey => ("audit.key", AuditKey::from_random(rand::random()).to_pem()),
        };
        let lines: String = value.trim_end().lines().map(|line| format!("    {line}\n")).collect();
        // CloudNativePG looks at what has its label when that changes.
        let (label, kind, username) = match made {
            Made::PasswordOf(user) => (
                "    cnpg.io/reload: \"true\"\n",
                "kubernetes.io/basic-auth",
                format!("  username: {user}\n"),
            ),
            Made::Password(_) | Made::AuditKey => ("", "Opaque", String::new()),
        };
        text.push_str(&format!(
            "---\napiVersion: v1\nkind: Secret\nmetadata:\n  name: {name}\n  namespace: {NAMESPACE}\n  labels:\n    \
             app.kubernetes.io/part-of: rampart\n{label}type: {kind}\nstringData:\n{username}  {key}: |-\n{lines}"
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
