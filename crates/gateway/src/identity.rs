//! Providers of identities (OpenID Connect Core 1.0): whoever has logged in there is let in here, and what they may do follows from
//! their groups there. Authorization code with PKCE (RFC 7636); the provider is asked by this process, not by the browser.
//!
//! Nothing is kept of somebody who is on the way: everything that must be the same when they come back follows from a token that their
//! browser holds ([`Attempt`]). Any gateway may be the one they come back to.

mod provider;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    str::FromStr,
};

use model::{Role, Token};
use rustls::ClientConfig;
use serde::{Deserialize, Serialize};
use url::Url;
use utoipa::ToSchema;

pub(crate) use self::provider::{Provider, ProviderError};

/// What a provider is called here: it stands in addresses. Lower-case letters, digits and hyphens.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
#[serde(into = "String", try_from = "String")]
#[schema(value_type = String, pattern = "^[a-z0-9-]{1,32}$", example = "company")]
pub struct ProviderName(String);

/// The text cannot be the name of a provider.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` cannot be the name of an identity provider: it has 1 to 32 lower-case letters, digits and hyphens"
)]
pub struct ProviderNameError(String);

impl FromStr for ProviderName {
    type Err = ProviderNameError;

    fn from_str(text: &str) -> Result<ProviderName, ProviderNameError> {
        let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        match (1..=32).contains(&text.len()) && text.bytes().all(is_plain) {
            true => Ok(ProviderName(text.to_owned())),
            false => Err(ProviderNameError(text.to_owned())),
        }
    }
}

impl TryFrom<String> for ProviderName {
    type Error = ProviderNameError;

    fn try_from(text: String) -> Result<ProviderName, ProviderNameError> {
        text.parse()
    }
}

impl From<ProviderName> for String {
    fn from(name: ProviderName) -> String {
        name.0
    }
}

impl fmt::Display for ProviderName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// A provider that is believed, and in what.
pub struct IdentityProvider {
    /// What it is called here.
    pub name: ProviderName,
    /// Whose people it knows.
    pub tenant: String,
    /// Where it is, exactly as it writes it: `https`, or `http` on this machine.
    pub issuer: String,
    /// What this platform is called there.
    pub client_id: String,
    /// By which it knows that it is this platform that asks; without any PKCE alone stands for it.
    pub client_secret: Option<String>,
    /// Where people find this platform: they come back to [`IdentityProvider::callback`] below it.
    pub public_url: Url,
    /// The claim that lists the groups of somebody.
    pub groups_claim: String,
    /// What the members of a group may do here. Whoever is in none of them may not come in.
    pub roles: BTreeMap<String, Role>,
    /// Who vouches for the provider's certificate.
    pub trusted: ClientConfig,
}

/// Why a provider cannot be asked.
#[derive(Debug, thiserror::Error)]
pub enum IdentityProviderError {
    /// Whoever is on the way could be the provider.
    #[error("the identity provider `{name}` must be reached by https, and `{url}` is not")]
    Exposed {
        /// Which.
        name: ProviderName,
        /// What is not encrypted.
        url: Url,
    },
    /// Nobody could log in.
    #[error("the identity provider `{0}` gives no role to anybody: name at least one group and its role")]
    NoRoles(ProviderName),
    /// There are two of one name.
    #[error("there are two identity providers `{0}`: each needs a name of its own")]
    Twice(ProviderName),
    /// The client for it cannot be made.
    #[error("the identity provider `{name}` cannot be asked: {why}")]
    Unusable {
        /// Which.
        name: ProviderName,
        /// Why.
        why: String,
    },
}

impl IdentityProvider {
    /// Where the provider sends people back to: it must know that address.
    pub fn callback(&self) -> Url {
        let mut url = self.public_url.clone();
        url.set_query(None);
        url.set_fragment(None);
        let path =
            format!("{}/api/v1/session/providers/{}/callback", url.path().trim_end_matches('/'), self.name);
        url.set_path(&path);
        url
    }

    /// What somebody in these groups is.
    pub(crate) fn roles_of(&self, groups: &[String]) -> BTreeSet<Role> {
        groups.iter().filter_map(|group| self.roles.get(group)).cloned().collect()
    }
}

/// The providers of a platform. Nothing was asked of them yet.
#[derive(Default)]
pub struct IdentityProviders(BTreeMap<ProviderName, Provider>);

impl IdentityProviders {
    /// Those that can be believed; all of them, or none.
    pub fn new(all: Vec<IdentityProvider>) -> Result<IdentityProviders, IdentityProviderError> {
        let mut providers = BTreeMap::new();
        for one in all {
            let name = one.name.clone();
            if providers.insert(name.clone(), Provider::new(one)?).is_some() {
                return Err(IdentityProviderError::Twice(name));
            }
        }
        Ok(IdentityProviders(providers))
    }

    pub(crate) fn get(&self, name: &ProviderName) -> Option<&Provider> {
        self.0.get(name)
    }

    /// By name.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Provider> {
        self.0.values()
    }
}

/// Somebody is on the way to a provider and back. What their browser holds meanwhile, and nobody else knows.
#[derive(Debug, Clone)]
pub(crate) struct Attempt<'a> {
    pub(crate) token: &'a Token,
    /// To which: what comes back from another one is not an answer to it.
    pub(crate) provider: &'a ProviderName,
}

impl Attempt<'_> {
    /// What the provider sends back with the answer: it is the answer to what this browser asked.
    pub(crate) fn state(&self) -> Token {
        self.token.derived(&format!("state of {}", self.provider))
    }

    /// What the provider writes into what it signs: it was signed for this attempt.
    fn nonce(&self) -> Token {
        self.token.derived(&format!("nonce of {}", self.provider))
    }

    /// Whoever sees the answer can do nothing with it without this (RFC 7636).
    fn verifier(&self) -> Token {
        self.token.derived(&format!("verifier of {}", self.provider))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use rustls::{RootCertStore, crypto::ring};

    use super::*;

    pub(super) fn provider(issuer: &str, public_url: &str, roles: &[(&str, Role)]) -> IdentityProvider {
        let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
        IdentityProvider {
            name: "company".parse().unwrap(),
            tenant: "default".to_owned(),
            issuer: issuer.to_owned(),
            client_id: "rampart".to_owned(),
            client_secret: None,
            public_url: public_url.parse().unwrap(),
            groups_claim: "groups".to_owned(),
            roles: roles.iter().map(|(group, role)| ((*group).to_owned(), role.clone())).collect(),
            trusted: builder
                .with_safe_default_protocol_versions()
                .unwrap()
                .with_root_certificates(RootCertStore::empty())
                .with_no_client_auth(),
        }
    }

    #[test]
    fn groups_give_roles_and_nothing_by_themselves() {
        let roles = [("staff", Role::Viewer), ("security", Role::Analyst), ("platform", Role::Administrator)];
        let provider = provider("https://id.acme.test", "https://rampart.acme.test", &roles);
        for (groups, wanted) in [
            (&["staff"][..], &[Role::Viewer][..]),
            (&["staff", "platform", "security"], &[Role::Administrator, Role::Analyst, Role::Viewer]),
            (&["others", "security"], &[Role::Analyst]),
            (&["Staff", "owner", ""], &[]),
            (&[], &[]),
        ] {
            let groups: Vec<String> = groups.iter().map(|group| (*group).to_owned()).collect();
            assert_eq!(provider.roles_of(&groups), wanted.iter().cloned().collect(), "{groups:?}");
        }
    }

    #[test]
    fn people_come_back_to_where_the_platform_is() {
        let of = |public_url: &str| provider("https://id.acme.test", public_url, &[]).callback().to_string();
        let wanted = "https://rampart.acme.test/api/v1/session/providers/company/callback";
        assert_eq!(of("https://rampart.acme.test"), wanted);
        assert_eq!(of("https://rampart.acme.test/?a=b#c"), wanted);
        assert_eq!(
            of("https://acme.test/rampart/"),
            "https://acme.test/rampart/api/v1/session/providers/company/callback"
        );
    }

    #[test]
    fn nothing_of_one_attempt_fits_another() {
        let (a, b) = (Token::from_random([1; 32]), Token::from_random([2; 32]));
        let (company, other) = ("company".parse().unwrap(), "other".parse().unwrap());
        let mut seen = std::collections::BTreeSet::new();
        for token in [&a, &b] {
            for provider in [&company, &other] {
                let attempt = Attempt { token, provider };
                for derived in [attempt.state(), attempt.nonce(), attempt.verifier()] {
                    assert_ne!(derived.expose(), token.expose());
                    assert!(seen.insert(derived.expose().to_owned()));
                }
            }
        }
    }

    #[test]
    fn a_provider_that_anybody_could_be_is_not_believed() {
        let new = |issuer: &str, roles: &[(&str, Role)]| {
            Provider::new(provider(issuer, "https://rampart.acme.test", roles))
                .map(drop)
                .map_err(|error| error.to_string())
        };
        let roles = [("staff", Role::Viewer)];
        assert_eq!(new("https://id.acme.test", &roles), Ok(()));
        assert_eq!(new("http://127.0.0.1:5000", &roles), Ok(()));
        assert_eq!(new("http://[::1]:5000", &roles), Ok(()));
        for exposed in ["http://id.acme.test", "http://192.0.2.1", "ftp://id.acme.test"] {
            assert!(new(exposed, &roles).unwrap_err().contains("https"), "{exposed}");
        }
        assert!(new("https://id.acme.test", &[]).unwrap_err().contains("no role"));
        let twice =
            ["https://a.acme.test", "https://b.acme.test"].map(|issuer| provider(issuer, issuer, &roles));
        assert!(matches!(IdentityProviders::new(twice.into()), Err(IdentityProviderError::Twice(_))));
        for name in ["", "Company", "a b", "a/b", &"a".repeat(33)] {
            assert!(name.parse::<ProviderName>().is_err(), "{name:?}");
        }
    }
}
