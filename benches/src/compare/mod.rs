//! `compare`: throughput, latency, CPU time and system calls, all competitors side by side.
//!
//! The server has one core to itself and the load another. Rounds are interleaved (A B C, A B C, ...), each
//! with a server of its own, so that whatever else the machine does meets all alike, and a ratio is taken
//! within a round before the median is taken over all. System calls are counted in a pass of their own,
//! because counting takes time.

mod report;
mod table;

use std::path::PathBuf;
use std::time::Duration;

use clap::Parser as _;

use crate::Result;
use crate::competitor::Competitor;
use crate::load::{Report, seconds};
use crate::process::load::{Extent, Shape};
use crate::process::perf::{self, SystemCalls};
use crate::process::server::Program;
use crate::progress::Progress;
use crate::workload::{self, Workload};

/// Requests of the pass that counts system calls, for each connection.
const COUNTED: u64 = 500;

/// Compares throughput, latency, CPU time and system calls
#[derive(Debug, clap::Parser)]
pub(crate) struct Options {
    /// What to ask
    #[arg(long, default_value = "echo")]
    workload: String,
    /// Only these competitors, separated by commas
    #[arg(long, value_delimiter = ',', value_name = "NAMES")]
    only: Vec<String>,
    /// Rounds, in each of which every competitor runs once
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=1000))]
    rounds: u32,
    /// Seconds measured in each round
    #[arg(long, default_value = "3", value_parser = seconds)]
    seconds: Duration,
    /// Seconds before them that do not count
    #[arg(long, default_value = "0.5", value_parser = seconds)]
    warm_up: Duration,
    /// Connections
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=60_000))]
    connections: u32,
    /// Bytes of a message
    #[arg(long, default_value_t = 64)]
    size: usize,
    /// Requests that a connection keeps outstanding
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1024))]
    pipeline: u32,
    /// Also write all figures, of every round, to a file
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// The core of the servers
    #[arg(long, default_value_t = 0)]
    server_core: usize,
    /// The core of the load
    #[arg(long, default_value_t = 1)]
    load_core: usize,
}

/// What has been found out about one competitor.
struct Row {
    competitor: &'static Competitor,
    program: Result<Program>,
    /// One report for each round; fewer if it has failed.
    rounds: Vec<Report>,
    /// Nothing until counted; an error if that is impossible here.
    system_calls: Option<Result<SystemCalls>>,
}

/// Every workload at the defaults, in rounds short enough that all of it ends within two minutes.
pub(crate) fn all() -> Result<()> {
    for workload in workload::ALL {
        let options = Options::parse_from(["compare", "--workload", workload.name, "--seconds", "2"]);
        let brief = Options { rounds: 3, warm_up: Duration::from_millis(300), ..options };
        run(&brief)?;
    }
    println!("Instructions a request, exact, by `chainring-bench instructions`; every option by `--help`.");
    Ok(())
}

pub(crate) fn run(options: &Options) -> Result<()> {
    let workload = Workload::find(&options.workload)?;
    workload.build(options.size, 0)?;
    let competitors = Competitor::select(&options.only, workload)?;
    let (connections, size, pipeline) = (options.connections, options.size, options.pipeline);
    let shape = Shape { workload, connections, size, pipeline };
    let progress = Progress::new(competitors.len() as u64 * u64::from(options.rounds + 2));
    let mut rows = Vec::with_capacity(competitors.len());
    for competitor in competitors {
        progress.step(format!("building {}", competitor.name));
        let program = Program::prepare(competitor, workload);
        rows.push(Row { competitor, program, rounds: Vec::new(), system_calls: None });
    }
    for round in 1..=options.rounds {
        for row in &mut rows {
            progress.step(format!("round {round} of {}: {}", options.rounds, row.competitor.name));
            row.measure(&shape, options);
        }
    }
    for row in &mut rows {
        progress.step(format!("counting system calls: {}", row.competitor.name));
        row.count(&shape, options);
    }
    progress.finish();
    println!("{}", table::render(&rows, &shape));
    if let Some(file) = &options.json {
        report::write(file, &rows, &shape, options)
            .map_err(|error| format!("cannot write {}: {error}", file.display()))?;
    }
    Ok(())
}

impl Row {
    /// One round; a competitor that has failed once is out.
    fn measure(&mut self, shape: &Shape, options: &Options) {
        let Ok(program) = &self.program else { return };
        match round(program, shape, options) {
            Ok(report) => self.rounds.push(report),
            Err(error) => self.program = Err(error),
        }
    }

    /// The pass that counts system calls. Its failure says nothing about the competitor.
    fn count(&mut self, shape: &Shape, options: &Options) {
        let Ok(program) = &self.program else { return };
        let counted = || {
            let server = program.start(options.server_core, None)?;
            let requests = u64::from(shape.connections) * u64::from(shape.pipeline) * COUNTED;
            let counted = perf::system_calls(&server, shape, requests, options.load_core)?;
            server.stop()?;
            Ok(counted)
        };
        self.system_calls = Some(counted());
    }
}

/// Starts the server, loads it, and stops it.
fn round(program: &Program, shape: &Shape, options: &Options) -> Result<Report> {
    let server = program.start(options.server_core, None)?;
    let extent = Extent::Time { warm_up: options.warm_up, measured: options.seconds };
    match shape.run(server.address, extent, options.load_core, Some(server.pid())) {
        Ok(report) => {
            server.stop()?;
            Ok(report)
        }
        Err(error) => Err(server.explain(error)),
    }
}
