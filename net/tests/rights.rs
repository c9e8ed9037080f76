//! Descriptors that travel over Unix sockets: none is lost, none is left open.

mod common;

use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;

use chainring_net::UnixStream;
use chainring_runtime::Descriptor;
use chainring_runtime::op::message::Control;
use chainring_runtime::op::recvmsg::recvmsg;
use chainring_runtime::op::sockopt::set_option;
use common::{descriptors, errno, exhaust, poll_once, run, settle};

#[test]
fn descriptors_travel_with_bytes_and_belong_to_the_receiver() {
    run(async || {
        let (one, other) = UnixStream::pair().unwrap();
        let (mut read, write) = io::pipe().unwrap();
        let sent = one.send_with_descriptors("take this", [Descriptor::new(OwnedFd::from(write))]).await;
        assert_eq!(sent.0.unwrap(), 9);
        let (received, bytes) = other.recv_with_descriptors(vec![0; 64], 1).await;
        let (len, mut files) = received.unwrap();
        assert_eq!((&bytes[..len], files.len()), (&b"take this"[..], 1));
        let mut write = std::fs::File::from(files.remove(0));
        write.write_all(b"through the pipe").unwrap();
        drop(write);
        let mut text = String::new();
        read.read_to_string(&mut text).unwrap();
        assert_eq!(text, "through the pipe");
    });
}

#[test]
fn descriptors_that_nobody_takes_are_closed() {
    run(async || {
        let (one, other) = UnixStream::pair().unwrap();
        let null = || Descriptor::new(std::fs::File::open("/dev/null").unwrap().into());
        settle().await;
        let before = descriptors();
        // More than asked for: none is left open.
        one.send_with_descriptors("x", [null(), null(), null()]).await.0.unwrap();
        let (received, _) = other.recv_with_descriptors(vec![0; 8], 1).await;
        assert_eq!(received.unwrap_err().kind(), io::ErrorKind::InvalidData);
        // Received as bytes alone, and by a future that is dropped.
        one.send_with_descriptors("x", [null()]).await.0.unwrap();
        assert_eq!(other.read(vec![0; 8]).await.0.unwrap(), 1);
        let mut waiting = Box::pin(other.recv_with_descriptors(vec![0; 8], 4));
        assert!(poll_once(&mut waiting).is_pending());
        one.send_with_descriptors("x", [null()]).await.0.unwrap();
        drop(waiting);
        settle().await;
        assert_eq!(descriptors(), before);
    });
}

#[test]
fn as_many_descriptors_as_there_are_can_be_asked_for() {
    run(async || {
        let (one, other) = UnixStream::pair().unwrap();
        let null = Descriptor::new(std::fs::File::open("/dev/null").unwrap().into());
        one.send_with_descriptors("x", vec![null.clone(); 253]).await.0.unwrap();
        let (received, _) = other.recv_with_descriptors(vec![0; 8], usize::MAX).await;
        assert_eq!(received.unwrap().1.len(), 253);
        // None of them.
        one.send_with_descriptors("x", [null]).await.0.unwrap();
        let (received, bytes) = other.recv_with_descriptors(Vec::with_capacity(8), 0).await;
        assert_eq!((received.unwrap_err().kind(), &bytes[..]), (io::ErrorKind::InvalidData, &b"x"[..]));
    });
}

#[test]
fn descriptors_that_the_process_cannot_have_are_not_called_too_many() {
    run(async || {
        let (one, other) = UnixStream::pair().unwrap();
        let null = Descriptor::new(std::fs::File::open("/dev/null").unwrap().into());
        one.send_with_descriptors("x", [null.clone(), null]).await.0.unwrap();
        settle().await;
        let before = descriptors();
        let hoard = {
            let mut files = exhaust();
            files.pop();
            files
        };
        let (received, bytes) = other.recv_with_descriptors(vec![0; 8], 2).await;
        drop(hoard);
        assert_eq!((errno(&received), &bytes[..]), (Some(libc::EMFILE), &b"x"[..]));
        settle().await;
        assert_eq!(descriptors(), before, "the one that could be had was kept");
    });
}

/// Linux 6.5.
const SO_PASSPIDFD: i32 = 76;

#[test]
fn what_came_with_one_message_is_not_found_in_the_next() {
    run(async || {
        let (one, other) = UnixStream::pair().unwrap();
        let mut room = Control::with_room(64);
        for passes in [1, 0, 1] {
            if set_option(other.descriptor(), libc::SOL_SOCKET, SO_PASSPIDFD, passes).await.is_err() {
                return;
            }
            one.write("x").await.0.unwrap();
            let mut control = recvmsg(other.descriptor(), [vec![0; 8]], room, 0).await.0.unwrap().control;
            if passes == 0 {
                assert!(control.take_sender().is_none(), "nobody was named this time");
            }
            room = control;
        }
        assert!(room.take_sender().is_some(), "there was as much room as at first");
    });
}

#[test]
fn the_descriptor_of_the_sending_process_is_owned() {
    run(async || {
        let (one, other) = UnixStream::pair().unwrap();
        if set_option(other.descriptor(), libc::SOL_SOCKET, SO_PASSPIDFD, 1).await.is_err() {
            return;
        }
        settle().await;
        let before = descriptors();
        // Taken, left in the message, and never received.
        for round in 0..3 {
            let mut receiving = recvmsg(other.descriptor(), [vec![0; 8]], Control::with_room(64), 0);
            assert!(poll_once(&mut receiving).is_pending());
            one.write("x").await.0.unwrap();
            if round == 2 {
                drop(receiving);
                continue;
            }
            let mut control = receiving.await.0.unwrap().control;
            assert_eq!(control.iter().count(), 0, "its number is nobody's to use");
            if round == 0 {
                assert!(control.take_sender().is_some());
                assert!(control.take_sender().is_none());
            }
        }
        settle().await;
        assert_eq!(descriptors(), before);
    });
}
