//! Disks that are full or broken: the right error, no part that passes for the whole, nothing left behind.

mod common;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use chainring_fs::{self as fs, Dir, File, OpenOptions};
use chainring_runtime::op::read::read_at;
use chainring_runtime::{Descriptor, Handle, yield_now};
use common::{descriptors, errno, run, settle};

/// A file system of a megabyte; `None` where mounting is not allowed.
struct Small(PathBuf);

impl Small {
    fn mount(at: &Path) -> Option<Small> {
        std::fs::create_dir(at).unwrap();
        let mounted =
            Command::new("mount").args(["-t", "tmpfs", "-o", "size=1m,mode=777", "none"]).arg(at).output();
        mounted.is_ok_and(|output| output.status.success()).then(|| Small(at.to_owned()))
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.0).status();
    }
}

fn names(dir: &Path) -> Vec<String> {
    let mut names: Vec<_> = std::fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn a_full_disk_is_told_by_every_way_to_write() {
    run(async |temp| {
        // Without root the injected failures below have to do.
        let Some(small) = Small::mount(&temp.join("small")) else { return };
        let dir = &small.0;
        let full = Some(libc::ENOSPC);
        let much = vec![7u8; 2 << 20];
        assert_eq!(errno(&fs::write(dir.join("f"), much.clone()).await.0), full);
        fs::remove_file(dir.join("f")).await.unwrap();
        fs::write(dir.join("kept"), "old").await.0.unwrap();
        assert_eq!(errno(&fs::write_atomic(dir.join("kept"), much.clone()).await.0), full);
        assert_eq!(
            (fs::read(dir.join("kept")).await.unwrap(), names(dir)),
            (b"old".to_vec(), vec!["kept".to_owned()])
        );
        let mut file = File::create(dir.join("f")).await.unwrap();
        assert_eq!(errno(&file.write_all_at(much.clone(), 0).await.0), full);
        // A part was written, and is not called the whole.
        assert!(file.metadata().await.unwrap().len() < much.len() as u64);
        file.set_len(0).await.unwrap();
        assert_eq!(errno(&file.write_all(much.clone()).await.0), full);
        file.set_len(0).await.unwrap();
        assert_eq!(errno(&file.allocate(0, 2 << 20).await), full);
        file.set_len(0).await.unwrap();
        let mut writer = file.writer(0, 8);
        let mut told = Vec::new();
        for block in much.chunks(16 << 10) {
            told.extend(errno(&writer.write(block.to_vec()).await.map(drop)));
        }
        assert!(told.iter().all(|errno| Some(*errno) == full));
        assert_eq!(errno(&writer.finish().await), full);
        std::fs::write(small.0.with_file_name("source"), &much).unwrap();
        assert_eq!(errno(&fs::copy(small.0.with_file_name("source"), dir.join("copy")).await), full);
        drop(file);
        settle().await;
    });
}

#[test]
fn an_atomic_write_that_fails_anywhere_leaves_the_old_contents_and_no_trace() {
    run(async |dir| {
        let core = Handle::current();
        let injector = core.injector();
        let path = dir.join("kept");
        std::fs::write(&path, "old").unwrap();
        let before = descriptors();
        for (name, error) in [
            ("openat2", libc::EMFILE),
            ("write", libc::ENOSPC),
            ("write", libc::EIO),
            ("fsync", libc::EIO),
            ("rename", libc::EIO),
        ] {
            injector.fail(name, error, 1);
            assert_eq!(errno(&fs::write_atomic(&path, "new").await.0), Some(error), "{name}");
            assert!(injector.is_spent());
            assert_eq!(
                (std::fs::read(&path).unwrap(), names(dir)),
                (b"old".to_vec(), vec!["kept".to_owned()]),
                "{name}"
            );
        }
        // Half of it is written, and then the disk fails.
        injector.shorten("write", 1, 1);
        fs::write_atomic(&path, "whole").await.0.unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"whole");
        settle().await;
        assert_eq!(descriptors(), before);
    });
}

#[test]
fn an_atomic_write_that_is_dropped_anywhere_leaves_one_of_the_two_and_no_trace() {
    run(async |dir| {
        let path = dir.join("kept");
        for turns in 0..40 {
            std::fs::write(&path, "old").unwrap();
            let mut writing = Box::pin(fs::write_atomic(&path, "new, and longer"));
            for _ in 0..turns {
                if futures::poll!(&mut writing).is_ready() {
                    break;
                }
                yield_now().await;
            }
            drop(writing);
            settle().await;
            for _ in 0..4 {
                yield_now().await;
                settle().await;
            }
            let found = std::fs::read(&path).unwrap();
            assert!(found == b"old" || found == b"new, and longer", "{found:?} after {turns} turns");
            assert_eq!(names(dir), ["kept"], "after {turns} turns");
        }
    });
}

#[test]
fn an_atomic_write_that_is_dropped_while_its_file_is_created_slowly_leaves_no_trace() {
    run(async |temp| {
        let dir = Dir::open(temp).await.unwrap();
        for round in 0..20 {
            let (pipe, mut end) = std::io::pipe().unwrap();
            let pipe = Descriptor::new(pipe.into());
            // The kernel opens when the read has ended: long after nobody waits for it any more.
            Handle::current().injector().link(1);
            let mut before = read_at(&pipe, vec![0; 1], u64::MAX);
            assert!(futures::poll!(&mut before).is_pending());
            let mut writing = Box::pin(dir.write_atomic("kept", "new"));
            assert!(futures::poll!(&mut writing).is_pending());
            yield_now().await;
            drop(writing);
            for _ in 0..4 {
                yield_now().await;
            }
            end.write_all(b"x").unwrap();
            before.await.0.unwrap();
            settle().await;
            for _ in 0..4 {
                yield_now().await;
                settle().await;
            }
            assert_eq!(names(temp), [""; 0], "in round {round}");
        }
    });
}

#[test]
fn an_error_in_the_middle_is_the_error_of_the_whole() {
    run(async |dir| {
        let core = Handle::current();
        let injector = core.injector();
        let content: Vec<u8> = (0..10_000).map(|i| i as u8).collect();
        let path = dir.join("f");
        let options = OpenOptions::new().read(true).write(true).create(true);
        let mut file = options.open(&path).await.unwrap();
        file.write_all_at(content.clone(), 0).await.0.unwrap();
        let before = descriptors();

        injector.shorten("read", 1000, 1);
        let (result, bytes) = file.read_exact_at(Vec::with_capacity(5000), 0).await;
        result.unwrap();
        assert!(bytes == content[..5000]);

        // The oldest rule is used first: a short one, and then a failing one.
        injector.shorten("read", 1000, 1);
        injector.fail("read", libc::EIO, 1);
        let (result, bytes) = file.read_exact_at(Vec::with_capacity(5000), 0).await;
        assert_eq!((errno(&result), bytes == content[..1000]), (Some(libc::EIO), true));
        injector.shorten("read", 1000, 1);
        injector.fail("read", libc::EIO, 1);
        assert_eq!(errno(&file.read_to_end(Vec::new()).await.0), Some(libc::EIO));
        injector.shorten("write", 1000, 1);
        injector.fail("write", libc::EIO, 1);
        assert_eq!(errno(&file.write_all_at(content.clone(), 0).await.0), Some(libc::EIO));
        injector.shorten("write", 1000, 1);
        injector.fail("write", libc::ENOSPC, 1);
        assert_eq!(errno(&fs::write(&path, content.clone()).await.0), Some(libc::ENOSPC));
        for (name, result) in [
            ("fsync", {
                injector.fail("fsync", libc::EIO, 1);
                file.sync_all().await
            }),
            ("fdatasync", {
                injector.fail("fsync", libc::EIO, 1);
                file.sync_data().await
            }),
            ("fallocate", {
                injector.fail("fallocate", libc::EIO, 1);
                file.allocate(0, 10).await
            }),
            ("mkdir", {
                injector.fail("mkdir", libc::EIO, 1);
                fs::create_dir(dir.join("d")).await
            }),
            ("unlink", {
                injector.fail("unlink", libc::EIO, 1);
                fs::remove_file(&path).await
            }),
            ("rename", {
                injector.fail("rename", libc::EIO, 1);
                fs::rename(&path, dir.join("g")).await
            }),
            ("link", {
                injector.fail("link", libc::EIO, 1);
                fs::hard_link(&path, dir.join("g")).await
            }),
            ("symlink", {
                injector.fail("symlink", libc::EIO, 1);
                fs::symlink("x", dir.join("g")).await
            }),
            ("statx", {
                injector.fail("statx", libc::EIO, 1);
                fs::metadata(&path).await.map(drop)
            }),
        ] {
            assert_eq!(errno(&result), Some(libc::EIO), "{name}");
        }
        assert!(injector.is_spent());
        assert_eq!(names(dir), ["f"]);
        settle().await;
        assert_eq!(descriptors(), before);
    });
}
