//! One provider: what it says of itself, where it sends people, and what it says of them.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use model::{Identity, UserName};
use openidconnect::{
    AccessTokenHash, AdditionalClaims, AuthorizationCode, ClientId, ClientSecret, CsrfToken,
    EmptyExtraTokenFields, EndpointMaybeSet, EndpointNotSet, EndpointSet, HttpRequest, HttpResponse,
    IdTokenFields, IssuerUrl, Nonce, OAuth2TokenResponse, PkceCodeChallenge, PkceCodeVerifier, RedirectUrl,
    Scope, StandardErrorResponse, StandardTokenResponse, TokenResponse, UserInfoClaims,
    core::{
        CoreAuthDisplay, CoreAuthPrompt, CoreAuthenticationFlow, CoreErrorResponseType, CoreGenderClaim,
        CoreJsonWebKey, CoreJweContentEncryptionAlgorithm, CoreJwsSigningAlgorithm, CoreProviderMetadata,
        CoreRevocableToken, CoreRevocationErrorResponse, CoreTokenIntrospectionResponse, CoreTokenType,
    },
};
use reqwest::redirect::Policy;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use store::Vouched;
use tokio::sync::Mutex;
use url::{Host, Url};

use super::{Attempt, IdentityProvider, IdentityProviderError};

/// How long a provider may take for an answer.
const ANSWER: Duration = Duration::from_secs(10);
/// What an answer may hold.
const MOST_ANSWER: usize = 1 << 20;
/// How long it is believed what it said of itself: its keys are in it.
const FRESH: Duration = Duration::from_secs(10 * 60);
/// Whose keys do not fit is asked again, if that was so long ago.
const AGAIN: Duration = Duration::from_secs(30);

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
        /// Who.
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
    known: Mutex<Option<(Instant, Arc<Party>)>>,
}

impl Provider {
    pub(crate) fn new(settings: IdentityProvider) -> Result<Provider, IdentityProviderError> {
        let IdentityProvider { name, issuer, roles, .. } = &settings;
        if issuer.scheme() != "https" && !is_of_this_machine(issuer) {
            return Err(IdentityProviderError::Exposed { name: name.clone(), url: issuer.clone() });
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
        let http = builder.build().map_err(|error| IdentityProviderError::Unusable {
            name: name.clone(),
            why: error.to_string(),
        })?;
        Ok(Provider { settings, http, known: Mutex::default() })
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
        match self.settings.role(&groups) {
            Some(role) => Ok(Vouched { identity: said.identity, name, role }),
            None => Err(ProviderError::NoRole { name, groups: listed(&groups) }),
        }
    }

    /// Is that how it writes where it is?
    pub(crate) fn is(&self, issuer: &str) -> bool {
        self.issuer() == issuer
    }

    /// A URL that is nothing but a host is written without a slash at its end, and compared letter by letter.
    fn issuer(&self) -> &str {
        let text = self.settings.issuer.as_str();
        if self.settings.issuer.path() == "/" { text.trim_end_matches('/') } else { text }
    }

    /// What it says of itself, if it was said within that time; otherwise it is asked. One asks for all who wait.
    async fn party(&self, fresh: Duration) -> Result<Arc<Party>, ProviderError> {
        let mut known = self.known.lock().await;
        if let Some((at, party)) = &*known
            && at.elapsed() < fresh
        {
            return Ok(Arc::clone(party));
        }
        let settings = &self.settings;
        let unusable = |error: &dyn std::error::Error| ProviderError::Away(whole(error));
        let issuer = IssuerUrl::new(self.issuer().to_owned()).map_err(|error| unusable(&error))?;
        let http = |request| ask(self.http.clone(), request);
        let metadata =
            CoreProviderMetadata::discover_async(issuer, &http).await.map_err(|error| unusable(&error))?;
        let secret = settings.client_secret.clone().map(ClientSecret::new);
        let client =
            Party::from_provider_metadata(metadata, ClientId::new(settings.client_id.clone()), secret);
        let party = Arc::new(client.set_redirect_uri(RedirectUrl::from_url(settings.callback())));
        *known = Some((Instant::now(), Arc::clone(&party)));
        Ok(party)
    }
}

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
    let verifier = party.id_token_verifier();
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

fn is_of_this_machine(url: &Url) -> bool {
    url.scheme() == "http"
        && match url.host() {
            Some(Host::Ipv4(address)) => address.is_loopback(),
            Some(Host::Ipv6(address)) => address.is_loopback(),
            Some(Host::Domain(_)) | None => false,
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
