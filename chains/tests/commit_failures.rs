//! Group commit on a bad day: writes and syncs that fail or come short, lists that cannot be prepared, a runtime that ends.

mod common;
#[path = "commit/shared.rs"]
mod shared;

use std::time::Duration;

use chainring_chains::{ChainHandle, ErrorKind, Init, Log};
use chainring_runtime::{Builder, Runtime};
use common::one::Dir;
use common::{soon, watchdog};
use shared::{committer, record, until, whole};

/// Runs eight frames against a log of which the first batch, or the one after that with `first`, meets a fault, and looks how
/// they and a task end. Gives what is in the file then.
fn failing(fault: &str, errno: i32, first: &str) -> Vec<u8> {
    let _watchdog = watchdog(Duration::from_secs(60));
    let dir = Dir::new();
    let log = Log::new("failing");
    let (program, [count, len]) = committer(&log);
    Runtime::new().expect("a ring").block_on(async {
        let core = chainring_runtime::Handle::current();
        let open = log.open(dir.file("log", b"before"), 6).expect("it opens");
        let spawner = program.start(9).expect("it starts");
        let spawn = || {
            let init = |frame: &mut Init<'_, '_>| {
                frame.set(count, 3).set(len, 8);
            };
            spawner.spawn((), init).expect("there is room")
        };
        if !first.is_empty() {
            assert_eq!(open.commit(first).await.expect("nothing fails yet"), 6);
        }
        core.injector().fail(fault, errno, 1);
        let mut handles: Vec<_> = (0..8).map(|_| spawn()).collect();
        let task = open.commit("of a task");
        let error = soon("the task", task).await.expect_err("the log is poisoned");
        assert_eq!(error.raw_os_error(), Some(errno));
        // One that comes later.
        handles.push(spawn());
        for handle in handles {
            let error = soon("a frame", handle).await.result.expect_err("the log is poisoned");
            assert!(matches!(error.kind(), ErrorKind::Errno(e) if *e == errno), "{error}");
            assert_eq!(error.name(), "commit");
        }
        assert_eq!(open.poisoned().and_then(|error| error.raw_os_error()), Some(errno));
        assert_eq!(open.durable(), 6 + first.len() as u64, "nothing but what was synced before");
        let later = open.commit("later").await.expect_err("the log is poisoned");
        assert_eq!(later.raw_os_error(), Some(errno));
        assert_eq!(open.batches(), 1 + u64::from(!first.is_empty()), "none was begun afterwards");
    });
    std::fs::read(dir.join("log")).expect("the log")
}

#[test]
fn a_sync_that_fails_fails_everybody_who_waits_and_poisons_the_log() {
    let bytes = failing("fsync", libc::EIO, "");
    assert_eq!(bytes[..6], *b"before");
}

#[test]
fn a_write_that_fails_does_the_same() {
    assert_eq!(failing("write", libc::ENOSPC, ""), b"before");
    // Later ones are write and sync in one.
    assert_eq!(failing("write", libc::ENOSPC, "whole!"), b"beforewhole!");
    assert_eq!(failing("write", libc::EIO, "whole!"), b"beforewhole!");
}

#[test]
fn the_runtime_may_end_while_a_batch_is_in_flight() {
    let _watchdog = watchdog(Duration::from_secs(60));
    let dir = Dir::new();
    let log = Log::new("ended");
    let (program, [count, len]) = committer(&log);
    let runtime = Runtime::new().expect("a ring");
    let (handles, spawner, open, mut commit) = runtime.block_on(async {
        let core = chainring_runtime::Handle::current();
        let open = log.open(dir.file("log", b""), 0).expect("it opens");
        let spawner = program.start(4).expect("it starts");
        core.injector().delay("fsync", 500, 1);
        let spawn = |_| {
            let init = |frame: &mut Init<'_, '_>| {
                frame.set(count, 2).set(len, 4096);
            };
            spawner.spawn((), init).expect("there is room")
        };
        let handles: Vec<_> = (0..4).map(spawn).collect();
        let mut commit = open.commit("of a task");
        assert!(futures::poll!(&mut commit).is_pending());
        until("the sync is held", || core.injector().held() == 1).await;
        (handles, spawner, open, commit)
    });
    drop(runtime);
    assert!(handles.iter().all(ChainHandle::is_finished));
    assert_eq!(spawner.live(), 0);
    assert_eq!(open.durable(), 0);
    // Another runtime may ask what has become of it.
    Runtime::new().expect("a ring").block_on(async {
        let error = (&mut commit).await.expect_err("nobody knows");
        assert_eq!(error.raw_os_error(), Some(libc::ECANCELED));
        for handle in handles {
            let error = handle.await.result.expect_err("it was cancelled");
            assert!(matches!(error.kind(), ErrorKind::Cancelled { .. }), "{error}");
        }
    });
}

#[test]
fn short_writes_are_taken_up_where_they_stopped_and_synced_as_a_whole() {
    let _watchdog = watchdog(Duration::from_secs(60));
    let dir = Dir::new();
    let log = Log::new("short");
    let runtime = Runtime::new().expect("a ring");
    runtime.block_on(async {
        let core = chainring_runtime::Handle::current();
        let open = log.open(dir.file("log", b""), 0).expect("it opens");
        for batch in 1..=2 {
            core.injector().shorten("write", 7, 4);
            let records: Vec<_> = (0..5).map(|i| record(i, batch, b"0123456789")).collect();
            let all = futures::future::join_all(records.iter().map(|record| open.commit(record))).await;
            assert!(all.iter().all(Result::is_ok), "{all:?}");
            assert_eq!(open.batches(), u64::from(batch));
            assert!(core.injector().is_spent());
        }
    });
    let bytes = std::fs::read(dir.join("log")).expect("the log");
    assert_eq!(whole(&bytes).0.len(), 10);
}

/// Commits three times, with a fault before the one of this number.
fn three(runtime: &Runtime, number: usize, fault: impl FnOnce(&chainring_runtime::injector::Injector)) {
    let _watchdog = watchdog(Duration::from_secs(60));
    let dir = Dir::new();
    let log = Log::new("three");
    runtime.block_on(async {
        let core = chainring_runtime::Handle::current();
        let open = log.open(dir.file("log", b""), 0).expect("it opens");
        let mut fault = Some(fault);
        for (at, (record, start)) in [("one ", 0), ("two ", 4), ("three", 8)].into_iter().enumerate() {
            if at + 1 == number {
                fault.take().expect("one number is this")(core.injector());
            }
            assert_eq!(open.commit(record).await.expect("nothing fails"), start);
            assert!(core.injector().is_spent());
        }
        assert_eq!(open.commit("").await.expect("nothing fails"), 13);
    });
    assert_eq!(std::fs::read(dir.join("log")).expect("the log"), b"one two three");
}

#[test]
fn a_list_that_cannot_be_prepared_is_done_one_by_one() {
    let runtime = Runtime::new().expect("a ring");
    three(&runtime, 1, |injector| injector.refuse("fsync", 1));
    // A queue that takes no lists.
    three(&Builder::new().submission_entries(2).build().expect("a ring"), 1, |_| {});
    for number in 1..=2 {
        let runtime = Builder::new().submission_entries(4).build().expect("a ring");
        three(&runtime, number, |injector| injector.fill_queue(3));
    }
}

#[test]
fn a_file_system_that_does_not_write_through_has_a_write_and_a_sync_for_each_batch() {
    let runtime = Runtime::new().expect("a ring");
    // The write of the second batch, and it is not tried again.
    three(&runtime, 2, |injector| injector.fail("write", libc::EOPNOTSUPP, 1));
    let synced_again = |injector: &chainring_runtime::injector::Injector| {
        injector.fail("write", libc::EOPNOTSUPP, 1);
        injector.delay("fsync", 3, 1);
    };
    three(&runtime, 2, synced_again);
}

#[test]
fn a_runtime_that_ends_before_the_log_has_begun_fails_whoever_commits() {
    let _watchdog = watchdog(Duration::from_secs(60));
    let dir = Dir::new();
    let log = Log::new("never begun");
    let runtime = Runtime::new().expect("a ring");
    let (open, mut commit) = runtime.block_on(async {
        let open = log.open(dir.file("log", b""), 0).expect("it opens");
        let mut commit = open.commit("never written");
        assert!(futures::poll!(&mut commit).is_pending());
        // It ends at once: nothing else of it has run.
        (open, commit)
    });
    drop(runtime);
    Runtime::new().expect("a ring").block_on(async {
        let error = soon("the record", &mut commit).await.expect_err("nobody will write it");
        assert_eq!(error.raw_os_error(), Some(libc::ECANCELED));
        let error = soon("another", open.commit("later")).await.expect_err("nobody will write it");
        assert_eq!(error.raw_os_error(), Some(libc::ECANCELED));
    });
    assert_eq!(std::fs::read(dir.join("log")).expect("the log"), b"");
}
