//! An echo server over TLS, by rustls. In a crate of your own it needs the feature `rustls`.
//!
//!     openssl req -x509 -newkey ed25519 -nodes -subj /CN=localhost -keyout key.pem -out cert.pem
//!     cargo run --release --example tls_echo -- --listen 127.0.0.1:7000 --cert cert.pem --key key.pem
//!     openssl s_client -connect 127.0.0.1:7000 -quiet

mod common;

use std::error::Error;
use std::io;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use chainring::net::compat::Compat;
use chainring::net::tls::{self, rustls::ServerConfig, rustls::pki_types::pem::PemObject};
use chainring::net::{TcpListener, TcpStream};
use chainring::time::timeout;
use clap::Parser;
use futures::StreamExt;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

#[derive(Parser)]
struct Options {
    #[command(flatten)]
    server: common::Args,
    /// The chain of certificates, in PEM
    #[arg(long, value_name = "FILE")]
    cert: PathBuf,
    /// The private key, in PEM
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
}

fn config(options: &Options) -> Result<Arc<ServerConfig>, Box<dyn Error>> {
    let chain = PemObject::pem_file_iter(&options.cert)?.collect::<Result<_, _>>()?;
    let key = PemObject::from_pem_file(&options.key)?;
    Ok(Arc::new(ServerConfig::builder().with_no_client_auth().with_single_cert(chain, key)?))
}

async fn echo(config: Arc<ServerConfig>, stream: TcpStream) -> io::Result<()> {
    let accepting = tls::accept(&config, Compat::new(stream));
    let mut stream = timeout(Duration::from_secs(10), accepting).await??;
    let mut data = vec![0; 16 << 10];
    loop {
        match stream.read(&mut data).await? {
            0 => return stream.shutdown().await,
            n => stream.write_all(&data[..n]).await?,
        }
        stream.flush().await?;
    }
}

async fn serve(config: Arc<ServerConfig>, listener: TcpListener) -> io::Result<()> {
    let mut incoming = listener.incoming();
    while let Some(stream) = incoming.next().await {
        let (stream, config) = match stream {
            Ok(stream) => (stream, config.clone()),
            // Without descriptors the listener pauses before it tries again.
            Err(error) => {
                eprintln!("accept: {error}");
                continue;
            }
        };
        // A connection that breaks off is its client's business.
        drop(chainring::spawn(async move { drop(echo(config, stream).await) }));
    }
    Ok(())
}

fn main() -> ExitCode {
    let options = Options::parse();
    match config(&options) {
        Ok(config) => common::serve(&options.server, |listener| serve(config.clone(), listener)),
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
