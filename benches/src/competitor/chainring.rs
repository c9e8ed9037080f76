//! chainring itself: mostly the example programs of the root package, started as any user would start them.

use std::io;
use std::net::TcpListener;

use chainring::buf::IoBuf as _;
use chainring::chains::Chain;
use chainring::net::TcpStream;
use chainring::{Runtime, spawn};

use super::framing::{Frames, Framing as _};
use super::{Competitor, Part, chains};
use crate::job::{copy, core_to_core, executor, log, lookup, random_reads, small_files};
use crate::workload::{ECHO, FILES, FRAMED, HTTP, KV, PROXY};

/// The connection as a chain.
pub(super) static CHAIN: Competitor = Competitor {
    name: "chainring-chain",
    about: "chainring: a chain compiled to linked SQEs",
    parts: &[
        (&ECHO, Part::Example("echo_chain")),
        (&FRAMED, Part::Example("framed_chain")),
        (&KV, Part::ExampleWith("kv", &["--mode", "chain"])),
        (&FILES, Part::ExampleWith("http", &["--root", "{dir}"])),
        (&log::LOG, Part::Work(log::chain::run)),
        (&lookup::CACHED, Part::Work(lookup::by_chain::cached)),
        (&lookup::DIRECT, Part::Work(lookup::by_chain::direct)),
        (&HTTP, chains::HTTP_SHAPED),
    ],
};

/// The same with a buffer that a connection has only while it answers: what many idle ones cost.
pub(super) static POOLED: Competitor = Competitor {
    name: "chainring-pooled",
    about: "chainring: a chain whose buffer comes from a pool",
    parts: &[(&ECHO, Part::Serve(serve_pooled))],
};

/// The connection as an `async fn`.
pub(super) static AWAIT: Competitor = Competitor {
    name: "chainring-await",
    about: "chainring: one task a connection",
    parts: &[
        (&ECHO, Part::Example("echo")),
        (&FRAMED, Part::Serve(serve_framed)),
        (&KV, Part::ExampleWith("kv", &["--mode", "await"])),
        (&PROXY, Part::ExampleWith("proxy", &["--to", "{behind}"])),
        (&copy::COPY, Part::WorkWith(Some("cp"), copy::programs::example)),
        (&small_files::SMALL_FILES, Part::Work(small_files::chainring::run)),
        (&log::LOG, Part::Work(log::chainring::run)),
        (&random_reads::CACHED, Part::Work(random_reads::chainring::cached)),
        (&random_reads::DIRECT, Part::Work(random_reads::chainring::direct)),
        (&lookup::CACHED, Part::Work(lookup::chainring::cached)),
        (&lookup::DIRECT, Part::Work(lookup::chainring::direct)),
        (&executor::NOP, Part::Work(executor::chainring::nops)),
        (&executor::SPAWN, Part::Work(executor::chainring::spawns)),
        (&executor::TIMERS, Part::Work(executor::chainring::timers)),
        (&core_to_core::CORE_TO_CORE, Part::Work(core_to_core::chainring::run)),
    ],
};

fn serve_pooled(listener: TcpListener) -> io::Result<()> {
    let mut c = Chain::<()>::new("pooled echo");
    let (sock, data, len) = (c.accepted(), c.pooled(4096), c.reg());
    c.repeat(|c| {
        c.recv(sock, data.all()).into(len).or_finish();
        c.send_all(sock, data.to(len));
    });
    let program = c.build().map_err(io::Error::other)?;
    Runtime::new()?.block_on(async {
        let listener = chainring::net::TcpListener::from_std(listener);
        program.serve(listener, |_| ()).await
    })
}

fn serve_framed(listener: TcpListener) -> io::Result<()> {
    Runtime::new()?.block_on(async {
        let listener = chainring::net::TcpListener::from_std(listener);
        loop {
            let stream = listener.accept().await?;
            drop(spawn(framed(stream)));
        }
    })
}

async fn framed(stream: TcpStream) -> io::Result<()> {
    let mut buffer = Vec::with_capacity(Frames::BUFFER);
    loop {
        let held = buffer.len();
        let (received, filled) = stream.read(buffer.slice(held..)).await;
        if received? == 0 {
            return Ok(());
        }
        buffer = filled.into_inner();
        let complete = Frames::complete(&buffer).ok_or(io::ErrorKind::InvalidData)?;
        if complete > 0 {
            let (sent, slice) = stream.write_all(buffer.slice(..complete)).await;
            sent?;
            buffer = slice.into_inner();
            buffer.drain(..complete);
        }
    }
}
