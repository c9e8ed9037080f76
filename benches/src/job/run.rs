//! `work`: one round of a job, in this process.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::worker::{self, Schedule};
use super::{Work, Worker};
use crate::Result;
use crate::competitor::{Competitor, Part};
use crate::load::{Mark, Report, seconds};
use crate::workload::Workload;

/// Does a competitor's job in this process and prints a JSON report
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// The competitor's name
    competitor: String,
    /// The job
    #[arg(long)]
    workload: String,
    /// The directory that was prepared for it
    #[arg(long, value_name = "DIRECTORY")]
    dir: PathBuf,
    /// Pieces of work in flight
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=60_000))]
    connections: u32,
    /// Bytes of a piece
    #[arg(long, default_value_t = 0)]
    size: usize,
    /// Seconds to measure
    #[arg(long, default_value = "5", value_parser = seconds, conflicts_with = "requests")]
    seconds: Duration,
    /// Seconds to run before measuring
    #[arg(long, default_value = "0", value_parser = seconds, conflicts_with = "requests")]
    warm_up: Duration,
    /// The example program that the competitor starts, if it is one that does
    #[arg(long, value_name = "FILE")]
    program: Option<PathBuf>,
    /// Stop after exactly so many pieces instead
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
    requests: Option<u64>,
}

pub(crate) fn run(options: &Options) -> Result<()> {
    let workload = Workload::find(&options.workload)?;
    let job = workload.job()?;
    let competitor = Competitor::find(&options.competitor)?;
    let (Part::Work(run) | Part::WorkWith(_, run)) = competitor.part(workload)? else {
        return Err(format!("{} has a server for {}", competitor.name, workload.name).into());
    };
    let begin = Instant::now() + options.warm_up;
    let schedule = match options.requests {
        Some(pieces) => Schedule::Pieces(pieces),
        None => Schedule::Time { from: begin, until: begin + options.seconds },
    };
    let work = Work {
        dir: options.dir.clone(),
        workers: options.connections as usize,
        size: options.size,
        program: options.program.clone(),
        schedule,
    };
    let (workers, begun, ended) = timed(&work, run)?;
    (job.check)(&work, &workers)?;
    let latencies = worker::latencies(&workers)?;
    let requests = match schedule {
        Schedule::Time { .. } => latencies.len(),
        Schedule::Pieces(_) => workers.iter().map(|worker| worker.done).sum(),
    };
    let mut report = Report::between(begun, ended, &latencies, requests)?;
    // It is the competitor itself that this process runs, and not its load.
    report.server_cpu_nanos = Some((report.load_cpu_share * report.seconds * 1e9) as u64);
    report.load_cpu_share = 0.0;
    println!("{}", serde_json::to_string(&report)?);
    Ok(())
}

/// Runs it, and reads the clocks when what counts begins and ends.
fn timed(work: &Work, run: super::Run) -> Result<(Vec<Worker>, Mark, Mark)> {
    let Schedule::Time { from, until } = work.schedule else {
        let begun = Mark::now(None)?;
        return Ok((run(work)?, begun, Mark::now(None)?));
    };
    // Two moments of a thread that sleeps otherwise.
    let clocks = std::thread::spawn(move || {
        let mark = |at: Instant| {
            std::thread::sleep(at.saturating_duration_since(Instant::now()));
            Mark::now(None)
        };
        Ok::<_, crate::Error>((mark(from)?, mark(until)?))
    });
    let workers = run(work)?;
    let (begun, ended) = clocks.join().map_err(|_| "the clocks could not be read")??;
    Ok((workers, begun, ended))
}

/// Does so many pieces, looks at what is left behind, and says how many there were.
#[cfg(test)]
pub(crate) fn pieces(
    job: &super::Job,
    run: super::Run,
    dir: &std::path::Path,
    workers: usize,
    size: usize,
    pieces: u64,
) -> Result<u64> {
    let work = Work::of_pieces(dir, workers, size, pieces);
    let workers = run(&work)?;
    (job.check)(&work, &workers)?;
    Ok(workers.iter().map(|worker| worker.done).sum())
}
