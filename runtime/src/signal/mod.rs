//! Signals of the process, awaited.
//!
//! The handler does two things, both async-signal-safe: it counts, and it rings the bell of every core that
//! waits for a signal. It is installed with the first wait for its signal and stays, so from then on the
//! signal's default action is gone; a handler that was there before is still called.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::io;
use std::os::fd::RawFd;
use std::pin::Pin;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU64, Ordering};
use std::task::{Context, Poll, Waker};

use futures::Stream;
use slab::Slab;

use crate::exec::{Handle, ring, wake_all};

/// Signals are numbered from 1 to 64.
const SIGNALS: usize = 65;
/// Cores that can wait for signals at the same time.
const BELLS: usize = 1024;

static COUNTS: [AtomicU64; SIGNALS] = [const { AtomicU64::new(0) }; SIGNALS];
static INSTALLED: [AtomicBool; SIGNALS] = [const { AtomicBool::new(false) }; SIGNALS];
static INSTALL: Mutex<()> = Mutex::new(());
/// Bells to ring, by descriptor; vacant places hold -1. The descriptors are never closed.
static WAITING: [AtomicI32; BELLS] = [const { AtomicI32::new(-1) }; BELLS];

fn handle(signal: usize) {
    COUNTS[signal].fetch_add(1, Ordering::SeqCst);
    for bell in &WAITING {
        let fd = bell.load(Ordering::SeqCst);
        if fd >= 0 {
            ring(fd);
        }
    }
}

/// The waiters of one core.
#[derive(Default)]
pub(crate) struct SignalWaiters {
    wakers: RefCell<Slab<Option<Waker>>>,
    place: Cell<Option<usize>>,
}

impl SignalWaiters {
    /// The bell has rung: let every waiter look at the counts.
    pub(crate) fn look(&self) {
        let wakers: Vec<Waker> = self.wakers.borrow_mut().iter_mut().filter_map(|(_, w)| w.take()).collect();
        wake_all(wakers);
    }

    /// Whether the handlers ring this core's bell.
    pub(crate) fn listens(&self) -> bool {
        self.place.get().is_some()
    }

    /// Has the handlers ring this core's bell from now on.
    fn listen(&self, bell: RawFd) -> io::Result<()> {
        if self.listens() {
            return Ok(());
        }
        let vacant =
            |place: &AtomicI32| place.compare_exchange(-1, bell, Ordering::SeqCst, Ordering::SeqCst).is_ok();
        match WAITING.iter().position(vacant) {
            Some(place) => {
                self.place.set(Some(place));
                Ok(())
            }
            None => Err(io::Error::other("too many cores wait for signals")),
        }
    }
}

impl Drop for SignalWaiters {
    fn drop(&mut self) {
        if let Some(place) = self.place.get() {
            WAITING[place].store(-1, Ordering::SeqCst);
        }
    }
}

/// The signals `kind` (`libc::SIGHUP`, ...) that the process gets from now on. Several that come before one is
/// received count as one.
///
/// # Errors
/// If `kind` is no signal, or one that cannot be handled (SIGKILL, SIGSTOP, and those of faults).
///
/// # Panics
/// Outside of a runtime.
pub fn signal(kind: i32) -> io::Result<Signal> {
    let core = Handle::current();
    install(kind)?;
    core.core().signals.listen(core.core().remote.bell().raw())?;
    let entry = core.core().signals.wakers.borrow_mut().insert(None);
    let seen = COUNTS[kind as usize].load(Ordering::SeqCst);
    Ok(Signal { core, kind: kind as usize, seen, entry })
}

/// Waits for SIGINT, which Ctrl-C sends.
///
/// # Errors
/// If the handler cannot be installed.
pub async fn ctrl_c() -> io::Result<()> {
    signal(libc::SIGINT)?.recv().await;
    Ok(())
}

/// Waits for SIGTERM, which kill(1) sends, and whoever supervises services.
///
/// # Errors
/// If the handler cannot be installed.
pub async fn terminate() -> io::Result<()> {
    signal(libc::SIGTERM)?.recv().await;
    Ok(())
}

fn install(kind: i32) -> io::Result<()> {
    let forbidden = signal_hook_registry::FORBIDDEN.contains(&kind);
    if !(1..SIGNALS as i32).contains(&kind) || forbidden {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, format!("signal {kind} cannot be awaited")));
    }
    let number = kind as usize;
    let _guard = INSTALL.lock().unwrap_or_else(|e| e.into_inner());
    if !INSTALLED[number].load(Ordering::SeqCst) {
        // SAFETY: the action uses atomics and write(2) only, and cannot panic.
        unsafe { signal_hook_registry::register(kind, move || handle(number)) }?;
        INSTALLED[number].store(true, Ordering::SeqCst);
    }
    Ok(())
}

/// The signals of one kind, received one after the other or as a stream. See [`signal`].
///
/// Several values for the same kind, on one core or many, all see each signal. Dropping one stops nothing: the
/// handler stays installed.
#[derive(Debug)]
pub struct Signal {
    core: Handle,
    kind: usize,
    seen: u64,
    entry: usize,
}

impl Signal {
    /// Waits for the next one. Dropping the future loses none.
    pub async fn recv(&mut self) {
        poll_fn(|cx| self.poll_recv(cx)).await;
    }

    /// Polls for the next one.
    pub fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        // The waker first: a signal between the two looks would be lost the other way round.
        let waker = cx.waker().clone();
        let old = self.core.core().signals.wakers.borrow_mut()[self.entry].replace(waker);
        drop(old);
        let count = COUNTS[self.kind].load(Ordering::SeqCst);
        if std::mem::replace(&mut self.seen, count) == count { Poll::Pending } else { Poll::Ready(()) }
    }
}

impl Stream for Signal {
    type Item = ();

    /// Never ends.
    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<()>> {
        self.poll_recv(cx).map(Some)
    }
}

impl Drop for Signal {
    fn drop(&mut self) {
        let waker = self.core.core().signals.wakers.borrow_mut().remove(self.entry);
        drop(waker);
    }
}
