//! The ends of what can be asked for: the last numbers, all of a file and more, paths of directories, buffers that are not
//! filled.

mod common;

use std::io::{self, SeekFrom};
use std::os::fd::{AsFd, AsRawFd};
use std::time::Duration;

use chainring_fs::{self as fs, Advice, Dir, File, OpenOptions};
use chainring_runtime::time::timeout;
use common::{errno, run};
use futures::{StreamExt, TryStreamExt};

#[test]
fn a_stream_behind_the_last_position_reads_nothing_and_leaves_the_files_own_alone() {
    run(async |dir| {
        let path = dir.join("f");
        std::fs::write(&path, "0123456789").unwrap();
        let mut file = File::open(&path).await.unwrap();
        file.seek(SeekFrom::Start(2)).unwrap();
        for offset in [u64::MAX, u64::MAX - 2, i64::MAX as u64 + 1] {
            let items: Vec<_> = file.stream_into(offset, 4, || Ok(vec![0; 4])).collect().await;
            assert_eq!(items.iter().map(errno).collect::<Vec<_>>(), [Some(libc::EINVAL)], "from {offset}");
            assert_eq!(file.stream_position().unwrap(), 2, "from {offset}");
        }
        let mut stream = file.stream_into(i64::MAX as u64 - 2, 4, || Ok(vec![0; 4]));
        assert!(stream.next().await.is_none_or(|item| item.is_err()), "there is nothing to read");
        assert_eq!(file.stream_position().unwrap(), 2);
    });
}

#[test]
fn advice_about_more_than_there_is_comes_to_an_end() {
    run(async |dir| {
        let path = dir.join("f");
        std::fs::write(&path, vec![7; 1 << 20]).unwrap();
        let file = File::open(&path).await.unwrap();
        for (offset, len) in [(0, u64::MAX), (1 << 40, 1 << 62), (4096, i64::MAX as u64)] {
            for advice in [Advice::WillNeed, Advice::DontNeed] {
                let advised = timeout(Duration::from_secs(10), file.advise(offset, len, advice)).await;
                advised.expect("it goes on for ever").unwrap();
            }
        }
        // What has no length cannot be advised about, and not measured either.
        let null = File::open("/dev/null").await.unwrap();
        timeout(Duration::from_secs(10), null.advise(0, u64::MAX, Advice::Normal)).await.unwrap().unwrap();
    });
}

#[test]
fn an_exact_read_that_meets_the_end_gives_what_came_and_nothing_that_was_there_before() {
    run(async |dir| {
        let path = dir.join("f");
        std::fs::write(&path, "0123").unwrap();
        let mut file = File::open(&path).await.unwrap();
        let (result, bytes) = file.read_exact_at(vec![b'x'; 10], 0).await;
        assert_eq!((result.unwrap_err().kind(), &bytes[..]), (io::ErrorKind::UnexpectedEof, &b"0123"[..]));
        let (result, bytes) = file.read_exact(vec![b'x'; 10]).await;
        assert_eq!((result.unwrap_err().kind(), &bytes[..]), (io::ErrorKind::UnexpectedEof, &b"0123"[..]));
        file.seek(SeekFrom::Start(0)).unwrap();
        let (result, bytes) = file.read_exact(vec![b'x'; 4]).await;
        result.unwrap();
        assert_eq!(bytes, b"0123");
    });
}

#[test]
fn an_atomic_write_to_the_path_of_a_directory_is_refused() {
    run(async |temp| {
        std::fs::write(temp.join("f"), "old").unwrap();
        std::fs::create_dir(temp.join("d")).unwrap();
        let dir = Dir::open(temp).await.unwrap();
        for path in ["f/", "f/.", "f//", "d", "d/", "d/.", "new/", "new/.", "..", ".", "d/..", ""] {
            let (written, contents) = fs::write_atomic(temp.join(path), "new").await;
            assert_eq!(errno(&written), Some(libc::EISDIR), "{path:?}");
            assert_eq!(contents, "new");
            let (written, _) = dir.write_atomic(path, "new").await;
            assert!(written.is_err(), "{path:?} beneath a directory");
        }
        assert_eq!(std::fs::read(temp.join("f")).unwrap(), b"old");
        assert_eq!(std::fs::read_dir(temp).unwrap().count(), 2, "something was left behind");
    });
}

#[test]
fn a_name_is_given_to_the_file_that_was_meant_although_everything_was_dropped() {
    run(async |dir| {
        let file = OpenOptions::new().write(true).tmpfile(true).open(dir).await.unwrap();
        let number = file.as_fd().as_raw_fd();
        let mut linking = Box::pin(file.link_as(dir.join("linked")));
        assert!(futures::poll!(&mut linking).is_pending());
        drop(linking);
        // The operation names the file by its number, so it keeps that: what is taken out is a duplicate.
        let taken = file.into_std().unwrap();
        assert_ne!(taken.as_raw_fd(), number);
    });
}

#[test]
fn files_that_the_kernel_makes_up_are_streamed_and_copied_whole() {
    run(async |dir| {
        for path in ["/proc/self/limits", "/proc/cpuinfo", "/sys/kernel/mm/transparent_hugepage/enabled"] {
            let Ok(whole) = std::fs::read(path) else { continue };
            let stream = File::open(path).await.unwrap().stream(3, 100);
            assert!(stream.try_concat().await.unwrap() == whole, "{path}");
            assert_eq!(fs::copy(path, dir.join("copy")).await.unwrap(), whole.len() as u64, "{path}");
            assert!(fs::read(dir.join("copy")).await.unwrap() == whole, "{path}");
            // Of another user's choosing; the copy has the permissions of what was copied.
            fs::remove_file(dir.join("copy")).await.unwrap();
        }
    });
}
