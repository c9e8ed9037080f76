//! A `Dir` and those who want out of it.

mod common;

use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use chainring_fs::{Dir, OpenOptions};
use common::{errno, run};

/// A directory with things in it, and a secret beside it.
fn world(temp: &Path) {
    std::fs::create_dir_all(temp.join("root/sub/deep")).unwrap();
    std::fs::create_dir(temp.join("outside")).unwrap();
    std::fs::write(temp.join("outside/secret"), "secret").unwrap();
    std::fs::write(temp.join("root/file"), "inside").unwrap();
    std::fs::write(temp.join("root/sub/file"), "deeper").unwrap();
    let root = temp.join("root");
    symlink("../outside", root.join("up")).unwrap();
    symlink(temp.join("outside"), root.join("absolute")).unwrap();
    symlink("../../outside/secret", root.join("sub/up-file")).unwrap();
    symlink("up", root.join("twice")).unwrap();
    symlink("/proc/self/cwd", root.join("magic")).unwrap();
    symlink("/", root.join("slash")).unwrap();
    symlink("sub/file", root.join("fine")).unwrap();
    symlink("../file", root.join("sub/fine-up")).unwrap();
    symlink("loop", root.join("loop")).unwrap();
}

/// Ways to a directory outside.
const OUT: [&str; 12] = [
    "..",
    "../outside",
    "sub/../../outside",
    "./..",
    "up",
    "absolute",
    "twice",
    "slash",
    "magic",
    "sub/deep/../../..",
    "/",
    "/tmp",
];

#[test]
fn no_path_leads_out_by_any_method() {
    run(async |temp| {
        world(temp);
        let dir = Dir::open(temp.join("root")).await.unwrap();
        let other = Dir::open(temp.join("root/sub")).await.unwrap();
        let write = OpenOptions::new().write(true).create(true).truncate(true);
        for out in OUT {
            let inner = [out, "/secret"].concat();
            for path in [out, &inner] {
                let told = [
                    errno(&dir.open_file(path).await),
                    errno(&dir.open_dir(path).await),
                    errno(&dir.open_with(&write, path).await),
                    errno(&dir.read(path).await),
                    errno(&dir.write(path, "overwritten").await.0),
                    errno(&dir.metadata(path).await),
                    errno(&dir.exists(path).await),
                    errno(&dir.read_dir(path).await),
                ];
                assert!(told.iter().all(|errno| *errno == Some(libc::EXDEV)), "{path}: {told:?}");
            }
            // What acts on a name follows no link at its end, but none on the way there either.
            let told = [
                errno(&dir.symlink_metadata(&inner).await),
                errno(&dir.remove_file(&inner).await),
                errno(&dir.remove_dir(&inner).await),
                errno(&dir.create_dir(&inner).await),
                errno(&dir.rename(&inner, &other, "stolen").await),
                errno(&other.rename("file", &dir, &inner).await),
                errno(&dir.hard_link(&inner, &other, "stolen").await),
                errno(&other.hard_link("file", &dir, &inner).await),
                errno(&dir.symlink("x", &inner).await),
                errno(&dir.write_atomic(&inner, "overwritten").await.0),
            ];
            assert!(told.iter().all(|errno| *errno == Some(libc::EXDEV)), "{inner}: {told:?}");
        }
        assert_eq!(errno(&dir.read("sub/up-file").await), Some(libc::EXDEV));
        assert_eq!(errno(&dir.read("loop").await), Some(libc::ELOOP));
        assert_eq!(errno(&dir.read("loop/x").await), Some(libc::ELOOP));
        assert_eq!(errno(&dir.read("").await), Some(libc::ENOENT));
        for path in ["", ".", "..", "sub/..", "sub/.", "/", "//"] {
            for told in [errno(&dir.create_dir(path).await), errno(&dir.remove_dir(path).await)] {
                assert!(matches!(told, Some(libc::EINVAL | libc::EXDEV | libc::ENOENT)), "{path}: {told:?}");
            }
        }
        assert!(dir.read("a\0b").await.is_err() && dir.create_dir("a\0b").await.is_err());
        assert_eq!(errno(&dir.create_dir("x".repeat(256)).await), Some(libc::ENAMETOOLONG));
        assert_eq!(std::fs::read(temp.join("outside/secret")).unwrap(), b"secret");
        assert_eq!(std::fs::read_dir(temp.join("outside")).unwrap().count(), 1);
    });
}

#[test]
fn what_stays_beneath_works() {
    run(async |temp| {
        world(temp);
        let dir = Dir::open(temp.join("root")).await.unwrap();
        assert_eq!(dir.read("fine").await.unwrap(), b"deeper");
        assert_eq!(dir.read("sub/fine-up").await.unwrap(), b"inside");
        assert_eq!(dir.read("sub/deep/../../file").await.unwrap(), b"inside");
        assert!(dir.symlink_metadata("up").await.unwrap().is_symlink());
        assert!(dir.metadata(".").await.unwrap().is_dir());
        assert!(!dir.exists("none").await.unwrap());
        dir.create_dir("new/").await.unwrap();
        dir.write("new/file", "1").await.0.unwrap();
        dir.write_atomic("new/file", "2").await.0.unwrap();
        let sub = dir.open_dir("sub").await.unwrap();
        dir.rename("new/file", &sub, "deep/moved").await.unwrap();
        sub.hard_link("deep/moved", &dir, "new/linked").await.unwrap();
        sub.symlink("deep/moved", "link").await.unwrap();
        assert_eq!(sub.read("link").await.unwrap(), b"2");
        assert_eq!(dir.metadata("new/linked").await.unwrap().nlink(), 2);
        let mut list = dir.read_dir("new").await.unwrap();
        let entry = list.next_entry().await.unwrap().unwrap();
        assert_eq!((entry.path(), entry.metadata().await.unwrap().len()), ("new/linked".into(), 1));
        assert!(list.next_entry().await.unwrap().is_none());
        assert_eq!(errno(&dir.remove_file("new/linked/").await), Some(libc::ENOTDIR));
        dir.remove_file("new/linked").await.unwrap();
        dir.remove_dir("new/").await.unwrap();
        // A link out is removed, not what it leads to.
        dir.remove_file("up").await.unwrap();
        dir.sync().await.unwrap();
        assert!(temp.join("outside/secret").exists());
    });
}

#[test]
fn a_directory_that_is_swapped_for_a_link_while_it_is_used_leads_nowhere() {
    run(async |temp| {
        world(temp);
        let dir = Dir::open(temp.join("root")).await.unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        let swapping = std::thread::spawn({
            let (stop, root) = (stop.clone(), temp.join("root"));
            move || {
                std::fs::create_dir(root.join("real")).unwrap();
                std::fs::write(root.join("real/secret"), "decoy").unwrap();
                while !stop.load(Ordering::Relaxed) {
                    std::fs::rename(root.join("real"), root.join("here")).unwrap();
                    std::fs::rename(root.join("here"), root.join("real")).unwrap();
                    symlink("../outside", root.join("here")).unwrap();
                    std::fs::remove_file(root.join("here")).unwrap();
                }
            }
        });
        for _ in 0..2000 {
            match dir.read("here/secret").await {
                Ok(bytes) => assert_eq!(bytes, b"decoy"),
                Err(error) => {
                    let errno = error.raw_os_error().unwrap();
                    assert!([libc::EXDEV, libc::ENOENT, libc::EAGAIN].contains(&errno), "{error}");
                }
            }
            let made = dir.create_dir("here/made").await;
            if made.is_ok() {
                let _ = dir.remove_dir("here/made").await;
                let _ = dir.remove_dir("real/made").await;
            }
        }
        stop.store(true, Ordering::Relaxed);
        swapping.join().unwrap();
        assert_eq!(std::fs::read_dir(temp.join("outside")).unwrap().count(), 1);
    });
}
