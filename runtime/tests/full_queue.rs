//! A queue that is full, or nearly, or whose enter fails: nothing is lost, doubled or cut in two.

mod common;

use std::cell::Cell;
use std::io::{Read, Write};
use std::rc::Rc;

use chainring_runtime::frame::{
    Frame, Frames, Interrupt, Layout, Len, NotSubmitted, Plan, Resume, Stop, Then, Transfer, Verb,
};
use chainring_runtime::op::nop::nop;
use chainring_runtime::op::recv::recv;
use chainring_runtime::{Builder, Handle, yield_now};
use common::{Counted, poll_once, run, settle, tcp, turns};

#[test]
fn an_enter_fails_after_an_operation_was_queued() {
    run(&Builder::new(), async || {
        for errno in [libc::EAGAIN, libc::EBUSY, libc::ENOMEM, libc::EINTR] {
            let alive = Rc::new(Cell::new(0));
            let (here, mut there) = tcp();
            let core = Handle::current();
            core.injector().fail_enter(errno, 5);
            let mut receiving = recv(&here, Counted::new(64, &alive), 0);
            assert!(poll_once(&mut receiving).is_pending());
            // Nobody waits any more, but the queue still points to the buffer.
            drop(receiving);
            assert_eq!(alive.get(), 1);
            while !core.injector().is_spent() {
                yield_now().await;
                assert!(alive.get() == 1 || core.injector().is_spent());
            }
            there.write_all(b"late").unwrap();
            settle().await;
            assert_eq!(alive.get(), 0);
        }
    });
}

#[test]
fn a_full_queue_meets_a_hundred_cancels() {
    run(&Builder::new().submission_entries(1).completion_entries(2), async || {
        let (here, _there) = tcp();
        let alive = Rc::new(Cell::new(0));
        let mut receiving: Vec<_> = (0..100).map(|_| recv(&here, Counted::new(8, &alive), 0)).collect();
        receiving.iter_mut().for_each(|one| assert!(poll_once(one).is_pending()));
        turns(10).await;
        Handle::current().injector().fill_queue(50);
        drop(receiving);
        settle().await;
        assert_eq!(alive.get(), 0);
    });
}

/// Receives five bytes and sends them back, linked, again and again.
struct Echo {
    done: Cell<u32>,
}

/// Submits the chain, now or when there is room.
fn submit(frame: Frame<'_>) {
    match frame.submit(0) {
        Ok(()) => {}
        Err((frame, NotSubmitted::Busy)) => frame.park(),
        Err((_, error)) => panic!("{error:?}"),
    }
}

impl Resume for Echo {
    fn advanced(&self, frame: Frame<'_>, _: u16) {
        assert_eq!(frame.registers().get(0), 5);
        self.done.set(self.done.get() + 1);
        submit(frame);
    }

    fn interrupted(&self, _: Frame<'_>, reason: Interrupt) {
        unreachable!("no segment follows another by itself: {reason:?}");
    }

    fn stopped(&self, frame: Frame<'_>, _: Stop) {
        frame.free();
    }

    fn unparked(&self, frame: Frame<'_>) {
        if frame.is_cancelled() {
            return frame.free();
        }
        submit(frame);
    }
}

#[test]
fn a_chain_meets_a_queue_that_is_nearly_full() {
    let layout = Layout { registers: 1, descriptors: 1, bytes: 64 };
    let member = |verb| Transfer::new(verb, 0, 0, Len::Fixed(5));
    let plan = Plan {
        members: vec![member(Verb::RecvExact), member(Verb::SendAll)],
        into: Some(0),
        then: Then::Resume,
    };
    for occupied in 0..=4 {
        run(&Builder::new().submission_entries(4), async || {
            let frames =
                Frames::new(layout, std::slice::from_ref(&plan), 8, Echo { done: Cell::new(0) }).unwrap();
            let mut peers = Vec::new();
            for _ in 0..4 {
                let (here, there) = tcp();
                // So many places are taken when the chain of two comes.
                let mut others: Vec<_> = (0..occupied).map(|_| nop()).collect();
                others.iter_mut().for_each(|one| assert!(poll_once(one).is_pending()));
                let mut frame = frames.allocate().unwrap();
                frame.put_descriptor(0, here.try_into_owned().unwrap());
                submit(frame);
                for one in others {
                    one.await.unwrap();
                }
                peers.push(there);
            }
            turns(5).await;
            for round in 0..20u8 {
                for (i, there) in peers.iter_mut().enumerate() {
                    let message = [round, i as u8, 3, 4, 5];
                    // In two parts: a send that was cut off its recv would send what was there before.
                    there.write_all(&message[..2]).unwrap();
                    turns(3).await;
                    there.set_nonblocking(true).unwrap();
                    let early = there.read(&mut [0; 5]).unwrap_err();
                    assert_eq!(early.kind(), std::io::ErrorKind::WouldBlock, "the chain was split");
                    there.set_nonblocking(false).unwrap();
                    there.write_all(&message[2..]).unwrap();
                    let expected = frames.runner().done.get() + 1;
                    while frames.runner().done.get() < expected {
                        yield_now().await;
                    }
                    let mut back = [0; 5];
                    there.read_exact(&mut back).unwrap();
                    assert_eq!(back, message);
                }
            }
            drop(peers);
            while frames.live() > 0 {
                yield_now().await;
            }
            frames.retire();
            settle().await;
        });
    }
}
