//! `compare` and `full`: throughput, latency, CPU time, system calls and instructions, all competitors side by side.
//!
//! A server has one core to itself and the load another. Rounds are interleaved (A B C, A B C, ...), each with a process of
//! its own, so that whatever else the machine does meets all alike, and ratios are taken within a round: see
//! [`Ratio`](crate::stats::Ratio) for their intervals. System calls and instructions are counted in passes of their own,
//! because counting takes time.

mod cases;
mod count;
pub(crate) mod kept;
mod pace;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use pace::{Limit, Pace};

use crate::Result;
use crate::competitor::{self, Competitor, Part};
use crate::idle;
use crate::load::seconds;
use crate::process::examples;
use crate::process::load::{Extent, Shape};
use crate::process::subject::{Cores, Subject};
use crate::progress::Progress;
use crate::report::{self, Case, Findings, Machine, Row};

/// Compares throughput, latency, CPU time, system calls and instructions
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Only these workloads, separated by commas; `list` names them
    #[arg(long, value_delimiter = ',', value_name = "NAMES")]
    workload: Vec<String>,
    /// Only these competitors, separated by commas
    #[arg(long, value_delimiter = ',', value_name = "NAMES")]
    only: Vec<String>,
    /// Rounds, in each of which every competitor runs once [default: 7]
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=1000))]
    rounds: Option<u32>,
    /// Seconds measured in each round [default: 0.4]
    #[arg(long, value_parser = seconds)]
    seconds: Option<Duration>,
    /// Seconds before them that do not count [default: 0.15]
    #[arg(long, value_parser = seconds)]
    warm_up: Option<Duration>,
    /// Two rounds of 0.2 seconds and nothing counted, to see that everything works
    #[arg(long)]
    quick: bool,
    /// Take about so many minutes at most, with fewer rounds if need be; what is to be built does not count [default: 1.9 for
    /// the four workloads, if neither rounds nor seconds are said]
    #[arg(long, value_parser = minutes)]
    minutes: Option<Duration>,
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
    /// Also write the ratios to this file, as Markdown
    #[arg(long, value_name = "FILE")]
    docs: Option<PathBuf>,
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

/// What the README promises of it, without what is built: two minutes.
const BRIEF: Duration = Duration::from_secs(114);

/// Parses a number of minutes.
fn minutes(text: &str) -> Result<Duration, String> {
    let minutes: f64 = text.parse().map_err(|_| format!("`{text}` is no number of minutes"))?;
    match Duration::try_from_secs_f64(minutes * 60.0) {
        Ok(time) if minutes <= 24.0 * 60.0 => Ok(time),
        _ => Err(format!("{text} minutes are not within a day")),
    }
}

/// The four workloads of the README, against tokio and the raw loop.
pub(crate) fn brief(options: &Options) -> Result<()> {
    let said = options.rounds.is_some() || options.seconds.is_some() || !options.workload.is_empty();
    let usual = (!said).then_some(BRIEF);
    run(options, cases::brief(options)?, competitor::DEFAULT, options.minutes.or(usual), false)
}

/// Everything, all competitors.
pub(crate) fn full(options: &Options) -> Result<()> {
    let idle = options.workload.is_empty() || options.workload.iter().any(|name| name == idle::NAME);
    run(options, cases::full(options)?, competitor::ALL, options.minutes, idle)
}

impl Options {
    fn rounds(&self) -> u32 {
        self.rounds.unwrap_or(if self.quick { 2 } else { 7 })
    }

    fn measured(&self) -> Duration {
        self.seconds.unwrap_or(Duration::from_millis(if self.quick { 200 } else { 400 }))
    }

    fn warm_up(&self) -> Duration {
        self.warm_up.unwrap_or(Duration::from_millis(if self.quick { 100 } else { 150 }))
    }

    fn cores(&self) -> Cores {
        Cores { server: self.server_core, load: self.load_core }
    }
}

fn run(
    options: &Options,
    shapes: Vec<Shape>,
    competitors: &[&'static Competitor],
    time: Option<Duration>,
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
    progress.stage("building the example programs");
    let parts = selected.iter().flat_map(|(shape, competing)| {
        competing.iter().filter_map(|competitor| competitor.part(shape.workload).ok())
    });
    let needed: BTreeSet<_> = parts.filter_map(Part::example).collect();
    examples::build_all(&Vec::from_iter(needed));
    let mut pace = Pace::new(time, runs);
    for (shape, competing) in &selected {
        let case = case(shape, competing, options, &target, pace.case(competing.len()), &progress)?;
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
    if let Some(file) = &options.docs {
        findings.write_document(file).map_err(|error| cannot(file, error))?;
    }
    if let Some(file) = &options.json {
        findings.write_json(file).map_err(|error| cannot(file, error))?;
    }
    println!("\nwith plots: {}", out.join("index.html").display());
    Ok(())
}

/// One workload in one shape.
fn case(
    shape: &Shape,
    competing: &[&'static Competitor],
    options: &Options,
    target: &Path,
    limit: Limit,
    progress: &Progress,
) -> Result<Case> {
    let dir = TempDir::with_prefix_in("bench-", options.dir.as_deref().unwrap_or(target))?;
    shape.workload.prepare(dir.path(), shape.size)?;
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
    if !options.quick {
        count::all(&mut case, &subjects, shape, options.cores(), limit.half(), progress);
    }
    let mut last = Duration::ZERO;
    for round in 1..=options.rounds() {
        if !limit.allows(round - 1, last) {
            case.notes.push(format!("{} of {} rounds: the time was up", round - 1, options.rounds()));
            break;
        }
        let begin = Instant::now();
        let stage = format!("{title}: round {round} of {}", options.rounds());
        progress.stage(&stage);
        let mut order: Vec<_> = case.competitors.iter_mut().zip(&mut subjects).collect();
        // Whoever comes next to whom makes a difference: so forwards and backwards in turn.
        if round % 2 == 0 {
            order.reverse();
        }
        for (row, subject) in order {
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
        last = begin.elapsed();
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
