//! `load`: asks one server as fast as it answers, and checks every byte of it.
//!
//! One thread and one edge-triggered epoll instance. Each connection keeps as many requests outstanding as
//! the pipeline is deep, and sends the next one when a reply has come whole. Nothing is allocated once the
//! connections stand. It speaks to this machine only, and ends by itself: after its time, after its requests,
//! or when no reply has come for [`PATIENCE`].

mod connection;
mod recorder;

#[cfg(test)]
pub(crate) use recorder::Latency;
pub(crate) use recorder::{Mark, Report};

use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use crate::Result;
use crate::sys::epoll::{Epoll, Events};
use crate::workload::Workload;
use connection::{Connection, State};
use recorder::Recorder;

/// How long the load waits for any reply at all.
const PATIENCE: Duration = Duration::from_secs(10);

/// Puts a load on a server of this machine and prints a JSON report
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Options {
    /// The server's address, on this machine
    #[arg(value_name = "ADDR:PORT")]
    target: SocketAddr,
    /// What to ask
    #[arg(long, default_value = "echo")]
    workload: String,
    /// Connections, all opened before the first request
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=60_000))]
    connections: u32,
    /// Bytes of a message
    #[arg(long, default_value_t = 64)]
    size: usize,
    /// Requests that a connection keeps outstanding
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1024))]
    pipeline: u32,
    /// Seconds to measure
    #[arg(long, default_value = "5", value_parser = seconds, conflicts_with = "requests")]
    seconds: Duration,
    /// Seconds to run before measuring
    #[arg(long, default_value = "0", value_parser = seconds, conflicts_with = "requests")]
    warm_up: Duration,
    /// Stop after exactly so many requests instead
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
    requests: Option<u64>,
    /// The server's process, whose CPU time is to be reported
    #[arg(long, value_name = "PID")]
    watch: Option<u32>,
}

/// Parses a number of seconds, at most ten minutes.
pub(crate) fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text.parse().map_err(|_| format!("`{text}` is no number of seconds"))?;
    if (0.0..=600.0).contains(&seconds) {
        Ok(Duration::from_secs_f64(seconds))
    } else {
        Err(format!("{text} seconds are not within 0 to 600"))
    }
}

pub(crate) fn run(options: &Options) -> Result<()> {
    let report = measure(options)?;
    println!("{}", serde_json::to_string(&report)?);
    Ok(())
}

/// What the load is doing.
#[derive(Debug, Clone, Copy)]
enum Phase {
    WarmUp {
        until: Instant,
    },
    Measuring {
        until: Instant,
    },
    /// Every connection works off its own share.
    Counting,
    /// Time is up; what has been asked is still answered.
    Draining,
}

/// Opens the connections, asks, and reports.
fn measure(options: &Options) -> Result<Report> {
    if !options.target.ip().is_loopback() {
        return Err(
            format!("{} is not on this machine; only loopback addresses are loaded", options.target).into()
        );
    }
    if options.pipeline > 1 && Workload::find(&options.workload)?.protocol()?.renews {
        return Err("a connection for every request carries one at a time".into());
    }
    let epoll = Epoll::edge_triggered()?;
    let mut connections = connect(options)?;
    let mut events = Events::with_capacity(connections.len().min(1024));
    let mut recorder = Recorder::new(options.watch)?;
    let mut phase = Phase::WarmUp { until: Instant::now() + options.warm_up };
    if options.requests.is_some() {
        phase = Phase::Counting;
        recorder.begin()?;
    }
    let mut live = connections.len();
    for connection in &mut connections {
        live -= usize::from(connection.start(&epoll)? == State::Done);
    }
    let mut heard = Instant::now();
    while live > 0 {
        let ready = epoll.wait(&mut events, 10)?;
        let sending = !matches!(phase, Phase::Draining);
        for event in ready {
            live -= usize::from(
                connections[event.u64 as usize].ready(&epoll, sending, &mut recorder)? == State::Done,
            );
        }
        let now = Instant::now();
        if !ready.is_empty() {
            heard = now;
        } else if now - heard > PATIENCE {
            return Err(format!("the server has not answered for {} seconds", PATIENCE.as_secs()).into());
        }
        phase = match phase {
            Phase::WarmUp { until } if now >= until => {
                recorder.begin()?;
                Phase::Measuring { until: Instant::now() + options.seconds }
            }
            Phase::Measuring { until } if now >= until => {
                recorder.end()?;
                Phase::Draining
            }
            same => same,
        };
    }
    if let Phase::Counting = phase {
        recorder.end()?;
    }
    recorder.report()
}

/// Opens all connections, none of which has asked anything yet.
fn connect(options: &Options) -> Result<Vec<Connection>> {
    let workload = Workload::find(&options.workload)?;
    let protocol = workload.protocol()?;
    let learnt = protocol.learn.map(|learn| -> Result<_> {
        let mut exchange = workload.build(options.size, 0)?;
        let mut stream = TcpStream::connect(options.target)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        learn(&mut stream, &mut exchange)?;
        Ok(exchange)
    });
    let learnt = learnt.transpose()?;
    let count = u64::from(options.connections);
    let mut connections = Vec::with_capacity(options.connections as usize);
    for number in 0..count {
        // Spread evenly, so that the shape of the load is the same until the end.
        let quota = options.requests.map(|total| total / count + u64::from(number < total % count));
        let exchange = match &learnt {
            Some(exchange) => exchange.clone(),
            None => workload.build(options.size, number)?,
        };
        let depth = options.pipeline as usize;
        let mut connection =
            Connection::new(connection::open(options.target)?, number, &exchange, depth, quota);
        if protocol.renews {
            connection.renew_at(options.target)?;
        }
        connections.push(connection);
    }
    Ok(connections)
}

/// What the command line would do, for tests.
#[cfg(test)]
pub(crate) fn measure_with<'a>(arguments: impl Iterator<Item = &'a str>) -> Result<Report> {
    #[derive(clap::Parser)]
    struct Command {
        #[command(flatten)]
        options: Options,
    }
    let command: Command = clap::Parser::try_parse_from(std::iter::once("load").chain(arguments))?;
    measure(&command.options)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_machine_is_loaded() {
        let refused = measure_with(["192.0.2.1:80"].into_iter()).unwrap_err();
        assert!(refused.to_string().contains("not on this machine"), "{refused}");
    }

    #[test]
    fn a_connection_for_every_request_carries_one_at_a_time() {
        let deep = ["127.0.0.1:1", "--workload", "churn", "--pipeline", "2"];
        let refused = measure_with(deep.into_iter()).unwrap_err();
        assert_eq!(refused.to_string(), "a connection for every request carries one at a time");
    }

    #[test]
    fn seconds_are_a_number_within_reason() {
        assert_eq!(seconds("0.5"), Ok(Duration::from_millis(500)));
        for refused in ["-1", "601", "NaN", "inf", "soon"] {
            assert!(seconds(refused).is_err(), "{refused}");
        }
    }
}
