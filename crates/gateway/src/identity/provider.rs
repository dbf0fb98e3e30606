//! One provider: what it says of itself, where it sends people, and what it says of them.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use model::{Identity, UserName};
use openidconnect::{
    AccessTokenHash, AdditionalClaims, AuthType, AuthorizationCode, ClientId, ClientSecret, CsrfToken,
    EmptyExtraTokenFields, EndpointMaybeSet, EndpointNotSet, EndpointSet, HttpRequest, HttpResponse,
    IdTokenFields, IssuerUrl, Nonce, OAuth2TokenResponse, PkceCodeChallenge, PkceCodeVerifier, RedirectUrl,
    Scope, StandardErrorResponse, StandardTokenResponse, TokenResponse, UserInfoClaims,
    core::{
        CoreAuthDisplay, CoreAuthPrompt, CoreAuthenticationFlow, CoreClientAuthMethod, CoreErrorResponseType,
        CoreGenderClaim, CoreJsonWebKey, CoreJweContentEncryptionAlgorithm, CoreJwsSigningAlgorithm,
        CoreProviderMetadata, CoreRevocableToken, CoreRevocationErrorResponse,
        CoreTokenIntrospectionResponse, CoreTokenType,
    },
};
use reqwest::redirect::Policy;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use store::Vouched;
use url::Url;

use super::{Attempt, IdentityProvider, IdentityProviderError};

/// How long a provider may take for an answer: a login needs five of them at most, within the time of one request.
const ANSWER: Duration = Duration::from_secs(5);
/// What an answer may hold.
const MOST_ANSWER: usize = 1 << 20;
/// How long it is believed what it said of itself: its keys are in it.
const FRESH: Duration = Duration::from_secs(10 * 60);
/// Whose keys do not fit is asked again, if that was so long ago.
const AGAIN: Duration = Duration::from_secs(30);
/// Who did not answer is not asked again for so long.
const REST: Duration = Duration::from_secs(5);
/// What it said before is believed for so long when it does not answer.
const STALE: Duration = Duration::from_secs(24 * 60 * 60);
/// How long somebody waits while somebody else asks.
const WAIT: Duration = Duration::from_secs(2);

/// Why somebody was not let in.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ProviderError {
    /// The provider did not answer as it should.
    #[error("the identity provider does not answer as it should: {0}")]
    Away(String),
    /// What came back is no proof of anything.
    #[error("the identity provider did not confirm who logs in: {0}")]
    Unproven(String),
    /// They are who they say, and nobody gave them a role.
    #[error("{name} is in no group that has a role here (groups: {groups})")]
    NoRole {
        /// Who they are to it.
        identity: Identity,
        /// What they are called.
        name: UserName,
        /// In which they are.
        groups: String,
    },
}

/// Claims beside those that the specification names: groups are among them.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Others {
    #[serde(flatten)]
    all: BTreeMap<String, Value>,
}

impl AdditionalClaims for Others {}

type Tokens = StandardTokenResponse<
    IdTokenFields<
        Others,
        EmptyExtraTokenFields,
        CoreGenderClaim,
        CoreJweContentEncryptionAlgorithm,
        CoreJwsSigningAlgorithm,
    >,
    CoreTokenType,
>;

/// The library's client with those claims: it knows where people log in, and perhaps the rest.
type Party = openidconnect::Client<
    Others,
    CoreAuthDisplay,
    CoreGenderClaim,
    CoreJweContentEncryptionAlgorithm,
    CoreJsonWebKey,
    CoreAuthPrompt,
    StandardErrorResponse<CoreErrorResponseType>,
    Tokens,
    CoreTokenIntrospectionResponse,
    CoreRevocableToken,
    CoreRevocationErrorResponse,
    EndpointSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointMaybeSet,
    EndpointMaybeSet,
>;

/// A provider, and what it last said of itself.
pub(crate) struct Provider {
    settings: IdentityProvider,
    http: reqwest::Client,
    known: Mutex<Known>,
    /// Whoever asks what it says of itself: one at a time.
    asking: tokio::sync::Mutex<()>,
}

/// What a provider said of itself, and when; and when it last did not answer.
#[derive(Default)]
struct Known {
    party: Option<(Instant, Arc<Party>)>,
    silent: Option<Instant>,
}

impl Known {
    fn within(&self, time: Duration) -> Option<Arc<Party>> {
        self.party.as_ref().filter(|(at, _)| at.elapsed() < time).map(|(_, party)| Arc::clone(party))
    }

    fn is_silent(&self) -> bool {
        self.silent.is_some_and(|at| at.elapsed() < REST)
    }
}

impl Provider {
    pub(crate) fn new(settings: IdentityProvider) -> Result<Provider, IdentityProviderError> {
        let IdentityProvider { name, issuer, roles, .. } = &settings;
        let unusable = |why: String| IdentityProviderError::Unusable { name: name.clone(), why };
        let issuer: Url =
            issuer.parse().map_err(|error| unusable(format!("`{issuer}` is no URL: {error}")))?;
        if issuer.scheme() != "https" && !(issuer.scheme() == "http" && model::is_this_machine(&issuer)) {
            return Err(IdentityProviderError::Exposed { name: name.clone(), url: issuer });
        }
        if roles.is_empty() {
            return Err(IdentityProviderError::NoRoles(name.clone()));
        }
        let builder = reqwest::Client::builder()
            .timeout(ANSWER)
            // Wherever it would send on is a place that nobody named.
            .redirect(Policy::none())
            .https_only(issuer.scheme() == "https")
            .user_agent(concat!("rampart/", env!("CARGO_PKG_VERSION")))
            .tls_backend_preconfigured(settings.trusted.clone());
        let http = builder.build().map_err(|error| unusable(error.to_string()))?;
        Ok(Provider { settings, http, known: Mutex::default(), asking: tokio::sync::Mutex::default() })
    }

    pub(crate) fn settings(&self) -> &IdentityProvider {
        &self.settings
    }

    /// Where somebody's browser is to go to log in.
    pub(crate) async fn begin(&self, attempt: &Attempt<'_>) -> Result<Url, ProviderError> {
        let party = self.party(FRESH).await?;
        let challenge = PkceCodeChallenge::from_code_verifier_sha256(&verifier(attempt));
        let state = CsrfToken::new(attempt.state().expose().to_owned());
        let (nonce, flow) = (nonce(attempt), CoreAuthenticationFlow::AuthorizationCode);
        let asked = party.authorize_url(flow, || state, || nonce).set_pkce_challenge(challenge);
        // `openid` is asked for by itself. Who does not know a scope leaves it out (OpenID Connect Core 1.0, 3.1.2.1).
        let scopes = ["profile", "email", "groups"].map(|scope| Scope::new(scope.to_owned()));
        Ok(asked.add_scopes(scopes).url().0)
    }

    /// Who it was that logged in, and what they may do.
    pub(crate) async fn complete(
        &self,
        attempt: &Attempt<'_>,
        code: String,
    ) -> Result<Vouched, ProviderError> {
        let party = self.party(FRESH).await?;
        let away = |error: &dyn std::error::Error| ProviderError::Away(whole(error));
        let asked = party.exchange_code(AuthorizationCode::new(code)).map_err(|error| away(&error))?;
        let asked = asked.set_pkce_verifier(verifier(attempt));
        let tokens = asked.request_async(&|request| ask(self.http.clone(), request)).await;
        let tokens: Tokens = tokens.map_err(|error| match &error {
            openidconnect::RequestTokenError::ServerResponse(_) => ProviderError::Unproven(whole(&error)),
            _ => away(&error),
        })?;
        match who(&party, &tokens, attempt) {
            Ok(said) => self.vouched(&party, &tokens, said).await,
            // Its keys may be others by now.
            Err(error) => {
                let party = self.party(AGAIN).await?;
                tracing::info!(provider = %self.settings.name, %error, "the identity provider is asked for its keys again");
                let said = who(&party, &tokens, attempt)?;
                self.vouched(&party, &tokens, said).await
            }
        }
    }

    async fn vouched(
        &self,
        party: &Party,
        tokens: &Tokens,
        mut said: Said,
    ) -> Result<Vouched, ProviderError> {
        let claim = &self.settings.groups_claim;
        // Some say less of people in what they sign than when they are asked.
        if (!said.others.contains_key(claim) || said.name.is_none()) && party.user_info_url().is_some() {
            let subject = openidconnect::SubjectIdentifier::new(said.identity.subject.clone());
            let away = |error: &dyn std::error::Error| ProviderError::Away(whole(error));
            let asked = party
                .user_info(tokens.access_token().clone(), Some(subject))
                .map_err(|error| away(&error))?;
            let more: UserInfoClaims<Others, CoreGenderClaim> = asked
                .request_async(&|request| ask(self.http.clone(), request))
                .await
                .map_err(|error| away(&error))?;
            let names = [
                more.preferred_username().map(|name| name.as_str()),
                more.email().map(|email| email.as_str()),
            ];
            said.name = said.name.or_else(|| name(&names));
            for (claim, value) in &more.additional_claims().all {
                said.others.entry(claim.clone()).or_insert_with(|| value.clone());
            }
        }
        let groups = groups(said.others.get(claim));
        let subject = [Some(said.identity.subject.as_str())];
        let unnamed = || ProviderError::Unproven("it says no name that somebody can have here".to_owned());
        let name = said.name.or_else(|| name(&subject)).ok_or_else(unnamed)?;
        let roles = self.settings.roles_of(&groups);
        if roles.is_empty() {
            return Err(ProviderError::NoRole { identity: said.identity, name, groups: listed(&groups) });
        }
        Ok(Vouched { identity: said.identity, name, roles })
    }

    /// Is that how it writes where it is?
    pub(crate) fn is(&self, issuer: &str) -> bool {
        self.settings.issuer == issuer
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What it says of itself, if it was said within that time; otherwise one asks, and whoever has something to go by does not wait for
    /// that. Nobody asks one again that has just not answered.
    async fn party(&self, fresh: Duration) -> Result<Arc<Party>, ProviderError> {
        let silent = || ProviderError::Away("it did not answer, and is not asked again yet".to_owned());
        let (stale, is_silent) = {
            let known = self.known();
            if let Some(party) = known.within(fresh) {
                return Ok(party);
            }
            (known.within(STALE), known.is_silent())
        };
        if is_silent {
            return stale.ok_or_else(silent);
        }
        let turn = match (self.asking.try_lock(), &stale) {
            (Ok(turn), _) => turn,
            (Err(_), Some(party)) => return Ok(Arc::clone(party)),
            (Err(_), None) => tokio::time::timeout(WAIT, self.asking.lock()).await.map_err(|_| silent())?,
        };
        {
            // Somebody may have asked meanwhile.
            let known = self.known();
            if let Some(party) = known.within(fresh) {
                return Ok(party);
            }
            if known.is_silent() {
                return known.within(STALE).ok_or_else(silent);
            }
        }
        let asked = self.ask_about_itself().await;
        drop(turn);
        let mut known = self.known();
        match asked {
            Ok(party) => {
                *known = Known { party: Some((Instant::now(), Arc::clone(&party))), silent: None };
                Ok(party)
            }
            Err(error) => {
                known.silent = Some(Instant::now());
                let before = known.within(STALE);
                if before.is_some() {
                    let provider = &self.settings.name;
                    tracing::warn!(%provider, %error, "what the identity provider said before goes on");
                }
                before.ok_or(error)
            }
        }
    }

    async fn ask_about_itself(&self) -> Result<Arc<Party>, ProviderError> {
        let settings = &self.settings;
        let unusable = |error: &dyn std::error::Error| ProviderError::Away(whole(error));
        // It is compared letter by letter.
        let issuer = IssuerUrl::new(settings.issuer.clone()).map_err(|error| unusable(&error))?;
        let http = |request| ask(self.http.clone(), request);
        let metadata =
            CoreProviderMetadata::discover_async(issuer, &http).await.map_err(|error| unusable(&error))?;
        let takes = |method| {
            // Who says nothing takes what is usual (OpenID Connect Discovery 1.0, 3).
            let methods = metadata.token_endpoint_auth_methods_supported();
            methods.map_or(method == CoreClientAuthMethod::ClientSecretBasic, |methods| {
                methods.contains(&method)
            })
        };
        let in_body =
            takes(CoreClientAuthMethod::ClientSecretPost) && !takes(CoreClientAuthMethod::ClientSecretBasic);
        let secret = settings.client_secret.clone().map(ClientSecret::new);
        let client =
            Party::from_provider_metadata(metadata, ClientId::new(settings.client_id.clone()), secret);
        let client = if in_body { client.set_auth_type(AuthType::RequestBody) } else { client };
        Ok(Arc::new(client.set_redirect_uri(RedirectUrl::from_url(settings.callback()))))
    }
}

/// Signatures that only the provider can make. What is made with the secret of this platform is made by more than one.
const SIGNATURES: [CoreJwsSigningAlgorithm; 9] = [
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha256,
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha384,
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha512,
    CoreJwsSigningAlgorithm::RsaSsaPssSha256,
    CoreJwsSigningAlgorithm::RsaSsaPssSha384,
    CoreJwsSigningAlgorithm::RsaSsaPssSha512,
    CoreJwsSigningAlgorithm::EcdsaP256Sha256,
    CoreJwsSigningAlgorithm::EcdsaP384Sha384,
    CoreJwsSigningAlgorithm::EdDsa,
];

/// What was signed of somebody.
struct Said {
    identity: Identity,
    name: Option<UserName>,
    others: BTreeMap<String, Value>,
}

/// Who it is, if what was signed was signed by the provider, for this platform and this attempt, and is of now.
fn who(party: &Party, tokens: &Tokens, attempt: &Attempt<'_>) -> Result<Said, ProviderError> {
    let unproven = |error: &dyn std::error::Error| ProviderError::Unproven(whole(error));
    let token =
        tokens.id_token().ok_or_else(|| ProviderError::Unproven("there is no identity token".to_owned()))?;
    let verifier = party.id_token_verifier().set_allowed_algs(SIGNATURES);
    let claims = token.claims(&verifier, &nonce(attempt)).map_err(|error| unproven(&error))?;
    if let Some(wanted) = claims.access_token_hash() {
        let algorithm = token.signing_alg().map_err(|error| unproven(&error))?;
        let key = token.signing_key(&verifier).map_err(|error| unproven(&error))?;
        let hash = AccessTokenHash::from_token(tokens.access_token(), algorithm, key)
            .map_err(|error| unproven(&error))?;
        if hash != *wanted {
            return Err(ProviderError::Unproven(
                "the access token is another one than was signed for".to_owned(),
            ));
        }
    }
    let names =
        [claims.preferred_username().map(|name| name.as_str()), claims.email().map(|email| email.as_str())];
    Ok(Said {
        identity: Identity {
            issuer: claims.issuer().as_str().to_owned(),
            subject: claims.subject().as_str().to_owned(),
        },
        name: name(&names),
        others: claims.additional_claims().all.clone(),
    })
}

fn nonce(attempt: &Attempt<'_>) -> Nonce {
    Nonce::new(attempt.nonce().expose().to_owned())
}

fn verifier(attempt: &Attempt<'_>) -> PkceCodeVerifier {
    PkceCodeVerifier::new(attempt.verifier().expose().to_owned())
}

/// The first that somebody can have here.
fn name(texts: &[Option<&str>]) -> Option<UserName> {
    texts.iter().flatten().find_map(|text| text.parse().ok())
}

/// A list of texts, or one text.
fn groups(claim: Option<&Value>) -> Vec<String> {
    match claim {
        Some(Value::Array(all)) => all.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
        Some(Value::String(one)) => vec![one.clone()],
        _ => Vec::new(),
    }
}

/// Some of them: it is for people.
fn listed(groups: &[String]) -> String {
    match groups {
        [] => "none".to_owned(),
        groups => groups
            .iter()
            .take(10)
            .map(|group| group.chars().take(64).collect::<String>())
            .collect::<Vec<_>>()
            .join(", "),
    }
}

/// With everything that is behind it.
fn whole(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut behind = error.source();
    while let Some(cause) = behind {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        behind = cause.source();
    }
    text
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
enum AskError {
    #[error("it cannot be reached")]
    Http(#[from] reqwest::Error),
    #[error("its answer is larger than {MOST_ANSWER} bytes")]
    TooLarge,
}

async fn ask(http: reqwest::Client, request: HttpRequest) -> Result<HttpResponse, AskError> {
    let mut answer = http.execute(reqwest::Request::try_from(request)?).await?;
    let mut body = Vec::new();
    while let Some(piece) = answer.chunk().await? {
        body.extend_from_slice(&piece);
        if body.len() > MOST_ANSWER {
            return Err(AskError::TooLarge);
        }
    }
    let mut response = HttpResponse::new(body);
    *response.status_mut() = answer.status();
    *response.headers_mut() = std::mem::take(answer.headers_mut());
    Ok(response)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn groups_are_texts() {
        for (claim, wanted) in [
            (json!(["a", "b"]), vec!["a", "b"]),
            (json!("a b"), vec!["a b"]),
            (json!(["a", 1, null, ["b"]]), vec!["a"]),
            (json!({ "a": true }), vec![]),
            (json!(null), vec![]),
        ] {
            assert_eq!(groups(Some(&claim)), wanted, "{claim}");
        }
        assert_eq!(groups(None), Vec::<String>::new());
    }

    #[test]
    fn the_first_name_that_somebody_can_have_is_theirs() {
        let of = |texts: &[Option<&str>]| name(texts).map(|name| name.to_string());
        assert_eq!(of(&[Some("J.Doe"), Some("j@acme.test")]), Some("j.doe".to_owned()));
        assert_eq!(of(&[Some("Jürgen Doe"), Some("j@acme.test")]), Some("j@acme.test".to_owned()));
        assert_eq!(of(&[None, Some(""), None]), None);
    }
}
