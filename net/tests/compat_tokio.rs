//! The adapter with the traits of tokio, and TLS, which is built on them.

mod common;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use chainring_net::compat::Compat;
use chainring_net::tls;
use chainring_net::tls::rustls::pki_types::pem::PemObject;
use chainring_net::tls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use chainring_net::tls::rustls::{ClientConfig, RootCertStore, ServerConfig};
use chainring_runtime::buf::PoolOptions;
use chainring_runtime::time::timeout;
use common::{pattern, run, tcp_pair};
use futures::join;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

#[test]
fn the_traits_of_tokio_work_without_tokio() {
    run(async || {
        let (here, there) = tcp_pair().await;
        let (mut here, mut there) =
            (Compat::new(here), Compat::pooled(there, &PoolOptions::new().build().unwrap()));
        // No flush: what was written is on its way.
        here.write_all(b"ping").await.unwrap();
        let mut buffer = [0; 4];
        there.read_exact(&mut buffer).await.unwrap();
        assert_eq!(&buffer, b"ping");
        there.write_all_buf(&mut io::Cursor::new(b"pong")).await.unwrap();
        there.shutdown().await.unwrap();
        let mut text = String::new();
        here.read_to_string(&mut text).await.unwrap();
        assert_eq!(text, "pong");
    });
}

/// Both sides' configurations, with a certificate for localhost.
fn configurations() -> (Arc<ServerConfig>, Arc<ClientConfig>) {
    let cert = CertificateDer::from_pem_slice(include_bytes!("data/localhost.cert.pem")).unwrap();
    let key = PrivateKeyDer::from_pem_slice(include_bytes!("data/localhost.key.pem")).unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(cert.clone()).unwrap();
    let server = ServerConfig::builder().with_no_client_auth().with_single_cert(vec![cert], key);
    let client = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    (Arc::new(server.unwrap()), Arc::new(client))
}

#[test]
fn tls_carries_bytes_both_ways_and_says_when_it_ends() {
    run(async || {
        let (server, client) = configurations();
        let (here, there) = tcp_pair().await;
        let (here, there) = join!(
            tls::accept(&server, Compat::new(here)),
            tls::connect(&client, "localhost".try_into().unwrap(), Compat::new(there))
        );
        let (mut here, mut there) = (here.unwrap(), there.unwrap());
        let (sent, mut received) = (pattern(1 << 20), Vec::new());
        let sending = async {
            there.write_all(&sent).await.unwrap();
            there.shutdown().await.unwrap();
        };
        let ((), read) = join!(sending, here.read_to_end(&mut received));
        read.unwrap();
        assert!(received == sent);
        // An end without its notice is told apart.
        here.write_all(b"half").await.unwrap();
        here.flush().await.unwrap();
        drop(here);
        let error = there.read_to_end(&mut received).await.unwrap_err();
        assert!(matches!(error.kind(), io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset));
    });
}

#[test]
fn a_stranger_and_a_silent_client_are_turned_away() {
    run(async || {
        let (server, client) = configurations();
        let (here, there) = tcp_pair().await;
        let (here, there) = join!(
            tls::accept(&server, Compat::new(here)),
            tls::connect(&client, "example.com".try_into().unwrap(), Compat::new(there))
        );
        assert_eq!(there.unwrap_err().kind(), io::ErrorKind::InvalidData);
        assert!(here.is_err(), "the client has sent an alert");
        let (here, _silent) = tcp_pair().await;
        let accepting = tls::accept(&server, Compat::new(here));
        assert!(timeout(Duration::from_millis(10), accepting).await.is_err());
    });
}
