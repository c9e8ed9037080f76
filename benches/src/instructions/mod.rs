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

mod callgrind;
mod profile;
mod table;

use std::time::Duration;

use crate::Result;
use crate::competitor::Competitor;
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
    /// What to ask
    #[arg(long, default_value = "echo")]
    workload: String,
    /// Only these competitors, separated by commas
    #[arg(long, value_delimiter = ',', value_name = "NAMES")]
    only: Vec<String>,
    /// Starts of each server, of which the median counts
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=1000))]
    runs: u32,
    /// Connections, each with one request outstanding
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
    competitor: &'static Competitor,
    program: Result<Program>,
    /// For each run, what so many requests more have cost.
    runs: Vec<Counts>,
}

pub(crate) fn run(options: &Options) -> Result<()> {
    let workload = Workload::find(&options.workload)?;
    workload.build(options.size, 0)?;
    let callgrind = Callgrind::find()?;
    let competitors = Competitor::select(&options.only, workload)?;
    let shape = Shape { workload, connections: options.connections, size: options.size, pipeline: 1 };
    let progress = Progress::new(competitors.len() as u64 * u64::from(options.runs + 1));
    let mut rows: Vec<_> = competitors
        .into_iter()
        .map(|competitor| {
            progress.step(format!("building {}", competitor.name));
            Row { competitor, program: Program::prepare(competitor, workload), runs: Vec::new() }
        })
        .collect();
    for run in 1..=options.runs {
        for row in &mut rows {
            progress.step(format!("run {run} of {}: {}", options.runs, row.competitor.name));
            if let Ok(program) = &row.program {
                match count(program, &callgrind, &shape, options) {
                    Ok(counts) => row.runs.push(counts),
                    Err(error) => row.program = Err(error),
                }
            }
        }
    }
    progress.finish();
    println!("{}", table::render(&rows, &shape, options.requests));
    if let Some(by) = options.profile {
        for row in &rows {
            if let (Some(counts), Ok(_)) = (row.runs.last(), &row.program) {
                println!(
                    "\n{}",
                    profile::render(row.competitor.name, counts, by, options.requests, options.top)
                );
            }
        }
    }
    Ok(())
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
