//! Rings whose submissions a kernel thread takes.

use std::cell::Cell;
use std::net::{TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::time::Duration;

use chainring_runtime::frame::{
    Frame, Frames, Interrupt, Layout, Len, NotSubmitted, Plan, Resume, Stop, Then, Transfer, Verb,
};
use chainring_runtime::op::nop::nop;
use chainring_runtime::time::{sleep, timeout};
use chainring_runtime::{Builder, Runtime, spawn};
use futures::future::join_all;

fn polled() -> Builder {
    Builder::new().sqpoll(Duration::from_millis(2), None)
}

#[test]
fn operations_complete_while_the_poller_spins_and_after_it_has_slept() {
    let runtime = polled().build().unwrap();
    runtime.block_on(async {
        for round in 0..3 {
            for _ in 0..200 {
                nop().await.unwrap();
            }
            if round < 2 {
                // Long enough for the poller to fall asleep.
                sleep(Duration::from_millis(20)).await;
            }
        }
    });
    let metrics = runtime.metrics();
    assert!(metrics.submitted >= 600, "{metrics:?}");
    assert_eq!(metrics.operations, 0);
}

#[test]
fn a_full_queue_waits_for_the_poller_and_loses_nothing() {
    let runtime = polled().submission_entries(8).build().unwrap();
    runtime.block_on(async {
        let tasks: Vec<_> = (0..500)
            .map(|_| {
                spawn(async {
                    for _ in 0..20 {
                        nop().await.unwrap();
                    }
                })
            })
            .collect();
        for task in join_all(tasks).await {
            task.unwrap();
        }
    });
    assert_eq!(runtime.metrics().operations, 0);
}

#[test]
fn a_thread_wakes_a_core_that_has_a_poller() {
    polled().build().unwrap().block_on(async {
        for _ in 0..20 {
            let (sender, receiver) = futures::channel::oneshot::channel();
            let thread = std::thread::spawn(move || {
                std::thread::sleep(Duration::from_millis(1));
                sender.send(()).unwrap();
            });
            timeout(Duration::from_secs(10), receiver).await.expect("not woken").unwrap();
            thread.join().unwrap();
        }
    });
}

/// Sends and receives its own bytes over and over, as one list of eight linked members.
struct Echo {
    rounds: u32,
    done: Rc<Cell<u32>>,
    stops: Rc<Cell<u32>>,
}

/// Submits, or puts the frame off if the poller has not taken enough yet.
fn submit(frame: Frame<'_>) {
    match frame.submit(0) {
        Ok(()) => {}
        Err((frame, NotSubmitted::Busy)) => frame.park(),
        Err((_, other)) => panic!("{other:?}"),
    }
}

impl Resume for Echo {
    fn advanced(&self, frame: Frame<'_>, _: u16) {
        let round = frame.registers().get(0) + 1;
        frame.registers().set(0, round);
        if round == u64::from(self.rounds) {
            self.done.set(self.done.get() + 1);
            return frame.free();
        }
        submit(frame);
    }

    fn interrupted(&self, _: Frame<'_>, reason: Interrupt) {
        unreachable!("no segment follows another by itself: {reason:?}");
    }

    fn stopped(&self, frame: Frame<'_>, stop: Stop) {
        if !stop.cancelling {
            self.stops.set(self.stops.get() + 1);
        }
        frame.free();
    }

    fn unparked(&self, frame: Frame<'_>) {
        submit(frame);
    }
}

fn pair() -> (OwnedFd, OwnedFd) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let one = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    (one.into(), listener.accept().unwrap().0.into())
}

/// Chains of `send, recv exactly` four times over, in which a cut link would let a recv overtake nothing but
/// fail as a short one, and a lost one would hang.
fn chains_of_eight(runtime: &Runtime, connections: u32, rounds: u32) {
    runtime.block_on(async {
        let (done, stops) = (Rc::new(Cell::new(0)), Rc::new(Cell::new(0)));
        let transfer = |verb, descriptor, offset| Transfer::new(verb, descriptor, offset, Len::Fixed(32));
        let members = (0..4)
            .flat_map(|i| {
                let offset = i * 64;
                [transfer(Verb::SendAll, 0, offset), transfer(Verb::RecvExact, 1, offset + 32)]
            })
            .collect();
        let layout = Layout { registers: 1, descriptors: 2, bytes: 256 };
        let echo = Echo { rounds, done: done.clone(), stops: stops.clone() };
        let frames =
            Frames::new(layout, &[Plan { members, into: None, then: Then::Resume }], connections, echo)
                .unwrap();
        for _ in 0..connections {
            let mut frame = frames.allocate().unwrap();
            let (one, other) = pair();
            frame.put_descriptor(0, one);
            frame.put_descriptor(1, other);
            submit(frame);
        }
        let all = async {
            while done.get() + stops.get() < connections {
                sleep(Duration::from_millis(1)).await;
            }
        };
        timeout(Duration::from_secs(30), all).await.expect("a chain hangs");
        assert_eq!((done.get(), stops.get()), (connections, 0));
    });
}

#[test]
fn chains_of_eight_arrive_whole_through_a_poller_and_a_small_queue() {
    let runtime = polled().submission_entries(8).build().unwrap();
    chains_of_eight(&runtime, 50, 40);
    let metrics = runtime.metrics();
    assert!(metrics.submitted >= 50 * 40 * 8, "{metrics:?}");
    chains_of_eight(&Builder::new().submission_entries(8).build().unwrap(), 50, 40);
}

#[test]
fn a_runtime_with_a_poller_is_dropped_with_operations_in_flight() {
    let runtime = polled().build().unwrap();
    let (one, _other) = pair();
    runtime.block_on(async {
        let socket = chainring_runtime::Descriptor::new(one);
        for _ in 0..100 {
            let socket = socket.clone();
            drop(spawn(async move {
                let _ = chainring_runtime::op::recv::recv(&socket, vec![0u8; 64], 0).await;
            }));
        }
        sleep(Duration::from_millis(1)).await;
    });
    assert!(runtime.metrics().operations >= 100);
    drop(runtime);
}
