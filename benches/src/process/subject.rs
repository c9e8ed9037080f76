//! A competitor in one workload, whichever way it takes part.

use std::path::Path;
use std::process::Command;
use std::time::Instant;

use super::job;
use super::load::{Extent, Shape};
use super::perf::{Counter, SystemCalls};
use super::server::Program;
use crate::Result;
use crate::competitor::{Competitor, Part};
use crate::load::Report;
use crate::sys::cpu_clock::CpuClock;
use crate::workload::Workload;

/// The cores that children are pinned to.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cores {
    pub(crate) server: usize,
    pub(crate) load: usize,
}

/// Built, and ready to be run as often as needed.
pub(crate) enum Subject {
    /// A server; each run starts one and loads it.
    Server(Program),
    /// A job, done by itself.
    Job(job::Program),
}

impl Subject {
    /// Builds what is not built yet. A job finds in `dir` what was prepared for it.
    pub(crate) fn prepare(competitor: &Competitor, workload: &Workload, dir: &Path) -> Result<Subject> {
        match competitor.part(workload)? {
            Part::Work(_) | Part::WorkWith(..) => {
                Ok(Subject::Job(job::Program::new(competitor, workload, dir)?))
            }
            _ => Ok(Subject::Server(Program::prepare(competitor, workload, dir)?)),
        }
    }

    /// One round, from start to end.
    pub(crate) fn round(&self, shape: &Shape, extent: Extent, cores: Cores) -> Result<Report> {
        let program = match self {
            Subject::Job(job) => return job.run(shape, extent, None, cores.server),
            Subject::Server(program) => program,
        };
        let server = program.start(cores, None)?;
        let behind = server.behind()?;
        let begin = (Instant::now(), behind.map(CpuClock::read).transpose()?);
        match shape.run(server.address, extent, cores.load, Some(server.pid())) {
            Ok(mut report) => {
                if let (Some(clock), (then, Some(used))) = (behind, begin) {
                    // What is behind the server belongs to the load, and shares its core.
                    let used = clock.read()?.saturating_sub(used);
                    report.load_cpu_share += used.as_secs_f64() / then.elapsed().as_secs_f64();
                }
                server.stop()?;
                Ok(report)
            }
            Err(error) => Err(server.explain(error)),
        }
    }

    /// What `requests` requests ask of the kernel. For a server the few calls that open and close the connections are
    /// counted, too; a job is run twice, so that nothing but the work counts.
    pub(crate) fn system_calls(&self, shape: &Shape, requests: u64, cores: Cores) -> Result<SystemCalls> {
        match self {
            Subject::Server(program) => {
                let server = program.start(cores, None)?;
                let counter = Counter::new()?;
                let mut perf = counter.command();
                perf.arg("--pid").arg(server.pid().to_string()).arg("--");
                shape.run_under(perf, server.address, Extent::Requests(requests), cores.load)?;
                server.stop()?;
                Ok(counter.read()?.per(requests))
            }
            Subject::Job(job) => {
                let count = |requests| {
                    let counter = Counter::new()?;
                    let mut perf: Command = counter.command();
                    perf.arg("--");
                    job.run(shape, Extent::Requests(requests), Some(perf), cores.server)?;
                    counter.read()
                };
                Ok((count(2 * requests)? - count(requests)?).per(requests))
            }
        }
    }
}
