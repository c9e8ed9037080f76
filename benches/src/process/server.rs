//! A competitor's server as a child process.

use std::ffi::OsString;
use std::io::{BufRead as _, BufReader};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{ChildStdout, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use super::child::Guarded;
use super::subject::Cores;
use super::{examples, own_program};
use crate::Result;
use crate::competitor::{self, Around, Competitor, Installed, Part};
use crate::sys::cpu_clock::CpuClock;
use crate::workload::Workload;

/// The line with which every server says that it can be reached.
const READY: &str = "listening on ";

/// How long a server may take until it can be reached; under callgrind everything takes long.
const START: Duration = Duration::from_secs(30);

/// A server that has been built and can be started as often as needed.
#[derive(Debug, Clone)]
pub(crate) struct Program {
    path: PathBuf,
    /// `{dir}` and `{behind}` in them stand for what is around it.
    arguments: Vec<String>,
    /// How it is told its address, and says that it can be reached.
    manners: Manners,
    /// What was prepared for it, and what it may write.
    dir: PathBuf,
    /// The server behind it, which has the load's core.
    behind: Option<Box<Program>>,
}

#[derive(Debug, Clone, Copy)]
enum Manners {
    /// Takes `--listen`, and prints a line when it is ready.
    Ours,
    /// Takes what is said here, and is ready when it can be connected to.
    Others(&'static Installed),
}

/// A server that can be reached.
pub(crate) struct Running {
    process: Guarded,
    pub(crate) address: SocketAddr,
    behind: Option<Box<Running>>,
}

impl Program {
    /// The server of a competitor, built if that is necessary, with the directory that was prepared.
    pub(crate) fn prepare(competitor: &Competitor, workload: &Workload, dir: &Path) -> Result<Program> {
        let strings = |arguments: &[&str]| arguments.iter().map(|&text| text.to_owned()).collect::<Vec<_>>();
        let own =
            || strings(&["serve", competitor.name, "--workload", workload.served_as(), "--dir", "{dir}"]);
        let (path, arguments, manners) = match competitor.part(workload)? {
            Part::Serve(_) => (own_program()?, own(), Manners::Ours),
            Part::ServeWith(_) => {
                let mut arguments = own();
                if workload.protocol()?.behind.is_some() {
                    arguments.extend(strings(&["--behind", "{behind}"]));
                }
                (own_program()?, arguments, Manners::Ours)
            }
            Part::Example(example) => (examples::build(example)?, strings(&["--cores", "1"]), Manners::Ours),
            Part::ExampleWith(example, further) => {
                let arguments = strings(&[&["--cores", "1"], further].concat());
                (examples::build(example)?, arguments, Manners::Ours)
            }
            Part::Installed(installed) => (installed.program.into(), Vec::new(), Manners::Others(installed)),
            Part::Work(_) | Part::WorkWith(..) => {
                return Err(format!("{} is a job, not a server", workload.name).into());
            }
        };
        let behind =
            workload.protocol()?.behind.map(|behind| Program::prepare(competitor::BEHIND, behind, dir));
        let behind = behind.transpose()?.map(Box::new);
        Ok(Program { path, arguments, manners, dir: dir.to_owned(), behind })
    }

    /// Starts it on the servers' core; with a `wrapper`, that program is started with the server as its arguments.
    pub(crate) fn start(&self, cores: Cores, wrapper: Option<Command>) -> Result<Running> {
        let behind = self
            .behind
            .as_ref()
            .map(|behind| behind.start(Cores { server: cores.load, ..cores }, None).map(Box::new));
        let behind = behind.transpose()?;
        let around = Around { dir: self.dir.clone(), behind: behind.as_ref().map(|behind| behind.address) };
        let address = vacant_address()?;
        let mut command = match wrapper {
            Some(mut wrapper) => {
                wrapper.arg(&self.path);
                wrapper
            }
            None => Command::new(&self.path),
        };
        command.stdin(Stdio::null());
        let process = match self.manners {
            Manners::Ours => {
                command.args(self.arguments.iter().map(|argument| around.told(argument)));
                command.arg("--listen").arg(address.to_string());
                ours(command, cores.server)?
            }
            Manners::Others(installed) => {
                command.args((installed.configure)(address, &around)?);
                others(command, cores.server, address)?
            }
        };
        Ok(Running { process, address, behind })
    }
}

impl Around {
    /// An argument with what it stands for.
    fn told(&self, argument: &str) -> OsString {
        match (argument, self.behind) {
            ("{dir}", _) => self.dir.clone().into(),
            ("{behind}", Some(behind)) => behind.to_string().into(),
            (text, _) => text.into(),
        }
    }
}

/// A server that says when it is ready.
fn ours(mut command: Command, core: usize) -> Result<Guarded> {
    command.stdout(Stdio::piped());
    let mut process = Guarded::spawn(command, Some(core))?;
    let out = process.child.stdout.take().expect("the output is piped");
    if ready(out) {
        return Ok(process);
    }
    let why = match process.wait(Duration::from_millis(100))? {
        Some(status) => format!("the server has ended ({status})"),
        None => "the server does not say that it is ready".to_owned(),
    };
    Err(format!("{why}: {}", process.complaint()).into())
}

/// A server that can be connected to when it is ready.
fn others(mut command: Command, core: usize, address: SocketAddr) -> Result<Guarded> {
    command.stdout(Stdio::null());
    let mut process = Guarded::spawn(command, Some(core))?;
    let begin = Instant::now();
    while TcpStream::connect(address).is_err() {
        if begin.elapsed() > START || process.wait(Duration::from_millis(5))?.is_some() {
            return Err(format!("the server cannot be reached: {}", process.complaint()).into());
        }
    }
    Ok(process)
}

impl Running {
    /// The process that runs it.
    pub(crate) fn pid(&self) -> u32 {
        self.process.child.id()
    }

    /// The CPU clock of the server behind it.
    pub(super) fn behind(&self) -> Result<Option<CpuClock>> {
        Ok(self.behind.as_ref().map(|behind| CpuClock::of(behind.pid())).transpose()?)
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
