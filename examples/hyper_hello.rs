//! A web server on hyper: says hello to everybody, over HTTP/1.1. In a crate of your own it needs the
//! feature `hyper`.
//!
//!     cargo run --release --example hyper_hello -- --listen 127.0.0.1:7000 --cores 1
//!     curl http://127.0.0.1:7000/you

mod common;

use std::convert::Infallible;
use std::io;
use std::process::ExitCode;

use chainring::net::compat::{Compat, Timer};
use chainring::net::{TcpListener, TcpStream};
use clap::Parser;
use futures::StreamExt;
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};

async fn hello(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let whom = request.uri().path().trim_matches('/');
    let text = if whom.is_empty() { "Hello, World!\n".into() } else { format!("Hello, {whom}!\n") };
    Ok(Response::new(Full::new(text.into())))
}

async fn connection(stream: TcpStream) {
    let mut http = http1::Builder::new();
    http.timer(Timer);
    if let Err(error) = http.serve_connection(Compat::new(stream), service_fn(hello)).await {
        eprintln!("connection: {error}");
    }
}

async fn serve(listener: TcpListener) -> io::Result<()> {
    let mut incoming = listener.incoming();
    while let Some(stream) = incoming.next().await {
        match stream {
            Ok(stream) => drop(chainring::spawn(connection(stream))),
            // Without descriptors the listener pauses before it tries again.
            Err(error) => eprintln!("accept: {error}"),
        }
    }
    Ok(())
}

fn main() -> ExitCode {
    common::serve(&common::Args::parse(), serve)
}
