//! HTTPS from the first byte, when the operator gives a certificate.

use hubbub_privacy::Exit;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem};
use rustls::server::NoServerSessionStorage;
use thiserror::Error;
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;

/// Why certificate and key cannot be used.
#[derive(Debug, Error)]
pub enum TlsError {
    /// A file cannot be read.
    #[error("reading {}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A file does not hold what it should.
    #[error("{} holds no usable {what} in PEM form: {reason}", path.display())]
    Pem {
        /// The file.
        path: PathBuf,
        /// What it should hold.
        what: &'static str,
        /// What does not fit.
        reason: String,
    },
    /// They do not fit each other, or are of an unknown kind.
    #[error("tls_certificate {} and tls_key do not work together: {source}", path.display())]
    Pair {
        /// The certificate's file.
        path: PathBuf,
        /// What the library said.
        source: rustls::Error,
    },
}

impl TlsError {
    /// The program's exit code for it.
    pub const fn exit(&self) -> Exit {
        match self {
            Self::Io { .. } => Exit::InputOutput,
            Self::Pem { .. } | Self::Pair { .. } => Exit::BadInput,
        }
    }
}

/// What TLS is spoken with. All clones share it, so that one can replace it while others use it; a connection keeps what
/// it began with.
#[derive(Clone)]
pub struct Tls {
    certificate: PathBuf,
    key: PathBuf,
    acceptor: watch::Sender<TlsAcceptor>,
}

impl Tls {
    /// Reads certificate and key from PEM files.
    ///
    /// # Errors
    /// [`TlsError`] naming the file.
    pub(crate) fn read(certificate: &Path, key: &Path) -> Result<Self, TlsError> {
        let acceptor = watch::Sender::new(acceptor(certificate, key)?);
        Ok(Self { certificate: certificate.to_owned(), key: key.to_owned(), acceptor })
    }

    /// Reads the same files again; new connections get what they hold now.
    ///
    /// # Errors
    /// [`TlsError`] naming the file; what was read before stays in use.
    pub fn reload(&self) -> Result<(), TlsError> {
        self.acceptor.send_replace(acceptor(&self.certificate, &self.key)?);
        Ok(())
    }

    /// What a new connection is accepted with.
    pub(crate) fn acceptor(&self) -> TlsAcceptor {
        self.acceptor.borrow().clone()
    }
}

/// Accepts TLS 1.2 and 1.3 with the given PEM files, offering HTTP/2 and HTTP/1.1. Sessions cannot be resumed: a ticket
/// would let two reports of one device be linked.
fn acceptor(certificate: &Path, key: &Path) -> Result<TlsAcceptor, TlsError> {
    let chain = read(certificate)?;
    let chain = CertificateDer::pem_slice_iter(&chain)
        .collect::<Result<Vec<_>, _>>()
        .and_then(|chain| if chain.is_empty() { Err(pem::Error::NoItemsFound) } else { Ok(chain) })
        .map_err(|error| refused(certificate, "certificate", &error))?;
    let private = PrivateKeyDer::from_pem_slice(&read(key)?).map_err(|error| refused(key, "private key", &error))?;
    let pair = |source| TlsError::Pair { path: certificate.to_owned(), source };
    let mut config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(pair)?
        .with_no_client_auth()
        .with_single_cert(chain, private)
        .map_err(pair)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(TlsAcceptor::from(Arc::new(config)))
}

fn read(path: &Path) -> Result<Vec<u8>, TlsError> {
    std::fs::read(path).map_err(|source| TlsError::Io { path: path.to_owned(), source })
}

fn refused(path: &Path, what: &'static str, error: &pem::Error) -> TlsError {
    TlsError::Pem { path: path.to_owned(), what, reason: error.to_string() }
}
