//! `web`: servers of files side by side: the example `http`, hyper on tokio, and nginx where it is installed.
//!
//! Their answers are not the same byte for byte (each has its own headers, and the date), so the load is wrk's, which checks
//! statuses and lengths. As in `compare` the server has one core and the load another, rounds are interleaved, and each
//! round starts new processes.

pub(crate) mod hyper;
mod servers;
mod wrk;

use std::path::Path;
use std::time::Duration;

use crate::Result;
use crate::load::seconds;
use crate::process::subject::Cores;
use crate::stats::Spread;
use crate::sys::cpu_clock::CpuClock;
use crate::table;

use servers::Server;
use wrk::Wrk;

/// The files: a small one, and one that is sent in pieces.
const FILES: [(&str, usize); 2] = [("1k", 1 << 10), ("1m", 1 << 20)];

/// Compares servers of files, under the load of wrk
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Rounds
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// Seconds of a round
    #[arg(long, default_value = "3", value_parser = seconds)]
    seconds: Duration,
    /// Connections
    #[arg(long, default_value_t = 64)]
    connections: u32,
}

/// What a server has done in the rounds, in the order of `FILES`.
#[derive(Default)]
struct Figures {
    requests: Vec<f64>,
    p99: Vec<f64>,
    /// CPU nanoseconds each.
    cpu: Vec<f64>,
}

pub(crate) fn run(options: &Options) -> Result<()> {
    let dir = tempfile::tempdir()?;
    for (name, size) in FILES {
        std::fs::write(dir.path().join(name), vec![b'x'; size])?;
    }
    let servers = Server::all(dir.path())?;
    let cores = Cores { server: 0, load: 1 };
    for (file, size) in FILES {
        let mut figures: Vec<Figures> = servers.iter().map(|_| Figures::default()).collect();
        for round in 1..=options.rounds {
            eprintln!("{file}: round {round} of {}", options.rounds);
            for (server, figures) in servers.iter().zip(&mut figures) {
                let wrk = self::round(server, file, options, cores)
                    .map_err(|error| format!("{}, {file}: {error}", server.name))?;
                figures.add(&wrk);
            }
        }
        println!("\n{file}: a file of {size} bytes, {} connections\n", options.connections);
        println!("{}\n", tabled(&servers, &figures));
    }
    Ok(())
}

/// What one round came to.
struct Round {
    wrk: Wrk,
    cpu: Duration,
}

fn round(server: &Server, file: &str, options: &Options, cores: Cores) -> Result<Round> {
    let running = server.start(cores.server)?;
    let clock = CpuClock::of(running.pid())?;
    let url = format!("http://{}/{file}", running.address);
    // What is opened and remembered once is so when it begins.
    wrk::run(&url, options.connections, Duration::from_secs(1), cores.load)?;
    let before = clock.read()?;
    let wrk = wrk::run(&url, options.connections, options.seconds, cores.load)?;
    let cpu = clock.read()? - before;
    running.stop()?;
    Ok(Round { wrk, cpu })
}

impl Figures {
    fn add(&mut self, Round { wrk, cpu }: &Round) {
        self.requests.push(wrk.requests as f64 / wrk.seconds);
        self.p99.push(wrk.p99);
        self.cpu.push(cpu.as_nanos() as f64 / wrk.requests.max(1) as f64);
    }
}

fn tabled(servers: &[Server], figures: &[Figures]) -> comfy_table::Table {
    let mut table =
        table::new(vec!["server", "a second (spread)", "p99 us (spread)", "CPU ns each (spread)"]);
    let spread = |values: &[f64], write: fn(f64) -> String| match Spread::of(values.iter().copied()) {
        Some(Spread { median, low, high }) => {
            format!("{} ({} to {})", write(median), write(low), write(high))
        }
        None => "n/a".to_owned(),
    };
    for (server, figures) in servers.iter().zip(figures) {
        table.add_row(vec![
            server.name.to_owned(),
            spread(&figures.requests, table::grouped),
            spread(&figures.p99, table::micros),
            spread(&figures.cpu, table::grouped),
        ]);
    }
    table
}

/// `web-serve`: hyper on tokio, in this process.
#[derive(Debug, clap::Args)]
pub(crate) struct ServeOptions {
    #[arg(long)]
    listen: std::net::SocketAddr,
    #[arg(long)]
    root: std::path::PathBuf,
}

pub(crate) fn serve(options: &ServeOptions) -> Result<()> {
    crate::sys::terminate::exit_on_sigterm()?;
    let listener = std::net::TcpListener::bind(options.listen)?;
    println!("listening on {}", listener.local_addr()?);
    hyper::serve(listener, Path::new(&options.root))
}
