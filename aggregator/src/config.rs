//! The one configuration file.

use hubbub_privacy::Exit;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use thiserror::Error;

/// Node names become file names; nobody needs longer ones.
const MAX_NODE_BYTES: usize = 64;

/// What the operator decides. Paths are relative to the working directory.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Address and port to listen on; port 0 lets the system choose.
    pub listen: SocketAddr,
    /// The store's file. Its lock and the control socket lie beside it.
    pub store: PathBuf,
    /// The registry's directory.
    pub registry: PathBuf,
    /// The counters directory: `metric=<name>/...` lies directly below it.
    pub export_dir: PathBuf,
    /// This machine's name among the nodes; stands in the names of exported files.
    pub node: String,
    /// PEM certificates, the server's first. With `tls_key`: HTTPS instead of HTTP.
    pub tls_certificate: Option<PathBuf>,
    /// The PEM private key of the certificate.
    pub tls_key: Option<PathBuf>,
    /// The server counts no more: every report is answered 410, so that devices stop.
    #[serde(default)]
    pub retired: bool,
}

/// Why a configuration cannot be used.
#[derive(Debug, Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("reading configuration {}: {source}; give its path with --config", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// It is not the TOML that the sample shows.
    #[error("configuration {}: {reason}", path.display())]
    Syntax {
        /// The file.
        path: PathBuf,
        /// What the parser said, with the line.
        reason: String,
    },
    /// One half of a pair.
    #[error("configuration {}: tls_certificate and tls_key belong together; give both or neither", path.display())]
    HalfTls {
        /// The file.
        path: PathBuf,
    },
    /// A name that cannot stand in a file name, or is taken.
    #[error(
        "configuration {}: node `{node}` must be 1 to {MAX_NODE_BYTES} letters, digits, `.`, `_` or `-`, not begin with \
         a point, and not be `offline` (reports folded by hand bear that name)",
        path.display()
    )]
    Node {
        /// The file.
        path: PathBuf,
        /// The name.
        node: String,
    },
    /// A clock for tests on an address that others can reach.
    #[error("--test-clock is for tests and works only when `listen` is a loopback address, not {listen}")]
    TestClock {
        /// The address.
        listen: SocketAddr,
    },
}

impl ConfigError {
    /// The program's exit code for it.
    pub const fn exit(&self) -> Exit {
        match self {
            Self::Io { .. } => Exit::InputOutput,
            Self::Syntax { .. } | Self::HalfTls { .. } | Self::Node { .. } | Self::TestClock { .. } => Exit::BadInput,
        }
    }
}

impl Config {
    /// Reads and checks a configuration file.
    ///
    /// # Errors
    /// [`ConfigError`] naming the file and what to mend.
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path).map_err(|source| ConfigError::Io { path: path.to_owned(), source })?;
        let config: Self = toml::from_str(&text)
            .map_err(|error| ConfigError::Syntax { path: path.to_owned(), reason: error.to_string() })?;
        if config.tls_certificate.is_some() != config.tls_key.is_some() {
            return Err(ConfigError::HalfTls { path: path.to_owned() });
        }
        if !is_node_name(&config.node) {
            return Err(ConfigError::Node { path: path.to_owned(), node: config.node });
        }
        Ok(config)
    }

    /// The certificate and key, when the server speaks TLS.
    pub fn tls(&self) -> Option<(&Path, &Path)> {
        Some((self.tls_certificate.as_deref()?, self.tls_key.as_deref()?))
    }
}

fn is_node_name(node: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    (1..=MAX_NODE_BYTES).contains(&node.len())
        && node.bytes().all(allowed)
        && !node.starts_with('.')
        && node != "offline"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_would_leave_their_directory_are_refused() {
        for node in ["", ".", "..", ".hidden", "a/b", "a b", "offline", "ü", &"x".repeat(65)] {
            assert!(!is_node_name(node), "{node}");
        }
        for node in ["a", "node-1", "eu.west_2", &"x".repeat(64)] {
            assert!(is_node_name(node), "{node}");
        }
    }
}
