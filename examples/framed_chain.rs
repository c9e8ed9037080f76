//! Messages with their length in front (4 bytes, big-endian), sent back as they came, by a chain.
//!
//!     cargo run --release --example framed_chain -- --listen 127.0.0.1:7000 --cores 1

mod common;

use std::process::ExitCode;

use chainring::chains::{BuildError, Chain, ErrorKind, Program};
use clap::Parser;

fn program() -> Result<Program<()>, BuildError> {
    let mut c = Chain::new("framed");
    let (sock, len) = (c.accepted(), c.reg());
    let (head, body) = (c.buffer(4), c.buffer(64 << 10));
    c.repeat(|c| {
        c.recv_exact(sock, head.all()).or_finish();
        c.set(len, head.be32(0));
        c.ensure(len.le(body.capacity()), libc::EMSGSIZE);
        c.recv_exact(sock, body.to(len));
        c.send_all(sock, [head.all(), body.to(len)]);
    });
    c.build()
}

fn main() -> ExitCode {
    let args = common::Args::parse();
    let program = program().expect("the chain is right");
    let server = |listener| {
        program.serve(listener, |_| ()).on_exit(|(), result| {
            // A client that breaks the protocol is told apart from the server's own troubles.
            if let Err(error) = result
                && !matches!(error.kind(), ErrorKind::Cancelled { .. })
            {
                eprintln!("{error}");
            }
        })
    };
    common::serve_chain(&args, server)
}
