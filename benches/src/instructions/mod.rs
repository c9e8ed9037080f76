//! `instructions`: what a request costs in user space, counted by callgrind, where time would be noise.
//!
//! A server is started under callgrind and meets three loads of the same shape. The first only wakes
//! everything up; the counters are dumped and cleared after each. The second and the third differ in nothing
//! but the number of requests, so the difference of their counts, divided by that number, is free of
//! starting, connecting and closing.
//!
//! All competitors meet the same closed loop: how many completions a turn of their loop finds decides how far
//! the cost of the turn is shared. That number is measured as well, by counting the calls of the function
//! that waits.
//!
//! The workload `nop` has no server and no load: see [`nops`].

mod callgrind;
mod nops;
mod profile;
mod table;

use std::time::Duration;

use crate::Result;
use crate::competitor::{BASELINE, Competitor};
use crate::process::load::{Extent, Shape};
use crate::process::server::Program;
use crate::progress::Progress;
use crate::workload::Workload;
use callgrind::{Callgrind, Counts};

/// Time for a server to notice that all connections have been closed.
const SETTLE: Duration = Duration::from_millis(200);

/// Counts user-space instructions per request under callgrind
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// What to ask; `nop` asks the ring for nothing, without a server
    #[arg(long, default_value = "echo")]
    workload: String,
    /// Only these competitors, separated by commas
    #[arg(long, value_delimiter = ',', value_name = "NAMES")]
    only: Vec<String>,
    /// Starts of each server, of which the median counts
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=1000))]
    runs: u32,
    /// Connections, each with one request outstanding; or nops in flight
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    connections: u32,
    /// Bytes of a message
    #[arg(long, default_value_t = 64)]
    size: usize,
    /// Requests by which the two counted loads differ
    #[arg(long, default_value_t = 50_000, value_parser = clap::value_parser!(u64).range(100..))]
    requests: u64,
    /// Also show where the instructions go
    #[arg(long, value_enum, value_name = "BY", num_args = 0..=1, default_missing_value = "functions")]
    profile: Option<profile::By>,
    /// Lines of a profile
    #[arg(long, default_value_t = 25)]
    top: usize,
    /// The core of the servers
    #[arg(long, default_value_t = 0)]
    server_core: usize,
    /// The core of the load
    #[arg(long, default_value_t = 1)]
    load_core: usize,
}

/// The counts of one competitor.
struct Row {
    name: &'static str,
    /// Why there are no more counts.
    failure: Option<crate::Error>,
    /// For each run, what so many requests more have cost.
    runs: Vec<Counts>,
}

impl Row {
    fn new(name: &'static str) -> Row {
        Row { name, failure: None, runs: Vec::new() }
    }

    /// Counts once more, unless that has failed before.
    fn run(&mut self, count: impl FnOnce() -> Result<Counts>) {
        if self.failure.is_none() {
            match count() {
                Ok(counts) => self.runs.push(counts),
                Err(error) => self.failure = Some(error),
            }
        }
    }
}

pub(crate) fn run(options: &Options) -> Result<()> {
    if options.workload == nops::WORKLOAD {
        return nops::run(options);
    }
    let workload = Workload::find(&options.workload)?;
    workload.build(options.size, 0)?;
    let callgrind = Callgrind::find()?;
    let competitors = Competitor::select(&options.only, workload)?;
    let shape = Shape { workload, connections: options.connections, size: options.size, pipeline: 1 };
    let progress = Progress::new(competitors.len() as u64 * u64::from(options.runs + 1));
    let mut rows = Vec::with_capacity(competitors.len());
    for competitor in competitors {
        progress.step(format!("building {}", competitor.name));
        let mut row = Row::new(competitor.name);
        let program = Program::prepare(competitor, workload).map_err(|error| row.failure = Some(error));
        rows.push((row, program.ok()));
    }
    for run in 1..=options.runs {
        for (row, program) in &mut rows {
            progress.step(format!("run {run} of {}: {}", options.runs, row.name));
            if let Some(program) = program {
                row.run(|| count(program, &callgrind, &shape, options));
            }
        }
    }
    progress.finish();
    let rows: Vec<_> = rows.into_iter().map(|(row, _)| row).collect();
    let Shape { connections, size, .. } = shape;
    let title = format!("{}, {connections} connections, {size} bytes", workload.name);
    println!("{}", table::render(&title, &rows, BASELINE.name, "request", options.requests));
    print_profiles(&rows, options, options.requests);
    Ok(())
}

fn print_profiles(rows: &[Row], options: &Options, requests: u64) {
    let Some(by) = options.profile else { return };
    for row in rows.iter().filter(|row| row.failure.is_none()) {
        if let Some(counts) = row.runs.last() {
            println!("\n{}", profile::render(row.name, counts, by, requests, options.top));
        }
    }
}

/// Starts the server once and counts what `options.requests` requests cost it.
fn count(program: &Program, callgrind: &Callgrind, shape: &Shape, options: &Options) -> Result<Counts> {
    let session = callgrind.session()?;
    let server = program.start(options.server_core, Some(session.wrapper()))?;
    let base = u64::from(options.connections) * 50;
    let loads = [base, base, base + options.requests];
    let mut dumps = Vec::with_capacity(loads.len());
    for requests in loads {
        if let Err(error) = shape.run(server.address, Extent::Requests(requests), options.load_core, None) {
            return Err(server.explain(error));
        }
        std::thread::sleep(SETTLE);
        dumps.push(session.dump(server.pid())?);
    }
    server.kill();
    Ok(dumps[2].minus(&dumps[1]))
}
