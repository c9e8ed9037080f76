//! A key-value server that the clients of Redis talk to: strings, lists, expiry, channels.
//!
//!     cargo run --release --example kv -- --listen 127.0.0.1:6390 --cores 1
//!     redis-cli -p 6390
//!
//! | folder | what it is |
//! |---|---|
//! | `protocol` | requests out of bytes, replies into bytes |
//! | `engine` | keys, values, and the commands on them; no I/O |
//! | `serve` | connections, as chains or as tasks; commands that travel between cores |

#[path = "../common/mod.rs"]
mod common;
mod engine;
mod protocol;
mod serve;

use std::process::ExitCode;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use chainring::time::sleep;
use clap::{Parser, ValueEnum};

use engine::Memory;
use serve::core::{Core, Counters, Shared, now};

/// How connections are served.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Mode {
    /// As a chain: no task for a connection
    Chain,
    /// As a task
    Await,
}

#[derive(Parser)]
struct Options {
    #[command(flatten)]
    common: common::Args,
    /// How connections are served
    #[arg(long, value_enum, default_value = "chain")]
    mode: Mode,
    /// Memory that keys, values and requests may take, in MiB
    #[arg(long, value_name = "MIB", default_value = "4096")]
    maxmemory: usize,
    /// Connections at a time
    #[arg(long, value_name = "N", default_value = "10000")]
    maxclients: usize,
}

/// How often keys that are over are looked for, if nobody asks for them.
const EXPIRY: Duration = Duration::from_millis(100);
/// Keys that are taken out without looking at connections in between.
const AT_ONCE: usize = 500;

fn main() -> ExitCode {
    let args = Options::parse();
    let shared = Arc::new(Shared {
        memory: Memory::new(args.maxmemory << 20),
        limits: protocol::Limits::default(),
        started: Instant::now(),
        port: args.common.listen.port(),
        connections: args.maxclients,
        durable: false,
        next_client: Default::default(),
        cores: (0..args.common.cores.get()).map(|_| Counters::default()).collect(),
    });
    common::serve_on(&args.common, |core, listener| {
        let core = Core::enter(shared.clone(), core);
        async move {
            drop(chainring::spawn(expire(core.clone())));
            let served = serve::awaited::serve(listener, core).await;
            Core::leave();
            served
        }
    })
}

/// Takes out keys that are over.
async fn expire(core: Rc<Core>) {
    loop {
        let more = {
            let mut store = core.store.borrow_mut();
            store.tell(now());
            store.expire(AT_ONCE)
        };
        core.publish_counts(&core.store.borrow());
        if more {
            chainring::yield_now().await;
        } else {
            sleep(EXPIRY).await;
        }
    }
}
