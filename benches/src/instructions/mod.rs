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
//! A job is run twice, and the two runs differ in nothing but the number of its pieces.

mod callgrind;
mod profile;

use std::time::Duration;

pub(crate) use callgrind::{Callgrind, Counts};
pub(crate) use profile::{By, render};

use crate::Result;
use crate::competitor::{self, Competitor};
use crate::process::job;
use crate::process::load::{Extent, Shape};
use crate::process::server::Program;
use crate::process::subject::{Cores, Subject};
use crate::progress::Progress;
use crate::report::{self, Case, Row};
use crate::stats::{Spread, median};
use crate::workload::Workload;

/// Time for a server to notice that all connections have been closed.
pub(crate) const SETTLE: Duration = Duration::from_millis(200);

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
    /// Connections, each with one request outstanding, or pieces of work in flight; else the workload's own number
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    connections: Option<u32>,
    /// Bytes of a message or record, likewise
    #[arg(long)]
    size: Option<usize>,
    /// Requests by which the two counted loads differ
    #[arg(long, default_value_t = 50_000, value_parser = clap::value_parser!(u64).range(100..))]
    requests: u64,
    /// Leave out the functions whose names contain this: what costs every competitor the same
    #[arg(long, value_name = "NAME")]
    without: Option<String>,
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

pub(crate) fn run(options: &Options) -> Result<()> {
    let workload = Workload::find(&options.workload)?;
    let usual = Shape::of(workload);
    let connections = options.connections.unwrap_or(usual.connections);
    let shape = Shape { connections, size: options.size.unwrap_or(usual.size), ..usual };
    let dir = tempfile::tempdir()?;
    workload.prepare(dir.path(), shape.size)?;
    let callgrind = Callgrind::find()?;
    let competitors = Competitor::select(&options.only, competitor::ALL, workload)?;
    let cores = Cores { server: options.server_core, load: options.load_core };
    let progress = Progress::new(competitors.len() as u64 * u64::from(options.runs + 1));
    progress.stage("building");
    let mut case = Case::new(&shape);
    let mut subjects = Vec::with_capacity(competitors.len());
    for competitor in competitors {
        progress.step(format!("building {}", competitor.name));
        let subject = Subject::prepare(competitor, workload, dir.path());
        subjects.push((subject, Vec::new()));
        case.competitors.push(Row::new(competitor));
    }
    for run in 1..=options.runs {
        let stage = format!("run {run} of {}", options.runs);
        progress.stage(&stage);
        for (row, (subject, runs)) in case.competitors.iter().zip(&mut subjects) {
            progress.step(format!("{stage}: {}", row.name));
            let Ok(ready) = subject else { continue };
            match count(ready, &callgrind, &shape, options.requests, cores) {
                Ok(counts) => runs.push(match &options.without {
                    Some(name) => counts.without(name),
                    None => counts,
                }),
                Err(error) => *subject = Err(error),
            }
        }
    }
    progress.finish();
    for (row, (subject, runs)) in case.competitors.iter_mut().zip(&subjects) {
        row.failure = subject.as_ref().err().map(ToString::to_string);
        row.instructions_per_request = Spread::of(runs.iter().map(|counts| counts.per(options.requests)));
        row.requests_per_turn = median(runs.iter().filter_map(|counts| counts.per_turn(options.requests)));
    }
    println!("{}", report::instructions(&case));
    if let Some(by) = options.profile {
        for (row, (_, runs)) in case.competitors.iter().zip(&subjects) {
            if let (Some(counts), None) = (runs.last(), &row.failure) {
                println!("\n{}", profile::render(&row.name, counts, by, options.requests, options.top));
            }
        }
    }
    Ok(())
}

/// What `requests` requests cost, counted once; once more, if that fails: callgrind's dumps are torn at times.
pub(crate) fn count(
    subject: &Subject,
    callgrind: &Callgrind,
    shape: &Shape,
    requests: u64,
    cores: Cores,
) -> Result<Counts> {
    let once = || match subject {
        Subject::Server(program) => served(program, callgrind, shape, requests, cores),
        Subject::Job(job) => alone(job, callgrind, shape, requests, cores),
    };
    once().or_else(|_| once())
}

fn served(
    program: &Program,
    callgrind: &Callgrind,
    shape: &Shape,
    requests: u64,
    cores: Cores,
) -> Result<Counts> {
    let session = callgrind.session()?;
    let server = program.start(cores, Some(session.wrapper()))?;
    let base = (u64::from(shape.connections) * 50).min(requests);
    let loads = [base, base, base + requests];
    let mut dumps = Vec::with_capacity(loads.len());
    for requests in loads {
        if let Err(error) = shape.run(server.address, Extent::Requests(requests), cores.load, None) {
            return Err(server.explain(error));
        }
        std::thread::sleep(SETTLE);
        dumps.push(session.dump(server.pid())?);
    }
    server.kill();
    Ok(dumps[2].minus(&dumps[1]))
}

fn alone(
    job: &job::Program,
    callgrind: &Callgrind,
    shape: &Shape,
    requests: u64,
    cores: Cores,
) -> Result<Counts> {
    if job.starts_programs() {
        return Err("the work is done by other programs, which are not counted".into());
    }
    if crate::job::spans_cores(shape.workload) {
        // It would hang: valgrind runs one thread at a time, and does not know that io_uring_enter waits for the others.
        return Err("callgrind cannot count cores that wait for each other".into());
    }
    let run = |pieces| {
        let session = callgrind.session()?;
        job.run(shape, Extent::Requests(pieces), Some(session.wrapper()), cores.server)?;
        session.end()
    };
    let base = u64::from(shape.connections);
    Ok(run(base + requests)?.minus(&run(base)?))
}
