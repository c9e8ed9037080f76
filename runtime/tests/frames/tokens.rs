//! Tokens that are dropped, leaked or kept, and owners that are gone.

use std::cell::RefCell;
use std::io::{Read, Write};
use std::rc::Rc;
use std::time::{Duration, Instant};

use chainring_runtime::Runtime;
use chainring_runtime::frame::{Frame, Frames, Interrupt, NotSubmitted, Resume, Stop};
use chainring_runtime::time::sleep;

use super::{LAYOUT, Log, frames, is_closed, plans};
use crate::common::{alone, descriptors, pair, until};

#[test]
fn a_token_that_is_dropped_ends_its_frame() {
    let _alone = alone();
    let runtime = Runtime::new().expect("a ring");
    let (near, far) = pair();
    runtime.block_on(async {
        let (frames, _) = frames(1);
        let mut frame = frames.allocate().expect("there is room");
        assert!(frames.allocate().is_none(), "there is one frame");
        frame.put_descriptor(0, near);
        let key = frame.key();
        drop(frame);
        assert_eq!(frames.live(), 0);
        let next = frames.allocate().expect("there is room again");
        assert_eq!(next.key().index(), key.index());
        assert_ne!(next.key(), key, "another use of it");
        sleep(Duration::from_millis(1)).await;
    });
    assert!(is_closed(far));
}

#[test]
fn a_token_that_is_leaked_or_kept_does_not_hold_up_the_end_of_the_runtime() {
    let _alone = alone();
    drop(Runtime::new().expect("a ring"));
    let before = descriptors();
    let runtime = Runtime::new().expect("a ring");
    let ((near, far), (kept_near, kept_far)) = (pair(), pair());
    let (frames, log) = runtime.block_on(async { frames(10) });
    let mut leaked = frames.allocate().expect("there is room");
    leaked.put_descriptor(0, near);
    std::mem::forget(leaked);
    let mut kept = frames.allocate().expect("there is room");
    kept.put_descriptor(0, kept_near);
    let start = Instant::now();
    drop(runtime);
    assert!(start.elapsed() < Duration::from_secs(1), "the runtime took {:?} to end", start.elapsed());

    // What is kept can be looked at, and submits nothing.
    kept.registers().set(0, 7);
    assert_eq!((kept.registers().get(0), kept.bytes().len(), frames.live()), (7, 64, 2));
    for _ in 0..10_000 {
        let Err((back, NotSubmitted::Busy)) = kept.submit(0) else {
            panic!("submitted to a ring that is gone")
        };
        kept = back;
    }
    assert!(frames.allocate().is_none(), "no frame comes into being any more");
    drop(kept);
    assert!(is_closed(kept_far));
    drop(frames);
    assert!(is_closed(far), "what was leaked ends with the frames");
    assert!(log.borrow().is_empty(), "nobody is called without a runtime");
    assert_eq!(descriptors(), before, "open descriptors");
}

#[test]
fn an_owner_that_is_retired_twice_does_not_let_go_of_another() {
    let _alone = alone();
    let runtime = Runtime::new().expect("a ring");
    let (near, mut far) = pair();
    runtime.block_on(async {
        let (first, _) = frames(1);
        first.retire();
        assert!(first.allocate().is_none());
        // Has the number that the first one had.
        let (second, log) = frames(1);
        first.retire();
        let mut frame = second.allocate().expect("there is room");
        frame.put_descriptor(0, near);
        frame.submit(0).expect("submitted");
        far.write_all(b"eight by").expect("send");
        until("the segment has succeeded", || log.borrow().len() == 1).await;
    });
    far.read_exact(&mut [0; 8]).expect("receive");
    assert_eq!(runtime.metrics().strays, 0);
}

#[test]
fn a_key_of_an_earlier_use_cancels_nobody() {
    let _alone = alone();
    let runtime = Runtime::new().expect("a ring");
    let (near, mut far) = pair();
    runtime.block_on(async {
        let (frames, log) = frames(1);
        let stale = frames.allocate().expect("there is room").key();
        frames.cancel(stale);
        let mut frame = frames.allocate().expect("there is room");
        let key = frame.key();
        frame.put_descriptor(0, near);
        frame.submit(0).expect("submitted");
        frames.cancel(stale);
        sleep(Duration::from_millis(5)).await;
        far.write_all(b"eight by").expect("send");
        until("the segment has ended", || log.borrow().len() == 1).await;
        assert_eq!(log.borrow()[0], ("advanced", key, 0));
    });
}

#[test]
fn frames_that_nobody_knows_any_more_go_on() {
    let _alone = alone();
    let runtime = Runtime::new().expect("a ring");
    let (near, mut far) = pair();
    runtime.block_on(async {
        let (frames, log) = frames(1);
        let mut frame = frames.allocate().expect("there is room");
        frame.put_descriptor(0, near);
        frame.submit(0).expect("submitted");
        frames.retire();
        drop(frames);
        far.write_all(b"eight by").expect("send");
        until("the segment has succeeded", || log.borrow().len() == 1).await;
    });
    far.read_exact(&mut [0; 8]).expect("receive");
    assert!(is_closed(far));
}

/// Cancels its frame while it has its token, and has it wait for a call.
struct Gives(Log, RefCell<Option<Rc<Frames<Gives>>>>);

impl Resume for Gives {
    fn advanced(&self, _: Frame<'_>, _: u16) {}

    fn interrupted(&self, _: Frame<'_>, _: Interrupt) {}

    fn stopped(&self, _: Frame<'_>, _: Stop) {}

    fn unparked(&self, frame: Frame<'_>) {
        self.0.borrow_mut().push(("unparked", frame.key(), i32::from(frame.is_cancelled())));
        if !frame.is_cancelled() {
            let frames = self.1.take().expect("the first time");
            frames.cancel(frame.key());
            frame.wait();
        }
    }
}

#[test]
fn a_frame_that_was_cancelled_waits_for_no_call() {
    let _alone = alone();
    let runtime = Runtime::new().expect("a ring");
    runtime.block_on(async {
        let log = Log::default();
        let frames = Frames::new(LAYOUT, plans(), 1, Gives(log.clone(), RefCell::default())).expect("frames");
        frames.runner().1.replace(Some(frames.clone()));
        frames.allocate().expect("there is room").park();
        until("the frame has ended", || frames.live() == 0).await;
        let cancelled: Vec<_> = log.borrow().iter().map(|(_, _, cancelled)| *cancelled).collect();
        assert_eq!(cancelled, [0, 1]);
    });
}
