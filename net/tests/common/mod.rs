//! What the tests of sockets share.

#![allow(dead_code, reason = "each test binary uses its part")]

use std::fs::File;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Mutex, MutexGuard};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use chainring_net::{TcpListener, TcpStream};
use chainring_runtime::time::timeout;
use chainring_runtime::{Builder, Handle, Runtime, yield_now};

/// One test at a time: descriptors are counted for the whole process.
pub(crate) fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

/// The open descriptors of this process.
pub(crate) fn descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

/// Lets this process open no more descriptors than a few hundred, and uses up all of them.
pub(crate) fn exhaust() -> Vec<File> {
    let limit = libc::rlimit { rlim_cur: 256, rlim_max: hard_limit() };
    // SAFETY: a pointer to a local structure.
    assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &limit) }, 0);
    let mut files = Vec::new();
    while let Ok(file) = File::open("/dev/null") {
        files.push(file);
    }
    files
}

fn hard_limit() -> libc::rlim_t {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: a pointer to a local structure.
    assert_eq!(unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit) }, 0);
    limit.rlim_max
}

/// Runs a future in a runtime of its own, for no longer than 20 seconds, and checks that no descriptor is left
/// behind.
pub(crate) fn run<T>(body: impl AsyncFnOnce() -> T) -> T {
    run_on(Builder::new(), body)
}

/// As [`run`], in a runtime with other sizes.
pub(crate) fn run_on<T>(sizes: Builder, body: impl AsyncFnOnce() -> T) -> T {
    let _alone = alone();
    // Descriptors that stay: the pool of bells, and what the standard library opens once.
    drop(Runtime::new().unwrap());
    let before = descriptors();
    let runtime = sizes.build().unwrap();
    let result = runtime.block_on(async { timeout(Duration::from_secs(20), body()).await });
    drop(runtime);
    let result = result.expect("something hangs");
    assert_eq!(descriptors(), before, "descriptors were left open");
    result
}

/// Lets the ring settle: every operation that nobody waits for ends.
pub(crate) async fn settle() {
    while Handle::current().metrics().operations > 0 {
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

/// Some port of this host.
pub(crate) fn any_port() -> SocketAddr {
    "127.0.0.1:0".parse().unwrap()
}

/// Two ends of a TCP connection: the accepted and the connected one.
pub(crate) async fn tcp_pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind(any_port()).unwrap();
    let there = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    (listener.accept().await.unwrap(), there)
}

/// Bytes that are told apart by where they are.
pub(crate) fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|i| (i % 251) as u8).collect()
}

/// Numbers as random as tests need them, the same for the same seed (SplitMix64).
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(crate) fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }
}
