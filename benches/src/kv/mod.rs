//! `kv`: the example `kv`, as chains and as tasks, and redis-server where it is installed, under the load of redis-benchmark.
//!
//! All servers share one core and the load has another. They are there all the time and meet one test after the other in
//! turns, so that whatever else the machine does meets all alike; who is not asked uses (nearly) no time. `--instructions`
//! counts instead what a request costs in user space: that holds on a machine that is busy, too.

mod benchmark;
mod count;
mod servers;

use crate::Result;
use crate::instructions::By;
use crate::process::server::Running;
use crate::process::subject::Cores;
use crate::stats::{Ratio, Spread};
use crate::sys::cpu_clock::CpuClock;
use crate::table;

use benchmark::{Benchmark, TESTS};
use servers::{Server, all};

/// Compares the example `kv` with redis-server, under the load of redis-benchmark
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Rounds of each test
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// Requests of a round; with `--instructions` those that are counted, 20,000 unless told otherwise
    #[arg(long, value_parser = clap::value_parser!(u64).range(1000..))]
    requests: Option<u64>,
    /// Connections
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    connections: u32,
    /// Requests that a connection sends at a time, separated by commas
    #[arg(long, value_delimiter = ',', value_name = "N", default_value = "1,16")]
    pipeline: Vec<u32>,
    /// Tests of redis-benchmark, separated by commas
    #[arg(long, value_delimiter = ',', value_name = "NAMES", default_values = TESTS)]
    tests: Vec<String>,
    /// Only servers whose names contain one of these, separated by commas
    #[arg(long, value_delimiter = ',', value_name = "NAMES")]
    only: Vec<String>,
    /// Count user-space instructions under callgrind
    #[arg(long)]
    instructions: bool,
    /// With `--instructions`: also show where they go
    #[arg(long, value_enum, value_name = "BY", num_args = 0..=1, default_missing_value = "functions")]
    profile: Option<By>,
}

/// The one that others are compared with.
const OTHER: &str = "redis";
/// The core of the servers, and that of the load.
const CORES: Cores = Cores { server: 0, load: 1 };

pub(crate) fn run(options: &Options) -> Result<()> {
    benchmark::find()?;
    let mut servers = all()?;
    let wanted = |server: &Server| options.only.iter().any(|name| server.name.contains(name.as_str()));
    servers.retain(|server| options.only.is_empty() || wanted(server));
    for &pipeline in &options.pipeline {
        println!("\n{} connections, {pipeline} request(s) at a time\n", options.connections);
        if options.instructions {
            println!("{}", count::run(options, &servers, pipeline)?);
        } else {
            println!("{}", measure(options, &servers, pipeline)?);
        }
    }
    Ok(())
}

/// What a server has done in the rounds of a test.
#[derive(Default)]
struct Figures {
    requests: Vec<f64>,
    p99: Vec<f64>,
    /// CPU nanoseconds each.
    cpu: Vec<f64>,
}

fn measure(options: &Options, servers: &[Server], pipeline: u32) -> Result<comfy_table::Table> {
    let requests = options.requests.unwrap_or(200_000);
    let running =
        servers.iter().map(|server| server.program.start(CORES, None)).collect::<Result<Vec<_>>>()?;
    let mut table = table::new(vec![
        "test",
        "server",
        "a second (spread)",
        "p99 us (spread)",
        "CPU ns each (spread)",
        "to redis (95 %)",
    ]);
    for test in &options.tests {
        let benchmark = Benchmark { test, requests, connections: options.connections, pipeline };
        let mut figures: Vec<Figures> = servers.iter().map(|_| Figures::default()).collect();
        for round in 1..=options.rounds {
            eprintln!("{test}: round {round} of {}", options.rounds);
            for ((server, running), figures) in servers.iter().zip(&running).zip(&mut figures) {
                self::round(running, &benchmark, figures)
                    .map_err(|error| format!("{}, {test}: {error}", server.name))?;
            }
        }
        let other = servers.iter().position(|server| server.name == OTHER);
        for (server, own) in servers.iter().zip(&figures) {
            let ratio = other.filter(|_| server.name != OTHER);
            let ratio = ratio.and_then(|other| Ratio::paired(&own.requests, &figures[other].requests, 0.0));
            table.add_row(vec![
                test.clone(),
                server.name.to_owned(),
                spread(&own.requests, table::grouped),
                spread(&own.p99, table::micros),
                spread(&own.cpu, table::grouped),
                ratio.map_or(String::new(), |ratio| {
                    format!("{:.2} ({:.2} to {:.2})", ratio.estimate, ratio.low, ratio.high)
                }),
            ]);
        }
    }
    running.into_iter().try_for_each(Running::stop)?;
    Ok(table)
}

fn round(running: &Running, benchmark: &Benchmark<'_>, figures: &mut Figures) -> Result<()> {
    let clock = CpuClock::of(running.pid())?;
    let before = clock.read()?;
    let outcome = benchmark.run(running.address, CORES.load)?;
    let cpu = clock.read()? - before;
    figures.requests.push(outcome.requests_a_second);
    figures.p99.push(outcome.p99);
    figures.cpu.push(cpu.as_nanos() as f64 / benchmark.requests as f64);
    Ok(())
}

fn spread(values: &[f64], write: fn(f64) -> String) -> String {
    match Spread::of(values.iter().copied()) {
        Some(Spread { median, low, high }) => {
            format!("{} ({} to {})", write(median), write(low), write(high))
        }
        None => "n/a".to_owned(),
    }
}
