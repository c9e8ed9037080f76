//! The passes that count. Their failure says nothing about a competitor, and becomes a note.

use super::pace::Limit;
use crate::Result;
use crate::instructions::{self, Callgrind};
use crate::process::load::Shape;
use crate::process::subject::{Cores, Subject};
use crate::progress::Progress;
use crate::report::{Case, Row};
use crate::stats::Spread;
use crate::workload::Kind;

/// Requests of the pass that counts system calls.
const CALLS: u64 = 20_000;

/// Requests by which the two loads differ that are counted by callgrind.
const INSTRUCTIONS: u64 = 10_000;

/// Bytes of all replies of a pass, if they are large.
const BYTES: u64 = 256 << 20;

/// Counts system calls and instructions of all that have not failed.
pub(super) fn all(
    case: &mut Case,
    subjects: &[Result<Subject>],
    shape: &Shape,
    cores: Cores,
    limit: Limit,
    progress: &Progress,
) {
    let callgrind = Callgrind::find();
    progress.stage(&format!("{}: counting", case.title));
    for (row, subject) in case.competitors.iter_mut().zip(subjects) {
        progress.step(format!("{}: counting system calls, {}", case.title, row.name));
        let Ok(subject) = subject else { continue };
        if limit.is_over() {
            row.notes.push(format!("{}: nothing counted, the time was up", row.name));
            continue;
        }
        match subject.system_calls(shape, requests(shape, CALLS), cores) {
            Ok(calls) => row.system_calls_per_request = Some(calls),
            Err(error) => row.notes.push(format!("system calls not counted: {error}")),
        }
        progress.step(format!("{}: counting instructions, {}", case.title, row.name));
        let counted = callgrind.as_ref().map_err(ToString::to_string).and_then(|callgrind| {
            instructions(row, subject, callgrind, shape, cores)
                .map_err(|error| format!("{}: {error}", row.name))
        });
        if let Err(error) = counted {
            row.notes.push(format!("instructions not counted: {error}"));
        }
    }
}

fn instructions(
    row: &mut Row,
    subject: &Subject,
    callgrind: &Callgrind,
    shape: &Shape,
    cores: Cores,
) -> Result<()> {
    let requests = requests(shape, INSTRUCTIONS);
    let counts = instructions::count(subject, callgrind, shape, requests, cores)?;
    row.instructions_per_request = Spread::of([counts.per(requests)]);
    row.requests_per_turn = counts.per_turn(requests);
    Ok(())
}

/// At least a few for each connection.
fn requests(shape: &Shape, served: u64) -> u64 {
    let many = u64::from(shape.connections) * u64::from(shape.pipeline);
    match shape.workload.kind {
        Kind::Served(_) => served.min(BYTES / shape.size.max(1) as u64).max(4 * many),
        Kind::Alone(ref job) => job.counted.max(4 * many),
    }
}
