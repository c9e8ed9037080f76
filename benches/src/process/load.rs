//! The load generator as a child process, and the shape of what is run.

use std::net::SocketAddr;
use std::process::Command;
use std::time::Duration;

use super::own_program;
use crate::Result;
use crate::load::Report;
use crate::workload::{Kind, Workload};

/// The shape of a load or a job, the same for every competitor.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Shape {
    pub(crate) workload: &'static Workload,
    /// Connections; of a job, the pieces of work in flight.
    pub(crate) connections: u32,
    pub(crate) size: usize,
    pub(crate) pipeline: u32,
}

/// How long it lasts.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Extent {
    Requests(u64),
    Time { warm_up: Duration, measured: Duration },
}

impl Shape {
    /// A workload as it is unless something else is asked for.
    pub(crate) fn of(workload: &'static Workload) -> Self {
        Self { workload, connections: workload.connections, size: workload.size, pipeline: 1 }
    }

    /// In words.
    pub(crate) fn title(&self) -> String {
        let Self { workload, connections, size, pipeline } = self;
        let many = match workload.kind {
            Kind::Served(_) if *connections == 1 => "connection",
            Kind::Served(_) => "connections",
            Kind::Alone(_) => "in flight",
        };
        let bytes = if workload.size > 0 { format!(", {size} bytes") } else { String::new() };
        let deep = if *pipeline > 1 { format!(", {pipeline} requests deep") } else { String::new() };
        format!("{}: {connections} {many}{bytes}{deep}", workload.name)
    }

    /// The options of the load generator and of a job for one run.
    pub(super) fn options(&self, extent: Extent) -> Vec<String> {
        let mut arguments = Vec::new();
        let mut option = |name: &str, value: String| arguments.extend([name.to_owned(), value]);
        option("--workload", self.workload.name.to_owned());
        option("--connections", self.connections.to_string());
        option("--size", self.size.to_string());
        match extent {
            Extent::Requests(requests) => option("--requests", requests.to_string()),
            Extent::Time { warm_up, measured } => {
                option("--warm-up", warm_up.as_secs_f64().to_string());
                option("--seconds", measured.as_secs_f64().to_string());
            }
        }
        arguments
    }

    /// Runs it on one core against the server at `target`, and watches the CPU time of process `watch`.
    pub(crate) fn run(
        &self,
        target: SocketAddr,
        extent: Extent,
        core: usize,
        watch: Option<u32>,
    ) -> Result<Report> {
        let mut command = Command::new(own_program()?);
        self.complete(&mut command, target, extent);
        if let Some(pid) = watch {
            command.arg("--watch").arg(pid.to_string());
        }
        loaded(command, core)
    }

    /// Runs it under `wrapper`, a program that takes another as its arguments.
    pub(crate) fn run_under(
        &self,
        mut wrapper: Command,
        target: SocketAddr,
        extent: Extent,
        core: usize,
    ) -> Result<Report> {
        wrapper.arg(own_program()?);
        self.complete(&mut wrapper, target, extent);
        loaded(wrapper, core)
    }

    fn complete(&self, command: &mut Command, target: SocketAddr, extent: Extent) {
        command.arg("load").arg(target.to_string()).args(self.options(extent));
        command.arg("--pipeline").arg(self.pipeline.to_string());
    }
}

fn loaded(command: Command, core: usize) -> Result<Report> {
    super::report(command, Some(core)).map_err(|error| format!("the load has failed: {error}").into())
}
