//! A job as a child process.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::load::{Extent, Shape};
use super::{examples, own_program};
use crate::Result;
use crate::competitor::{Competitor, Part};
use crate::load::Report;
use crate::workload::Workload;

/// One competitor's way to do a job.
#[derive(Debug)]
pub(crate) struct Program {
    competitor: &'static str,
    dir: PathBuf,
    pinned: bool,
    /// The example that it starts.
    program: Option<PathBuf>,
    starts_programs: bool,
}

impl Program {
    pub(super) fn new(competitor: &Competitor, workload: &Workload, dir: &Path) -> Result<Self> {
        let pinned = workload.job()?.pinned;
        let starts_programs = matches!(competitor.part(workload)?, Part::WorkWith(..));
        let program = competitor.part(workload)?.example().map(examples::build).transpose()?;
        Ok(Self { competitor: competitor.name, dir: dir.to_owned(), pinned, program, starts_programs })
    }

    /// Whether each piece of work is a program of its own.
    pub(crate) fn starts_programs(&self) -> bool {
        self.starts_programs
    }

    /// Does it once; with a `wrapper`, that program is started with the job as its arguments. `core` is where it runs if
    /// it has to make do with one.
    pub(crate) fn run(
        &self,
        shape: &Shape,
        extent: Extent,
        wrapper: Option<Command>,
        core: usize,
    ) -> Result<Report> {
        let own = own_program()?;
        let mut command = match wrapper {
            Some(mut wrapper) => {
                wrapper.arg(own);
                wrapper
            }
            None => Command::new(own),
        };
        command.args(["work", self.competitor, "--dir"]).arg(&self.dir).args(shape.options(extent));
        if let Some(program) = &self.program {
            command.arg("--program").arg(program);
        }
        super::report(command, self.pinned.then_some(core))
    }
}
