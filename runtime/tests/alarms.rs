//! Timers that call frames, and those that interrupt them.

use std::cell::RefCell;
use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::rc::Rc;
use std::time::Duration;

use chainring_runtime::frame::{
    Frame, Frames, Interrupt, Layout, Len, Plan, Resume, Stop, Then, Transfer, Verb,
};
use chainring_runtime::time::{self, Alarm};
use chainring_runtime::{Builder, Handle, yield_now};

const MS: Duration = Duration::from_millis(1);

/// Notes when its frames are called.
struct Notes(Rc<RefCell<Vec<u32>>>);

/// Receives with its frames, twice, and notes what becomes of it.
struct Receives(Rc<RefCell<Vec<(i32, bool)>>>);

impl Resume for Receives {
    fn stopped(&self, frame: Frame<'_>, stop: Stop) {
        self.0.borrow_mut().push((stop.result, stop.interrupted));
        assert_eq!(frame.take_interrupt(), stop.interrupted);
        assert!(!frame.is_interrupted() && !stop.cancelling);
        if self.0.borrow().len() < 2 {
            frame.submit(0).unwrap();
        } else {
            frame.free();
        }
    }

    fn advanced(&self, frame: Frame<'_>, _: u16) {
        self.0.borrow_mut().push((0, frame.is_interrupted()));
        frame.free();
    }

    fn unparked(&self, frame: Frame<'_>) {
        let interrupted = frame.take_interrupt();
        self.0.borrow_mut().push((1, interrupted));
        frame.free();
    }

    fn interrupted(&self, _: Frame<'_>, _: Interrupt) {
        unreachable!("there is no code");
    }
}

impl Resume for Notes {
    fn unparked(&self, frame: Frame<'_>) {
        self.0.borrow_mut().push(frame.key().index());
        if frame.is_cancelled() {
            frame.free();
        } else {
            frame.park();
        }
    }

    fn advanced(&self, _: Frame<'_>, _: u16) {
        unreachable!("nothing is submitted");
    }

    fn interrupted(&self, _: Frame<'_>, _: Interrupt) {
        unreachable!("nothing is submitted");
    }

    fn stopped(&self, _: Frame<'_>, _: Stop) {
        unreachable!("nothing is submitted");
    }
}

#[test]
fn an_alarm_is_plain_bits_and_names_nothing_once_it_is_over() {
    let runtime = Builder::new().hold_clock(true).build().unwrap();
    runtime.block_on(async {
        let core = Handle::current();
        let notes = Rc::new(RefCell::new(Vec::new()));
        let layout = Layout { registers: 1, descriptors: 0, bytes: 0 };
        let frames = Frames::new(layout, &[], 4, Notes(notes)).unwrap();
        let frame = frames.allocate().unwrap();
        let key = frame.key();

        let start = time::now();
        assert_eq!(core.start_alarm(start, key), None, "that has passed");
        let alarm = core.start_alarm(start + 5 * MS, key).unwrap();
        assert_ne!(alarm.to_bits(), 0);
        assert_eq!(Alarm::from_bits(alarm.to_bits()), alarm);
        assert_eq!(core.metrics().timers, 1);
        assert!(core.stop_alarm(alarm));
        assert!(!core.stop_alarm(alarm));

        // One that has called, of whose entry another makes use.
        let first = core.start_alarm(start + MS, key).unwrap();
        time::advance(MS).await;
        assert_eq!(core.metrics().timers_fired, 1);
        let second = core.start_alarm(start + 9 * MS, key).unwrap();
        assert!(!core.stop_alarm(first));
        assert!(!core.stop_alarm(Alarm::from_bits(0)));
        assert!(core.stop_alarm(second));
        frame.free();

        // And a call for a frame that has ended reaches nobody.
        assert!(core.start_alarm(time::now() + MS, key).is_some());
        time::advance(MS).await;
        yield_now().await;
        assert_eq!(core.metrics().timers_fired, 2);
    });
}

#[test]
fn a_deadline_cancels_what_is_in_flight_and_nothing_that_follows() {
    let runtime = Builder::new().hold_clock(true).build().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut peer = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let near = OwnedFd::from(listener.accept().unwrap().0);
    runtime.block_on(async {
        let core = Handle::current();
        let notes = Rc::new(RefCell::new(Vec::new()));
        let layout = Layout { registers: 0, descriptors: 1, bytes: 4 };
        let members = vec![Transfer::new(Verb::RecvExact, 0, 0, Len::Fixed(4))];
        let plans = [Plan { members, into: None, then: Then::Resume }];
        let frames = Frames::new(layout, plans, 1, Receives(notes.clone())).unwrap();

        // In flight; and then what it submits next is left alone.
        let mut frame = frames.allocate().unwrap();
        frame.put_descriptor(0, near);
        let alarm = core.start_deadline(MS, frame.key()).unwrap();
        assert!(core.alarm_waits(alarm));
        assert_eq!(core.start_deadline(Duration::ZERO, frame.key()), None);
        frame.submit(0).unwrap();
        time::advance(MS).await;
        assert!(!core.alarm_waits(alarm) && !core.stop_alarm(alarm));
        assert_eq!(*notes.borrow(), [(-libc::ECANCELED, true)]);
        peer.write_all(b"abcd").unwrap();
        while frames.live() > 0 {
            yield_now().await;
        }
        assert_eq!(notes.take(), [(-libc::ECANCELED, true), (0, false)]);

        // Waiting.
        let frame = frames.allocate().unwrap();
        core.start_deadline(MS, frame.key()).unwrap();
        frame.wait();
        time::advance(MS).await;
        yield_now().await;
        assert_eq!(notes.take(), [(1, true)]);

        // Its token is out: what it submits without having asked is cancelled.
        let mut frame = frames.allocate().unwrap();
        core.start_deadline(MS, frame.key()).unwrap();
        time::advance(MS).await;
        assert!(frame.is_interrupted());
        let (near, peer) = UnixStream::pair().unwrap();
        frame.put_descriptor(0, near.into());
        frame.submit(0).unwrap();
        while notes.borrow().is_empty() {
            yield_now().await;
        }
        assert_eq!(*notes.borrow(), [(-libc::ECANCELED, true)]);
        drop(peer);
        while frames.live() > 0 {
            yield_now().await;
        }
        assert_eq!(notes.take(), [(-libc::ECANCELED, true), (0, false)]);

        // It does not outlive this use of the frame.
        let frame = frames.allocate().unwrap();
        core.start_deadline(MS, frame.key()).unwrap();
        frame.free();
        let frame = frames.allocate().unwrap();
        time::advance(MS).await;
        assert!(!frame.is_interrupted());
    });
}
