//! Streams of blocks and writers with a queue depth, and files behind the traits of others.

mod common;

use std::io::ErrorKind;

use chainring_fs::{self as fs, DirectBuf, File, OpenOptions};
use chainring_runtime::{Capability, Handle};
use common::{errno, run};
use futures::StreamExt;

fn content(len: usize) -> Vec<u8> {
    (0..len).map(|i| (i / 256 + i) as u8).collect()
}

#[test]
fn blocks_come_in_order_and_whole_at_every_depth() {
    run(async |dir| {
        for len in [0, 1, 4095, 4096, 4097, 50_000] {
            std::fs::write(dir.join("f"), content(len)).unwrap();
            let file = File::open(dir.join("f")).await.unwrap();
            for depth in [1, 2, 7, 64] {
                let blocks: Vec<_> = file.stream(depth, 4096).map(Result::unwrap).collect().await;
                assert!(blocks.iter().rev().skip(1).all(|block| block.len() == 4096));
                assert!(blocks.concat() == content(len), "{len} bytes at depth {depth}");
            }
        }
    });
}

#[test]
fn a_short_read_in_the_middle_of_a_stream_leaves_no_gap() {
    run(async |dir| {
        std::fs::write(dir.join("f"), content(50_000)).unwrap();
        let file = File::open(dir.join("f")).await.unwrap();
        for times in 1..8 {
            Handle::current().injector().shorten("read", 1000, times);
            let blocks: Vec<_> = file.stream(4, 4096).map(Result::unwrap).collect().await;
            assert!(blocks.concat() == content(50_000));
        }
    });
}

#[test]
fn a_stream_ends_with_the_error_that_it_meets() {
    run(async |dir| {
        std::fs::write(dir.join("f"), content(50_000)).unwrap();
        let file = File::open(dir.join("f")).await.unwrap();
        let mut stream = file.stream(2, 4096);
        for _ in 0..3 {
            assert_eq!(stream.next().await.unwrap().unwrap().len(), 4096);
        }
        Handle::current().injector().fail("read", libc::EIO, 1);
        let mut rest: Vec<_> = stream.by_ref().collect().await;
        assert_eq!(errno(&rest.pop().unwrap()), Some(libc::EIO));
        assert!(rest.len() <= 2 && rest.iter().all(Result::is_ok));
        assert!(stream.next().await.is_none());
    });
}

#[test]
fn a_stream_that_is_dropped_leaves_nothing_in_flight() {
    run(async |dir| {
        std::fs::write(dir.join("f"), content(500_000)).unwrap();
        let file = File::open(dir.join("f")).await.unwrap();
        let mut stream = file.stream(32, 4096);
        stream.next().await.unwrap().unwrap();
        drop(stream);
        file.close().await.unwrap();
    });
}

#[test]
fn a_writer_writes_what_it_is_given_behind_each_other() {
    run(async |dir| {
        for depth in [1, 3, 16] {
            let file = File::create(dir.join("f")).await.unwrap();
            let mut writer = file.writer(0, depth);
            for block in content(100_000).chunks(3000) {
                writer.write(block.to_vec()).await.unwrap();
            }
            Handle::current().injector().shorten("write", 10, 2);
            writer.write(b"end".repeat(30)).await.unwrap();
            assert_eq!(writer.finish().await.unwrap(), 100_090);
            let written = fs::read(dir.join("f")).await.unwrap();
            assert!(written == [content(100_000), b"end".repeat(30)].concat());
            Handle::current().injector().clear();
        }
    });
}

#[test]
fn a_writer_that_failed_stays_failed() {
    run(async |dir| {
        let file = File::create(dir.join("f")).await.unwrap();
        let mut writer = file.writer(0, 2);
        writer.write(vec![1; 100]).await.unwrap();
        Handle::current().injector().fail("write", libc::ENOSPC, 1);
        let mut told = Vec::new();
        for _ in 0..6 {
            told.push(errno(&writer.write(vec![2; 100]).await));
        }
        let first = told.iter().position(|errno| errno.is_some()).unwrap();
        assert!(told[first..].iter().all(|errno| *errno == Some(libc::ENOSPC)), "{told:?}");
        assert_eq!(errno(&writer.flush().await), Some(libc::ENOSPC));
        assert_eq!(errno(&writer.finish().await), Some(libc::ENOSPC));
        let mut writer = file.writer(i64::MAX as u64 - 3, 2);
        assert_eq!(errno(&writer.write(vec![0; 4]).await), Some(libc::EFBIG));
    });
}

#[test]
fn direct_io_is_streamed_and_written_in_depth() {
    run(async |dir| {
        let options = OpenOptions::new().read(true).write(true).create(true).direct(true);
        let Ok(file) = options.open(dir.join("f")).await else { return };
        let Some(alignment) = file.metadata().await.unwrap().direct_alignment() else { return };
        let mut writer = file.writer(0, 4);
        for block in content(64 << 10).chunks(8192) {
            let mut buffer = DirectBuf::new(alignment, 8192).unwrap();
            buffer.extend_from_slice(block);
            writer.write(buffer).await.unwrap();
        }
        writer.finish().await.unwrap();
        // The end is not at a unit.
        file.set_len((64 << 10) - 100).await.unwrap();
        let blocks = file.stream_into(0, 4, || DirectBuf::new(alignment, 16 << 10));
        let blocks: Vec<_> = blocks.map(|block| block.unwrap().to_vec()).collect().await;
        assert!(blocks.concat() == content(64 << 10)[..(64 << 10) - 100]);
    });
}

#[test]
fn a_length_is_set_without_the_capability_too() {
    common::run_with(&chainring_runtime::Builder::new().mask(Capability::Ftruncate), async |dir| {
        let file = File::create(dir.join("f")).await.unwrap();
        file.set_len(12).await.unwrap();
        assert_eq!(file.metadata().await.unwrap().len(), 12);
        assert_eq!(file.set_len(u64::MAX).await.unwrap_err().kind(), ErrorKind::InvalidInput);
    });
}
