//! Servers that are told to end: they accept no more, and whom they serve has a while to finish.

#![allow(dead_code, reason = "each example uses its part")]

use std::future::IntoFuture;
use std::io;
use std::pin::pin;
use std::process::ExitCode;
use std::time::Duration;

use chainring::CancellationToken;
use chainring::chains::Serve;
use chainring::net::TcpListener;
use futures::future::{Either, select};

use super::{Args, serve_on};

/// The command line of a server that lets its connections finish.
#[derive(Clone, Copy, clap::Args)]
pub(crate) struct Drain {
    /// Seconds that connections have to finish when the server is told to end (SIGINT or SIGTERM; the second one ends it at
    /// once)
    #[arg(long, value_name = "SECONDS", default_value = "1", value_parser = seconds)]
    pub(crate) drain: Duration,
}

/// Seconds on a command line.
pub(crate) fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text.parse().map_err(|_| "not a number".to_owned())?;
    Duration::try_from_secs_f64(seconds)
        .ok()
        .filter(|time| !time.is_zero())
        .ok_or("more than nothing".to_owned())
}

/// Runs a chain's server on each core until SIGINT or SIGTERM; then connections have a second to finish.
pub(crate) fn serve_chain<S: 'static>(
    args: &Args,
    server: impl Fn(TcpListener) -> Serve<S> + Sync,
) -> ExitCode {
    serve_on(args, async |_, listener, end| drained(server(listener), end, Duration::from_secs(1)).await)
}

/// A chain's server that drains when it is told to end.
pub(crate) async fn drained<S: 'static>(
    served: Serve<S>,
    end: CancellationToken,
    limit: Duration,
) -> io::Result<()> {
    let control = served.control();
    let mut draining = pin!(async {
        end.cancelled().await;
        match control.drain(limit).await {
            0 => {}
            cut => eprintln!("{cut} connection(s) broken off"),
        }
    });
    match select(pin!(served.into_future()), draining.as_mut()).await {
        Either::Left((result, draining)) => {
            if end.is_cancelled() {
                draining.await;
            }
            result
        }
        Either::Right(((), served)) => served.await,
    }
}
