//! A competitor's server as a child process.

use std::io::{BufRead as _, BufReader};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{ChildStdout, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use super::child::Guarded;
use super::{examples, own_program};
use crate::Result;
use crate::competitor::{Competitor, Part};
use crate::workload::Workload;

/// The line with which every server says that it can be reached.
const READY: &str = "listening on ";

/// How long a server may take until it can be reached; under callgrind everything takes long.
const START: Duration = Duration::from_secs(30);

/// A server that has been built and can be started as often as needed.
#[derive(Debug, Clone)]
pub(crate) struct Program {
    path: PathBuf,
    arguments: Vec<String>,
}

/// A server that can be reached.
pub(crate) struct Running {
    process: Guarded,
    pub(crate) address: SocketAddr,
}

impl Program {
    /// An example of the root package with these arguments, built if that is necessary.
    pub(crate) fn example(name: &str, arguments: &[&str]) -> Result<Program> {
        let arguments = arguments.iter().map(|&argument| argument.to_owned()).collect();
        Ok(Program { path: examples::build(name)?, arguments })
    }

    /// This program itself with these arguments.
    pub(crate) fn own(arguments: &[&str]) -> Result<Program> {
        let arguments = arguments.iter().map(|&argument| argument.to_owned()).collect();
        Ok(Program { path: own_program()?, arguments })
    }

    /// Builds the server of a competitor if that is necessary.
    pub(crate) fn prepare(competitor: &Competitor, workload: &Workload) -> Result<Program> {
        match competitor.part(workload)? {
            Part::Serve(_) => Program::own(&["serve", competitor.name, "--workload", workload.served_as()]),
            Part::Example(example) => Program::example(example, &["--cores", "1"]),
            Part::Work(_) => Err(format!("{} is a job, not a server", workload.name).into()),
        }
    }

    /// Starts it on one core; with a `wrapper`, that program is started with the server as its arguments.
    pub(crate) fn start(&self, core: usize, wrapper: Option<Command>) -> Result<Running> {
        let address = vacant_address()?;
        let mut command = match wrapper {
            Some(mut wrapper) => {
                wrapper.arg(&self.path);
                wrapper
            }
            None => Command::new(&self.path),
        };
        command.args(&self.arguments).arg("--listen").arg(address.to_string());
        command.stdin(Stdio::null()).stdout(Stdio::piped());
        let mut process = Guarded::spawn(command, Some(core))?;
        let out = process.child.stdout.take().expect("the output is piped");
        if !ready(out) {
            let why = match process.wait(Duration::from_millis(100))? {
                Some(status) => format!("the server has ended ({status})"),
                None => "the server does not say that it is ready".to_owned(),
            };
            return Err(format!("{why}: {}", process.complaint()).into());
        }
        Ok(Running { process, address })
    }
}

impl Running {
    /// Starts a server of others on one core: one that is told its address by `command`, and that can be reached when
    /// it can be connected to.
    pub(crate) fn of_configured(
        core: usize,
        command: impl FnOnce(SocketAddr) -> Result<Command>,
    ) -> Result<Running> {
        let address = vacant_address()?;
        let mut command = command(address)?;
        command.stdin(Stdio::null()).stdout(Stdio::null());
        let mut process = Guarded::spawn(command, Some(core))?;
        let begin = Instant::now();
        while TcpStream::connect(address).is_err() {
            if begin.elapsed() > START || process.wait(Duration::from_millis(5))?.is_some() {
                return Err(format!("the server cannot be reached: {}", process.complaint()).into());
            }
        }
        Ok(Running { process, address })
    }

    /// The process that runs it.
    pub(crate) fn pid(&self) -> u32 {
        self.process.child.id()
    }

    /// Ends it.
    pub(crate) fn stop(mut self) -> Result<()> {
        Ok(self.process.terminate()?)
    }

    /// Ends it without asking.
    pub(crate) fn kill(self) {
        drop(self.process);
    }

    /// Adds to an error what the server has said about it.
    pub(crate) fn explain(mut self, error: crate::Error) -> crate::Error {
        let end = match self.process.wait(Duration::from_millis(100)) {
            Ok(Some(status)) => format!("; the server has ended ({status})"),
            _ => String::new(),
        };
        format!("{error}{end}; the server: {}", self.process.complaint()).into()
    }
}

/// Waits for the ready line; what comes after it is read and dropped, so that the server never blocks or
/// breaks on its output.
fn ready(out: ChildStdout) -> bool {
    let (tell, told) = mpsc::channel();
    std::thread::spawn(move || {
        for line in BufReader::new(out).lines() {
            let Ok(line) = line else { break };
            if line.starts_with(READY) {
                let _ = tell.send(());
            }
        }
    });
    told.recv_timeout(START).is_ok()
}

/// An address of this machine on which nobody listens.
fn vacant_address() -> Result<SocketAddr> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    Ok(listener.local_addr()?)
}
