//! Where objects are: what the URL says, and how the way there is protected.
//!
//! | URL | what it means |
//! | --- | --- |
//! | `file:DIRECTORY` | on this machine, or on a disk that all processes share |
//! | `s3://KEY:SECRET@BUCKET/PREFIX` | Amazon S3 and what speaks like it |
//! | `gs://BUCKET/PREFIX` | Google Cloud Storage |
//!
//! | option | what it means |
//! | --- | --- |
//! | `endpoint=URL` | another server that speaks the same; `http` only on this machine |
//! | `region=NAME` | of the bucket; `us-east-1` without it, unless the environment says another |
//! | `credentials=instance` | this machine's role, asked of the cloud's metadata service: only when it is written out |
//! | `credentials=none` | requests are not signed |
//! | `plain_http=yes` | `http` to a server on another machine: somebody wrote that out |
//!
//! Credentials that the URL does not have come from the environment, by the names that the cloud's own tools use.

use std::{fmt::Display, fs::DirBuilder, os::unix::fs::DirBuilderExt, path::Path, sync::Arc, time::Duration};

use async_trait::async_trait;
use model::is_this_machine;
use object_store::{
    BackoffConfig, ClientConfigKey, ClientOptions, ObjectStore, RetryConfig, StaticCredentialProvider,
    aws::{AmazonS3Builder, AmazonS3ConfigKey},
    client::{HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpResponse, HttpService},
    gcp::{GcpCredential, GoogleCloudStorageBuilder, GoogleConfigKey},
    local::LocalFileSystem,
    prefix::PrefixStore,
};
use percent_encoding::percent_decode_str;
use rustls::{ClientConfig, RootCertStore, crypto::ring};
use tokio::time::timeout;
use url::Url;

use super::{Objects, answer};
use crate::StoreError;

/// How long somebody waits for a connection.
const CONNECT: Duration = Duration::from_secs(5);
/// How long somebody waits until an answer begins.
const ANSWER: Duration = Duration::from_secs(30);
/// What is sent takes longer the more it is: as much as passes in a second, at least.
const BYTES_A_SECOND: u64 = 256 << 10;
/// How long one request is tried again. Whoever asks knows better than this whether it is still worth it.
const RETRY: Duration = Duration::from_secs(10);
const RETRIES: usize = 3;

fn invalid(why: impl Into<String>) -> StoreError {
    StoreError::Invalid(format!("object storage: {}", why.into()))
}

/// What becomes of a directory that is not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Absent {
    Made,
    Refused,
}

/// Reads the URL. No error repeats any of it but a directory: there may be a secret in it.
pub(super) fn open(text: &str, absent: Absent) -> Result<Objects, StoreError> {
    match text.split_once(':') {
        Some(("file", path)) => {
            // `file:///var/objects` is the same as `file:/var/objects`.
            let path = match path.strip_prefix("//") {
                Some(path) if path.starts_with('/') => path,
                Some(path) if !path.is_empty() => {
                    return Err(invalid(
                        "what follows `file://` up to the next slash is the name of a machine, and only this one has directories: \
                         write `file:DIRECTORY`",
                    ));
                }
                Some(_) => return Err(unreadable()),
                None => path,
            };
            let path = percent_decode_str(path).decode_utf8().map_err(|_| unreadable())?;
            if path.is_empty() {
                return Err(unreadable());
            }
            let path = Path::new(&*path);
            let is_there = path.try_exists().map_err(|why| unusable(path, why))?;
            match absent {
                _ if is_there => {}
                Absent::Made => {
                    tracing::warn!(directory = %path.display(), "the directory for objects is made")
                }
                Absent::Refused => {
                    return Err(StoreError::NoDirectory(path.display().to_string()));
                }
            }
            directory(path)
        }
        Some(("s3" | "gs", _)) => bucket(&Asked::read(text)?),
        _ => Err(unreadable()),
    }
}

fn unreadable() -> StoreError {
    invalid(
        "the URL cannot be read: expected `file:DIRECTORY`, `s3://KEY:SECRET@BUCKET/PREFIX` or `gs://BUCKET/PREFIX`, with what is \
         special written as %XX",
    )
}

fn unusable(directory: &Path, why: impl Display) -> StoreError {
    invalid(format!("the directory `{}` cannot be used: {why}", directory.display()))
}

pub(super) fn directory(root: &Path) -> Result<Objects, StoreError> {
    let made = DirBuilder::new().recursive(true).mode(0o700).create(root);
    made.map_err(|why| unusable(root, why))?;
    let local = LocalFileSystem::new_with_prefix(root).map_err(|why| unusable(root, why))?;
    Ok(Objects {
        inner: Arc::new(local.with_fsync(true)),
        shown: format!("file:{}", root.display()),
        root: Some(root.to_owned()),
        rests: Arc::default(),
    })
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cloud {
    S3,
    Google,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Credentials {
    /// Of the URL, or of the environment.
    Given,
    Instance,
    Unsigned,
}

/// What a URL says.
struct Asked {
    cloud: Cloud,
    bucket: String,
    prefix: String,
    key: Option<(String, String)>,
    endpoint: Option<Url>,
    region: Option<String>,
    credentials: Credentials,
}

impl Asked {
    fn read(text: &str) -> Result<Asked, StoreError> {
        let url = Url::parse(text).map_err(|_| unreadable())?;
        let bucket = url.host_str().filter(|host| !host.is_empty()).ok_or_else(unreadable)?.to_owned();
        if url.port().is_some() {
            return Err(invalid("a bucket has no port: `endpoint=URL` names another server"));
        }
        let cloud = if url.scheme() == "s3" { Cloud::S3 } else { Cloud::Google };
        let decoded = |text: &str| {
            percent_decode_str(text).decode_utf8().map(|text| text.into_owned()).map_err(|_| unreadable())
        };
        let key = match (url.username(), url.password()) {
            ("", None) => None,
            (name, Some(secret)) if !name.is_empty() && cloud == Cloud::S3 => {
                Some((decoded(name)?, decoded(secret)?))
            }
            _ if cloud == Cloud::Google => {
                return Err(invalid(
                    "gs: has no user and password in its URL: GOOGLE_SERVICE_ACCOUNT names a key file",
                ));
            }
            _ => return Err(unreadable()),
        };
        let mut asked = Asked {
            cloud,
            bucket,
            prefix: decoded(url.path())?.trim_matches('/').to_owned(),
            key,
            endpoint: None,
            region: None,
            credentials: Credentials::Given,
        };
        let mut plain_http = false;
        let mut said = std::collections::BTreeSet::new();
        for (name, value) in url.query_pairs() {
            if !said.insert(name.clone()) {
                return Err(invalid("an option of the URL stands there twice"));
            }
            match (&*name, &*value) {
                ("endpoint", value) => {
                    let endpoint = Url::parse(value).ok().filter(is_endpoint);
                    asked.endpoint = Some(endpoint.ok_or_else(|| {
                        invalid("`endpoint` is no http or https URL of a host, without user, password and options")
                    })?);
                }
                ("region", value) if cloud == Cloud::S3 => asked.region = Some(value.to_owned()),
                ("credentials", "instance") => asked.credentials = Credentials::Instance,
                ("credentials", "none") => asked.credentials = Credentials::Unsigned,
                ("plain_http", "yes") => plain_http = true,
                _ => {
                    return Err(invalid(
                        "the URL has an option that is none of `endpoint=URL`, `region=NAME` (s3), `credentials=instance`, \
                         `credentials=none` and `plain_http=yes`",
                    ));
                }
            }
        }
        if asked.key.is_some() && asked.credentials != Credentials::Given {
            return Err(invalid("the key in the URL and `credentials` contradict each other: leave one out"));
        }
        let exposed = |url: &Url| url.scheme() == "http" && !is_this_machine(url);
        if asked.endpoint.as_ref().is_some_and(exposed) && !plain_http {
            return Err(invalid(
                "the endpoint is on another machine and does not encrypt: use https, or write `plain_http=yes` into the URL",
            ));
        }
        Ok(asked)
    }

    fn shown(&self) -> String {
        let scheme = match self.cloud {
            Cloud::S3 => "s3",
            Cloud::Google => "gs",
        };
        let slash = if self.prefix.is_empty() { "" } else { "/" };
        format!("{scheme}://{}{slash}{}", self.bucket, self.prefix)
    }

    fn endpoint(&self) -> Option<String> {
        self.endpoint.as_ref().map(|url| url.as_str().trim_end_matches('/').to_owned())
    }

    fn allows_http(&self) -> bool {
        self.endpoint.as_ref().is_some_and(|url| url.scheme() == "http")
    }
}

/// It is shown in errors, so nothing secret can be in it.
fn is_endpoint(url: &Url) -> bool {
    let is_plain = url.username().is_empty() && url.password().is_none();
    let has_options = url.query().is_some() || url.fragment().is_some();
    ["http", "https"].contains(&url.scheme()) && url.host().is_some() && is_plain && !has_options
}

fn bucket(asked: &Asked) -> Result<Objects, StoreError> {
    let retry = RetryConfig { backoff: BackoffConfig::default(), max_retries: RETRIES, retry_timeout: RETRY };
    let options = ClientOptions::new().with_allow_http(asked.allows_http());
    let connector = Connector { tls: tls()?, unsigned: asked.credentials == Credentials::Unsigned };
    // What these say names what was given, and never a secret.
    let refused = |error: object_store::Error| invalid(error.to_string());
    let inner: Arc<dyn ObjectStore> = match asked.cloud {
        Cloud::S3 => {
            let builder = s3(asked)?.with_retry(retry).with_client_options(options);
            Arc::new(builder.with_http_connector(connector).build().map_err(refused)?)
        }
        Cloud::Google => {
            let builder = google(asked)?.with_retry(retry).with_client_options(options);
            Arc::new(builder.with_http_connector(connector).build().map_err(refused)?)
        }
    };
    let inner = match asked.prefix.as_str() {
        "" => inner,
        prefix => Arc::new(PrefixStore::new(inner, prefix)),
    };
    Ok(Objects { inner, shown: asked.shown(), root: None, rests: Arc::default() })
}

fn s3(asked: &Asked) -> Result<AmazonS3Builder, StoreError> {
    use AmazonS3ConfigKey as Key;
    let environment = AmazonS3Builder::from_env();
    let region = asked.region.clone().or_else(|| environment.get_config_value(&Key::Region));
    let mut builder = match (asked.credentials, &asked.key) {
        (Credentials::Given, Some((key, secret))) => {
            AmazonS3Builder::new().with_access_key_id(key).with_secret_access_key(secret)
        }
        (Credentials::Given, None) => {
            let has = |keys: &[Key]| keys.iter().all(|key| environment.get_config_value(key).is_some());
            let ways = [
                &[Key::AccessKeyId, Key::SecretAccessKey][..],
                &[Key::WebIdentityTokenFile, Key::RoleArn],
                &[Key::ContainerCredentialsRelativeUri],
                &[Key::ContainerCredentialsFullUri, Key::ContainerAuthorizationTokenFile],
            ];
            if !ways.into_iter().any(has) {
                return Err(no_credentials(
                    asked,
                    "write KEY:SECRET@ into the URL, set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, AWS_WEB_IDENTITY_TOKEN_FILE and \
                     AWS_ROLE_ARN, AWS_CONTAINER_CREDENTIALS_RELATIVE_URI, or AWS_CONTAINER_CREDENTIALS_FULL_URI and \
                     AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
                ));
            }
            environment
        }
        (Credentials::Instance, _) => AmazonS3Builder::new(),
        (Credentials::Unsigned, _) => AmazonS3Builder::new().with_skip_signature(true),
    };
    if let Some(endpoint) = asked.endpoint() {
        builder = builder.with_endpoint(endpoint);
    }
    if let Some(region) = region {
        builder = builder.with_region(region);
    }
    Ok(builder.with_bucket_name(&asked.bucket))
}

fn google(asked: &Asked) -> Result<GoogleCloudStorageBuilder, StoreError> {
    use GoogleConfigKey as Key;
    let mut builder = match asked.credentials {
        Credentials::Given => {
            let environment = GoogleCloudStorageBuilder::from_env();
            let keys = [Key::ServiceAccount, Key::ServiceAccountKey, Key::ApplicationCredentials];
            if keys.iter().all(|key| environment.get_config_value(key).is_none()) {
                return Err(no_credentials(
                    asked,
                    "set GOOGLE_SERVICE_ACCOUNT, GOOGLE_SERVICE_ACCOUNT_KEY or GOOGLE_APPLICATION_CREDENTIALS",
                ));
            }
            environment
        }
        Credentials::Instance => GoogleCloudStorageBuilder::new(),
        Credentials::Unsigned => {
            let nobody = GcpCredential { bearer: String::new() };
            GoogleCloudStorageBuilder::new()
                .with_credentials(Arc::new(StaticCredentialProvider::new(nobody)))
                .with_skip_signature(true)
        }
    };
    if let Some(endpoint) = asked.endpoint() {
        builder = builder.with_base_url(&endpoint);
    }
    Ok(builder.with_bucket_name(&asked.bucket))
}

/// Half a way would lead to the cloud's metadata service, whose address nobody wrote down.
fn no_credentials(asked: &Asked, ways: &str) -> StoreError {
    invalid(format!(
        "there are no credentials for {}: {ways}; `credentials=instance` in the URL uses this machine's role",
        asked.shown()
    ))
}

/// The certificates that this machine trusts.
fn tls() -> Result<ClientConfig, StoreError> {
    let mut roots = RootCertStore::empty();
    let found = rustls_native_certs::load_native_certs();
    roots.add_parsable_certificates(found.certs);
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| invalid(error.to_string()))?;
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}

/// Connects as everything else here does: by rustls and ring.
#[derive(Debug)]
struct Connector {
    tls: ClientConfig,
    unsigned: bool,
}

impl HttpConnector for Connector {
    fn connect(&self, options: &ClientOptions) -> object_store::Result<HttpClient> {
        let plain =
            options.get_config_value(&ClientConfigKey::AllowHttp).is_some_and(|value| value == "true");
        let client = reqwest::Client::builder()
            .tls_backend_preconfigured(self.tls.clone())
            .https_only(!plain)
            .connect_timeout(CONNECT)
            .redirect(reqwest::redirect::Policy::none())
            .user_agent(concat!("rampart/", env!("CARGO_PKG_VERSION")));
        // What goes to this machine in the clear goes past whatever proxy the environment names.
        let client = if plain { client.no_proxy() } else { client };
        let client = client.build().map_err(|source| object_store::Error::Generic {
            store: "object storage",
            source: Box::new(source),
        })?;
        Ok(HttpClient::new(Patient { client, unsigned: self.unsigned }))
    }
}

/// Waits for an answer for as long as what is sent may take, and no longer for any piece of it. The clock of `reqwest` for reading
/// runs while it still sends.
#[derive(Debug)]
struct Patient {
    client: reqwest::Client,
    unsigned: bool,
}

#[async_trait]
impl HttpService for Patient {
    async fn call(&self, mut request: HttpRequest) -> Result<HttpResponse, HttpError> {
        if self.unsigned {
            // For Google, `object_store` 0.14 writes one into some requests whether it was told to or not.
            request.headers_mut().remove("authorization");
        }
        let within = ANSWER + Duration::from_secs(request.body().content_length() as u64 / BYTES_A_SECOND);
        let late = |elapsed| HttpError::new(HttpErrorKind::Timeout, elapsed);
        let answer = timeout(within, self.client.call(request)).await.map_err(late)??;
        Ok(answer::held_to_time(answer).await)
    }
}

#[cfg(test)]
mod tests {
    use object_store::client::HttpRequestBody;

    use super::*;

    fn refusal(url: &str) -> String {
        match open(url, Absent::Made) {
            Err(StoreError::Invalid(why)) => why,
            other => panic!("{url}: {other:?}"),
        }
    }

    #[test]
    fn what_cannot_be_read_is_refused_without_repeating_it() {
        for url in [
            "",
            "/var/objects",
            "file:",
            "file://",
            "file://hunter2",
            "file://localhost/var/objects",
            "http://hunter2@bucket",
            "s3://",
            "s3:///prefix",
            "s3://hunter2@bucket",
            "s3://:hunter2@bucket",
            "s3://key:hunter2@bucket:9000/prefix",
            "s3://key:hunter2@bucket?hunter2",
            "s3://key:hunter2@bucket?region=a&region=b",
            "s3://key:hunter2@bucket?endpoint=hunter2",
            "s3://key:hunter2@bucket?endpoint=ftp://127.0.0.1",
            "s3://key:secret@bucket?endpoint=https://a:hunter2@objects.example",
            "s3://key:secret@bucket?endpoint=https://objects.example/%3Fsecret=hunter2",
            "s3://key:hunter2@bucket?credentials=hunter2",
            "s3://key:hunter2@bucket?credentials=none",
            "s3://key:hunter2@bucket?plain_http=no",
            "gs://key:hunter2@bucket",
            "gs://bucket?region=hunter2",
        ] {
            let why = refusal(url);
            assert!(!why.contains("hunter2"), "{url}: {why}");
        }
    }

    #[test]
    fn only_this_machine_is_reached_without_encryption_unless_somebody_writes_it_out() {
        for (endpoint, fine) in [
            ("http://127.0.0.1:9000", true),
            ("http://127.9.9.9", true),
            ("http://[::1]:9000", true),
            ("http://localhost:9000", true),
            ("http://objects.example", false),
            ("http://192.0.2.1:9000", false),
            ("http://localhost.example", false),
            ("https://objects.example", true),
        ] {
            for url in [
                format!("s3://k:s@bucket?endpoint={endpoint}"),
                format!("gs://bucket?credentials=none&endpoint={endpoint}"),
            ] {
                let read = Asked::read(&url);
                assert_eq!(read.is_ok(), fine, "{url}");
                assert!(Asked::read(&format!("{url}&plain_http=yes")).is_ok(), "{url}");
            }
        }
    }

    #[test]
    fn a_key_is_never_shown() {
        let objects =
            open("s3://AKIA:hunter2@bucket/some/prefix/?region=eu-central-1", Absent::Refused).unwrap();
        assert_eq!(format!("{objects} {objects:?}"), "s3://bucket/some/prefix s3://bucket/some/prefix");
        let read = Asked::read("s3://A%2FKIA:hun%2Fter@bucket").map(|asked| (asked.key, asked.prefix));
        assert_eq!(read.unwrap(), (Some(("A/KIA".to_owned(), "hun/ter".to_owned())), String::new()));
    }

    #[test]
    fn a_directory_is_for_its_owner_alone() {
        use std::os::unix::fs::PermissionsExt;
        let above = tempfile::tempdir().unwrap();
        let root = above.path().join("with space");
        let url = format!("file:{}", root.display()).replace(' ', "%20");
        let refused = open(&url, Absent::Refused);
        assert!(
            matches!(&refused, Err(StoreError::NoDirectory(path)) if path.ends_with("with space")),
            "{refused:?}"
        );
        assert!(!root.exists(), "who only reads makes nothing");
        let objects = open(&url, Absent::Made).unwrap();
        assert_eq!(objects.to_string(), format!("file:{}", root.display()));
        let mode = std::fs::metadata(&root).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o700);
        for url in [url.replacen("file:", "file://", 1), url] {
            assert_eq!(open(&url, Absent::Refused).unwrap().to_string(), objects.to_string());
        }
    }

    #[tokio::test]
    async fn an_answer_that_stops_in_its_middle_ends() {
        use std::io::{Read, Write};
        let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            assert!(stream.read(&mut [0; 1 << 10]).unwrap() > 0);
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf").unwrap();
            stream
        });
        let connector = Connector { tls: tls().unwrap(), unsigned: true };
        let client = connector.connect(&ClientOptions::new().with_allow_http(true)).unwrap();
        let mut request = HttpRequest::new(HttpRequestBody::empty());
        *request.uri_mut() = format!("http://{address}/").parse().unwrap();
        let answer = client.execute(request).await.unwrap();
        let _open = server.join().unwrap();
        // From here on the clock moves only when everybody waits.
        tokio::time::pause();
        let begun = tokio::time::Instant::now();
        let error = answer.into_body().bytes().await.unwrap_err();
        assert_eq!((error.kind(), begun.elapsed().as_secs()), (HttpErrorKind::Timeout, 30), "{error}");
    }
}
