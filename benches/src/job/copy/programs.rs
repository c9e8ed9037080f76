//! Programs that copy a folder, started for every piece.

use std::ffi::OsStr;
use std::process::{Command, Stdio};

use super::{pairs, source, target};
use crate::Result;
use crate::job::{Work, Worker};

/// The example `cp` of chainring.
pub(crate) fn example(work: &Work) -> Result<Vec<Worker>> {
    let program = work.program.as_ref().ok_or("the path of the example is not known")?;
    run(work, program.as_os_str(), &["--quiet"])
}

/// `cp`, as the system has it.
pub(crate) fn coreutils(work: &Work) -> Result<Vec<Worker>> {
    run(work, "cp".as_ref(), &["--recursive"])
}

fn run(work: &Work, program: &OsStr, options: &[&str]) -> Result<Vec<Worker>> {
    std::thread::scope(|scope| {
        let threads = work.workers().into_iter().map(|mut worker| {
            scope.spawn(move || {
                // The folder is made, and so copied into.
                pairs(&work.dir, worker.index)?;
                let into = target(&work.dir, worker.index);
                while worker.next() {
                    let mut command = Command::new(program);
                    command
                        .args(options)
                        .args(std::fs::read_dir(source(&work.dir))?.flatten().map(|entry| entry.path()));
                    let output = command.arg(&into).stdin(Stdio::null()).output()?;
                    if !output.status.success() {
                        return Err(String::from_utf8_lossy(&output.stderr).into());
                    }
                }
                Ok(worker)
            })
        });
        let threads: Vec<_> = threads.collect();
        threads.into_iter().map(|thread| thread.join().unwrap_or_else(|_| Err("panicked".into()))).collect()
    })
}
