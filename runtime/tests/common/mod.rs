//! What the tests of operations share.

#![allow(dead_code, reason = "each test binary uses its part")]

use std::cell::Cell;
use std::ffi::CString;
use std::future::Future;
use std::io;
use std::net::{TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::{Duration, Instant};

use chainring_runtime::buf::{IoBuf, IoBufMut};
use chainring_runtime::frame::{Frame, Interrupt, Resume, Stop};
use chainring_runtime::{Builder, Descriptor, Handle, Runtime, yield_now};

/// One test at a time: descriptors are counted for the whole process.
pub(crate) fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

/// See [`watchdog`].
pub(crate) struct Watchdog(Arc<AtomicBool>);

/// Ends the process if the test that asks has not dropped this within 20 seconds: one that hangs says nothing.
pub(crate) fn watchdog() -> Watchdog {
    let done = Arc::new(AtomicBool::new(false));
    let (watched, name) = (done.clone(), thread::current().name().unwrap_or("a test").to_owned());
    thread::spawn(move || {
        let begin = Instant::now();
        while !watched.load(Ordering::Relaxed) {
            if begin.elapsed() > Duration::from_secs(20) {
                eprintln!("{name} hangs");
                std::process::abort();
            }
            thread::sleep(Duration::from_millis(20));
        }
    });
    Watchdog(done)
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// The open descriptors of this process.
pub(crate) fn descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

/// Keeps a value for ever. It stays reachable, so that a search for leaks does not report what is leaked on purpose.
pub(crate) fn leak<T>(value: T) {
    static LEAKED: Mutex<Vec<usize>> = Mutex::new(Vec::new());
    let leaked = std::ptr::from_mut(Box::leak(Box::new(value))) as usize;
    LEAKED.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).push(leaked);
}

/// Runs a future in a runtime of its own, checks that it leaves no descriptor behind, and that its end is counted.
pub(crate) fn run<T>(builder: &Builder, body: impl AsyncFnOnce() -> T) -> T {
    let _alone = alone();
    // Descriptors that stay: the pool of bells, and what the standard library opens once.
    drop(Runtime::new().unwrap());
    let before = descriptors();
    let runtime = builder.build().unwrap();
    let result = runtime.block_on(body());
    drop(runtime);
    assert_eq!(descriptors(), before, "descriptors were left open");
    result
}

/// Lets the ring settle: every operation that nobody waits for ends.
pub(crate) async fn settle() {
    let begin = Instant::now();
    while Handle::current().metrics().operations > 0 {
        let metrics = Handle::current().metrics();
        assert!(begin.elapsed() < Duration::from_secs(10), "operations never end: {metrics:?}");
        yield_now().await;
    }
}

/// Gives the kernel some turns to begin with what was submitted.
pub(crate) async fn turns(n: usize) {
    for _ in 0..n {
        yield_now().await;
    }
}

/// Polls a future once, with a waker that does nothing.
pub(crate) fn poll_once<F: Future + Unpin>(future: &mut F) -> Poll<F::Output> {
    Pin::new(future).poll(&mut Context::from_waker(Waker::noop()))
}

/// The errno of a result.
pub(crate) fn errno<T>(result: &io::Result<T>) -> Option<i32> {
    result.as_ref().err().and_then(io::Error::raw_os_error)
}

/// A pair of connected TCP sockets: one for the ring, one to be used directly.
pub(crate) fn tcp() -> (Descriptor, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let there = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    there.set_nodelay(true).unwrap();
    (own(listener.accept().unwrap().0), there)
}

/// A connection of which a frame is given one end.
pub(crate) fn pair() -> (OwnedFd, TcpStream) {
    let (socket, peer) = tcp();
    peer.set_read_timeout(Some(Duration::from_secs(10))).expect("timeout");
    (socket.try_into_owned().expect("nothing is in flight"), peer)
}

/// Waits, while the runtime goes on, but not for ever.
pub(crate) async fn until(what: &str, condition: impl Fn() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < Duration::from_secs(10), "waited in vain until {what}");
        chainring_runtime::time::sleep(Duration::from_millis(1)).await;
    }
}

/// A pipe: the ends to read from and to write to.
pub(crate) fn pipe() -> (Descriptor, Descriptor) {
    let (read, write) = io::pipe().unwrap();
    (own(read), own(write))
}

pub(crate) fn own(fd: impl Into<OwnedFd>) -> Descriptor {
    Descriptor::new(fd.into())
}

pub(crate) fn path(path: impl AsRef<Path>) -> CString {
    use std::os::unix::ffi::OsStrExt;
    CString::new(path.as_ref().as_os_str().as_bytes()).unwrap()
}

/// A directory of its own, removed at the end.
pub(crate) struct Dir(PathBuf);

impl Dir {
    pub(crate) fn new() -> Dir {
        static NEXT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
        let next = NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let base = option_env!("CARGO_TARGET_TMPDIR").map(PathBuf::from).filter(|base| base.is_dir());
        let base = base.unwrap_or_else(std::env::temp_dir);
        let dir = base.join(format!("chainring-{}-{next}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        Dir(dir)
    }

    pub(crate) fn join(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// A new file with these bytes, open for reading and writing.
    pub(crate) fn file(&self, name: &str, bytes: &[u8]) -> Descriptor {
        std::fs::write(self.join(name), bytes).unwrap();
        own(std::fs::File::options().read(true).write(true).open(self.join(name)).unwrap())
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A buffer that counts how many of its kind are alive.
pub(crate) struct Counted {
    bytes: Vec<u8>,
    alive: Rc<Cell<usize>>,
}

impl Counted {
    pub(crate) fn new(len: usize, alive: &Rc<Cell<usize>>) -> Counted {
        alive.set(alive.get() + 1);
        Counted { bytes: vec![0; len], alive: alive.clone() }
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.alive.set(self.alive.get() - 1);
    }
}

impl IoBuf for Counted {
    fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }
}

impl IoBufMut for Counted {
    unsafe fn room(&mut self) -> &mut [std::mem::MaybeUninit<u8>] {
        // SAFETY: the caller's promise is passed on.
        unsafe { self.bytes.room() }
    }

    unsafe fn filled(&mut self, n: usize) {
        // SAFETY: the caller's promise is passed on.
        unsafe { self.bytes.filled(n) }
    }
}

/// Whom frames resume that nothing is submitted for.
pub(crate) struct Nobody;

impl Resume for Nobody {
    fn advanced(&self, _: Frame<'_>, _: u16) {}

    fn interrupted(&self, _: Frame<'_>, _: Interrupt) {}

    fn stopped(&self, _: Frame<'_>, _: Stop) {}

    fn unparked(&self, _: Frame<'_>) {}
}
