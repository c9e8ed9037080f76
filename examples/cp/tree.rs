//! Walking what is to be copied: directories are made on the way, files are handed to tasks of their own, and what has to
//! wait for them is kept for the end: hard links, and the attributes of directories.

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::ffi::CString;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use chainring::fs::{self, File, FileType, Metadata};
use chainring::op::mkdir::mkdir;
use chainring::{JoinHandle, spawn};
use futures::StreamExt;
use futures::stream::FuturesUnordered;

use crate::plan::Pair;
use crate::{Job, attributes, file};

/// What was met so far.
#[derive(Default)]
struct Met {
    /// The copies of files that have several names, by device and number; none of one that has failed.
    first: RefCell<HashMap<(u64, u64), PathBuf>>,
    /// Other names of the same.
    links: RefCell<Vec<((u64, u64), Pair)>>,
    /// Directories, outer ones first.
    directories: RefCell<Vec<(Pair, Metadata)>>,
}

/// Copies everything. What goes wrong is reported.
pub(crate) async fn copy(job: &Rc<Job>, pairs: Vec<Pair>) {
    let met = Rc::new(Met::default());
    let mut tasks = FuturesUnordered::new();
    let parents: HashSet<PathBuf> = pairs.iter().map(|pair| parent(&pair.target)).collect();
    let mut rest: Vec<Pair> = pairs.into_iter().rev().collect();
    while let Some(pair) = rest.pop() {
        let step = match fs::symlink_metadata(&pair.source).await {
            Ok(metadata) if metadata.is_dir() => {
                directory(job, &met, pair, metadata, &mut rest, &mut tasks).await
            }
            Ok(metadata) => other(job, &met, pair, metadata.file_type(), &mut tasks).await,
            Err(error) => Err((pair.source, error)),
        };
        if let Err((path, error)) = step {
            job.report.error(&path, error);
        }
    }
    while tasks.next().await.is_some() {}
    let first = met.first.take();
    for (key, Pair { source, target }) in met.links.take() {
        let Some(first) = first.get(&key) else {
            job.report.error(&source, "is another name of a file that was not copied");
            continue;
        };
        match replace(&target, || fs::hard_link(first, &target)).await {
            Ok(()) => job.report.done(),
            Err(error) => job.report.error(&source, error),
        }
    }
    // Inner ones first: they would touch the times of the outer ones.
    for (Pair { source, target }, metadata) in met.directories.take().into_iter().rev() {
        match of_directory(job, &source, &target, &metadata).await {
            Ok(()) => job.report.done(),
            Err(error) => job.report.error(&source, error),
        }
    }
    // Names are their directory's: those of the tree itself are in one that was there before.
    for parent in parents.into_iter().filter(|_| job.args.sync) {
        if let Err(error) = sync(&parent).await {
            job.report.error(&parent, error);
        }
    }
}

/// The directory that has the name of a target.
fn parent(target: &Path) -> PathBuf {
    match target.parent() {
        Some(parent) if parent != Path::new("") => parent.to_owned(),
        Some(_) => ".".into(),
        None => "/".into(),
    }
}

async fn sync(directory: &Path) -> io::Result<()> {
    File::open(directory).await?.sync_all().await
}

type Tasks = FuturesUnordered<JoinHandle<()>>;
type Step = Result<(), (PathBuf, io::Error)>;

/// Makes a directory, and sees to what is in it. Directories in it are put on the pile.
async fn directory(
    job: &Rc<Job>,
    met: &Rc<Met>,
    pair: Pair,
    metadata: Metadata,
    rest: &mut Vec<Pair>,
    tasks: &mut Tasks,
) -> Step {
    let of = |path: &Path| {
        let path = path.to_owned();
        move |error| (path, error)
    };
    // Nobody else's before it has the permissions that it is to have.
    let path = CString::new(pair.target.as_os_str().as_bytes());
    let path = path.map_err(io::Error::from).map_err(of(&pair.target))?;
    match mkdir(None, path, 0o700).await {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            let old = fs::symlink_metadata(&pair.target).await.map_err(of(&pair.target))?;
            if !old.is_dir() {
                let error = io::Error::other("something that is not a directory is in its place");
                return Err((pair.target, error));
            }
        }
        made => made.map_err(of(&pair.target))?,
    }
    let mut entries = fs::read_dir(&pair.source).await.map_err(of(&pair.source))?;
    while let Some(entry) = entries.next_entry().await.map_err(of(&pair.source))? {
        let inner = Pair { source: entry.path(), target: pair.target.join(entry.file_name()) };
        let step = match entry.file_type() {
            Ok(kind) if kind.is_dir() => {
                rest.push(inner);
                Ok(())
            }
            Ok(kind) => other(job, met, inner, kind, tasks).await,
            Err(error) => Err((inner.source, error)),
        };
        if let Err((path, error)) = step {
            job.report.error(&path, error);
        }
    }
    met.directories.borrow_mut().push((pair, metadata));
    Ok(())
}

/// Sees to what is not a directory.
async fn other(job: &Rc<Job>, met: &Rc<Met>, pair: Pair, kind: FileType, tasks: &mut Tasks) -> Step {
    if kind.is_file() {
        while tasks.len() >= job.args.files.get() {
            tasks.next().await;
        }
        let (job, met) = (job.clone(), met.clone());
        tasks.push(spawn(async move {
            if let Err(error) = regular(&job, &met, &pair).await {
                job.report.error(&pair.source, error);
            }
        }));
        return Ok(());
    }
    let done = if kind.is_symlink() { link(job, &pair).await } else { Err(refusal(kind)) };
    done.map_err(|error| (pair.source, error))
}

async fn regular(job: &Job, met: &Met, pair: &Pair) -> io::Result<()> {
    let (source, metadata) = file::open(&pair.source).await?;
    let key = (metadata.nlink() > 1).then_some((metadata.dev(), metadata.ino()));
    if let Some(key) = key {
        if met.first.borrow().contains_key(&key) {
            let pair = Pair { source: pair.source.clone(), target: pair.target.clone() };
            met.links.borrow_mut().push((key, pair));
            return Ok(());
        }
        met.first.borrow_mut().insert(key, pair.target.clone());
    }
    job.report.found(metadata.len());
    let copied = file::copy(job, source, &metadata, &pair.target).await;
    match (&copied, key) {
        (Ok(()), _) => job.report.done(),
        // Whatever has that name is not this file.
        (Err(_), Some(key)) => drop(met.first.borrow_mut().remove(&key)),
        (Err(_), None) => {}
    }
    copied
}

async fn link(job: &Job, pair: &Pair) -> io::Result<()> {
    let (to, metadata) = (fs::read_link(&pair.source).await?, fs::symlink_metadata(&pair.source).await?);
    replace(&pair.target, || fs::symlink(&to, &pair.target)).await?;
    attributes::keep_of_link(&pair.target, &metadata, job.root).await?;
    job.report.done();
    Ok(())
}

/// Makes a name; if there is one that is not a directory's, in its place.
async fn replace<F: Future<Output = io::Result<()>>>(target: &Path, make: impl Fn() -> F) -> io::Result<()> {
    match make().await {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        made => return made,
    }
    if fs::symlink_metadata(target).await?.is_dir() {
        return Err(io::Error::other("a directory is in its place"));
    }
    fs::remove_file(target).await?;
    make().await
}

async fn of_directory(job: &Job, source: &Path, target: &Path, from: &Metadata) -> io::Result<()> {
    let (source, target) = (File::open(source).await?, File::open(target).await?);
    attributes::keep(&source, &target, from, job.root).await?;
    if job.args.sync { target.sync_all().await } else { Ok(()) }
}

fn refusal(kind: FileType) -> io::Error {
    io::Error::other(match kind {
        kind if kind.is_fifo() => "is a named pipe, which is not copied",
        kind if kind.is_socket() => "is a socket, which is not copied",
        kind if kind.is_char_device() || kind.is_block_device() => "is a device, which is not copied",
        _ => "is of an unknown kind, and not copied",
    })
}
