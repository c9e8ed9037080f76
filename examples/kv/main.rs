//! A key-value server that the clients of Redis talk to: strings, lists, expiry, channels.
//!
//!     cargo run --release --example kv -- --listen 127.0.0.1:6390 --cores 1
//!     redis-cli -p 6390
//!
//! With `--dir DIR` nothing is acknowledged that is not on the disk.
//!
//! | folder | what it is |
//! |---|---|
//! | `protocol` | requests out of bytes, replies into bytes |
//! | `engine` | keys, values, and the commands on them; no I/O |
//! | `log` | what `--dir` keeps: changes as checksummed records, read when the server starts |
//! | `serve` | connections, as chains or as tasks; commands that travel between cores |

#[path = "../common/mod.rs"]
mod common;
mod engine;
mod log;
mod protocol;
mod serve;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

use clap::{Parser, ValueEnum};

use engine::Memory;
use serve::core::{Core, Counters, Shared};

/// How connections are served.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Mode {
    /// As a chain: no task for a connection
    Chain,
    /// As a task
    Await,
}

/// Keeps keys and values for the clients of Redis: strings, lists, expiry, channels. `redis-cli -p PORT` talks to it.
#[derive(Parser)]
struct Options {
    #[command(flatten)]
    common: common::Args,
    /// How connections are served
    #[arg(long, value_enum, default_value = "chain")]
    mode: Mode,
    /// Memory that keys, values and requests may take, in MiB; what is being sent to clients is beside it
    #[arg(long, value_name = "MIB", default_value = "4096")]
    maxmemory: usize,
    /// Folder of an append-only log: every change is on the disk before it is acknowledged
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// A core's log is compacted when it has doubled, from this length on, in KiB
    #[arg(long, value_name = "KIB", default_value = "65536")]
    compact_from: u64,
    /// Connections at a time
    #[arg(long, value_name = "N", default_value = "10000")]
    maxclients: usize,
}

fn main() -> ExitCode {
    let options = Options::parse();
    let cores = options.common.cores.get();
    let folder = match options.dir.as_deref().map(|dir| log::Folder::open(dir, cores)).transpose() {
        Ok(folder) => folder,
        Err(error) => {
            let dir = options.dir.unwrap_or_default();
            eprintln!("error: cannot open the log in {}: {error}", dir.display());
            return ExitCode::FAILURE;
        }
    };
    let shared = Arc::new(Shared {
        memory: Memory::new(options.maxmemory << 20),
        limits: protocol::Limits::default(),
        started: Instant::now(),
        port: options.common.listen.port(),
        connections: options.maxclients,
        folder,
        compact_from: options.compact_from << 10,
        next_client: Default::default(),
        cores: (0..cores).map(|_| Counters::default()).collect(),
    });
    common::serve_on(&options.common, async |core, listener, end| {
        // The others cannot serve the keys of one that is missing.
        let core = Core::enter(shared.clone(), core).unwrap_or_else(|error| {
            eprintln!("error: {error}");
            std::process::exit(1)
        });
        drop(chainring::spawn(core.clone().keep_house()));
        let serving = async {
            match options.mode {
                Mode::Chain => serve::chained::serve(listener, core.clone()).await,
                Mode::Await => serve::awaited::serve(listener, core.clone()).await,
            }
        };
        // Nobody is waited for: clients keep their connections, and all that was acknowledged is where it has to be.
        let served = end.run_until_cancelled(serving).await.unwrap_or(Ok(()));
        Core::leave();
        served
    })
}
