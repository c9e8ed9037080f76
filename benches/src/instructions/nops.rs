//! What an operation costs that does nothing: processes that await nops and end, so that callgrind writes by itself.
//!
//! Two runs differ in nothing but the number of nops.

use super::callgrind::{Callgrind, Counts};
use super::{Options, Row, print_profiles, table};
use crate::Result;
use crate::nops;
use crate::process::own_program;
use crate::progress::Progress;

/// What the command line calls it.
pub(super) const WORKLOAD: &str = "nop";

/// Nops of the shorter run, a task.
const BASE: u64 = 200;

pub(super) fn run(options: &Options) -> Result<()> {
    let callgrind = Callgrind::find()?;
    let mut rows: Vec<_> = nops::select(&options.only)?.into_iter().map(Row::new).collect();
    let each = options.requests / u64::from(options.connections);
    let progress = Progress::new(rows.len() as u64 * u64::from(options.runs));
    for run in 1..=options.runs {
        for row in &mut rows {
            progress.step(format!("run {run} of {}: {}", options.runs, row.name));
            row.run(|| {
                let less = count(row.name, &callgrind, options, BASE)?;
                Ok(count(row.name, &callgrind, options, BASE + each)?.minus(&less))
            });
        }
    }
    progress.finish();
    let title = format!("{WORKLOAD}, {} in flight", options.connections);
    let nops = each * u64::from(options.connections);
    println!("{}", table::render(&title, &rows, nops::ALL[0].0, WORKLOAD, nops));
    print_profiles(&rows, options, nops);
    Ok(())
}

/// Counts a whole process.
fn count(name: &str, callgrind: &Callgrind, options: &Options, each: u64) -> Result<Counts> {
    let session = callgrind.session()?;
    let mut command = session.wrapper();
    command.arg(own_program()?).args(["nops", name]);
    command.args(["--tasks", &options.connections.to_string(), "--each", &each.to_string()]);
    let output = command.output()?;
    if !output.status.success() {
        return Err(format!("it has failed: {}", String::from_utf8_lossy(&output.stderr).trim()).into());
    }
    session.ended()
}
