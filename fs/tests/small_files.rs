//! Whole files read by one list of linked entries: every length, every kind, every way to fail, and nothing left.

mod common;

use std::io::{ErrorKind, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

use chainring_fs as fs;
use chainring_runtime::{Builder, Capability, Handle, spawn, yield_now};
use common::{errno, run, run_with, settle};

/// Whether this kernel reads a small file by one list of linked entries.
fn by_one_list() -> bool {
    Handle::current().capabilities().fixed_fd_install()
}

fn content(len: usize) -> Vec<u8> {
    (0..len).map(|i| (i * 31 + len) as u8).collect()
}

const LENGTHS: [usize; 14] = [0, 1, 2, 31, 511, 4095, 4096, 4097, 4127, 4128, 4129, 8192, 100_000, 3_000_000];

async fn every_length(dir: &Path) {
    for len in LENGTHS {
        std::fs::write(dir.join("f"), content(len)).unwrap();
        let bytes = fs::read(dir.join("f")).await.unwrap();
        assert!(bytes == content(len), "{len}");
        assert!(bytes.capacity() <= len + 64, "{} bytes are kept for {len}", bytes.capacity());
    }
}

#[test]
fn every_length_is_read_whole() {
    run(every_length);
}

#[test]
fn every_length_is_read_whole_without_the_capabilities() {
    for capability in [Capability::SkipSuccess, Capability::FixedFdInstall, Capability::NoSqArray] {
        run_with(&Builder::new().mask(capability), every_length);
    }
    // A queue that is too short for a list.
    run_with(&Builder::new().submission_entries(1), every_length);
    run_with(&Builder::new().submission_entries(4), every_length);
}

#[test]
fn a_thousand_at_once_are_more_than_there_are_places() {
    for builder in [Builder::new(), Builder::new().submission_entries(4).completion_entries(8)] {
        run_with(&builder, async |dir| {
            let tasks: Vec<_> = (0..1000)
                .map(|i| {
                    let path = dir.join(i.to_string());
                    std::fs::write(&path, content(i * 5)).unwrap();
                    spawn(async move { fs::read(path).await })
                })
                .collect();
            for (i, task) in tasks.into_iter().enumerate() {
                assert!(task.await.unwrap().unwrap() == content(i * 5), "{i}");
            }
        });
    }
}

#[test]
fn what_is_no_small_file_is_read_as_the_standard_library_reads_it() {
    run(async |dir| {
        for path in [
            "/proc/self/cmdline",
            "/proc/version",
            "/sys/kernel/mm/transparent_hugepage/enabled",
            "/proc/cpuinfo",
        ] {
            let Ok(theirs) = std::fs::read(path) else { continue };
            assert_eq!(fs::read(path).await.unwrap().len(), theirs.len(), "{path}");
        }
        assert_eq!(errno(&fs::read(dir).await), Some(libc::EISDIR));
        assert_eq!(errno(&fs::read(dir.join("none")).await), Some(libc::ENOENT));
        assert_eq!(errno(&fs::read("").await), Some(libc::ENOENT));
        assert_eq!(errno(&fs::read("x".repeat(5000)).await), Some(libc::ENAMETOOLONG));
        assert_eq!(fs::read("a\0b").await.unwrap_err().kind(), ErrorKind::InvalidInput);
        std::fs::write(dir.join("latin"), b"\xff").unwrap();
        assert_eq!(fs::read_to_string(dir.join("latin")).await.unwrap_err().kind(), ErrorKind::InvalidData);
        std::fs::set_permissions(dir.join("latin"), std::fs::Permissions::from_mode(0o000)).unwrap();
        let theirs = std::fs::read(dir.join("latin")).map_err(|error| error.raw_os_error());
        assert_eq!(fs::read(dir.join("latin")).await.map_err(|error| error.raw_os_error()), theirs);
    });
}

fn fifo(path: &Path) {
    let made = std::process::Command::new("mkfifo").arg(path).status().unwrap();
    assert!(made.success());
}

#[test]
fn a_pipe_that_dribbles_is_read_to_its_end() {
    run(async |dir| {
        let path = dir.join("fifo");
        fifo(&path);
        let writer = std::thread::spawn({
            let path = path.clone();
            move || {
                // The reader is there first.
                std::thread::sleep(std::time::Duration::from_millis(20));
                let mut fifo = std::fs::File::options().write(true).open(path).unwrap();
                for part in content(20_000).chunks(1500) {
                    fifo.write_all(part).unwrap();
                    std::thread::sleep(std::time::Duration::from_millis(1));
                }
            }
        });
        assert!(fs::read(&path).await.unwrap() == content(20_000));
        writer.join().unwrap();
    });
}

#[test]
fn a_read_that_is_dropped_while_it_waits_is_cancelled_and_closed() {
    run(async |dir| {
        let path = dir.join("fifo");
        fifo(&path);
        // Opening does not wait for the other end, reading does.
        let keep = std::fs::File::options().read(true).write(true).open(&path).unwrap();
        for turns in 0..20 {
            let mut reading = Box::pin(fs::read(&path));
            assert!(futures::poll!(&mut reading).is_pending());
            for _ in 0..turns {
                yield_now().await;
            }
            // One list; step by step there are turns between the operations.
            let operations = Handle::current().metrics().operations;
            assert!(operations == 1 || !by_one_list() && operations == 0, "{operations} operations");
            drop(reading);
            settle().await;
        }
        // The places are free again, and nothing is in them: the last end closes the pipe.
        for _ in 0..10 {
            yield_now().await;
        }
        drop(keep);
        let alone = std::fs::OpenOptions::new()
            .write(true)
            .custom_flags(libc::O_NONBLOCK)
            .open(&path)
            .map_err(|error| error.raw_os_error());
        assert_eq!(alone.err(), Some(Some(libc::ENXIO)), "somebody still reads");
    });
}

#[test]
fn a_runtime_that_ends_takes_its_reads_with_it() {
    run(async |dir| {
        let path = dir.join("fifo");
        fifo(&path);
        let _keep = std::fs::File::options().read(true).write(true).open(&path).unwrap();
        let other = std::thread::spawn(move || {
            let runtime = chainring_runtime::Runtime::new().unwrap();
            let mut reading = Box::pin(fs::read(path));
            runtime.block_on(async { assert!(futures::poll!(&mut reading).is_pending()) });
            drop(runtime);
            drop(reading);
        });
        other.join().unwrap();
    });
}

#[test]
fn a_disk_that_fails_in_the_middle_fails_the_whole() {
    run(async |dir| {
        std::fs::write(dir.join("small"), content(3000)).unwrap();
        std::fs::write(dir.join("large"), content(300_000)).unwrap();
        let core = Handle::current();
        let injector = core.injector();
        for name in ["small", "large"] {
            injector.fail("openat2", libc::EMFILE, 1);
            assert_eq!(errno(&fs::read(dir.join(name)).await), Some(libc::EMFILE));
            injector.fail("read", libc::EIO, 1);
            assert_eq!(errno(&fs::read(dir.join(name)).await), Some(libc::EIO), "the first read");
            // A short read, and the disk fails behind it.
            injector.shorten("read", 1000, 1);
            injector.fail("read", libc::EIO, 1);
            assert_eq!(errno(&fs::read(dir.join(name)).await), Some(libc::EIO), "the second read");
            assert!(injector.is_spent());
        }
        // Past the list: in the rest of the long file.
        injector.shorten("read", 4096, 3);
        injector.fail("read", libc::EIO, 1);
        assert_eq!(errno(&fs::read(dir.join("large")).await), Some(libc::EIO));
        assert!(injector.is_spent());
        if by_one_list() {
            injector.fail("fixed_fd_install", libc::EMFILE, 1);
            assert_eq!(errno(&fs::read(dir.join("large")).await), Some(libc::EMFILE));
        }
        // A short read alone is no end.
        for len in [1, 100, 2999] {
            injector.shorten("read", len, 1);
            assert!(fs::read(dir.join("small")).await.unwrap() == content(3000), "{len}");
            injector.shorten("read", len, 4);
            assert!(fs::read(dir.join("large")).await.unwrap() == content(300_000), "{len}");
            assert!(injector.is_spent());
        }
        injector.fill_queue(3);
        assert!(fs::read(dir.join("small")).await.unwrap() == content(3000));
        injector.delay("read", 5, 2);
        assert!(fs::read(dir.join("small")).await.unwrap() == content(3000));
    });
}

#[test]
fn the_users_table_of_direct_files_and_ours_live_together() {
    use chainring_runtime::op::files_update::DirectFiles;
    run(async |dir| {
        std::fs::write(dir.join("f"), content(100)).unwrap();
        fs::read(dir.join("f")).await.unwrap();
        settle().await;
        let table = DirectFiles::register(8).unwrap();
        assert_eq!(table.len(), 8);
        assert_eq!(errno(&DirectFiles::register(8)), Some(libc::EBUSY));
        assert!(fs::read(dir.join("f")).await.unwrap() == content(100));
    });
    run(async |dir| {
        std::fs::write(dir.join("f"), content(100)).unwrap();
        let _table = DirectFiles::register(8).unwrap();
        assert!(fs::read(dir.join("f")).await.unwrap() == content(100));
    });
}
