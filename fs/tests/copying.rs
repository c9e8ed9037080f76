//! What a program that copies files needs: ranges, blocks shared, owners and times.

mod common;

use std::os::unix::fs::MetadataExt;
use std::time::{Duration, SystemTime};

use chainring_fs::{self as fs, File, OpenOptions};
use chainring_runtime::Handle;
use common::{errno, run};
use futures::StreamExt;

fn content(len: usize) -> Vec<u8> {
    (0..len).map(|i| (i / 256 + i) as u8).collect()
}

#[test]
fn a_stream_of_a_range_ends_where_the_range_does() {
    run(async |dir| {
        std::fs::write(dir.join("f"), content(50_000)).unwrap();
        let file = File::open(dir.join("f")).await.unwrap();
        for (from, to, expected) in
            [(0, 50_000, 0..50_000), (4096, 4097, 4096..4097), (100, 30_000, 100..30_000), (7, 7, 7..7)]
        {
            for depth in [1, 4] {
                let make = || Ok(Vec::with_capacity(4096));
                let blocks: Vec<_> =
                    file.stream_range(from..to, depth, make).map(Result::unwrap).collect().await;
                assert!(
                    blocks.concat() == content(50_000)[expected.clone()],
                    "{from}..{to} at depth {depth}"
                );
            }
        }
        let beyond: Vec<_> =
            file.stream_range(49_999..90_000, 2, || Ok(Vec::with_capacity(4096))).collect().await;
        assert_eq!(
            beyond.into_iter().map(Result::unwrap).collect::<Vec<_>>().concat(),
            content(50_000)[49_999..]
        );
    });
}

#[test]
fn a_short_read_within_a_range_leaves_no_gap_and_reads_nothing_behind_it() {
    run(async |dir| {
        std::fs::write(dir.join("f"), content(50_000)).unwrap();
        let file = File::open(dir.join("f")).await.unwrap();
        Handle::current().injector().shorten("read", 1000, 3);
        let make = || Ok(Vec::with_capacity(4096));
        let blocks: Vec<_> = file.stream_range(10..10_000, 2, make).map(Result::unwrap).collect().await;
        assert!(blocks.concat() == content(50_000)[10..10_000]);
    });
}

#[test]
fn a_stream_into_used_buffers_brings_what_the_file_has() {
    run(async |dir| {
        std::fs::write(dir.join("f"), content(5000)).unwrap();
        let file = File::open(dir.join("f")).await.unwrap();
        let used = || Ok(vec![b'x'; 4096]);
        let whole: Vec<_> = file.stream_into(0, 2, used).map(Result::unwrap).collect().await;
        assert!(whole.concat() == content(5000), "{} bytes", whole.concat().len());
        let part: Vec<_> = file.stream_range(100..4300, 2, used).map(Result::unwrap).collect().await;
        assert!(part.concat() == content(5000)[100..4300], "{} bytes", part.concat().len());
    });
}

#[test]
fn a_range_is_copied_inside_the_kernel() {
    run(async |dir| {
        std::fs::write(dir.join("from"), content(50_000)).unwrap();
        let from = File::open(dir.join("from")).await.unwrap();
        let to = File::create(dir.join("to")).await.unwrap();
        assert_eq!(from.copy_range(100..40_100, &to, 10).await.unwrap(), 40_000);
        assert_eq!(from.copy_range(49_000..60_000, &to, 40_010).await.unwrap(), 1000, "the file ends");
        let copied = std::fs::read(dir.join("to")).unwrap();
        let expected = [&[0; 10], &content(50_000)[100..40_100], &content(50_000)[49_000..]].concat();
        assert!(copied == expected);
    });
}

#[test]
fn a_clone_is_whole_or_refused_by_name() {
    run(async |dir| {
        std::fs::write(dir.join("from"), content(50_000)).unwrap();
        let from = File::open(dir.join("from")).await.unwrap();
        let to = OpenOptions::new().write(true).create(true).open(dir.join("to")).await.unwrap();
        match from.clone_to(&to).await {
            Ok(()) => assert!(std::fs::read(dir.join("to")).unwrap() == content(50_000)),
            refused => {
                assert!(matches!(errno(&refused), Some(libc::EOPNOTSUPP | libc::ENOTTY)), "{refused:?}");
                assert_eq!(std::fs::metadata(dir.join("to")).unwrap().len(), 0);
            }
        }
    });
}

#[test]
fn times_of_a_link_are_its_own() {
    run(async |dir| {
        std::fs::write(dir.join("f"), "x").unwrap();
        let before = std::fs::metadata(dir.join("f")).unwrap().mtime();
        fs::symlink("f", dir.join("link")).await.unwrap();
        let epoch = SystemTime::UNIX_EPOCH;
        for (modified, seconds, nanoseconds) in [
            (epoch + Duration::new(1_000_000_000, 123_456_789), 1_000_000_000, 123_456_789),
            (epoch - Duration::new(10, 250_000_000), -11, 750_000_000),
            (epoch - Duration::new(10, 0), -10, 0),
        ] {
            fs::set_symlink_times(dir.join("link"), epoch, modified).await.unwrap();
            let link = std::fs::symlink_metadata(dir.join("link")).unwrap();
            assert_eq!((link.mtime(), link.mtime_nsec(), link.atime()), (seconds, nanoseconds, 0));
        }
        assert_eq!(std::fs::metadata(dir.join("f")).unwrap().mtime(), before);
        let missing = fs::set_symlink_times(dir.join("missing"), epoch, epoch).await;
        assert_eq!(errno(&missing), Some(libc::ENOENT));
    });
}

#[test]
fn owners_are_changed_by_who_may() {
    run(async |dir| {
        let path = dir.join("f");
        std::fs::write(&path, "x").unwrap();
        fs::symlink("f", dir.join("link")).await.unwrap();
        let (user, group) =
            (std::fs::metadata(&path).unwrap().uid(), std::fs::metadata(&path).unwrap().gid());
        let file = File::open(&path).await.unwrap();
        // What is so already may be said by everybody.
        file.set_owner(Some(user), Some(group)).await.unwrap();
        fs::set_owner(&path, None, None).await.unwrap();
        if user != 0 {
            assert_eq!(errno(&file.set_owner(Some(0), None).await), Some(libc::EPERM));
            return;
        }
        let owners = |name: &str| {
            let found = std::fs::symlink_metadata(dir.join(name)).unwrap();
            (found.uid(), found.gid())
        };
        file.set_owner(Some(1234), None).await.unwrap();
        fs::set_symlink_owner(dir.join("link"), None, Some(4321)).await.unwrap();
        assert_eq!((owners("f"), owners("link")), ((1234, group), (user, 4321)));
        fs::set_owner(dir.join("link"), Some(77), Some(78)).await.unwrap();
        assert_eq!((owners("f"), owners("link")), ((77, 78), (user, 4321)));
    });
}
