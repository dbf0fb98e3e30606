//! Who vouches for a server.

use std::sync::Arc;

use rustls::{
    ClientConfig, RootCertStore,
    crypto::ring,
    pki_types::{CertificateDer, pem::PemObject},
};

use crate::ClientError;

/// Whose word is taken that a server is the one that it says it is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Trusted {
    /// Whoever this machine trusts.
    #[default]
    OfThisMachine,
    /// Only whose certificates these are, in PEM.
    Only(Vec<u8>),
}

impl Trusted {
    /// What connections to such servers go by.
    pub fn configuration(&self) -> Result<ClientConfig, ClientError> {
        let mut roots = RootCertStore::empty();
        match self {
            Trusted::OfThisMachine => {
                let found = rustls_native_certs::load_native_certs();
                let (added, _) = roots.add_parsable_certificates(found.certs);
                if added == 0 {
                    return Err(unusable(
                        "this machine trusts nobody: it has no certificates of authorities",
                    ));
                }
            }
            Trusted::Only(pem) => {
                for certificate in CertificateDer::pem_slice_iter(pem) {
                    let certificate =
                        certificate.map_err(|why| unusable(&format!("it is no PEM: {why:?}")))?;
                    roots.add(certificate).map_err(|why| unusable(&why.to_string()))?;
                }
                if roots.is_empty() {
                    return Err(unusable("there is no certificate in what was given"));
                }
            }
        }
        with(roots)
    }

    /// For connections that are not encrypted.
    pub fn nobody() -> Result<ClientConfig, ClientError> {
        with(RootCertStore::empty())
    }
}

fn with(roots: RootCertStore) -> Result<ClientConfig, ClientError> {
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| unusable(&error.to_string()))?;
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}

fn unusable(why: &str) -> ClientError {
    ClientError::Certificates(why.to_owned())
}
