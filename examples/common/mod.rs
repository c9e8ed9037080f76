//! What the examples share: their command line, one server a core, and a clean end.

mod end;

use std::future::IntoFuture;
use std::io;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::pin::pin;
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use chainring::net::TcpListener;
use chainring::signal::signal;
use chainring::{Builder, CancellationToken, CoreHandle};
use clap::Parser;
use futures::future::{Either, select};

#[allow(unused_imports, reason = "each example uses its part")]
pub(crate) use end::{Drain, drained, seconds, serve_chain};

// The command line of a server. (No documentation: a program would show it as its own.)
#[derive(Parser)]
pub(crate) struct Args {
    /// Where to listen
    #[arg(long, value_name = "ADDR:PORT", default_value = "127.0.0.1:7000")]
    pub(crate) listen: SocketAddr,
    /// Cores to run on, each with a thread, a ring and a listener of its own
    #[arg(long, value_name = "N", default_value = "1")]
    pub(crate) cores: NonZeroUsize,
    /// Let a kernel thread poll each ring for submissions, and sleep after as many milliseconds without any
    #[arg(long, value_name = "MS")]
    pub(crate) sqpoll: Option<u64>,
}

/// Runs one server a core until SIGINT or SIGTERM, when it is dropped.
#[allow(dead_code, reason = "a server that knows its core is another one")]
pub(crate) fn serve<F>(args: &Args, server: impl Fn(TcpListener) -> F + Sync) -> ExitCode
where
    F: IntoFuture<Output = io::Result<()>>,
{
    serve_on(args, async |_, listener, end| {
        end.run_until_cancelled(server(listener).into_future()).await.unwrap_or(Ok(()))
    })
}

/// The same for a server that is told which core it is on, and ends by itself when it is told to. A second signal drops it.
pub(crate) fn serve_on(
    args: &Args,
    server: impl AsyncFn(CoreHandle, TcpListener, CancellationToken) -> io::Result<()> + Sync,
) -> ExitCode {
    match run(args, server) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(
    args: &Args,
    server: impl AsyncFn(CoreHandle, TcpListener, CancellationToken) -> io::Result<()> + Sync,
) -> io::Result<()> {
    let listeners = bind(args).map_err(|error| {
        io::Error::new(error.kind(), format!("cannot listen on {}: {error}", args.listen))
    })?;
    let address = listeners[0].local_addr()?;
    // Each is its core's alone: whoever closes it turns away who comes then.
    let listeners: Vec<_> = listeners.into_iter().map(|listener| Mutex::new(Some(listener))).collect();
    let waiting = AtomicUsize::new(args.cores.get());
    let builder = match args.sqpoll {
        Some(idle) => Builder::new().sqpoll(Duration::from_millis(idle), None),
        None => Builder::new(),
    };
    let ended = chainring::cores(args.cores).builder(builder).run(async |core| {
        let listener = listeners[core.index()].lock().map(|mut listener| listener.take());
        let listener = listener.ok().flatten().ok_or(io::ErrorKind::NotConnected)?;
        let listener = TcpListener::from_std(listener);
        let (mut int, mut term) = (signal(libc::SIGINT)?, signal(libc::SIGTERM)?);
        if waiting.fetch_sub(1, Ordering::SeqCst) == 1 {
            println!("listening on {address}, {} core(s)", args.cores);
        }
        let end = CancellationToken::new();
        let mut serving = pin!(server(core.clone(), listener, end.clone()));
        for _ in 0..2 {
            let (int, term) = (pin!(int.recv()), pin!(term.recv()));
            match select(serving.as_mut(), select(int, term)).await {
                Either::Left((result, _)) => return result,
                Either::Right(_) => end.cancel(),
            }
        }
        Ok(())
    })?;
    ended.into_iter().collect()
}

/// One listener a core. The first one decides what port 0 means for all.
fn bind(args: &Args) -> io::Result<Vec<std::net::TcpListener>> {
    // Listeners that share a port would share it with another server, too: so it must be free.
    drop(std::net::TcpListener::bind(args.listen)?);
    let first = TcpListener::bind(args.listen)?.into_std()?;
    let address = first.local_addr()?;
    let others = (1..args.cores.get()).map(|_| TcpListener::bind(address)?.into_std());
    std::iter::once(Ok(first)).chain(others).collect()
}
