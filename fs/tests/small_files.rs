//! Whole files read by one list of linked entries: every length, every kind, every way to fail, and nothing left.

mod common;

use std::io::{ErrorKind, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

use chainring_fs as fs;
use chainring_runtime::{Builder, Capability, Handle, spawn, yield_now};
use common::{errno, run, run_with, settle};
use futures::StreamExt as _;

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

/// A path of so many bytes to a file in `dir`, by way of directories that it goes into and out of.
fn long_path(dir: &Path, len: usize) -> std::path::PathBuf {
    let (start, end) = (dir.to_str().unwrap().to_owned(), "/f");
    let steps = len - start.len() - end.len();
    // "/." goes nowhere, and neither does a second slash.
    std::path::PathBuf::from(start + &"/.".repeat(steps / 2) + if steps % 2 == 1 { "/" } else { "" } + end)
}

#[test]
fn a_path_of_any_length_is_read_and_one_with_a_nul_byte_never() {
    run(async |dir| {
        std::fs::write(dir.join("f"), content(100)).unwrap();
        std::fs::write(dir.join("g"), content(200)).unwrap();
        for len in [100, 254, 255, 256, 257, 510, 511, 512, 513, 1000, 4094, 4095] {
            let path = long_path(dir, len);
            assert_eq!(path.as_os_str().len(), len);
            assert!(fs::read(&path).await.unwrap() == content(100), "{len}");
            // A shorter path after a longer one, in the same place.
            assert!(fs::read(dir.join("g")).await.unwrap() == content(200), "{len}");
        }
        assert_eq!(errno(&fs::read(long_path(dir, 4096)).await), Some(libc::ENAMETOOLONG));
        for path in ["\0", "\0f", "f\0", "f\0f", "seven77\0", "eight888\0", "/tmp/\0/f"] {
            assert_eq!(fs::read(path).await.unwrap_err().kind(), ErrorKind::InvalidInput, "{path:?}");
        }
        let after = long_path(dir, 600).join("\0");
        assert_eq!(fs::read(after).await.unwrap_err().kind(), ErrorKind::InvalidInput);
    });
}

#[test]
fn what_was_read_before_is_never_in_what_is_read_next() {
    run(async |dir| {
        std::fs::write(dir.join("long"), vec![b'l'; 4096]).unwrap();
        std::fs::write(dir.join("short"), b"s").unwrap();
        std::fs::write(dir.join("empty"), b"").unwrap();
        for _ in 0..3 {
            assert_eq!(fs::read(dir.join("long")).await.unwrap(), vec![b'l'; 4096]);
            assert_eq!(fs::read(dir.join("short")).await.unwrap(), b"s");
            assert_eq!(fs::read(dir.join("empty")).await.unwrap(), b"");
            assert_eq!(errno(&fs::read(dir.join("none")).await), Some(libc::ENOENT));
        }
    });
}

#[test]
fn reads_that_are_dropped_in_every_turn_do_not_write_into_those_that_follow() {
    run(async |dir| {
        let path = dir.join("fifo");
        fifo(&path);
        let keep = std::fs::File::options().read(true).write(true).open(&path).unwrap();
        std::fs::write(dir.join("f"), content(3000)).unwrap();
        for turns in 0..8 {
            let mut waiting: Vec<_> = (0..70).map(|_| Box::pin(fs::read(&path))).collect();
            for reading in &mut waiting {
                assert!(futures::poll!(reading).is_pending());
            }
            for _ in 0..turns {
                yield_now().await;
            }
            drop(waiting);
            // Into the pipe while the cancelled reads are still there.
            (&keep).write_all(&[0xee; 500]).unwrap();
            for _ in 0..5 {
                assert!(fs::read(dir.join("f")).await.unwrap() == content(3000), "{turns}");
            }
            settle().await;
        }
    });
}

#[test]
fn a_read_that_moves_to_another_task_wakes_that_one() {
    run(async |dir| {
        let path = dir.join("fifo");
        fifo(&path);
        let mut keep = std::fs::File::options().read(true).write(true).open(&path).unwrap();
        let mut reading = Box::pin(fs::read(path));
        assert!(futures::poll!(&mut reading).is_pending());
        yield_now().await;
        let task = spawn(async move { reading.await.unwrap().len() });
        for _ in 0..3 {
            yield_now().await;
        }
        keep.write_all(&content(100)).unwrap();
        yield_now().await;
        drop(keep);
        assert_eq!(task.await.unwrap(), 100);
    });
}

#[test]
fn a_waker_of_another_executor_is_woken() {
    run(async |dir| {
        let paths: Vec<_> = (0..20).map(|i| dir.join(i.to_string())).collect();
        for (i, path) in paths.iter().enumerate() {
            std::fs::write(path, content(i * 100)).unwrap();
        }
        // Each future in there has a waker of its own.
        let all: Vec<_> = futures::stream::iter(paths).map(fs::read).buffer_unordered(7).collect().await;
        let mut lens: Vec<_> = all.into_iter().map(|bytes| bytes.unwrap().len()).collect();
        lens.sort_unstable();
        assert_eq!(lens, (0..20).map(|i| i * 100).collect::<Vec<_>>());
    });
}

#[test]
fn the_future_of_a_read_is_small() {
    // It is copied to where it is awaited. What a longer file needs is elsewhere.
    let reading = fs::read("f");
    assert!(size_of_val(&reading) <= 160, "{} bytes", size_of_val(&reading));
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
