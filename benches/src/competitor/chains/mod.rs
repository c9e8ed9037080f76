//! The chains of the workloads with a lowering to be chosen, to compare what the compiler chooses with single operations.

mod framed;
mod http;

use std::io;
use std::net::TcpListener;

use chainring::Runtime;
use chainring::chains::{Chain, Lowering, Program};

use super::{Competitor, Part};
use crate::workload::{ECHO, FRAMED, HTTP, LARGEST_BODY};

/// Every operation of a chain by itself.
pub(super) static SINGLE: Competitor = Competitor {
    name: "chainring-single",
    about: "chainring: the same chains, each operation submitted by itself",
    parts: &[
        (&ECHO, Part::Serve(|listener| serve(listener, echo(Lowering::Single)))),
        (&FRAMED, Part::Serve(|listener| serve(listener, framed(Lowering::Single)))),
        (&HTTP, Part::Serve(|listener| serve(listener, http::program(Lowering::Single)))),
    ],
};

/// What `raw-buffered` is by hand.
pub(super) static BUFFERED: Competitor = Competitor {
    name: "chainring-buffered",
    about: "chainring: a chain that receives frames as they come",
    parts: &[(&FRAMED, Part::Serve(|listener| serve(listener, framed::program(Lowering::default()))))],
};

/// The HTTP-shaped server, as the compiler lowers it.
pub(super) const HTTP_SHAPED: Part =
    Part::Serve(|listener| serve(listener, http::program(Lowering::default())));

fn serve(listener: TcpListener, program: Program<()>) -> io::Result<()> {
    Runtime::new()?
        .block_on(async { program.serve(chainring::net::TcpListener::from_std(listener), |_| ()).await })
}

/// As examples/echo_chain.rs.
fn echo(lowering: Lowering) -> Program<()> {
    let mut c = Chain::new("echo");
    c.lowering(lowering);
    let (sock, len, data) = (c.accepted(), c.reg(), c.buffer(4096));
    c.repeat(|c| {
        c.recv(sock, data.all()).into(len).or_finish();
        c.send_all(sock, data.to(len));
    });
    c.build().expect("the chain is right")
}

/// As examples/framed_chain.rs.
fn framed(lowering: Lowering) -> Program<()> {
    let mut c = Chain::new("framed");
    c.lowering(lowering);
    let (sock, len) = (c.accepted(), c.reg());
    let (head, body) = (c.buffer(4), c.buffer(LARGEST_BODY as u32));
    c.repeat(|c| {
        c.recv_exact(sock, head.all()).or_finish();
        c.set(len, head.be32(0));
        c.ensure(len.le(body.capacity()), libc::EMSGSIZE);
        c.recv_exact(sock, body.to(len));
        c.send_all(sock, [head.all(), body.to(len)]);
    });
    c.build().expect("the chain is right")
}
