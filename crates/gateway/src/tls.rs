//! What encrypts connections: TLS 1.3 and 1.2, with a certificate that may be replaced while everything goes on.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, PoisonError, RwLock},
    time::{Duration, Instant},
};

use jiff::{SignedDuration, Timestamp};
use rustls::{
    ServerConfig,
    crypto::ring,
    pki_types::{
        CertificateDer, PrivateKeyDer,
        pem::{self, PemObject},
    },
};
use tokio_rustls::TlsAcceptor;

/// How often it is looked whether somebody has replaced the files.
const LOOK: Duration = Duration::from_secs(5);
/// A certificate that ends so soon should have been replaced by now.
const SOON: SignedDuration = SignedDuration::from_hours(21 * 24);
/// How often that is told.
const TELL: Duration = Duration::from_secs(24 * 60 * 60);

/// Why connections cannot be encrypted.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read.
    #[error("cannot read `{}`: {reason}", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// Why not.
        reason: std::io::Error,
    },
    /// A file does not hold what it should.
    #[error("`{}` holds no {wanted} in PEM: {reason}", path.display())]
    Pem {
        /// Which.
        path: PathBuf,
        /// What it should hold.
        wanted: &'static str,
        /// What is wrong.
        reason: pem::Error,
    },
    /// Certificate and key are none that can be used, or do not belong together.
    #[error("the certificate `{}` cannot be used with the key `{}`: {reason}", certificate.display(), key.display())]
    Unusable {
        /// Where the chain is.
        certificate: PathBuf,
        /// Where the key is.
        key: PathBuf,
        /// What is wrong.
        reason: rustls::Error,
    },
}

/// Certificate and key of a gateway.
#[derive(Debug)]
pub struct Tls {
    certificate: PathBuf,
    key: PathBuf,
    now: RwLock<Now>,
}

/// What the files held when they were last read and good.
#[derive(Debug)]
struct Now {
    files: Files,
    config: Arc<ServerConfig>,
    /// When the certificate ends, if it says so in a way that can be read.
    ends: Option<Timestamp>,
}

#[derive(Debug, PartialEq, Eq)]
struct Files {
    chain: Vec<u8>,
    key: Vec<u8>,
}

impl Tls {
    /// From files in PEM: the chain with the server's own certificate first, and its key.
    ///
    /// # Errors
    /// When they are not there, are no PEM, or do not belong together.
    pub fn read(certificate: &Path, key: &Path) -> Result<Tls, TlsError> {
        let files = Files::read(certificate, key)?;
        let now = RwLock::new(files.now(certificate, key)?);
        Ok(Tls { certificate: certificate.to_owned(), key: key.to_owned(), now })
    }

    /// For a connection that comes now.
    pub(crate) fn acceptor(&self) -> TlsAcceptor {
        let now = self.now.read().unwrap_or_else(PoisonError::into_inner);
        TlsAcceptor::from(Arc::clone(&now.config))
    }

    /// Takes what the files hold now, if that is something else. What is there already goes on as it was.
    fn renew(&self) -> Result<bool, TlsError> {
        let files = Files::read(&self.certificate, &self.key)?;
        if self.now.read().unwrap_or_else(PoisonError::into_inner).files == files {
            return Ok(false);
        }
        let now = files.now(&self.certificate, &self.key)?;
        *self.now.write().unwrap_or_else(PoisonError::into_inner) = now;
        Ok(true)
    }

    /// Says that it ends soon, or has ended: whoever comes then does not believe it.
    fn tell_end(&self) {
        let Some(ends) = self.now.read().unwrap_or_else(PoisonError::into_inner).ends else { return };
        let certificate = self.certificate.display();
        match ends.duration_since(Timestamp::now()) {
            left if left <= SignedDuration::ZERO => {
                tracing::error!(%certificate, %ends, "the certificate has ended, and nobody believes it any more");
            }
            left if left < SOON => tracing::warn!(%certificate, %ends, "the certificate ends soon"),
            _ => {}
        }
    }

    /// Follows the files for ever.
    pub(crate) async fn follow(self: Arc<Tls>) -> std::convert::Infallible {
        let (mut told, mut told_end) = (None, None);
        loop {
            if told_end.is_none_or(|at: Instant| at.elapsed() >= TELL) {
                told_end = Some(Instant::now());
                self.tell_end();
            }
            tokio::time::sleep(LOOK).await;
            let tls = Arc::clone(&self);
            // Where they are may be slow.
            let renewed = tokio::task::spawn_blocking(move || tls.renew()).await;
            match renewed {
                Ok(Ok(true)) => {
                    tracing::info!("new connections get the certificate that is there now");
                    told_end = None;
                }
                Ok(Ok(false)) => told = None,
                // Such as the moment between the two files.
                Ok(Err(error)) => {
                    let error = error.to_string();
                    if told.as_ref() != Some(&error) {
                        tracing::error!(error, "the certificate that was there before goes on");
                        told = Some(error);
                    }
                }
                Err(error) => tracing::error!(%error, "the certificate could not be looked at"),
            }
        }
    }
}

impl Files {
    fn read(certificate: &Path, key: &Path) -> Result<Files, TlsError> {
        let read = |path: &Path| {
            std::fs::read(path).map_err(|reason| TlsError::Read { path: path.to_owned(), reason })
        };
        Ok(Files { chain: read(certificate)?, key: read(key)? })
    }

    fn now(self, certificate: &Path, key: &Path) -> Result<Now, TlsError> {
        let no_pem = |path: &Path, wanted, reason| TlsError::Pem { path: path.to_owned(), wanted, reason };
        let chain = CertificateDer::pem_slice_iter(&self.chain).collect::<Result<Vec<_>, _>>();
        let chain = chain.and_then(|chain| match chain.is_empty() {
            true => Err(pem::Error::NoItemsFound),
            false => Ok(chain),
        });
        let chain = chain.map_err(|reason| no_pem(certificate, "certificate", reason))?;
        let ends = chain.first().and_then(|leaf| {
            let (_, leaf) = x509_parser::parse_x509_certificate(leaf).ok()?;
            Timestamp::from_second(leaf.validity().not_after.timestamp()).ok()
        });
        let private = PrivateKeyDer::from_pem_slice(&self.key);
        let private = private.map_err(|reason| no_pem(key, "private key", reason))?;
        let (certificate, key) = (certificate.to_owned(), key.to_owned());
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .and_then(|config| config.with_no_client_auth().with_single_cert(chain, private))
            .map_err(|reason| TlsError::Unusable { certificate, key, reason });
        let mut config = config?;
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Now { files: self, config: Arc::new(config), ends })
    }
}

#[cfg(test)]
mod tests {
    use testkit::tls::{Certified, Wanted, certify};

    use super::*;

    fn write(directory: &Path, certified: &Certified) -> (PathBuf, PathBuf) {
        let (certificate, key) = (directory.join("chain.pem"), directory.join("key.pem"));
        std::fs::write(&certificate, &certified.chain_pem).unwrap();
        std::fs::write(&key, &certified.key_pem).unwrap();
        (certificate, key)
    }

    #[test]
    fn what_cannot_be_used_says_which_file_and_leaves_what_was_there() {
        let directory = tempfile::tempdir().unwrap();
        let (first, second) = (certify(&Wanted::default()), certify(&Wanted::default()));
        let (certificate, key) = write(directory.path(), &first);
        let tls = Tls::read(&certificate, &key).unwrap();
        let config = || Arc::clone(&tls.now.read().unwrap().config);
        let begun = config();
        assert!(!tls.renew().unwrap());
        for (path, text, says) in [
            (&key, &second.key_pem[..], "cannot be used with the key"),
            (&key, "no key", "holds no private key"),
            (&certificate, "no certificate", "holds no certificate"),
        ] {
            write(directory.path(), &first);
            std::fs::write(path, text).unwrap();
            let error = tls.renew().unwrap_err().to_string();
            assert!(error.contains(says) && error.contains(path.to_str().unwrap()), "{error}");
            assert_eq!(Tls::read(&certificate, &key).unwrap_err().to_string(), error);
        }
        std::fs::remove_file(&key).unwrap();
        assert!(tls.renew().unwrap_err().to_string().starts_with("cannot read"));
        assert!(Arc::ptr_eq(&config(), &begun), "it goes on with what was there");
        write(directory.path(), &second);
        assert!(tls.renew().unwrap());
        assert!(!Arc::ptr_eq(&config(), &begun));
    }
}
