//! What came of a step, in words that can be compared, and of all of them: the tree.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};

use crate::attributes;

/// What came of it.
pub(crate) type Outcome = Result<String, String>;

pub(crate) fn outcome<T: std::fmt::Debug>(result: io::Result<T>) -> Outcome {
    result.map(|value| format!("{value:?}")).map_err(|error| match error.raw_os_error() {
        // The standard library refuses some numbers and options in words of its own.
        None if error.kind() == io::ErrorKind::InvalidInput => format!("errno {}", libc::EINVAL),
        Some(errno) => format!("errno {errno}"),
        None => format!("{:?}", error.kind()),
    })
}

pub(crate) fn bytes(len: usize) -> Vec<u8> {
    (0..len).map(|i| (i * 7 + len) as u8).collect()
}

/// A word for many bytes.
pub(crate) fn digest(bytes: &[u8]) -> String {
    let sum = bytes.iter().fold(7u64, |sum, byte| sum.wrapping_mul(31).wrapping_add((*byte).into()));
    format!("{} bytes {sum:x}", bytes.len())
}

/// Names that come in no order.
pub(crate) fn sorted(mut names: Vec<OsString>) -> Vec<OsString> {
    names.sort();
    names
}

/// Metadata, as far as two directories can agree on it. How long a directory is depends on its past.
pub(crate) fn shape(len: u64, mode: u32, nlink: u64) -> String {
    let len = if mode & libc::S_IFMT == libc::S_IFDIR { 0 } else { len };
    format!("{len} {mode:o} {nlink}")
}

/// The part of an absolute path inside of the tree of the round, which the directory is three levels deep in.
pub(crate) fn inside(dir: &Path, path: PathBuf) -> PathBuf {
    let dir = dir.canonicalize().unwrap();
    path.strip_prefix(dir.ancestors().nth(3).unwrap()).map(Path::to_owned).unwrap_or(path)
}

/// Everything in a directory: names, kinds, permissions, contents, links.
pub(crate) fn tree(dir: &Path) -> BTreeMap<PathBuf, String> {
    let mut found = BTreeMap::new();
    let mut todo = vec![dir.to_owned()];
    while let Some(next) = todo.pop() {
        for entry in std::fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            let metadata = path.symlink_metadata().unwrap();
            let content = if metadata.is_dir() {
                todo.push(path.clone());
                String::new()
            } else if metadata.is_symlink() {
                format!("{:?}", std::fs::read_link(&path).unwrap())
            } else {
                format!("{} {} {:?}", metadata.len(), metadata.nlink(), sparse(&path))
            };
            let attributes =
                if metadata.is_symlink() { Ok(Vec::new()) } else { attributes::list(&path).map(sorted) };
            let shape = format!("{:o} {content} {attributes:?}", metadata.mode());
            found.insert(path.strip_prefix(dir).unwrap().to_owned(), shape);
        }
    }
    found
}

/// The contents, without the zeros of holes.
fn sparse(path: &Path) -> Vec<(u64, String)> {
    let mut bytes = vec![0; 1 << 16];
    // Root may read whatever the permissions are.
    let Ok(file) = std::fs::File::open(path) else { return Vec::new() };
    let len = file.metadata().unwrap().len();
    // Past 4 GiB only what was written there matters: look at the ends.
    let spots = (0..len.min(1 << 20)).step_by(1 << 16).chain([len.saturating_sub(1 << 16), (4 << 30) - 10]);
    spots
        .filter_map(|at| {
            let n = file.read_at(&mut bytes, at).unwrap();
            bytes[..n].iter().any(|byte| *byte != 0).then(|| (at, digest(&bytes[..n])))
        })
        .collect()
}
