//! The servers of keys and values that are compared.

use std::process::Command;

use crate::Result;
use crate::process::server::{Program, Running};

pub(super) struct Server {
    pub(super) name: &'static str,
    kind: Kind,
}

enum Kind {
    /// Takes `--listen`, and says when it can be reached.
    Ours(Program),
    Redis,
}

impl Server {
    /// Those that there are.
    pub(super) fn all() -> Result<Vec<Server>> {
        let ours = |name, mode| -> Result<Server> {
            let program = Program::example("kv", &["--cores", "1", "--mode", mode])?;
            Ok(Server { name, kind: Kind::Ours(program) })
        };
        let mut all = vec![ours("chainring-chain", "chain")?, ours("chainring-await", "await")?];
        match Command::new(super::OTHER).arg("--version").output() {
            Ok(_) => all.push(Server { name: super::OTHER, kind: Kind::Redis }),
            Err(_) => eprintln!("{} is not installed, and left out", super::OTHER),
        }
        Ok(all)
    }

    /// Starts it on one core; with a `wrapper`, that program is started with the server as its arguments.
    pub(super) fn start(&self, core: usize, wrapper: Option<Command>) -> Result<Running> {
        match &self.kind {
            Kind::Ours(program) => program.start(core, wrapper),
            Kind::Redis => Running::of_configured(core, |address| {
                let mut command = match wrapper {
                    Some(mut wrapper) => {
                        wrapper.arg(super::OTHER);
                        wrapper
                    }
                    None => Command::new(super::OTHER),
                };
                // In memory, as ours is without `--dir`.
                command.args(["--save", "", "--appendonly", "no", "--bind", &address.ip().to_string()]);
                command.args(["--port", &address.port().to_string()]);
                Ok(command)
            }),
        }
    }
}
