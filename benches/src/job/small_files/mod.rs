//! Whole small files: open, read, close.

pub(crate) mod blocking;
pub(crate) mod chainring;
pub(crate) mod peers;
pub(crate) mod raw;
pub(crate) mod tokio;

use std::path::{Path, PathBuf};

use super::{Job, Work};
use crate::Result;
use crate::workload::{Kind, Workload};

pub(crate) static SMALL_FILES: Workload = Workload {
    name: "small-files",
    about: "open, read and close whole files of 1 to 4096 bytes, from page cache",
    connections: 64,
    size: 0,
    kind: Kind::Alone(Job { prepare, pinned: false, ..Job::PLAIN }),
};

/// So many, that they are not all in the fastest cache.
const COUNT: usize = 4096;

/// A file and its length. A reader is not told the length; it is for checking. The path is there from the beginning: to
/// make it is not part of the work.
type Known = (&'static Path, usize);

/// Every length once, in an order without rhyme.
fn files(dir: &Path) -> impl Iterator<Item = (PathBuf, usize)> {
    (0..COUNT).map(move |number| (dir.join(format!("file-{number}")), 1 + number * 2741 % 4096))
}

fn prepare(dir: &Path) -> Result<()> {
    for (path, len) in files(dir) {
        std::fs::write(path, vec![b'x'; len])?;
    }
    Ok(())
}

/// The files that one worker reads in turn: each its own part of them.
fn share(work: &Work, worker: usize) -> impl Iterator<Item = Known> + Clone + use<> {
    let files = files(&work.dir).skip(worker % COUNT).step_by(work.workers.min(COUNT));
    // Never freed: a round is a process of its own.
    let files: Vec<Known> = files.map(|(path, len)| (&*path.leak(), len)).collect();
    files.leak().iter().copied().cycle()
}

/// An error if a file was not read whole.
fn whole(read: usize, len: usize) -> Result<()> {
    if read == len { Ok(()) } else { Err(format!("{read} bytes of a file of {len}").into()) }
}
