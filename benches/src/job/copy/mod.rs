//! A folder of files is copied, again and again, over the copy that is there.

pub(crate) mod blocking;
pub(crate) mod programs;
pub(crate) mod tokio;

use std::fs;
use std::path::{Path, PathBuf};

use super::{Job, Work, Worker};
use crate::Result;
use crate::workload::{Kind, Workload};

pub(crate) static COPY: Workload = Workload {
    name: "copy",
    about: "a folder of 64 files, 16 MiB together, is copied: by a program each time, or within one",
    connections: 1,
    size: 0,
    kind: Kind::Alone(Job { prepare, check, pinned: false, counted: 5 }),
};

/// Files, and bytes of each: so much that a program's start does not count.
const FILES: usize = 64;
const LEN: usize = 256 << 10;

/// What is copied, and where to for one of the workers.
fn source(dir: &Path) -> PathBuf {
    dir.join("source")
}

fn target(dir: &Path, worker: usize) -> PathBuf {
    dir.join(format!("copy-{worker}"))
}

/// What is copied, and where to, file by file; the folder is made.
fn pairs(dir: &Path, worker: usize) -> std::io::Result<Vec<(PathBuf, PathBuf)>> {
    let (source, target) = (source(dir), target(dir, worker));
    fs::create_dir_all(&target)?;
    let files = (0..FILES).map(|index| index.to_string());
    Ok(files.map(|name| (source.join(&name), target.join(&name))).collect())
}

fn prepare(dir: &Path) -> Result<()> {
    let source = source(dir);
    fs::create_dir(&source)?;
    for index in 0..FILES {
        let bytes: Vec<u8> = (0..LEN).map(|at| (at / 251 + at + index) as u8).collect();
        fs::write(source.join(index.to_string()), bytes)?;
    }
    Ok(())
}

/// Every copy is like its original.
fn check(work: &Work, workers: &[Worker]) -> Result<()> {
    for worker in workers.iter().filter(|worker| worker.done > 0) {
        for (original, copy) in pairs(&work.dir, worker.index)? {
            if fs::read(&original)? != fs::read(&copy)? {
                return Err(format!("{} is not like {}", copy.display(), original.display()).into());
            }
        }
        // The next competitor begins with nothing, too.
        fs::remove_dir_all(target(&work.dir, worker.index))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_that_differs_is_noticed() {
        let dir = tempfile::tempdir().unwrap();
        prepare(dir.path()).unwrap();
        let work = Work::of_pieces(dir.path(), 1, 0, 1);
        let mut workers = blocking::run(&work).unwrap();
        assert_eq!(workers[0].done, 1);
        let changed = target(dir.path(), 0).join("7");
        let mut bytes = fs::read(&changed).unwrap();
        bytes[LEN - 1] ^= 1;
        fs::write(&changed, bytes).unwrap();
        let noticed = check(&work, &workers).unwrap_err().to_string();
        assert!(noticed.contains("7 is not like"), "{noticed}");
        workers[0].done = 0;
        assert!(check(&work, &workers).is_ok());
    }
}
