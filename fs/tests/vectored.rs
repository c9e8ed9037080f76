//! Several buffers filled, or written, whole: short transfers go on in the middle of a buffer.

mod common;

use std::io::{ErrorKind, Read, Write};
use std::os::fd::OwnedFd;

use chainring_fs::File;
use chainring_runtime::Handle;
use chainring_runtime::buf::IoBuf;
use common::{errno, run};

fn content(len: usize) -> Vec<u8> {
    (0..len).map(|i| (i * 31 + len) as u8).collect()
}

#[test]
fn short_transfers_go_on_behind_the_last_whole_buffer() {
    run(async |dir| {
        let file = File::options().read(true).write(true).create(true).open(dir.join("f")).await.unwrap();
        let core = Handle::current();
        let all = content(100);
        for buffers in 1..4 {
            let parts = (all[..30].to_vec(), all[30..31].to_vec(), String::new(), all[31..].to_vec());
            core.injector().shorten("write_vectored", buffers, 1);
            let (result, parts) = file.write_all_vectored_at(parts, 5).await;
            result.unwrap();
            assert_eq!((parts.0.len(), parts.3.len()), (30, 69), "the buffers come back as they were");
            assert_eq!(std::fs::read(dir.join("f")).unwrap()[5..], all);
            file.set_len(105).await.unwrap();

            // What was in a vector before is not in the way.
            let mut used = Vec::with_capacity(20);
            used.extend_from_slice(&[9; 15]);
            let last = vec![0; 90 - used.capacity()].into_boxed_slice();
            core.injector().shorten("read_vectored", buffers, 1);
            let rooms = (used, Box::new([0u8; 10]), [0u8; 0], last);
            let (result, parts) = file.read_exact_vectored_at(rooms, 5).await;
            result.unwrap();
            assert_eq!([&parts.0[..], &parts.1[..], &parts.3[..]].concat(), all);
            assert!(core.injector().is_spent());
        }
    });
}

#[test]
fn short_transfers_go_on_in_the_middle_of_a_buffer() {
    run(async |_| {
        // A pipe takes, and gives, what there is at the moment.
        let (mut read, write) = std::io::pipe().unwrap();
        let all = content(300_000);
        let reader = std::thread::spawn(move || {
            let mut bytes = Vec::new();
            read.read_to_end(&mut bytes).unwrap();
            bytes
        });
        let file = File::from(OwnedFd::from(write));
        let parts: Vec<Vec<u8>> = all.chunks(70_001).map(<[u8]>::to_vec).collect();
        file.write_all_vectored_at(parts, 0).await.0.unwrap();
        file.close().await.unwrap();
        assert!(reader.join().unwrap() == all);

        let (read, mut write) = std::io::pipe().unwrap();
        let sent = all.clone();
        let writer = std::thread::spawn(move || {
            for piece in sent[..3000].chunks(137) {
                write.write_all(piece).unwrap();
                std::thread::sleep(std::time::Duration::from_millis(1));
            }
        });
        let file = File::from(OwnedFd::from(read));
        let rooms = (vec![0; 1000].into_boxed_slice(), Vec::with_capacity(1500), [0; 500]);
        let room = 1500 + rooms.1.capacity();
        let (result, parts) = file.read_exact_vectored_at(rooms, 0).await;
        writer.join().unwrap();
        assert_eq!((result.is_ok(), room), (true, 3000));
        assert!([&parts.0[..], &parts.1[..], &parts.2[..]].concat() == all[..3000]);
    });
}

#[test]
fn an_end_or_an_error_in_the_middle_fails_the_whole() {
    run(async |dir| {
        std::fs::write(dir.join("f"), content(50)).unwrap();
        let file = File::options().read(true).write(true).open(dir.join("f")).await.unwrap();
        let rooms = || vec![Vec::<u8>::with_capacity(20), Vec::with_capacity(20), Vec::with_capacity(20)];
        let (result, parts) = file.read_exact_vectored_at(rooms(), 0).await;
        assert_eq!(result.unwrap_err().kind(), ErrorKind::UnexpectedEof);
        assert_eq!(parts.concat(), content(50), "what came is there");
        let (result, parts) = file.read_exact_vectored_at(rooms(), 50).await;
        assert_eq!((result.unwrap_err().kind(), parts.concat().len()), (ErrorKind::UnexpectedEof, 0));

        let core = Handle::current();
        core.injector().shorten("read_vectored", 2, 1);
        core.injector().fail("read_vectored", libc::EIO, 1);
        let (result, parts) = file.read_exact_vectored_at(rooms(), 0).await;
        assert_eq!((errno(&result), parts.concat()), (Some(libc::EIO), content(50)[..40].to_vec()));
        core.injector().shorten("write_vectored", 1, 1);
        core.injector().fail("write_vectored", libc::ENOSPC, 1);
        let (result, _) = file.write_all_vectored_at(["hello", "ring"], 0).await;
        assert_eq!(errno(&result), Some(libc::ENOSPC));
        core.injector().fail("write_vectored", libc::EINTR, 2);
        file.write_all_vectored_at(["hello", "ring"], 0).await.0.unwrap();
        assert_eq!(std::fs::read(dir.join("f")).unwrap()[..9], *b"helloring");
    });
}

#[test]
fn nothing_is_read_or_written_without_bytes_and_too_many_buffers_are_refused() {
    run(async |dir| {
        let file = File::options().read(true).write(true).create(true).open(dir.join("f")).await.unwrap();
        file.write_all_vectored_at(Vec::<Vec<u8>>::new(), 0).await.0.unwrap();
        file.write_all_vectored_at(["", ""], 0).await.0.unwrap();
        file.read_exact_vectored_at([[0u8; 0]; 3], 100).await.0.unwrap();
        let many = vec![[7u8; 2]; 1025];
        let (result, many) = file.write_all_vectored_at(many, 0).await;
        assert_eq!((errno(&result), many.len()), (Some(libc::EINVAL), 1025));
        file.write_all_vectored_at(many[1..].to_vec(), 0).await.0.unwrap();
        assert_eq!(errno(&file.read_exact_vectored_at(many, 0).await.0), Some(libc::EINVAL));
        assert_eq!(file.metadata().await.unwrap().len(), 2048);
        // A part of a buffer.
        let (result, parts) = file.read_exact_vectored_at((vec![1; 4].slice(2..4), [0; 3]), 0).await;
        result.unwrap();
        assert_eq!((parts.0.into_inner(), parts.1), (vec![1, 1, 7, 7], [7; 3]));
    });
}
