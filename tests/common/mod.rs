//! Starting the example programs, and the programs of others that talk to them.

#![allow(dead_code, reason = "each test binary uses its part")]

pub(crate) mod resp;
pub(crate) mod site;

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Output, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};

/// A running example; it is killed at the end.
pub(crate) struct Server {
    child: Child,
    /// What it prints after its first line.
    output: BufReader<ChildStdout>,
    pub(crate) address: SocketAddr,
}

impl Server {
    /// Starts an example on a port that it chooses, and waits until it listens.
    pub(crate) fn start(example: &str, arguments: &[&str]) -> Server {
        Server::start_by(Command::new(program(example)), example, arguments)
    }

    /// The same with all files limited to as many blocks of 512 bytes: writing beyond that fails.
    pub(crate) fn start_limited(example: &str, arguments: &[&str], blocks: u32) -> Server {
        Server::start_behind(&format!("trap '' XFSZ; ulimit -f {blocks}"), example, arguments)
    }

    /// The same with as many descriptors at most.
    pub(crate) fn start_with_descriptors(example: &str, arguments: &[&str], descriptors: u32) -> Server {
        Server::start_behind(&format!("ulimit -n {descriptors}"), example, arguments)
    }

    fn start_behind(preparation: &str, example: &str, arguments: &[&str]) -> Server {
        let mut shell = Command::new("sh");
        shell.arg("-c").arg(format!("{preparation}; exec \"$@\"")).arg("sh").arg(program(example));
        Server::start_by(shell, example, arguments)
    }

    fn start_by(mut command: Command, example: &str, arguments: &[&str]) -> Server {
        let mut child = command
            .args(["--listen", "127.0.0.1:0"])
            .args(arguments)
            .stdout(Stdio::piped())
            .spawn()
            .expect("the example starts");
        let mut line = String::new();
        let mut output = BufReader::new(child.stdout.take().unwrap());
        output.read_line(&mut line).unwrap();
        let address = line.strip_prefix("listening on ").and_then(|rest| rest.split(',').next());
        let address = address.and_then(|address| address.parse().ok());
        Server { child, output, address: address.unwrap_or_else(|| panic!("{example} says {line:?}")) }
    }

    /// The next line that it prints.
    pub(crate) fn line(&mut self) -> String {
        let mut line = String::new();
        assert!(self.output.read_line(&mut line).unwrap() > 0, "it has ended");
        line
    }

    /// Sends it a signal, by its short name.
    pub(crate) fn signal(&self, name: &str) {
        output(Command::new("kill").args([format!("-{name}"), self.child.id().to_string()]));
    }

    /// Its exit status, when it has ended.
    pub(crate) fn ended(&mut self) -> Option<i32> {
        self.child.wait().unwrap().code()
    }

    /// A number of /proc/PID/status: `Threads`, or KiB of memory.
    pub(crate) fn status(&self, name: &str) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).unwrap();
        line.trim().split(' ').next().unwrap().parse().unwrap()
    }

    /// Ends it at once, as SIGKILL does.
    pub(crate) fn kill(&self) {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args(["-KILL", &id]).status().unwrap().success());
        // A child that nobody has waited for is there until then, and its number with it.
        // Its other threads may end after the first, and until then its files are open, and locked.
        let (stat, threads) = (format!("/proc/{id}/stat"), format!("/proc/{id}/task"));
        while !std::fs::read_to_string(&stat).unwrap().contains(") Z")
            || std::fs::read_dir(&threads).unwrap().count() > 1
        {
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
    }

    /// The descriptors that it has open.
    pub(crate) fn descriptors(&self) -> usize {
        std::fs::read_dir(format!("/proc/{}/fd", self.child.id())).unwrap().count()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The example beside this test. It is built first: `cargo test --test` builds none, and one that is there may be old.
pub(crate) fn program(example: &str) -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let path = test.parent().and_then(|deps| deps.parent()).unwrap().join("examples").join(example);
    static BUILT: Mutex<Vec<String>> = Mutex::new(Vec::new());
    let mut built = BUILT.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    if !built.iter().any(|built| built == example) {
        let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        cargo.args(["build", "--quiet", "--example", example]).current_dir(env!("CARGO_MANIFEST_DIR"));
        if !cfg!(debug_assertions) {
            cargo.arg("--release");
        }
        assert!(cargo.status().unwrap().success(), "{example} does not build");
        built.push(example.to_owned());
    }
    path
}

/// Whether a program is there. Where all of them have to be (`CI=true`) it is an error if not.
pub(crate) fn have(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).any(|folder| folder.join(program).is_file());
    assert!(found || std::env::var("CI").as_deref() != Ok("true"), "{program} is not installed");
    if !found {
        eprintln!("skipped: {program} is not installed");
    }
    found
}

/// Runs a program and gives what it wrote.
pub(crate) fn output(command: &mut Command) -> String {
    let Output { status, stdout, stderr } = command.output().expect("the program starts");
    let (stdout, stderr) = (String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr));
    assert!(status.success(), "{command:?}: {status}\n{stdout}\n{stderr}");
    stdout.into_owned()
}

/// A directory that is gone at the end.
pub(crate) struct Temp(PathBuf);

impl Temp {
    pub(crate) fn new() -> Temp {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("chainring-{}-{number}", std::process::id()));
        std::fs::create_dir(&path).unwrap();
        Temp(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Temp {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
