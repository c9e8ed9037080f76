//! An echo server as a chain: no task, no waker and no allocation a request, one completion a turn.
//!
//!     cargo run --release --example echo_chain -- --listen 127.0.0.1:7000 --cores 1

mod common;

use std::process::ExitCode;

use chainring::chains::{BuildError, Chain, Program};
use clap::Parser;

fn program() -> Result<Program<()>, BuildError> {
    let mut c = Chain::new("echo");
    let (sock, len, data) = (c.accepted(), c.reg(), c.buffer(4096));
    c.repeat(|c| {
        c.recv(sock, data.all()).into(len).or_finish();
        c.send_all(sock, data.to(len));
    });
    c.build()
}

fn main() -> ExitCode {
    let args = common::Args::parse();
    let program = program().expect("the chain is right");
    common::serve_chain(&args, |listener| program.serve(listener, |_| ()))
}
