//! TLS over the streams, by rustls: configurations and certificates are made with [`rustls`] itself, as everywhere.
//!
//! A [`TlsStream`] has the traits of tokio (and needs nothing of tokio's runtime). End it with `shutdown`, which
//! sends the notice that nothing more will come: without it the peer cannot tell an end from an attack.

use std::io;
use std::sync::Arc;

pub use tokio_rustls::rustls;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{ClientConfig, ServerConfig};
use tokio_rustls::{TlsAcceptor, TlsConnector};

use crate::compat::{Compat, StreamSocket};

/// A stream that is encrypted, on either side.
pub type TlsStream<S> = tokio_rustls::TlsStream<Compat<S>>;

/// Shakes hands as the server.
///
/// Dropping the future gives up and closes the stream. There is no limit of time: put one around it.
///
/// # Errors
/// Those of the stream; `InvalidData` with the error of rustls if the handshake fails.
pub async fn accept<S: StreamSocket>(
    config: &Arc<ServerConfig>,
    stream: Compat<S>,
) -> io::Result<TlsStream<S>> {
    TlsAcceptor::from(config.clone()).accept(stream).await.map(TlsStream::from)
}

/// Shakes hands as the client, with whoever can prove to be `name`.
///
/// Dropping the future gives up and closes the stream. There is no limit of time: put one around it.
///
/// # Errors
/// As [`accept`].
pub async fn connect<S: StreamSocket>(
    config: &Arc<ClientConfig>,
    name: ServerName<'static>,
    stream: Compat<S>,
) -> io::Result<TlsStream<S>> {
    TlsConnector::from(config.clone()).connect(name, stream).await.map(TlsStream::from)
}
