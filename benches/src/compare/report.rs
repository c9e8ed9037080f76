//! All figures of a comparison, for machines.

use std::fs::File;
use std::path::Path;

use serde::Serialize;

use super::{Options, Row};
use crate::Result;
use crate::load::Report;
use crate::process::load::Shape;
use crate::process::perf::SystemCalls;

#[derive(Serialize)]
struct Comparison<'a> {
    machine: Machine,
    workload: &'a str,
    connections: u32,
    size: usize,
    pipeline: u32,
    seconds: f64,
    competitors: Vec<Competitor<'a>>,
}

#[derive(Serialize)]
struct Machine {
    kernel: String,
    processor: String,
}

#[derive(Serialize)]
struct Competitor<'a> {
    name: &'a str,
    about: &'a str,
    failure: Option<String>,
    rounds: &'a [Report],
    system_calls_per_request: Option<SystemCalls>,
}

/// Writes every round of every competitor.
pub(super) fn write(file: &Path, rows: &[Row], shape: &Shape, options: &Options) -> Result<()> {
    let competitors = rows.iter().map(|row| Competitor {
        name: row.competitor.name,
        about: row.competitor.about,
        failure: row.program.as_ref().err().map(ToString::to_string),
        rounds: &row.rounds,
        system_calls_per_request: row
            .system_calls
            .as_ref()
            .and_then(|counted| counted.as_ref().ok())
            .copied(),
    });
    let comparison = Comparison {
        machine: Machine::here(),
        workload: shape.workload.name,
        connections: shape.connections,
        size: shape.size,
        pipeline: shape.pipeline,
        seconds: options.seconds.as_secs_f64(),
        competitors: competitors.collect(),
    };
    Ok(serde_json::to_writer_pretty(File::create(file)?, &comparison)?)
}

impl Machine {
    /// What the kernel says; nothing that it does not say.
    fn here() -> Self {
        let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
        let processors = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let model = processors.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
        let processor = model.map_or("", |(_, name)| name).to_owned();
        Self { kernel: kernel.trim().to_owned(), processor }
    }
}
