//! The file that names the providers of identities by which people are let in.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, bail};
use client::Trusted;
use gateway::{IdentityProvider, IdentityProviders, ProviderName};
use model::Role;
use serde::Deserialize;
use url::Url;

use super::toml_trouble;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Providers {
    #[serde(default, rename = "provider")]
    providers: Vec<Provider>,
}

/// As somebody writes it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Provider {
    name: ProviderName,
    #[serde(default = "usual_tenant")]
    tenant: String,
    issuer: String,
    client_id: String,
    /// Secrets stand in files of their own, which others can be kept from reading.
    client_secret_file: Option<PathBuf>,
    #[serde(default = "usual_claim")]
    groups_claim: String,
    roles: BTreeMap<String, Role>,
    /// Who vouches for the provider's certificate, in PEM; without it whoever this machine trusts.
    ca: Option<PathBuf>,
}

fn usual_tenant() -> String {
    "default".to_owned()
}

fn usual_claim() -> String {
    "groups".to_owned()
}

/// The providers in that file. Paths in it are relative to it.
pub(super) fn read(file: &Path, public_url: Option<&Url>) -> anyhow::Result<IdentityProviders> {
    let text = fs::read_to_string(file)
        .with_context(|| format!("cannot read the identity providers `{}`", file.display()))?;
    let Providers { providers } = toml::from_str(&text)
        .map_err(|error| anyhow::anyhow!("the identity providers {}", toml_trouble(file, &text, &error)))?;
    if providers.is_empty() {
        bail!("there is no [[provider]] in `{}`", file.display());
    }
    let Some(public_url) = public_url else {
        bail!(
            "an identity provider sends people back to where they find this platform: say where with --public-url"
        )
    };
    let beside = file.parent().unwrap_or(Path::new(""));
    let providers = providers.into_iter().map(|provider| provider.read(beside, public_url));
    Ok(IdentityProviders::new(providers.collect::<anyhow::Result<_>>()?)?)
}

impl Provider {
    fn read(self, beside: &Path, public_url: &Url) -> anyhow::Result<IdentityProvider> {
        let name = self.name;
        let secret = self.client_secret_file.map(|file| {
            let file = beside.join(file);
            let secret = fs::read_to_string(&file)
                .with_context(|| format!("cannot read the secret of `{name}`, `{}`", file.display()))?;
            match secret.trim() {
                "" => bail!("there is no secret for `{name}` in `{}`", file.display()),
                secret => Ok(secret.to_owned()),
            }
        });
        let trusted = match self.ca {
            None => Trusted::OfThisMachine,
            Some(file) => {
                let file = beside.join(file);
                Trusted::Only(
                    fs::read(&file)
                        .with_context(|| format!("cannot read the ca of `{name}`, `{}`", file.display()))?,
                )
            }
        };
        // What is asked without encryption needs nobody who vouches for it.
        let trusted = match self.issuer.starts_with("http:") {
            true => Trusted::nobody(),
            false => trusted.configuration(),
        };
        Ok(IdentityProvider {
            client_secret: secret.transpose()?,
            trusted: trusted.with_context(|| format!("the identity provider `{name}`"))?,
            name,
            tenant: self.tenant,
            issuer: self.issuer,
            client_id: self.client_id,
            public_url: public_url.clone(),
            groups_claim: self.groups_claim,
            roles: self.roles,
        })
    }
}

/// Where people find the platform. The way there is encrypted, or does not leave this machine.
pub(super) fn public_url(text: &str) -> anyhow::Result<Url> {
    let url: Url = text.parse().with_context(|| format!("public_url `{text}`"))?;
    match url.scheme() {
        "https" => Ok(url),
        "http" if model::is_this_machine(&url) => Ok(url),
        _ => bail!("public_url `{text}`: write https://HOST, as browsers keep sessions for nothing else"),
    }
}
