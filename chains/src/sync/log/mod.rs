//! Group commit: records of many, written and synced together.
//!
//! ```text
//!                 frames and tasks that commit
//!                            | copy their records
//!                            v
//!   one batch is filled --(as soon as the other has reached the disk)--> one batch is written and synced
//!                            ^                                                    |
//!                            |  those for whom it is full wait in a line          v
//!                            +--                          all whose records are in it go on
//! ```
//!
//! A record is copied into the batch that is being filled, which is the tail of the log: so its position is known at once,
//! and whoever waits has nothing in flight, and can be cancelled, or dropped, at any time. A task of the core's own writes
//! the batch with one write that reaches the disk (the first one with a write linked to an fdatasync of the file), while the
//! next one is filled. The two buffers swap and are used again and again. Copying is what a vectored write of everybody's own
//! bytes would save; it would also bind every frame to the write, which the kernel may not let go of for as long as the disk
//! takes.
//!
//! What a commit costs is then nearly all the file system's, and half of that is the growth of the file, which has to reach its
//! journal. On ext4, 64 records of 200 bytes: 98 us of CPU in a file that grows, 71 with its space there (fallocate(2)), 49,
//! and twice as many commits, where the file was written once before.
//!
//! *Durable* is a position: everything before it is on the disk. A record is committed when its end is durable. If a write or
//! a sync fails, nothing behind that position is ever acknowledged: the log is poisoned, and everybody who waits, or comes
//! later, is told why. What was written without having been synced may be in the file, in whole or in part: whoever reads a
//! log must be able to tell the last whole record, and opens it again behind that.

mod open;
mod shared;
mod writer;

use std::fmt;
use std::io;
use std::rc::Rc;
use std::sync::Arc;

use chainring_runtime::{Descriptor, Handle};

pub use open::{Commit, OpenLog};
use shared::Slot;
pub(crate) use shared::{NotCommitted, Ticket};

/// Bytes of a batch, unless told otherwise.
const BATCH: u32 = 256 << 10;
/// No log is longer: 4 EiB.
const FURTHEST: u64 = 1 << 62;

/// A log to which frames and tasks append records, for [`commit`](crate::Chain::commit). Cheap to clone; a clone is the
/// same log. It may be given to several chains. On each core on which it is used it must be [opened](Log::open) before, with
/// a file of that core's own.
///
/// Or one core owns the log, and the others send it their records: a chain there waits for a
/// [`call_async`](crate::Chain::call_async) whose future is
/// `owner.spawn(|| async move { log.here()...commit(record).await })`, `owner` being the
/// [`CoreHandle`](chainring_runtime::CoreHandle) of that core, on which [`here`](Log::here) gives the open log. Nothing does
/// so by itself: a `commit` is on the core of its frame.
///
/// Whoever opens the file again looks for its tail; so records say how long they are, and whether they are whole:
///
/// ```
/// use std::fs::OpenOptions;
/// use chainring_chains::Log;
///
/// /// Where the last whole record ends: each has its length in front (and should have a checksum, too).
/// fn tail(bytes: &[u8]) -> usize {
///     let mut at = 0;
///     while let Some(len) = bytes[at..].first_chunk::<4>().map(|len| u32::from_be_bytes(*len) as usize)
///         && len > 0
///         && at + 4 + len <= bytes.len()
///     {
///         at += 4 + len;
///     }
///     at
/// }
///
/// # let path = std::env::temp_dir().join(format!("chainring-log-doc-{}", std::process::id()));
/// let log = Log::new("records");
/// chainring_runtime::Runtime::new()?.block_on(async {
///     let file = || OpenOptions::new().write(true).create(true).truncate(false).open(&path);
///     let open = log.open(file()?, 0)?;
///     assert_eq!(open.commit(b"\0\0\0\x05first").await?, 0);
///     drop(open); // The last one closes the log.
///
///     // A record that a crash has torn is overwritten.
///     let mut bytes = std::fs::read(&path)?;
///     bytes.extend(b"\0\0\0\x06sec");
///     std::fs::write(&path, &bytes)?;
///     let open = log.open(file()?, tail(&bytes) as u64)?;
///     assert_eq!(open.commit(b"\0\0\0\x06second").await?, 9);
///     assert_eq!(std::fs::read(&path)?, b"\0\0\0\x05first\0\0\0\x06second");
/// #   std::fs::remove_file(&path)?;
///     Ok::<(), std::io::Error>(())
/// })?;
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone)]
pub struct Log(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    name: Box<str>,
    batch: u32,
}

impl Log {
    /// A new log, with batches of up to 256 KiB. The name is for messages.
    pub fn new(name: &str) -> Log {
        Log::with_batch(name, BATCH)
    }

    /// A new log with batches of up to `bytes` (at least 1, at most 1 GiB): no record is longer. Each core takes the
    /// memory of two, as far as they are filled.
    pub fn with_batch(name: &str, bytes: u32) -> Log {
        Log(Arc::new(Inner { name: name.into(), batch: bytes.clamp(1, 1 << 30) }))
    }

    /// The name it was given.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// The longest record, in bytes.
    pub fn longest(&self) -> u32 {
        self.0.batch
    }

    /// Opens the log on the core that runs the caller: from now on records are written to `file`, the first at `tail`, which
    /// is usually where the last whole record of the file ends. What is behind `tail` is overwritten. The file must be
    /// open for writing, without O_APPEND, and nobody else may write to it. One of the standard library will do, and one of
    /// `chainring::fs`.
    ///
    /// A file that has its length already, best written once and synced, takes twice as many commits as one that grows, for half
    /// the CPU; its reader has to tell old bytes from records.
    ///
    /// It stays open until the last [`OpenLog`] and the last program that was started with it are gone, and what was
    /// committed until then is written all the same. Until that is done it cannot be opened again here; who wants to may await
    /// an empty [`commit`](OpenLog::commit) before.
    ///
    /// # Errors
    /// [`AlreadyExists`](io::ErrorKind::AlreadyExists) if it is open on this core;
    /// [`ResourceBusy`](io::ErrorKind::ResourceBusy) if it was, and not all that was committed is written;
    /// [`InvalidInput`](io::ErrorKind::InvalidInput) for a file that is not open for writing, or with O_APPEND; EFBIG for a
    /// tail of more than 4 EiB.
    ///
    /// # Panics
    /// Outside of a runtime.
    pub fn open(&self, file: impl Into<Descriptor>, tail: u64) -> io::Result<OpenLog> {
        if tail > FURTHEST {
            return Err(io::Error::from_raw_os_error(libc::EFBIG));
        }
        let core = Handle::current();
        let slot = self.slot(&core);
        if slot.get().is_some() {
            let text = format!("the log {} is open on this core", self.name());
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, text));
        }
        if slot.is_busy() {
            let text =
                format!("what was committed to the log {} is still being written on this core", self.name());
            return Err(io::Error::new(io::ErrorKind::ResourceBusy, text));
        }
        let open = OpenLog::new(core, file.into(), tail, self.0.batch)?;
        slot.set(&open);
        Ok(open)
    }

    /// The log as it is open on the core that runs the caller, if it is.
    ///
    /// # Panics
    /// Outside of a runtime.
    pub fn here(&self) -> Option<OpenLog> {
        self.on(&Handle::current())
    }

    pub(crate) fn on(&self, core: &Handle) -> Option<OpenLog> {
        self.slot(core).get()
    }

    fn slot(&self, core: &Handle) -> Rc<Slot> {
        core.core_local(&self.0, Slot::default)
    }

    pub(crate) fn is(&self, other: &Log) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl fmt::Debug for Log {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Log").field(&self.name()).finish()
    }
}
