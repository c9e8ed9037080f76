//! A core's log at work.

use std::cell::{Cell, RefCell};
use std::fs::OpenOptions;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use chainring::chains::{Commit, Log, OpenLog};

use super::folder::Folder;
use super::load::load;
use super::record::{LONGEST, records};
use crate::engine::Store;

/// Bytes that are written and synced together, at most: some of the longest records.
pub(super) const BATCH: u32 = 4 * LONGEST as u32;

/// See the module.
#[derive(Debug)]
pub(crate) struct Disk {
    pub(super) folder: Folder,
    pub(super) core: usize,
    pub(super) number: Cell<u64>,
    pub(super) log: RefCell<OpenLog>,
    /// The one that takes its place, while that is written.
    pub(super) next: RefCell<Option<Next>>,
    /// How long the log was when it was last compacted.
    pub(super) compacted: Cell<u64>,
}

/// A log to be.
#[derive(Debug)]
pub(super) struct Next {
    pub(super) log: OpenLog,
    /// It may be the log already: what it does not take is not on the disk.
    pub(super) counts: bool,
}

impl Disk {
    /// Makes `store` what the log of a core says, cuts what is not whole, and opens the log behind it. Blocks.
    pub(crate) fn open(folder: &Folder, core: usize, store: &mut Store) -> io::Result<Disk> {
        let (path, number) = folder.file(core)?;
        let (whole, torn) = load(&path, store)?;
        let file = OpenOptions::new().write(true).open(&path)?;
        if torn > 0 {
            eprintln!("{}: the last {torn} bytes are no whole record, and are cut", path.display());
            file.set_len(whole)?;
            file.sync_all()?;
        }
        let log = open(file, whole)?;
        Ok(Disk {
            folder: folder.clone(),
            core,
            number: Cell::new(number),
            log: RefCell::new(log),
            next: RefCell::new(None),
            compacted: Cell::new(whole),
        })
    }

    /// Appends what the store has noted, in the order in which this is called. To be called when commands have been done,
    /// before anything else is; and what they have said must not leave before the future is ready. None if all that was
    /// ever noted is on the disk.
    pub(crate) fn persist(&self, store: &mut Store) -> Option<Persist> {
        let bytes = store.journal.take();
        // A store that is not changed any more is read as it is.
        if bytes.is_empty() && store.read_only.is_some() {
            return None;
        }
        let mut commits = append(&self.log.borrow(), &bytes);
        let (mut beside, mut counts) = (Vec::new(), false);
        if let Some(next) = &*self.next.borrow() {
            (beside, counts) = (append(&next.log, &bytes), next.counts);
        }
        if counts {
            commits.append(&mut beside);
        }
        let persist = Persist { commits, beside };
        (!persist.commits.is_empty() || !persist.beside.is_empty()).then_some(persist)
    }
}

pub(super) fn open(file: std::fs::File, tail: u64) -> io::Result<OpenLog> {
    Log::with_batch("kv", BATCH).open(file, tail)
}

/// Appends records of some bytes; of none, one that is not written and only waits for those before. Gives what is not on
/// the disk yet, or never will be.
pub(super) fn append(log: &OpenLog, bytes: &[u8]) -> Vec<Step> {
    let records = if bytes.is_empty() { vec![Vec::new()] } else { records(bytes).collect() };
    let mut context = Context::from_waker(Waker::noop());
    let begin = |record| {
        let mut commit = log.commit(record);
        // Now, so that records are in the order of what they say; whoever waits polls it again.
        match Pin::new(&mut commit).poll(&mut context) {
            Poll::Ready(Ok(_)) => None,
            Poll::Ready(Err(error)) => Some(Err(error)),
            Poll::Pending => Some(Ok(commit)),
        }
    };
    records.into_iter().filter_map(begin).collect()
}

/// A commit, or why it has failed at once.
type Step = io::Result<Commit<Vec<u8>>>;

/// Changes on their way to the disk.
#[derive(Debug)]
pub(crate) struct Persist {
    commits: Vec<Step>,
    /// To a log that does not count yet.
    beside: Vec<Step>,
}

impl Persist {
    /// Ready when they are there.
    ///
    /// # Errors
    /// That of the write or sync that has failed: the log takes nothing more.
    pub(crate) async fn wait(self) -> io::Result<()> {
        all(self.commits).await?;
        // If this one fails there will be no other log, and the one that there is has everything.
        drop(all(self.beside).await);
        Ok(())
    }
}

pub(super) async fn all(steps: Vec<Step>) -> io::Result<()> {
    for step in steps {
        step?.await?;
    }
    Ok(())
}
