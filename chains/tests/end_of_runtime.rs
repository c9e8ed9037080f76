//! The end of a runtime with a thousand connections waiting for bytes and a read of eight megabytes on the way from
//! the disk: memory is freed only after the last completion, and what can be cancelled ends within a second.
//!
//! A read with O_DIRECT writes into the pages themselves, whatever became of the mapping or of the allocation. So the
//! buffers here overwrite themselves when they are dropped, as the next owner of the memory would, and stay mapped: if the
//! kernel writes later, the pattern is gone. (Tried: with a drain that does not wait for the ring, and slots that are
//! freed while they are in flight, "2048 pages of a buffer of 8388608 bytes were written after it was freed".)

mod common;

use std::cell::RefCell;
use std::future::Future;
use std::io::Write;
use std::mem::MaybeUninit;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::pin::Pin;
use std::ptr::NonNull;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, OnceLock};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use chainring_chains::{Chain, ErrorKind};
use chainring_runtime::buf::{IoBuf, IoBufMut};
use chainring_runtime::op::read::read_at;
use chainring_runtime::op::recv::recv;
use chainring_runtime::{Descriptor, Runtime, spawn};
use common::{pair, soon, watchdog};

const FILE: usize = 8 << 20;
const IN_FILE: u8 = b'f';
const FREED: u8 = 0xa5;
const PAGE: usize = 4096;
const LINE: usize = 64;
/// Reads in flight at the same time, so that the last one has a while to go.
const READS: usize = 4;

/// Memory that was freed, and must stay as it was then.
type Freed = Rc<RefCell<Vec<(NonNull<u8>, usize)>>>;

/// Pages of its own, that are overwritten instead of unmapped when they are dropped.
struct Watched {
    start: NonNull<u8>,
    len: usize,
    freed: Freed,
}

impl Watched {
    fn new(len: usize, freed: &Freed) -> Watched {
        let (read_write, private) =
            (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
        // SAFETY: a fresh private mapping at an address of the kernel's choice.
        let start = unsafe { libc::mmap(std::ptr::null_mut(), len, read_write, private, -1, 0) };
        assert_ne!(start, libc::MAP_FAILED);
        let start = NonNull::new(start.cast()).expect("not null");
        Watched { start, len, freed: freed.clone() }
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        // A line a page, to be done before the disk is.
        for page in (0..self.len).step_by(PAGE) {
            // SAFETY: inside the mapping of this value, whose length is that of whole pages.
            unsafe { self.start.add(page).write_bytes(FREED, LINE) };
        }
        self.freed.borrow_mut().push((self.start, self.len));
    }
}

impl IoBuf for Watched {
    fn as_bytes(&self) -> &[u8] {
        // SAFETY: the mapping of this value; mapped memory is initialised.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.len) }
    }
}

impl IoBufMut for Watched {
    unsafe fn room(&mut self) -> &mut [MaybeUninit<u8>] {
        // SAFETY: the mapping of this value, borrowed mutably.
        unsafe { std::slice::from_raw_parts_mut(self.start.as_ptr().cast(), self.len) }
    }

    unsafe fn filled(&mut self, _: usize) {}
}

/// Waits, and then looks whether anybody has written to memory after it was freed. Unmaps it.
fn check(freed: Freed, count: usize) {
    std::thread::sleep(Duration::from_millis(50));
    let freed = freed.borrow();
    assert_eq!(freed.len(), count, "every buffer is freed in the end");
    for (start, len) in freed.iter() {
        // SAFETY: mapped by `Watched::new`, and nobody's any more.
        let bytes = unsafe { std::slice::from_raw_parts(start.as_ptr(), *len) };
        let late = bytes.chunks(PAGE).filter(|page| page[..LINE] != [FREED; LINE]).count();
        assert_eq!(late, 0, "{late} pages of a buffer of {len} bytes were written after it was freed");
        // SAFETY: as above; not used again.
        unsafe { libc::munmap(start.as_ptr().cast(), *len) };
    }
}

/// A file that is read past the page cache, so that a read of it takes its time and goes on by itself.
fn file() -> Descriptor {
    static OPEN: OnceLock<std::fs::File> = OnceLock::new();
    let file = OPEN.get_or_init(|| {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("direct-{}", std::process::id()));
        std::fs::write(&path, vec![IN_FILE; FILE]).expect("a file of 8 MiB");
        std::fs::File::open(&path).and_then(|file| file.sync_all()).expect("a file on the disk");
        let file = std::fs::File::options().read(true).custom_flags(libc::O_DIRECT).open(&path);
        std::fs::remove_file(&path).expect("nobody needs its name");
        file.expect("a file system that knows O_DIRECT")
    });
    Descriptor::new(file.try_clone().expect("a descriptor").into())
}

/// Allows as many descriptors as the tests here need.
fn allow_descriptors(n: u64) {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: a local variable.
    assert_eq!(unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit) }, 0);
    assert!(limit.rlim_max >= n, "these tests need {n} descriptors: raise the hard limit (ulimit -Hn)");
    limit.rlim_cur = limit.rlim_cur.max(n);
    // SAFETY: a local variable.
    assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &limit) }, 0);
}

/// Submits what is polled for the first time, and leaves it in flight.
fn submit<F: Future + Unpin>(runtime: &Runtime, futures: &mut [F]) {
    runtime.block_on(async {
        for future in futures {
            let polled = Pin::new(future).poll(&mut Context::from_waker(Waker::noop()));
            assert!(polled.is_pending(), "complete before it was submitted");
        }
    });
}

/// Keeps a value for ever. It stays reachable, so that a search for leaks does not report what is leaked on purpose.
fn leak<T>(value: T) {
    static LEAKED: Mutex<Vec<usize>> = Mutex::new(Vec::new());
    let leaked = std::ptr::from_mut(Box::leak(Box::new(value))) as usize;
    LEAKED.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).push(leaked);
}

/// Drops the runtime and gives the time that it took.
fn end(runtime: Runtime) -> Duration {
    let start = Instant::now();
    drop(runtime);
    start.elapsed()
}

#[test]
fn a_direct_read_in_flight_is_waited_for_whatever_became_of_its_future() {
    let _watchdog = watchdog(Duration::from_secs(60));
    enum Future {
        Dropped,
        Kept,
        Leaked,
    }
    let mut in_flight = 0;
    for what in [Future::Dropped, Future::Kept, Future::Leaked] {
        for _ in 0..5 {
            let freed = Freed::default();
            let runtime = Runtime::new().expect("a ring");
            let file = file();
            let mut reads = [(); READS].map(|()| read_at(&file, Watched::new(FILE, &freed), 0));
            submit(&runtime, &mut reads);
            in_flight += runtime.metrics().operations;
            assert!(freed.borrow().is_empty(), "not before the runtime ends");
            match what {
                Future::Dropped => {
                    drop(reads);
                    end(runtime);
                    check(freed, READS);
                }
                Future::Kept => {
                    end(runtime);
                    // The results are there, and the futures still get them.
                    for mut read in reads {
                        let polled = Pin::new(&mut read).poll(&mut Context::from_waker(Waker::noop()));
                        let Poll::Ready((result, buffer)) = polled else { panic!("not complete") };
                        if result.is_ok_and(|n| n == FILE) {
                            assert!(buffer.as_bytes().iter().all(|byte| *byte == IN_FILE));
                        }
                    }
                    check(freed, READS);
                }
                // Its core can never be freed, and neither is what it owns.
                Future::Leaked => {
                    leak(reads);
                    end(runtime);
                    check(freed, 0);
                }
            }
        }
    }
    let reads = (15 * READS) as u64;
    assert!(in_flight > reads / 2, "hardly a read was in flight at the end: {in_flight} of {reads}");
}

#[test]
fn a_thousand_connections_and_a_direct_read_end_within_a_second() {
    const CONNECTIONS: usize = 1000;
    let _watchdog = watchdog(Duration::from_secs(60));
    allow_descriptors(4096);
    let freed = Freed::default();
    let runtime = Runtime::new().expect("a ring");
    let (mut streams, mut peers): (Vec<_>, Vec<_>) = (0..CONNECTIONS).map(|_| pair()).unzip();

    // Half of them in tasks that wait for bytes, half in frames.
    let in_frames = streams.split_off(CONNECTIONS / 2);
    let mut c = Chain::<()>::new("waits");
    let (sock, data) = (c.socket(), c.buffer(4096));
    c.repeat(|c| {
        c.recv(sock, data.all());
    });
    let program = c.build().expect("the chain is right");
    let frames = runtime.block_on(async {
        let spawner = program.start(CONNECTIONS as u32).expect("it starts");
        for stream in in_frames {
            let handle = spawner.spawn((), |frame| {
                frame.socket(sock, stream);
            });
            // Nobody waits for it: it ends by itself, or with the runtime.
            drop(handle.expect("there is room"));
        }
        for stream in streams {
            let socket = Descriptor::new(stream.into_owned().expect("nothing is in flight"));
            let buffer = Watched::new(4096, &freed);
            drop(spawn(async move { drop(recv(&socket, buffer, 0).await) }));
        }
        chainring_runtime::yield_now().await;
        spawner
    });
    let mut read = [read_at(&file(), Watched::new(FILE, &freed), 0)];
    submit(&runtime, &mut read);
    assert_eq!(frames.live() as usize, CONNECTIONS / 2);
    assert!(runtime.metrics().operations as usize >= CONNECTIONS / 2);

    // The peers go on sending while the runtime ends: whatever is freed too early is written to.
    let stop = AtomicBool::new(false);
    let took = std::thread::scope(|scope| {
        scope.spawn(|| {
            peers.iter().for_each(|peer| peer.set_nonblocking(true).expect("nonblocking"));
            while !stop.load(Ordering::Relaxed) {
                // Errors are the answer of those that are closed already.
                peers.iter_mut().for_each(|peer| drop(peer.write(&[IN_FILE; 512])));
            }
        });
        drop(read);
        let took = end(runtime);
        stop.store(true, Ordering::Relaxed);
        took
    });
    assert!(took < Duration::from_secs(1), "the runtime took {took:?} to end");
    assert_eq!(frames.live(), 0, "every frame has ended");
    check(freed, CONNECTIONS / 2 + 1);
}

#[test]
fn frames_that_the_end_of_the_runtime_cancels_say_so() {
    let _watchdog = watchdog(Duration::from_secs(60));
    let runtime = Runtime::new().expect("a ring");
    let mut c = Chain::<u32>::new("waits");
    let (sock, data) = (c.socket(), c.buffer(16));
    c.recv_exact(sock, data.all());
    let program = c.build().expect("the chain is right");
    let (stream, mut peer) = pair();
    let (spawner, handle) = runtime.block_on(async {
        let spawner = program.start(1).expect("it starts");
        let handle = spawner.spawn(7, |frame| {
            frame.socket(sock, stream);
        });
        peer.write_all(b"five!").expect("send");
        chainring_runtime::time::sleep(Duration::from_millis(20)).await;
        (spawner, handle.expect("there is room"))
    });
    drop(runtime);
    assert!(handle.is_finished());
    assert_eq!(spawner.live(), 0);
    // Another runtime may ask for the exit of a frame that has ended.
    let exit = Runtime::new().expect("a ring").block_on(soon("the exit", handle));
    let error = exit.result.expect_err("it was cancelled");
    assert!(matches!(error.kind(), ErrorKind::Cancelled { done: 5 }), "{error}");
    assert_eq!(exit.session, 7);
}
