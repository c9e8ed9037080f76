//! `serve`: becomes one competitor's server and says so on standard output once it can be reached.

use std::io::Write as _;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;

use socket2::{Domain, Protocol, Socket, Type};

use crate::Result;
use crate::competitor::{Around, Competitor, Part};
use crate::sys::terminate;
use crate::workload::Workload;

/// Connections that may wait to be accepted: more than any load opens at once.
const BACKLOG: i32 = 4096;

/// Runs one competitor's server in this process until SIGTERM
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// The competitor's name
    competitor: String,
    /// The address to listen on
    #[arg(long, value_name = "ADDR:PORT")]
    listen: SocketAddr,
    /// The protocol to speak
    #[arg(long, default_value = "echo")]
    workload: String,
    /// The directory with what was prepared for it
    #[arg(long, value_name = "DIRECTORY", default_value = ".")]
    dir: PathBuf,
    /// The server behind it, for a proxy
    #[arg(long, value_name = "ADDR:PORT")]
    behind: Option<SocketAddr>,
}

pub(crate) fn run(options: &Options) -> Result<()> {
    let workload = Workload::find(&options.workload)?;
    let competitor = Competitor::find(&options.competitor)?;
    let around = Around { dir: options.dir.clone(), behind: options.behind };
    let serve: Box<dyn FnOnce(TcpListener) -> std::io::Result<()>> = match competitor.part(workload)? {
        Part::Serve(serve) => Box::new(serve),
        Part::ServeWith(serve) => Box::new(move |listener| serve(listener, &around)),
        Part::Example(example) | Part::ExampleWith(example, _) => {
            return Err(format!(
                "{} is a program of its own: cargo run --release --example {example} -- --listen {}",
                competitor.name, options.listen
            )
            .into());
        }
        Part::Installed(installed) => {
            return Err(format!("{} is a program of others: {}", competitor.name, installed.program).into());
        }
        Part::Work(_) | Part::WorkWith(..) => {
            return Err(format!("{} is a job, not a server", workload.name).into());
        }
    };
    terminate::exit_on_sigterm()?;
    let listener =
        listen(options.listen).map_err(|error| format!("cannot listen on {}: {error}", options.listen))?;
    let mut out = std::io::stdout().lock();
    writeln!(out, "listening on {}", listener.local_addr()?)?;
    out.flush()?;
    drop(out);
    serve(listener).map_err(|error| format!("{} stopped: {error}", competitor.name).into())
}

/// A listener whose accepted sockets inherit TCP_NODELAY.
fn listen(address: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_tcp_nodelay(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}
