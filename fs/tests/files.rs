//! Open files: reads and writes of every form, their edges, and what is left behind.

mod common;

use std::io::{ErrorKind, Read, Seek, SeekFrom, Write};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::time::{Duration, SystemTime};

use chainring_fs::{self as fs, Advice, DirectBuf, File, OpenOptions};
use chainring_runtime::buf::{FixedPool, IoBuf};
use common::{errno, run};

const GIB: u64 = 1 << 30;

fn read_write() -> OpenOptions {
    OpenOptions::new().read(true).write(true).create(true)
}

#[test]
fn a_file_is_written_and_read_at_positions() {
    run(async |dir| {
        let file = read_write().open(dir.join("f")).await.unwrap();
        file.write_all_at("hello, file", 0).await.0.unwrap();
        file.write_all_at("F", 7).await.0.unwrap();
        let (result, bytes) = file.read_at(Vec::with_capacity(64), 7).await;
        assert_eq!((result.unwrap(), &bytes[..]), (4, &b"File"[..]));
        let (result, bytes) = file.read_exact_at([0u8; 5], 0).await;
        result.unwrap();
        assert_eq!(&bytes, b"hello");
        let (result, parts) = file.read_vectored_at([vec![0u8; 2], vec![0; 4]], 1).await;
        assert_eq!(result.unwrap(), 6);
        assert_eq!(parts, [b"el".to_vec(), b"lo, ".to_vec()]);
        let (result, _) = file.write_vectored_at(("ab", vec![b'c'; 2]), 11).await;
        assert_eq!(result.unwrap(), 4);
        assert_eq!(std::fs::read(dir.join("f")).unwrap(), b"hello, Fileabcc");
    });
}

#[test]
fn an_exact_read_behind_the_end_says_so_and_gives_what_there_is() {
    run(async |dir| {
        let mut file = read_write().open(dir.join("f")).await.unwrap();
        file.write_all_at("short", 0).await.0.unwrap();
        let (result, bytes) = file.read_exact_at(Vec::with_capacity(16), 2).await;
        assert_eq!(result.unwrap_err().kind(), ErrorKind::UnexpectedEof);
        assert_eq!(bytes, b"ort");
        let (result, _) = file.read_exact([0u8; 6]).await;
        assert_eq!(result.unwrap_err().kind(), ErrorKind::UnexpectedEof);
    });
}

#[test]
fn positions_beyond_4_gib_are_written_read_and_punched_out_again() {
    run(async |dir| {
        let mut file = read_write().open(dir.join("sparse")).await.unwrap();
        for offset in [4 * GIB - 3, 5 * GIB + 1, 40 * GIB] {
            file.write_all_at("beyond", offset).await.0.unwrap();
            let (result, bytes) = file.read_exact_at([0u8; 6], offset).await;
            result.unwrap();
            assert_eq!(&bytes, b"beyond");
        }
        let metadata = file.metadata().await.unwrap();
        assert_eq!(metadata.len(), 40 * GIB + 6);
        assert!(metadata.blocks() * 512 < 1 << 20, "not sparse: {metadata:?}");
        // The low half of a position must not be what counts.
        let (result, low) = file.read_exact_at([1u8; 6], GIB + 1).await;
        result.unwrap();
        assert_eq!(low, [0; 6]);
        assert_eq!(file.seek_data(5 * GIB + 4096).unwrap(), Some(40 * GIB));
        assert_eq!(file.seek_hole(5 * GIB + 1).unwrap(), Some(5 * GIB + 4096));
        file.punch_hole(5 * GIB, 4096).await.unwrap();
        let (result, bytes) = file.read_exact_at([1u8; 6], 5 * GIB + 1).await;
        result.unwrap();
        assert_eq!(bytes, [0; 6]);
        assert_eq!(file.seek_data(4 * GIB + 4096).unwrap(), Some(40 * GIB));
        assert_eq!(file.seek_data(41 * GIB).unwrap(), None);
        file.set_len(4 * GIB + 1).await.unwrap();
        assert_eq!(file.metadata().await.unwrap().len(), 4 * GIB + 1);
        assert_eq!(file.seek(SeekFrom::End(-1)).unwrap(), 4 * GIB);
        let (result, bytes) = file.read_to_end(Vec::new()).await;
        assert_eq!((result.unwrap(), bytes), (1, b"o".to_vec()));
    });
}

#[test]
fn the_last_positions_there_are_fail_and_do_not_wrap() {
    run(async |dir| {
        let mut file = read_write().open(dir.join("f")).await.unwrap();
        file.write_all_at("abc", 0).await.0.unwrap();
        for offset in [u64::MAX, u64::MAX - 1, i64::MAX as u64, 1 << 63] {
            let (result, bytes) = file.read_at(vec![7u8; 3], offset).await;
            assert!(result.is_err() || result.unwrap() == 0);
            assert!(bytes == [7; 3] || bytes.is_empty());
            assert!(file.write_all_at("xyz", offset).await.0.is_err(), "{offset}");
            assert!(file.set_len(offset).await.is_err(), "{offset}");
        }
        assert_eq!(
            file.stream_position().unwrap(),
            0,
            "u64::MAX means the file's own position to the kernel"
        );
        assert_eq!(errno(&file.seek(SeekFrom::Current(-1))), Some(libc::EINVAL));
        assert_eq!(std::fs::read(dir.join("f")).unwrap(), b"abc");
    });
}

#[test]
fn nothing_is_moved_where_there_is_no_length() {
    run(async |dir| {
        let file = read_write().open(dir.join("f")).await.unwrap();
        assert_eq!(file.read_at(Vec::new(), 0).await.0.unwrap(), 0);
        assert_eq!(file.write_at("", 5).await.0.unwrap(), 0);
        file.write_all_at(Vec::<u8>::new(), 5).await.0.unwrap();
        file.read_exact_at([0u8; 0], 5).await.0.unwrap();
        assert_eq!(file.write_vectored_at(Vec::<Vec<u8>>::new(), 0).await.0.unwrap(), 0);
        assert_eq!(file.metadata().await.unwrap().len(), 0);
        assert_eq!(errno(&file.allocate(0, 0).await), Some(libc::EINVAL));
        assert_eq!(errno(&file.punch_hole(0, 0).await), Some(libc::EINVAL));
        file.advise(0, 0, Advice::Sequential).await.unwrap();
        assert_eq!(fs::read(dir.join("f")).await.unwrap(), b"");
    });
}

#[test]
fn the_position_is_the_files_own_and_goes_with_it() {
    run(async |dir| {
        std::fs::write(dir.join("f"), "0123456789").unwrap();
        let mut std = std::fs::File::options().read(true).write(true).open(dir.join("f")).unwrap();
        std.seek(SeekFrom::Start(2)).unwrap();
        let mut file = File::from_std(std);
        let (result, bytes) = file.read_exact([0u8; 3]).await;
        result.unwrap();
        assert_eq!(&bytes, b"234");
        let mut clone = file.try_clone().unwrap();
        let (result, bytes) = clone.read(Vec::with_capacity(2)).await;
        assert_eq!((result.unwrap(), &bytes[..]), (2, &b"56"[..]));
        file.write_all("X").await.0.unwrap();
        assert_eq!(clone.stream_position().unwrap(), 8);
        let mut std = file.into_std().unwrap();
        let mut rest = String::new();
        std.read_to_string(&mut rest).unwrap();
        assert_eq!(rest, "89");
        std.rewind().unwrap();
        std.write_all(b"Y").unwrap();
        assert_eq!(fs::read(dir.join("f")).await.unwrap(), b"Y123456X89");
    });
}

#[test]
fn a_file_that_is_still_read_becomes_a_duplicate_in_std() {
    run(async |_| {
        let (read, mut write) = std::io::pipe().unwrap();
        let file = File::from(std::os::fd::OwnedFd::from(read));
        let number = file.as_fd().as_raw_fd();
        let mut waiting = file.try_clone().unwrap();
        let mut reading = Box::pin(waiting.read(Vec::with_capacity(8)));
        assert!(futures::poll!(&mut reading).is_pending());
        drop(reading);
        // The operation is on the clone's descriptor: this one is free.
        let (own, other) = (file.into_std().unwrap(), waiting.as_fd().as_raw_fd());
        assert_eq!(own.as_raw_fd(), number);
        let duplicate = waiting.into_std().unwrap();
        assert_ne!(duplicate.as_raw_fd(), other);
        write.write_all(b"x").unwrap();
    });
}

#[test]
fn appending_ignores_positions() {
    run(async |dir| {
        std::fs::write(dir.join("log"), "one\n").unwrap();
        let mut log = OpenOptions::new().append(true).open(dir.join("log")).await.unwrap();
        log.write_all_at("two\n", 0).await.0.unwrap();
        log.write_all("three\n").await.0.unwrap();
        assert_eq!(fs::read_to_string(dir.join("log")).await.unwrap(), "one\ntwo\nthree\n");
    });
}

#[test]
fn space_is_allocated_reserved_and_zeroed() {
    run(async |dir| {
        let file = read_write().open(dir.join("f")).await.unwrap();
        file.allocate(0, 1 << 20).await.unwrap();
        let metadata = file.metadata().await.unwrap();
        assert_eq!((metadata.len(), metadata.blocks() >= 2048), (1 << 20, true));
        file.reserve(1 << 20, 1 << 20).await.unwrap();
        let metadata = file.metadata().await.unwrap();
        assert_eq!((metadata.len(), metadata.blocks() >= 4096), (1 << 20, true));
        file.write_all_at([1u8; 64], 100).await.0.unwrap();
        file.zero_range(110, 20).await.unwrap();
        let (_, bytes) = file.read_exact_at([9u8; 64], 100).await;
        assert_eq!(bytes[..10], [1; 10]);
        assert_eq!(bytes[10..30], [0; 20]);
        assert_eq!(bytes[30..], [1; 34]);
        for advice in [Advice::Normal, Advice::Random, Advice::NoReuse, Advice::WillNeed, Advice::DontNeed] {
            file.advise(0, 9 * GIB, advice).await.unwrap();
        }
        file.sync_all().await.unwrap();
        file.sync_data().await.unwrap();
        file.close().await.unwrap();
    });
}

#[test]
fn registered_buffers_are_filled_and_written() {
    run(async |dir| {
        let pool = FixedPool::new(4096, 2, 2).unwrap();
        let file = read_write().open(dir.join("f")).await.unwrap();
        let mut buffer = pool.get().unwrap();
        buffer.set_len(4096);
        buffer.fill(3);
        let (result, buffer) = file.write_all_fixed_at(buffer, 8192).await;
        result.unwrap();
        let (result, other) = file.read_exact_fixed_at(pool.get().unwrap(), 8192).await;
        result.unwrap();
        assert_eq!(other[..], buffer[..]);
        let (result, other) = file.read_fixed_at(other, 12_000).await;
        assert_eq!((result.unwrap(), other.len()), (288, 288));
        let (result, _) = file.read_exact_fixed_at(other, 12_000).await;
        assert_eq!(result.unwrap_err().kind(), ErrorKind::UnexpectedEof);
        drop(buffer);
    });
}

#[test]
fn direct_io_is_given_what_statx_asks_for() {
    run(async |dir| {
        let options = read_write().direct(true).dsync(true);
        let file = match options.open(dir.join("direct")).await {
            Err(error) if error.raw_os_error() == Some(libc::EINVAL) => return,
            opened => opened.unwrap(),
        };
        let Some(alignment) = file.metadata().await.unwrap().direct_alignment() else { return };
        assert_eq!(alignment.floor(alignment.offset as u64 * 3 + 1), alignment.offset as u64 * 3);
        assert_eq!(alignment.ceil(alignment.offset as u64 * 3 + 1), alignment.offset as u64 * 4);
        let mut buffer = DirectBuf::new(alignment, 10_000).unwrap();
        buffer.extend_from_slice(&[5; 5000]);
        buffer.pad();
        let len = buffer.len();
        assert_eq!(len as u64, alignment.ceil(5000));
        file.write_all_at(buffer, 0).await.0.unwrap();
        let (result, back) = file.read_at(DirectBuf::new(alignment, 10_000).unwrap(), 0).await;
        assert_eq!(result.unwrap(), len);
        assert!(back[..5000].iter().all(|byte| *byte == 5) && back[5000..].iter().all(|byte| *byte == 0));
        let (result, _) = file.write_at(vec![0u8; 5].slice(..), 0).await;
        assert_eq!(errno(&result), Some(libc::EINVAL));
    });
}

#[test]
fn a_file_without_a_name_is_gone_unless_it_is_linked() {
    run(async |dir| {
        let options = OpenOptions::new().read(true).write(true).tmpfile(true).mode(0o600);
        let file = options.open(dir).await.unwrap();
        file.write_all_at("nameless", 0).await.0.unwrap();
        assert_eq!(std::fs::read_dir(dir).unwrap().count(), 0);
        assert_eq!(file.metadata().await.unwrap().nlink(), 0);
        file.link_as(dir.join("named")).await.unwrap();
        assert_eq!(fs::read(dir.join("named")).await.unwrap(), b"nameless");
        assert_eq!(errno(&file.link_as(dir.join("named")).await), Some(libc::EEXIST));
        assert_eq!(std::fs::metadata(dir.join("named")).unwrap().mode() & 0o777, 0o600);
        drop(options.open(dir).await.unwrap());
        assert_eq!(std::fs::read_dir(dir).unwrap().count(), 1);
    });
}

#[test]
fn metadata_says_what_the_standard_library_says() {
    run(async |dir| {
        let path = dir.join("f");
        std::fs::write(&path, vec![0; 5000]).unwrap();
        std::os::unix::fs::symlink("f", dir.join("link")).unwrap();
        for path in [path.clone(), dir.to_owned(), dir.join("link"), "/dev/null".into()] {
            let (ours, theirs) = (fs::metadata(&path).await.unwrap(), std::fs::metadata(&path).unwrap());
            assert_eq!(
                (ours.len(), ours.mode(), ours.ino(), ours.dev(), ours.nlink(), ours.blocks()),
                (theirs.len(), theirs.mode(), theirs.ino(), theirs.dev(), theirs.nlink(), theirs.blocks())
            );
            assert_eq!(
                (ours.uid(), ours.gid(), ours.blksize()),
                (theirs.uid(), theirs.gid(), theirs.blksize())
            );
            assert_eq!(ours.modified().unwrap(), theirs.modified().unwrap());
            assert_eq!(ours.file_type(), theirs.file_type().into());
            assert_eq!(ours.permissions(), theirs.permissions());
        }
        assert!(fs::symlink_metadata(dir.join("link")).await.unwrap().is_symlink());
        let file = File::open(&path).await.unwrap();
        let old = SystemTime::UNIX_EPOCH - Duration::from_millis(1500);
        file.set_times(std::fs::FileTimes::new().set_modified(old)).await.unwrap();
        assert_eq!(file.metadata().await.unwrap().modified().unwrap(), old);
        file.set_permissions(std::fs::Permissions::from_mode(0o400)).await.unwrap();
        assert_eq!(file.metadata().await.unwrap().mode() & 0o7777, 0o400);
    });
}

#[test]
fn options_that_contradict_each_other_are_refused() {
    run(async |dir| {
        let path = dir.join("f");
        for options in [
            OpenOptions::new(),
            OpenOptions::new().read(true).create(true),
            OpenOptions::new().read(true).truncate(true),
            OpenOptions::new().append(true).truncate(true),
            OpenOptions::new().read(true).tmpfile(true),
            OpenOptions::new().write(true).tmpfile(true).create(true),
        ] {
            assert_eq!(errno(&options.open(&path).await), Some(libc::EINVAL), "{options:?}");
        }
        assert!(!fs::exists(&path).await.unwrap());
        let options = OpenOptions::new().read(true).custom_flags(libc::O_DIRECTORY | libc::O_RDWR);
        options.open(dir).await.unwrap();
        drop(File::create_new(&path).await.unwrap());
        assert_eq!(errno(&File::create_new(&path).await), Some(libc::EEXIST));
    });
}

#[test]
fn an_open_that_is_dropped_leaves_no_descriptor() {
    run(async |dir| {
        for _ in 0..100 {
            let path = dir.join("f");
            let mut opening = Box::pin(File::create(&path));
            assert!(futures::poll!(&mut opening).is_pending());
        }
    });
}
