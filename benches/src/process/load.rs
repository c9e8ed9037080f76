//! The load generator as a child process.

use std::net::SocketAddr;
use std::process::{Command, Stdio};
use std::time::Duration;

use super::child::Guarded;
use super::own_program;
use crate::Result;
use crate::load::Report;
use crate::workload::Workload;

/// The shape of a load, the same for every competitor.
#[derive(Debug, Clone)]
pub(crate) struct Shape {
    pub(crate) workload: &'static Workload,
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
    /// The arguments of the load generator for one run against a server.
    fn arguments(&self, target: SocketAddr, extent: Extent) -> Vec<String> {
        let mut arguments = vec!["load".to_owned(), target.to_string()];
        let mut option = |name: &str, value: String| arguments.extend([name.to_owned(), value]);
        option("--workload", self.workload.name.to_owned());
        option("--connections", self.connections.to_string());
        option("--size", self.size.to_string());
        option("--pipeline", self.pipeline.to_string());
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
        command.args(self.arguments(target, extent));
        if let Some(pid) = watch {
            command.arg("--watch").arg(pid.to_string());
        }
        self.finish(command, core)
    }

    /// Runs it under `wrapper`, a program that takes another as its arguments.
    pub(crate) fn run_under(
        &self,
        mut wrapper: Command,
        target: SocketAddr,
        extent: Extent,
        core: usize,
    ) -> Result<Report> {
        wrapper.arg(own_program()?).args(self.arguments(target, extent));
        self.finish(wrapper, core)
    }

    fn finish(&self, mut command: Command, core: usize) -> Result<Report> {
        command.stdin(Stdio::null()).stdout(Stdio::piped());
        let mut process = Guarded::spawn(command, core)?;
        let out = process.child.stdout.take().expect("the output is piped");
        let report = std::io::read_to_string(out)?;
        let status = process.child.wait()?;
        if !status.success() {
            return Err(format!("the load has failed: {}", process.complaint()).into());
        }
        Ok(serde_json::from_str(&report)?)
    }
}
