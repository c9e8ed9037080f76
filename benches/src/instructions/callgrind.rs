//! Running a server under callgrind, and reading what it has counted.
//!
//! Valgrind does not know that io_uring_enter blocks: a process that waits in it gets no signal, and so would
//! never end and write its counts by itself. `vgdb` can interrupt it all the same, and has callgrind dump and
//! clear them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tempfile::TempDir;

use crate::Result;

/// The functions in which a server waits; each call of one is a turn of its loop.
const WAITS: &[&str] = &["syscall", "epoll_wait", "epoll_pwait"];

/// Proof that the tools are there.
pub(crate) struct Callgrind;

impl Callgrind {
    /// Looks for valgrind and vgdb.
    pub(crate) fn find() -> Result<Self> {
        for tool in ["valgrind", "vgdb"] {
            Command::new(tool).arg("--help").output().map_err(|error| {
                format!("counting instructions takes valgrind, but {tool} cannot be started: {error}")
            })?;
        }
        Ok(Self)
    }

    /// A place for the dumps of one server.
    pub(crate) fn session(&self) -> Result<Session> {
        Ok(Session { folder: TempDir::new()?, dumps: std::cell::Cell::new(0) })
    }
}

/// One server's dumps; the folder goes when this does.
pub(crate) struct Session {
    folder: TempDir,
    dumps: std::cell::Cell<u32>,
}

impl Session {
    /// The command that runs its arguments under callgrind.
    pub(crate) fn wrapper(&self) -> Command {
        let mut valgrind = Command::new("valgrind");
        valgrind.args(["--quiet", "--tool=callgrind", "--compress-strings=no", "--compress-pos=no"]);
        valgrind.arg(format!("--callgrind-out-file={}", self.file().display()));
        valgrind
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("counts")
    }

    /// Reads the counts since the last dump and clears them.
    pub(crate) fn dump(&self, pid: u32) -> Result<Counts> {
        let Output { status, stderr, .. } =
            Command::new("vgdb").arg(format!("--pid={pid}")).arg("dump").output()?;
        if !status.success() {
            return Err(
                format!("vgdb cannot dump the counts: {}", String::from_utf8_lossy(&stderr).trim()).into()
            );
        }
        self.dumps.set(self.dumps.get() + 1);
        Self::read(&self.file().with_extension(self.dumps.get().to_string()))
    }

    /// Reads what was counted in all, once the process has ended by itself.
    pub(super) fn end(self) -> Result<Counts> {
        Self::read(&self.file())
    }

    fn read(file: &Path) -> Result<Counts> {
        let bytes = std::fs::read(file).map_err(|error| format!("callgrind has dumped nothing: {error}"))?;
        Counts::parse(&String::from_utf8_lossy(&bytes))
    }
}

/// Where instructions were executed: a function or a line, with the file that its code comes from.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    pub(super) function: String,
    pub(super) file: String,
    pub(super) line: u64,
}

/// What callgrind has counted.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    /// All instructions.
    pub(super) total: u64,
    /// The turns of the loop.
    pub(super) turns: u64,
    /// The instructions of every place, without what it calls.
    pub(super) places: BTreeMap<Place, u64>,
}

impl Counts {
    /// Reads a dump in callgrind's format, written without compression.
    ///
    /// A dump is a sequence of `fl=`, `fi=` and `fe=` (file), `fn=` (function) and lines `LINE COUNT` that
    /// belong to them. `calls=N` says how often `cfn=` was called, and the line after it counts what happened
    /// there: that is the callee's.
    fn parse(text: &str) -> Result<Counts> {
        let mut counts = Counts::default();
        let (mut function, mut file, mut callee) = ("", "", "");
        let mut lines = text.lines();
        while let Some(line) = lines.next() {
            match line.split_once('=') {
                Some(("fn", name)) => function = name,
                Some(("fl" | "fi" | "fe", name)) => file = name,
                Some(("cfn", name)) => callee = name,
                Some(("calls", rest)) => {
                    if WAITS.contains(&callee) {
                        counts.turns += number(rest.split(' ').next(), line)?;
                    }
                    lines.next();
                }
                None if line.starts_with(|first: char| first.is_ascii_digit()) => {
                    let mut fields = line.split(' ');
                    let at = number(fields.next(), line)?;
                    let count = number(fields.next(), line)?;
                    let place = Place { function: function.to_owned(), file: file.to_owned(), line: at };
                    *counts.places.entry(place).or_default() += count;
                }
                _ => {
                    if let Some(total) = line.strip_prefix("totals: ") {
                        counts.total = number(Some(total), line)?;
                    }
                }
            }
        }
        if counts.total == 0 { Err("callgrind has counted nothing".into()) } else { Ok(counts) }
    }

    /// Instructions of each of so many requests.
    pub(crate) fn per(&self, requests: u64) -> f64 {
        self.total as f64 / requests as f64
    }

    /// How many of so many requests a turn of the loop met; nothing if none was counted.
    pub(crate) fn per_turn(&self, requests: u64) -> Option<f64> {
        (self.turns > 0).then(|| requests as f64 / self.turns as f64)
    }

    /// These counts without those of the functions whose names contain `name`.
    pub(super) fn without(mut self, name: &str) -> Counts {
        let left_out = |place: &Place| place.function.contains(name);
        self.total -=
            self.places.iter().filter(|(place, _)| left_out(place)).map(|(_, count)| count).sum::<u64>();
        self.places.retain(|place, _| !left_out(place));
        self
    }

    /// What these counts have beyond others.
    pub(crate) fn minus(&self, other: &Counts) -> Counts {
        let left = |place, count: &u64| count.saturating_sub(other.places.get(place).copied().unwrap_or(0));
        Counts {
            total: self.total.saturating_sub(other.total),
            turns: self.turns.saturating_sub(other.turns),
            places: self.places.iter().map(|(place, count)| (place.clone(), left(place, count))).collect(),
        }
    }
}

fn number(field: Option<&str>, line: &str) -> Result<u64> {
    field
        .and_then(|field| field.parse().ok())
        .ok_or_else(|| format!("callgrind's line `{line}` is no count").into())
}

#[cfg(test)]
mod tests {
    use super::*;

    const DUMP: &str = "\
version: 1
creator: callgrind-3.19.0
positions: line
events: Ir
summary: 60

ob=/server
fl=loop.rs
fn=turn
10 5
11 7
fi=ring.rs
30 2
fe=loop.rs
cob=/libc.so
cfl=syscall.S
cfn=syscall
calls=3 30
12 36
12 4

fl=syscall.S
fn=syscall
30 6
totals: 60
";

    fn place(function: &str, file: &str, line: u64) -> Place {
        Place { function: function.to_owned(), file: file.to_owned(), line }
    }

    #[test]
    fn calls_count_for_the_callee_alone() {
        let counts = Counts::parse(DUMP).unwrap();
        assert_eq!((counts.total, counts.turns), (60, 3));
        let expected = [
            (place("syscall", "syscall.S", 30), 6),
            (place("turn", "loop.rs", 10), 5),
            (place("turn", "loop.rs", 11), 7),
            (place("turn", "loop.rs", 12), 4),
            (place("turn", "ring.rs", 30), 2),
        ];
        assert_eq!(counts.places, BTreeMap::from(expected));
    }

    #[test]
    fn a_difference_is_taken_place_by_place() {
        let (more, less) =
            (Counts::parse(DUMP).unwrap(), Counts::parse("fl=loop.rs\nfn=turn\n10 2\ntotals: 2").unwrap());
        let difference = more.minus(&less);
        assert_eq!((difference.total, difference.turns), (58, 3));
        assert_eq!(difference.places[&place("turn", "loop.rs", 10)], 3);
        assert_eq!(difference.places[&place("turn", "loop.rs", 11)], 7);
    }

    #[test]
    fn a_function_that_is_left_out_counts_nowhere() {
        let counts = Counts::parse(DUMP).unwrap().without("sysc");
        assert_eq!((counts.total, counts.turns, counts.places.len()), (54, 3, 4));
    }

    #[test]
    fn an_empty_dump_is_an_error() {
        assert!(Counts::parse("version: 1\n").is_err());
    }
}
