//! Flags that would change who owns what, given to operations that take flags.

mod common;

use std::io::{Read, Write};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::net::UnixStream;

use chainring_runtime::op::files_update::{DirectFiles, files_update};
use chainring_runtime::op::message::Control;
use chainring_runtime::op::read::read_at;
use chainring_runtime::op::recvmsg::recvmsg;
use chainring_runtime::op::send::send;
use chainring_runtime::op::sendmsg::sendmsg;
use chainring_runtime::op::sockopt::set_option;
use chainring_runtime::op::splice::splice;
use chainring_runtime::op::tee::tee;
use chainring_runtime::{Builder, yield_now};
use common::{Dir, descriptors, errno, own, pipe, run, tcp};

#[test]
fn bytes_do_not_change_once_the_buffer_has_come_back() {
    run(&Builder::new(), async || {
        let (socket, mut peer) = tcp();
        set_option(&socket, libc::SOL_SOCKET, libc::SO_ZEROCOPY, 1).await.unwrap();
        set_option(&socket, libc::SOL_SOCKET, libc::SO_SNDBUF, 8 << 20).await.unwrap();
        // More than the peer takes until it reads, and less than the socket.
        let mut sent = 0;
        let mut buffers = Vec::new();
        for _ in 0..8 {
            let flags = libc::MSG_ZEROCOPY | libc::MSG_DONTWAIT;
            let (result, buffer) = send(&socket, vec![1u8; 256 << 10], flags).await;
            sent += result.unwrap_or(0);
            let (result, [other]) =
                sendmsg(&socket, [vec![1u8; 256 << 10]], None, Control::new(), flags).await;
            sent += result.unwrap_or(0);
            buffers.extend([buffer, other]);
        }
        buffers.iter_mut().for_each(|buffer| buffer.fill(2));
        let mut received = vec![0; sent];
        peer.read_exact(&mut received).unwrap();
        let changed = received.iter().filter(|byte| **byte != 1).count();
        assert_eq!(changed, 0, "of {sent} bytes");
    });
}

#[test]
fn descriptors_in_a_message_are_owned_whatever_layout_is_asked_for() {
    run(&Builder::new(), async || {
        let (one, other) = UnixStream::pair().unwrap();
        let (one, other) = (own(one), own(other));
        let (null, _end) = pipe();
        let before = descriptors();
        let control = Control::new().rights([null.clone()]);
        sendmsg(&one, ["x"], None, control, i32::MIN).await.0.unwrap();
        let (received, _) = recvmsg(&other, [vec![0; 8]], Control::with_room(64), i32::MIN).await;
        let mut control = received.unwrap().control;
        assert_eq!(control.take_descriptors().len(), 1);
        assert_eq!(descriptors(), before);
    });
}

#[test]
fn a_splice_takes_from_its_own_descriptor_and_from_no_direct_one() {
    run(&Builder::new(), async || {
        let dir = Dir::new();
        let (from, mut end) = std::io::pipe().unwrap();
        let from = own(from);
        end.write_all(b"ours").unwrap();
        // Whatever number the pipe has, there is a direct descriptor of that number.
        let number = from.as_fd().as_raw_fd() as u32;
        let Ok(table) = DirectFiles::register(number + 1) else { return };
        let (strange, mut strange_end) = std::io::pipe().unwrap();
        strange_end.write_all(b"theirs").unwrap();
        files_update(&table, number, vec![Some(own(strange))]).await.unwrap();
        let fixed = 1 << 31;
        let (taken, to) = pipe();
        let file = dir.file("f", b"");
        let teed = tee(&from, &to, 16, fixed).await;
        assert!(matches!(teed, Ok(4)), "{teed:?}");
        assert_eq!(read_at(&taken, vec![0; 8], u64::MAX).await.1, b"ours");
        let spliced = splice(&from, None, &file, Some(0), 16, fixed).await;
        assert!(matches!(spliced, Ok(4)), "{spliced:?} {:?}", errno(&spliced));
        assert_eq!(read_at(&file, vec![0; 8], 0).await.1, b"ours");
        yield_now().await;
    });
}
