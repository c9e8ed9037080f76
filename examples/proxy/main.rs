//! A TCP proxy: passes connections on to several back ends in turn.
//!
//!     cargo run --release --example proxy -- --listen 127.0.0.1:7000 --to 127.0.0.1:8001 --to 127.0.0.1:8002
//!     kill -USR1 PID
//!
//! A connection is a task with two directions. Each receives into a buffer of a pool and sends it on as it is; who is silent
//! holds no memory. Splicing would copy less and hold a worker thread of the kernel for each direction that waits.

mod backends;
#[path = "../common/mod.rs"]
mod common;
mod connection;
mod pump;

use std::convert::Infallible;
use std::io::{self, Write as _};
use std::num::NonZeroU16;
use std::pin::pin;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use chainring::CancellationToken;
use chainring::buf::PoolOptions;
use chainring::net::TcpListener;
use chainring::signal::signal;
use chainring::time::timeout;
use clap::Parser;
use futures::StreamExt as _;
use futures::channel::mpsc;
use futures::future::select;

use backends::Backends;
use common::seconds;

/// Passes TCP connections on to back ends, in turn. One that cannot be reached is left out for a while.
///
/// SIGUSR1 prints what each of them has had to do.
#[derive(Parser)]
struct Options {
    #[command(flatten)]
    common: common::Args,
    /// A back end; may be given several times
    #[arg(long = "to", value_name = "HOST:PORT", required = true, value_parser = host_and_port)]
    to: Vec<String>,
    #[command(flatten)]
    limits: Limits,
}

#[derive(Clone, clap::Args)]
struct Limits {
    /// Seconds that a back end has to accept a connection
    #[arg(long, value_name = "SECONDS", default_value = "5", value_parser = seconds)]
    connect: Duration,
    /// Seconds after which a connection that carries nothing is closed
    #[arg(long, value_name = "SECONDS", default_value = "300", value_parser = seconds)]
    idle: Duration,
    /// Seconds for which a back end that cannot be reached is left out
    #[arg(long, value_name = "SECONDS", default_value = "5", value_parser = seconds)]
    retry: Duration,
    /// Buffers of 16 KiB that each core keeps for bytes under way. No bound: with all of them in use, connections that have
    /// something to pass on take one of their own
    #[arg(long, value_name = "N", default_value = "1024")]
    buffers: NonZeroU16,
    #[command(flatten)]
    end: common::Drain,
}

/// What can be a back end. Whether there is such a host is seen when it is needed.
fn host_and_port(text: &str) -> Result<String, String> {
    let port = text.rsplit_once(':').filter(|(host, _)| !host.is_empty());
    match port.map(|(_, port)| port.parse()) {
        None => Err("a host and a port, as in localhost:8000".to_owned()),
        Some(Ok(1..=u16::MAX)) => Ok(text.to_owned()),
        Some(_) => Err("a port is a number from 1 to 65535".to_owned()),
    }
}

/// Bytes of a buffer.
const BUFFER: u32 = 16 << 10;

fn main() -> ExitCode {
    let args = Options::parse();
    let backends = Arc::new(Backends::new(args.to, args.limits.retry));
    let reports = AtomicBool::new(false);
    common::serve_on(&args.common, async |_, listener, end| {
        let served = serve(listener, backends.clone(), args.limits.clone(), end);
        if reports.swap(true, Ordering::Relaxed) {
            return served.await;
        }
        select(pin!(served), pin!(report(&backends))).await.factor_first().0
    })
}

async fn serve(
    listener: TcpListener,
    backends: Arc<Backends>,
    limits: Limits,
    end: CancellationToken,
) -> io::Result<()> {
    let pool = PoolOptions::new().buffer_size(BUFFER).limit(limits.buffers.get()).build()?;
    // Closed when the last connection has let go of its end.
    let (live, mut gone) = mpsc::channel::<Infallible>(0);
    let mut incoming = listener.incoming();
    while let Some(Some(stream)) = end.run_until_cancelled(incoming.next()).await {
        match stream {
            Ok(client) => {
                let (backends, pool, limits) = (backends.clone(), pool.clone(), limits.clone());
                let live = live.clone();
                drop(chainring::spawn(async move {
                    connection::pass_on(client, &backends, &pool, &limits).await;
                    drop(live);
                }));
            }
            // Without descriptors the listener pauses before it tries again.
            Err(error) => backends.tell(format_args!("accept: {error}")),
        }
    }
    drop(incoming);
    drop((listener, live));
    if timeout(limits.end.drain, gone.next()).await.is_err() {
        eprintln!("connections are broken off");
    }
    Ok(())
}

/// Prints the counters whenever it is asked for, from one core for all.
async fn report(backends: &Backends) -> io::Result<()> {
    let mut usr1 = signal(libc::SIGUSR1)?;
    loop {
        usr1.recv().await;
        // Nobody may be reading.
        let _ = io::stdout().write_all(backends.to_string().as_bytes());
    }
}
