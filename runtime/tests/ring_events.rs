//! What happens between futures and the ring: drops, late completions, sleeping.

use std::io::Write;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

use chainring_runtime::op::nop::nop;
use chainring_runtime::op::recv::recv;
use chainring_runtime::time::{sleep, timeout};
use chainring_runtime::{Builder, Capability, Descriptor, Runtime, spawn, yield_now};
use futures::FutureExt;
use futures::future::join_all;

fn socket() -> (Descriptor, UnixStream) {
    let (ours, theirs) = UnixStream::pair().unwrap();
    (Descriptor::new(OwnedFd::from(ours)), theirs)
}

#[test]
fn the_late_completion_of_a_dropped_operation_reaches_no_later_one() {
    let runtime = Runtime::new().unwrap();
    runtime.block_on(async {
        for round in 0..500u32 {
            let (dropped, mut wrong) = socket();
            let (kept, mut right) = socket();
            let mut first = recv(&dropped, vec![0u8; 8], 0);
            assert!(futures::poll!(&mut first).is_pending());
            if round % 2 == 0 {
                // Submitted; otherwise it is dropped while it still waits in the queue.
                yield_now().await;
            }
            if round % 3 == 0 {
                wrong.write_all(b"wrong").unwrap();
            }
            drop(first);
            // The next one, and the next use of the slot once the first is done.
            let second = recv(&kept, vec![0u8; 8], 0);
            let (results, ()) = futures::join!(second, async {
                nop().await.unwrap();
                right.write_all(b"right").unwrap();
            });
            let (count, bytes) = results;
            assert_eq!((count.unwrap(), &bytes[..5]), (5, &b"right"[..]));
        }
        while runtime.metrics().operations > 0 {
            nop().await.unwrap();
        }
    });
}

#[test]
fn a_completion_that_is_there_already_ends_the_wait_at_once() {
    // The queue is flushed while futures are polled, so completions arrive before the core goes to sleep.
    let runtime = Builder::new().submission_entries(8).build().unwrap();
    runtime.block_on(async {
        let start = Instant::now();
        for _ in 0..100 {
            let all = join_all((0..64).map(|_| nop()));
            timeout(Duration::from_secs(10), all).await.expect("it slept over completions");
        }
        assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
    });
    assert!(runtime.metrics().flushes > 0);
}

#[test]
fn a_full_completion_queue_delays_nothing_and_loses_nothing() {
    let runtime = Builder::new().submission_entries(8).completion_entries(16).build().unwrap();
    runtime.block_on(async {
        let all = join_all((0..1000).map(|_| nop()));
        let results = timeout(Duration::from_secs(10), all).await.expect("completions are lost");
        assert!(results.into_iter().all(|result| result.is_ok()));
    });
    assert_eq!(runtime.metrics().lost, 0);
}

#[test]
fn dropping_futures_and_handles_neither_waits_nor_enters_the_kernel() {
    let runtime = Runtime::new().unwrap();
    let sockets: Vec<_> = (0..200).map(|_| socket()).collect();
    runtime.block_on(async {
        let mut receiving: Vec<_> = sockets.iter().map(|(ours, _)| recv(ours, vec![0u8; 64], 0)).collect();
        for future in &mut receiving {
            assert!(future.now_or_never().is_none());
        }
        let mut nap = sleep(Duration::from_secs(3600));
        assert!((&mut nap).now_or_never().is_none());
        let task = spawn(std::future::pending::<()>());
        yield_now().await;
        assert_eq!(runtime.metrics().operations, 200);

        let (enters, start) = (runtime.metrics().enters, Instant::now());
        drop(receiving);
        drop(nap);
        task.abort();
        drop(task);
        assert_eq!(runtime.metrics().enters, enters);
        assert!(start.elapsed() < Duration::from_millis(500), "{:?}", start.elapsed());

        // What they had in flight is cancelled beside everything else.
        while runtime.metrics().operations > 0 {
            sleep(Duration::from_millis(1)).await;
        }
    });
    drop(sockets);
}

/// Threads that the kernel counts as waiting for I/O, most of the time.
fn in_iowait() -> u32 {
    let blocked = || -> u32 {
        let stat = std::fs::read_to_string("/proc/stat").unwrap();
        stat.lines().find_map(|line| line.strip_prefix("procs_blocked ")).unwrap().trim().parse().unwrap()
    };
    let mut samples: Vec<u32> = (0..100)
        .map(|_| {
            thread::sleep(Duration::from_millis(1));
            blocked()
        })
        .collect();
    samples.sort_unstable();
    samples[samples.len() / 2]
}

#[test]
fn idle_rings_do_not_count_as_waiting_for_io() {
    const RINGS: u32 = 24;
    let with = |builder: Builder| {
        let barrier = Barrier::new(RINGS as usize + 1);
        let (barrier, builder) = (&barrier, &builder);
        thread::scope(|scope| {
            let wakers: Vec<_> = (0..RINGS)
                .map(|_| {
                    let (sender, receiver) = futures::channel::oneshot::channel::<()>();
                    scope.spawn(move || {
                        let runtime = builder.build().unwrap();
                        barrier.wait();
                        runtime.block_on(receiver).unwrap();
                        runtime.handle().capabilities().no_iowait()
                    });
                    sender
                })
                .collect();
            barrier.wait();
            thread::sleep(Duration::from_millis(10));
            let waiting = in_iowait();
            wakers.into_iter().for_each(|waker| waker.send(()).unwrap());
            waiting
        })
    };
    if !Runtime::new().unwrap().handle().capabilities().no_iowait() {
        return;
    }
    let masked = with(Builder::new().mask(Capability::NoIowait));
    assert!(masked >= RINGS, "{masked} threads wait for I/O, although the capability was masked");
    // The kernel counts for all processes: others may wait meanwhile, for seconds, but not for ever.
    let start = Instant::now();
    let mut idle = RINGS;
    while idle >= RINGS && start.elapsed() < Duration::from_secs(30) {
        idle = with(Builder::new());
    }
    assert!(idle < RINGS, "{idle} threads wait for I/O, of {RINGS} idle rings");
}
