//! Numbers of frames that are used again, and counts for which there is no room: nothing of what was reaches what is.

mod common;

use std::cell::RefCell;
use std::io::Write;
use std::net::UdpSocket;
use std::rc::Rc;

use chainring_runtime::frame::{
    Frame, Frames, Interrupt, Layout, Len, Plan, Resume, Stop, Then, Transfer, Verb,
};
use chainring_runtime::{Builder, Runtime, yield_now};
use common::*;

const LAYOUT: Layout = Layout { registers: 1, descriptors: 1, bytes: 64 };

/// Notes how its frames' segments end, and parks those that are called.
#[derive(Clone, Default)]
struct Ends(Rc<RefCell<Vec<&'static str>>>);

impl Resume for Ends {
    fn advanced(&self, _: Frame<'_>, _: u16) {
        self.0.borrow_mut().push("advanced");
    }

    fn interrupted(&self, _: Frame<'_>, _: Interrupt) {
        self.0.borrow_mut().push("refused");
    }

    fn stopped(&self, _: Frame<'_>, stop: Stop) {
        self.0.borrow_mut().push(if stop.cancelling { "cancelled" } else { "stopped" });
    }

    fn unparked(&self, _: Frame<'_>) {
        self.0.borrow_mut().push("unparked");
    }
}

fn receive(len: Len, into: Option<u16>, then: Then) -> Plan {
    let transfer = Transfer::new(Verb::RecvExact, 0, 0, len);
    Plan { members: vec![transfer], into, then }
}

#[test]
fn frames_get_the_number_of_others_that_were_cancelled() {
    let _alone = alone();
    let runtime = Runtime::new().unwrap();
    runtime.block_on(async {
        let plans = [receive(Len::Fixed(5), None, Then::Resume)];
        let ((idle, _peer), (socket, mut peer)) = (tcp(), tcp());
        let old = Ends::default();
        let frames = Frames::new(LAYOUT, &plans, 1, old.clone()).unwrap();
        let mut frame = frames.allocate().unwrap();
        let first = frame.key();
        frame.put_descriptor(0, idle.try_into_owned().unwrap());
        frame.submit(0).unwrap();
        turns(2).await;
        frames.cancel(first);
        frames.retire();
        while old.0.borrow().is_empty() {
            yield_now().await;
        }
        assert_eq!(*old.0.borrow(), ["cancelled"]);
        drop(frames);

        let new = Ends::default();
        let frames = Frames::new(LAYOUT, &plans, 1, new.clone()).unwrap();
        let mut frame = frames.allocate().unwrap();
        assert_ne!(frame.key(), first, "a late cancellation would hit the next user");
        frame.put_descriptor(0, socket.try_into_owned().unwrap());
        frame.submit(0).unwrap();
        turns(10).await;
        peer.write_all(b"hello").unwrap();
        while new.0.borrow().is_empty() {
            yield_now().await;
        }
        assert_eq!(*new.0.borrow(), ["advanced"]);
    });
}

#[test]
fn a_count_goes_into_the_register_of_its_length_when_there_is_no_room_for_what_follows() {
    let _alone = alone();
    let runtime = Builder::new().submission_entries(1).build().unwrap();
    runtime.block_on(async {
        // The register says four, four are added, and takes the eight that came.
        let plans = [
            receive(Len::Register { index: 0, plus: 4, max: 64 }, Some(0), Then::Segment(1)),
            receive(Len::Fixed(1), None, Then::Resume),
        ];
        let ends = Ends::default();
        let frames = Frames::new(LAYOUT, &plans, 8, ends.clone()).unwrap();
        let mut peers = Vec::new();
        for _ in 0..8 {
            let (socket, peer) = tcp();
            let mut frame = frames.allocate().unwrap();
            frame.put_descriptor(0, socket.try_into_owned().unwrap());
            frame.registers().set(0, 4);
            frame.submit(0).unwrap();
            peers.push(peer);
        }
        turns(3).await;
        for peer in &mut peers {
            peer.write_all(b"12345678!").unwrap();
        }
        while ends.0.borrow().len() < 8 {
            yield_now().await;
        }
        assert_eq!(*ends.0.borrow(), ["advanced"; 8]);
    });
}

#[test]
fn bytes_are_discarded_instead_of_received() {
    let _alone = alone();
    use chainring_runtime::op::message::Control;
    use chainring_runtime::op::{recv::recv, recvmsg::recvmsg};
    let runtime = Runtime::new().unwrap();
    runtime.block_on(async {
        let (socket, mut peer) = tcp();
        // The bytes of a buffer whose length is set without a write would be whatever was there.
        for pass in 0..2 {
            peer.write_all(b"hello").unwrap();
            let mut stale = vec![0xaau8; 16];
            stale.clear();
            let bytes = if pass == 0 {
                recv(&socket, stale, libc::MSG_TRUNC).await.1
            } else {
                recvmsg(&socket, vec![stale], Control::new(), libc::MSG_TRUNC).await.1.remove(0)
            };
            assert!(!bytes.contains(&0xaa), "never written, and said to be received: {bytes:?}");
        }
        // Of a datagram the length is told, which may be more than the buffer.
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let address = socket.local_addr().unwrap();
        let socket = own(socket);
        let peer = UdpSocket::bind("127.0.0.1:0").unwrap();
        for _ in 0..2 {
            peer.send_to(b"hello", address).unwrap();
        }
        let (_, bytes) = recv(&socket, [0; 2], libc::MSG_TRUNC).await;
        assert_eq!(bytes, *b"he");
        let (received, bytes) = recvmsg(&socket, [[0; 2]], Control::new(), libc::MSG_TRUNC).await;
        assert_eq!(bytes, [*b"he"]);
        assert_ne!(received.unwrap().flags & libc::MSG_TRUNC, 0);
    });
}
