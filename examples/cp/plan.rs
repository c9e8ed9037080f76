//! What goes where, from the arguments.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};

/// A file or tree, and what its copy is called.
pub(crate) struct Pair {
    pub(crate) source: PathBuf,
    pub(crate) target: PathBuf,
}

/// # Errors
/// Words about the argument that makes no sense.
pub(crate) fn pairs(paths: &[PathBuf]) -> Result<Vec<Pair>, String> {
    let (last, sources) = paths.split_last().expect("there are at least two");
    let into = last.is_dir();
    if !into && sources.len() > 1 {
        return Err(format!("{}: is not a directory, but several files are to go there", last.display()));
    }
    let mut targets = HashSet::new();
    let mut pairs = Vec::new();
    for source in sources {
        let target = match own_name(source) {
            Some(name) if into => last.join(name),
            // Of a path that ends with `.` or `..`, the contents of that directory.
            _ => last.clone(),
        };
        if own_name(source).is_some() && !targets.insert(target.clone()) {
            return Err(format!("{}: another source is copied there", target.display()));
        }
        if source.is_dir() && !source.is_symlink() && is_inside(&target, source).unwrap_or(false) {
            return Err(format!("{}: cannot be copied into itself", source.display()));
        }
        pairs.push(Pair { source: source.clone(), target });
    }
    Ok(pairs)
}

/// The last component, unless it is `.` or `..`.
fn own_name(path: &Path) -> Option<&OsStr> {
    // Which the standard library leaves out.
    let dot = path.as_os_str().as_encoded_bytes().ends_with(b"/.");
    path.file_name().filter(|_| !dot)
}

/// Whether a path, of which the last component may not exist yet, is a directory or lies beneath it.
fn is_inside(path: &Path, directory: &Path) -> io::Result<bool> {
    let directory = directory.canonicalize()?;
    let path = match path.canonicalize() {
        Ok(path) => path,
        Err(_) => match path.parent() {
            Some(parent) if parent != Path::new("") => parent.canonicalize()?,
            _ => std::env::current_dir()?.canonicalize()?,
        },
    };
    Ok(path.starts_with(directory))
}
