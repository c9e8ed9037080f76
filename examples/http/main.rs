//! A web server for files, as a chain: HTTP/1.1 with connections that are kept, pipelined requests, ranges and conditions.
//!
//!     cargo run --release --example http -- --root . --listen 127.0.0.1:7000 --cores 1
//!     curl -i http://127.0.0.1:7000/README.md

mod answer;
mod cache;
mod chain;
#[path = "../common/mod.rs"]
mod common;
mod connection;
mod path;
mod range;
mod request;
mod version;

use std::path::PathBuf;
use std::process::ExitCode;
use std::rc::Rc;
use std::time::Duration;

use chainring::chains::{ChainError, ErrorKind};
use clap::Parser;

use answer::Core;
use common::seconds;
use connection::Connection;

/// Serves the files beneath a directory over HTTP/1.1. A directory is its index.html; none is listed.
#[derive(Parser)]
struct Options {
    #[command(flatten)]
    common: common::Args,
    /// The directory
    #[arg(long, value_name = "DIRECTORY", default_value = ".")]
    root: PathBuf,
    #[command(flatten)]
    limits: Limits,
}

#[derive(Clone, Copy, clap::Args)]
struct Limits {
    /// Seconds that a connection may be silent between two requests
    #[arg(long, value_name = "SECONDS", default_value = "60", value_parser = seconds)]
    idle: Duration,
    /// Seconds in which a request that has begun has to be whole
    #[arg(long, value_name = "SECONDS", default_value = "10", value_parser = seconds)]
    head: Duration,
    /// Seconds in which a client has to take the next 64 KiB
    #[arg(long, value_name = "SECONDS", default_value = "30", value_parser = seconds)]
    send: Duration,
    /// MiB of small files that each core keeps in memory
    #[arg(long, value_name = "MIB", default_value = "64")]
    cache: u32,
    #[command(flatten)]
    end: common::Drain,
}

fn main() -> ExitCode {
    let Options { common, root, limits } = Options::parse();
    // The chain opens paths beneath the working directory.
    if let Err(error) = std::env::set_current_dir(&root) {
        eprintln!("error: {}: {error}", root.display());
        return ExitCode::FAILURE;
    }
    let program = chain::program(limits).expect("the chain is right");
    common::serve_on(&common, async |_, listener, end| {
        let core = Rc::new(Core::new(limits.cache as usize * (1 << 20), end.clone()));
        let served = program.serve(listener, move |_| Connection::new(core.clone()));
        let served = served.on_exit(|_, result| result.unwrap_or_else(|error| tell(&error)));
        common::drained(served, end, limits.end.drain).await
    })
}

/// What clients do to their connections is their business, and the end of the server is known.
fn tell(error: &ChainError) {
    match error.kind() {
        ErrorKind::Errno(libc::ECONNRESET | libc::EPIPE | libc::ETIMEDOUT) => {}
        ErrorKind::Deadline | ErrorKind::Cancelled { .. } => {}
        _ => eprintln!("{error}"),
    }
}
