//! An echo server with a task a connection.
//!
//!     cargo run --release --example echo -- --listen 127.0.0.1:7000 --cores 1

mod common;

use std::io;
use std::process::ExitCode;

use chainring::net::{TcpListener, TcpStream};
use clap::Parser;
use futures::StreamExt;

async fn echo(stream: TcpStream) -> io::Result<()> {
    let mut data = Vec::with_capacity(4096);
    loop {
        let (received, received_data) = stream.read(data).await;
        if received? == 0 {
            return Ok(());
        }
        let (sent, sent_data) = stream.write_all(received_data).await;
        sent?;
        data = sent_data;
    }
}

async fn serve(listener: TcpListener) -> io::Result<()> {
    let mut incoming = listener.incoming();
    while let Some(stream) = incoming.next().await {
        match stream {
            // A connection that breaks off is its client's business.
            Ok(stream) => drop(chainring::spawn(echo(stream))),
            // Without descriptors the listener pauses before it tries again.
            Err(error) => eprintln!("accept: {error}"),
        }
    }
    Ok(())
}

fn main() -> ExitCode {
    common::serve(&common::Args::parse(), serve)
}
