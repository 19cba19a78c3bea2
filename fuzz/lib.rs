//! All properties: of the decoders that every program shares, and of the server's own.
#![forbid(unsafe_code)]

pub mod properties;
pub mod server_properties;
