//! `compare` and `full`: throughput, latency, CPU time, system calls and instructions, all competitors side by side.
//!
//! A server has one core to itself and the load another. Rounds are interleaved (A B C, A B C, ...), each with a process of
//! its own, so that whatever else the machine does meets all alike, and ratios are taken within a round: see
//! [`Ratio`](crate::stats::Ratio) for their intervals. System calls and instructions are counted in passes of their own,
//! because counting takes time.

mod cases;
mod count;

use std::path::{Path, PathBuf};
use std::time::Duration;

use tempfile::TempDir;

use crate::Result;
use crate::competitor::{self, Competitor};
use crate::idle;
use crate::load::seconds;
use crate::process::load::{Extent, Shape};
use crate::process::subject::{Cores, Subject};
use crate::progress::Progress;
use crate::report::{self, Case, Findings, Machine, Row};
use crate::workload::Kind;

/// Compares throughput, latency, CPU time, system calls and instructions
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Only these workloads, separated by commas; `list` names them
    #[arg(long, value_delimiter = ',', value_name = "NAMES")]
    workload: Vec<String>,
    /// Only these competitors, separated by commas
    #[arg(long, value_delimiter = ',', value_name = "NAMES")]
    only: Vec<String>,
    /// Rounds, in each of which every competitor runs once [default: 5]
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=1000))]
    rounds: Option<u32>,
    /// Seconds measured in each round [default: 0.6]
    #[arg(long, value_parser = seconds)]
    seconds: Option<Duration>,
    /// Seconds before them that do not count [default: 0.2]
    #[arg(long, value_parser = seconds)]
    warm_up: Option<Duration>,
    /// Two rounds of 0.3 seconds and nothing counted, to see that everything works
    #[arg(long)]
    quick: bool,
    /// Connections, or pieces of work in flight, in place of each workload's own number
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=60_000))]
    connections: Option<u32>,
    /// Bytes of a message or record, likewise
    #[arg(long)]
    size: Option<usize>,
    /// Requests that a connection keeps outstanding
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=1024))]
    pipeline: Option<u32>,
    /// Where report.json and index.html go [default: bench-report in the target directory]
    #[arg(long, value_name = "DIRECTORY")]
    out: Option<PathBuf>,
    /// Also write all figures, of every round, to this file
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Where the files of the jobs are made: the disk that they meet [default: the target directory]
    #[arg(long, value_name = "DIRECTORY")]
    dir: Option<PathBuf>,
    /// The core of the servers
    #[arg(long, default_value_t = 0)]
    server_core: usize,
    /// The core of the load
    #[arg(long, default_value_t = 1)]
    load_core: usize,
}

/// The four workloads of the README, against tokio and the raw loop.
pub(crate) fn brief(options: &Options) -> Result<()> {
    run(options, cases::brief(options)?, competitor::DEFAULT, false)
}

/// Everything, all competitors.
pub(crate) fn full(options: &Options) -> Result<()> {
    let idle = options.workload.is_empty() || options.workload.iter().any(|name| name == idle::NAME);
    run(options, cases::full(options)?, competitor::ALL, idle)
}

impl Options {
    fn rounds(&self) -> u32 {
        self.rounds.unwrap_or(if self.quick { 2 } else { 5 })
    }

    fn measured(&self) -> Duration {
        self.seconds.unwrap_or(Duration::from_millis(if self.quick { 300 } else { 600 }))
    }

    fn warm_up(&self) -> Duration {
        self.warm_up.unwrap_or(Duration::from_millis(if self.quick { 100 } else { 200 }))
    }

    fn cores(&self) -> Cores {
        Cores { server: self.server_core, load: self.load_core }
    }
}

fn run(
    options: &Options,
    shapes: Vec<Shape>,
    competitors: &[&'static Competitor],
    with_idle: bool,
) -> Result<()> {
    let mut selected = Vec::with_capacity(shapes.len());
    for shape in shapes {
        let competing = Competitor::select(&options.only, competitors, shape.workload)?;
        if !competing.is_empty() {
            selected.push((shape, competing));
        }
    }
    if selected.is_empty() && !with_idle {
        return Err("none of these competitors takes part in any of these workloads".into());
    }
    let target = target()?;
    let runs: usize = selected.iter().map(|(_, competing)| competing.len()).sum();
    let passes = options.rounds() + if options.quick { 1 } else { 3 };
    let progress = Progress::new(runs as u64 * u64::from(passes));
    let mut findings = Findings {
        machine: Machine::here(),
        rounds: options.rounds(),
        seconds: options.measured().as_secs_f64(),
        cases: Vec::new(),
        idle: Vec::new(),
    };
    progress.print(&findings.machine.line());
    for (shape, competing) in &selected {
        let case = case(shape, competing, options, &target, &progress)?;
        progress.print(&format!("\n{}", report::render(&case)));
        if case.competitors.iter().any(|row| row.instructions_per_request.is_some()) {
            progress.print(&format!("\n{}", report::instructions(&case)));
        }
        findings.cases.push(case);
    }
    if with_idle {
        progress.stage("idle connections");
        findings.idle = idle::measure(&options.only, options.quick, options.cores())?;
        progress.print(&format!("\n{}", report::idle(&findings.idle)));
    }
    progress.finish();
    let out = options.out.clone().unwrap_or_else(|| target.join("bench-report"));
    let cannot = |file: &Path, error| format!("cannot write {}: {error}", file.display());
    findings.write(&out).map_err(|error| cannot(&out, error))?;
    if let Some(file) = &options.json {
        findings.write_json(file).map_err(|error| cannot(file, error))?;
    }
    println!("\n{}", out.join("index.html").display());
    Ok(())
}

/// One workload in one shape.
fn case(
    shape: &Shape,
    competing: &[&'static Competitor],
    options: &Options,
    target: &Path,
    progress: &Progress,
) -> Result<Case> {
    let dir = TempDir::with_prefix_in("bench-", options.dir.as_deref().unwrap_or(target))?;
    match &shape.workload.kind {
        Kind::Alone(job) => (job.prepare)(dir.path())?,
        Kind::Served(_) => drop(shape.workload.build(shape.size, 0)?),
    }
    let title = shape.title();
    let mut case = Case::new(shape);
    progress.stage(&format!("{title}: building"));
    let mut subjects: Vec<_> = competing
        .iter()
        .map(|competitor| {
            progress.step(format!("{title}: building {}", competitor.name));
            let subject = Subject::prepare(competitor, shape.workload, dir.path());
            case.competitors.push(Row::new(competitor));
            subject
        })
        .collect();
    let extent = Extent::Time { warm_up: options.warm_up(), measured: options.measured() };
    for round in 1..=options.rounds() {
        let stage = format!("{title}: round {round} of {}", options.rounds());
        progress.stage(&stage);
        for (row, subject) in case.competitors.iter_mut().zip(&mut subjects) {
            progress.step(format!("{stage}, {}", row.name));
            // Who has failed once is out.
            let Ok(ready) = subject else { continue };
            // Once more, should the machine have stood still: a competitor that fails fails twice.
            let again = |_| ready.round(shape, extent, options.cores());
            match ready.round(shape, extent, options.cores()).or_else(again) {
                Ok(report) => row.rounds.push(report),
                Err(error) => *subject = Err(error),
            }
        }
    }
    if !options.quick {
        count::all(&mut case, &subjects, shape, options.cores(), progress);
    }
    for (row, subject) in case.competitors.iter_mut().zip(subjects) {
        row.failure = subject.err().map(|error| error.to_string());
    }
    case.conclude();
    Ok(case)
}

/// The directory that cargo builds into: two above this program.
fn target() -> Result<PathBuf> {
    let program =
        std::env::current_exe().map_err(|error| format!("cannot find this program's file: {error}"))?;
    Ok(program.ancestors().nth(2).unwrap_or(Path::new(".")).to_owned())
}
