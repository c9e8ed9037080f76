//! A log that is open on a core, and tasks that commit to it.

use std::fmt;
use std::future::Future;
use std::io;
use std::os::fd::AsFd;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use chainring_runtime::op::syscall::status_flags;
use chainring_runtime::{Descriptor, Handle, Key};

use super::shared::{NotCommitted, Shared, Ticket};
use super::writer;
use crate::sync::queue::Waiter;

/// A [`Log`](super::Log) that is open on a core. Cheap to clone, and stays on its thread.
#[derive(Clone)]
pub struct OpenLog(pub(super) Rc<Owner>);

/// Those who may still commit.
pub(super) struct Owner(pub(super) Rc<Shared>);

impl Drop for Owner {
    fn drop(&mut self) {
        self.0.closed.set(true);
        self.0.wake_writer();
    }
}

impl OpenLog {
    pub(super) fn new(core: Handle, file: Descriptor, tail: u64, limit: u32) -> io::Result<OpenLog> {
        check(&file)?;
        let shared = Rc::new(Shared::new(core.clone(), tail, limit));
        // It ends with the last owner, or with the runtime.
        drop(core.spawn(writer::write(shared.clone(), file)));
        Ok(OpenLog(Rc::new(Owner(shared))))
    }

    /// Appends a record, and gives its position in the file once it is on the disk. The bytes are copied when the future is
    /// first polled, or as soon as there is room for them; records of one task are in the order of its commits.
    ///
    /// An empty record waits for everything that was committed before it.
    ///
    /// Dropping the future before that withdraws the record; afterwards it is written all the same. Nothing is ever in
    /// flight for the future itself.
    ///
    /// # Errors
    /// That of the write or the sync that has failed, for this and every later commit: ENOSPC, EIO. EMSGSIZE for a record
    /// that is longer than a [batch](super::Log::with_batch); ECANCELED if the runtime has ended.
    pub fn commit<B: AsRef<[u8]> + Unpin>(&self, record: B) -> Commit<B> {
        Commit { log: self.clone(), record, ticket: None, waker: None }
    }

    /// Everything before this position is on the disk, or was there when the log was opened.
    pub fn durable(&self) -> u64 {
        self.0.0.durable()
    }

    /// Why the log takes no more records, if it does not.
    pub fn poisoned(&self) -> Option<io::Error> {
        self.0.0.failed().map(io::Error::from_raw_os_error)
    }

    /// How many batches were written, or begun: as many writes and syncs, unless some came short.
    pub fn batches(&self) -> u64 {
        self.0.0.batches.get()
    }

    /// The longest record.
    pub(crate) fn longest(&self) -> u32 {
        self.0.0.limit
    }

    /// Goes on with the commit of a frame; its position, once it is durable.
    pub(crate) fn commit_of<'b>(
        &self,
        frame: Key,
        ticket: &mut Option<Ticket>,
        parts: impl Iterator<Item = &'b [u8]> + Clone,
    ) -> Poll<Result<u64, NotCommitted>> {
        let len = parts.clone().map(|part| part.len() as u64).sum();
        let copy = |batch: &mut Vec<u8>| parts.for_each(|part| batch.extend_from_slice(part));
        self.0.0.commit(ticket, len, copy, || Waiter::Frame(frame))
    }

    /// Whether it is known what becomes of a record.
    pub(crate) fn is_decided(&self, ticket: Ticket) -> bool {
        matches!(ticket, Ticket::Copied(end) if end <= self.durable()) || self.0.0.failed().is_some()
    }

    /// A frame waits no more. Its record is written all the same if it was copied.
    pub(crate) fn give_up(&self, ticket: Ticket) {
        if let Ticket::Line(number) = ticket {
            self.0.0.leave_line(Some(number));
        }
    }
}

/// Refuses a file whose first write would fail, or land elsewhere.
fn check(file: &Descriptor) -> io::Result<()> {
    let flags = status_flags(file.as_fd())?;
    let reason = if flags & libc::O_ACCMODE == libc::O_RDONLY || flags & libc::O_PATH != 0 {
        "the file of a log must be open for writing"
    } else if flags & libc::O_APPEND != 0 {
        "the file of a log must be open without O_APPEND, which has each write go to the file's end"
    } else {
        return Ok(());
    };
    Err(io::Error::new(io::ErrorKind::InvalidInput, reason))
}

impl fmt::Debug for OpenLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpenLog")
            .field("durable", &self.durable())
            .field("poisoned", &self.poisoned())
            .finish_non_exhaustive()
    }
}

/// The future of [`OpenLog::commit`].
#[must_use = "a record is not appended unless the commit is awaited"]
pub struct Commit<B> {
    log: OpenLog,
    record: B,
    ticket: Option<Ticket>,
    /// The one that is to be woken.
    waker: Option<Waker>,
}

impl<B: AsRef<[u8]> + Unpin> Future for Commit<B> {
    type Output = io::Result<u64>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<u64>> {
        let this = &mut *self;
        let (shared, record) = (&this.log.0.0, this.record.as_ref());
        let before = this.ticket;
        let copy = |batch: &mut Vec<u8>| batch.extend_from_slice(record);
        let waiter = || Waiter::Task(cx.waker().clone());
        let polled = shared.commit(&mut this.ticket, record.len() as u64, copy, waiter);
        let known = this.waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker()));
        if polled.is_pending() && !known {
            this.waker = Some(cx.waker().clone());
            match this.ticket {
                // Just told to wake this one.
                ticket if ticket != before => {}
                Some(Ticket::Line(number)) => shared.wait_in_line(number, waiter()),
                Some(Ticket::Copied(end)) => shared.wait_for(end, waiter()),
                None => unreachable!("what waits has a ticket"),
            }
        }
        polled.map_err(|refused| match refused {
            NotCommitted::TooLong { .. } => io::Error::from_raw_os_error(libc::EMSGSIZE),
            NotCommitted::Failed(errno) => io::Error::from_raw_os_error(errno),
        })
    }
}

impl<B> Drop for Commit<B> {
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket {
            self.log.give_up(ticket);
        }
    }
}

impl<B> fmt::Debug for Commit<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Commit").field("ticket", &self.ticket).finish_non_exhaustive()
    }
}
