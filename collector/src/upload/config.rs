//! The uploader's configuration file.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use serde::Deserialize;
use thiserror::Error;

use hubbub_privacy::Exit;

/// Keys of the file; others are refused.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Where the server is.
    pub endpoint: Option<String>,
    /// Certificates (PEM) of a private authority; trusted besides the public ones.
    pub ca_file: Option<PathBuf>,
}

/// What is wrong with the configuration.
#[derive(Debug, Error)]
pub enum ConfigError {
    /// A file that cannot be read.
    #[error("reading {}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Not the TOML that is expected.
    #[error("{}: {reason}\nthe keys are `endpoint` and `ca_file`", path.display())]
    Syntax {
        /// The file.
        path: PathBuf,
        /// Where and why.
        reason: toml::de::Error,
    },
    /// No certificates.
    #[error("ca_file {}: {reason}; name a file with certificates in PEM form", path.display())]
    Certificates {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
}

impl ConfigError {
    pub(super) const fn exit(&self) -> Exit {
        match self {
            Self::Io { .. } => Exit::InputOutput,
            Self::Syntax { .. } | Self::Certificates { .. } => Exit::BadInput,
        }
    }
}

impl Config {
    /// Reads a file.
    ///
    /// # Errors
    /// [`ConfigError`] naming file and line.
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path).map_err(|source| ConfigError::Io { path: path.to_owned(), source })?;
        toml::from_str(&text).map_err(|reason| ConfigError::Syntax { path: path.to_owned(), reason })
    }

    /// The authorities that may vouch for the server.
    ///
    /// # Errors
    /// [`ConfigError`] naming the file of certificates.
    pub fn roots(&self) -> Result<Arc<RootCertStore>, ConfigError> {
        let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
        if let Some(path) = &self.ca_file {
            let pem = std::fs::read(path).map_err(|source| ConfigError::Io { path: path.clone(), source })?;
            let refused = |reason: String| ConfigError::Certificates { path: path.clone(), reason };
            let before = roots.len();
            for certificate in CertificateDer::pem_slice_iter(&pem) {
                let certificate = certificate.map_err(|error| refused(error.to_string()))?;
                roots.add(certificate).map_err(|error| refused(error.to_string()))?;
            }
            if roots.len() == before {
                return Err(refused("no certificate in it".to_owned()));
            }
        }
        Ok(Arc::new(roots))
    }
}
