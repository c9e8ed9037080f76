//! Frames that go several ways at once, used rightly and wrongly by safe code: what may not run side by side is refused,
//! tokens are dropped, leaked and used for what is not theirs, and the frame comes back with the last of its strands.

// Ranges of ops are what a branch has, mostly one.
#![allow(clippy::single_range_in_vec_init)]

#[path = "../common/mod.rs"]
mod common;

mod refused;

use std::cell::RefCell;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;

use chainring_runtime::frame::{
    Branch, Code, Fork, Frame, Frames, Interrupt, Layout, Len, Op, Plan, Plans, Resume, ResumeStrands, Stop,
    Strand, Then, Transfer, Verb,
};
use chainring_runtime::{Key, Runtime};
use common::{alone, descriptors, pair, until};

/// What a strand does with its token where it starts.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Start {
    /// Receives.
    Submits,
    Ends,
    Drops,
    Leaks,
    /// Runs the op of another branch, and ends if that is refused.
    Strays,
    /// Waits until it is called or cancelled.
    Waits,
}

/// Forks every frame, and writes down what its strands come to.
struct Forks {
    starts: [Start; 2],
    log: RefCell<Vec<(u16, &'static str, i32)>>,
    /// Frames that came back, and whether they were cancelled.
    back: RefCell<Vec<bool>>,
    keys: RefCell<Vec<Key>>,
}

impl Forks {
    fn note(&self, strand: &Strand<'_>, what: &'static str, result: i32) {
        self.log.borrow_mut().push((strand.number(), what, result));
    }

    fn end(&self, strand: Strand<'_>) {
        if let Some(frame) = strand.end() {
            self.back.borrow_mut().push(frame.is_cancelled());
            frame.free();
        }
    }
}

impl Resume for Forks {
    fn advanced(&self, _: Frame<'_>, _: u16) {
        unreachable!("the frame itself submits nothing");
    }

    fn interrupted(&self, _: Frame<'_>, _: Interrupt) {
        unreachable!("the frame itself runs nothing");
    }

    fn stopped(&self, _: Frame<'_>, _: Stop) {
        unreachable!("the frame itself submits nothing");
    }

    fn unparked(&self, frame: Frame<'_>) {
        frame.fork(0);
    }
}

impl ResumeStrands for Forks {
    fn strand_interrupted(&self, strand: Strand<'_>, interrupt: Interrupt) {
        let Interrupt::Left(number) = interrupt else { panic!("{interrupt:?}") };
        self.note(&strand, "left", number as i32);
        self.end(strand);
    }

    fn strand_stopped(&self, strand: Strand<'_>, stop: Stop) {
        self.note(&strand, if stop.cancelling { "cancelled" } else { "stopped" }, stop.result);
        self.end(strand);
    }

    fn strand_unparked(&self, strand: Strand<'_>) {
        self.keys.borrow_mut().push(strand.key());
        let number = strand.number();
        if strand.is_cancelled() {
            self.note(&strand, "cancelled", 0);
            return self.end(strand);
        }
        match self.starts[usize::from(number)] {
            Start::Submits => strand.submit(number).expect("there is room"),
            Start::Ends => self.end(strand),
            Start::Drops => drop(strand),
            Start::Leaks => std::mem::forget(strand),
            Start::Waits => strand.wait(),
            Start::Strays => {
                let other = 1 - number;
                let ran = catch_unwind(AssertUnwindSafe(|| {
                    let refused = if number == 0 {
                        strand.run(u32::from(other)).is_ok()
                    } else {
                        strand.submit(other).is_ok()
                    };
                    panic!("not refused: {refused}");
                }));
                let text = ran.expect_err("refused");
                assert!(text.downcast_ref::<String>().expect("a text").contains("is not of this branch"));
            }
        }
    }
}

const LAYOUT: Layout = Layout { registers: 4, descriptors: 2, bytes: 64 };

/// Branch 0 receives eight bytes on socket 0, branch 1 on socket 1; each then leaves with its first byte in its register.
fn plans() -> Plans {
    let recv = |i: u16| Transfer::new(Verb::RecvExact, i, 8 * u32::from(i), Len::Fixed(8));
    let segment = |i: u16| Plan { members: vec![recv(i)], into: Some(2 + i), then: Then::Code(u32::from(i)) };
    let ops = vec![Op::Leave(10), Op::Leave(11)];
    let branch = |i: u16| Branch { ops: vec![u32::from(i)..u32::from(i) + 1], segments: vec![i] };
    Plans {
        segments: vec![segment(0), segment(1)],
        code: Code { ops, bulk: Vec::new() },
        forks: vec![Fork { branches: vec![branch(0), branch(1)] }],
        ..Plans::default()
    }
}

fn forks(starts: [Start; 2]) -> Rc<Frames<Forks>> {
    let (log, back, keys) = Default::default();
    Frames::with_strands(LAYOUT, plans(), 2, Forks { starts, log, back, keys }).expect("frames")
}

/// Starts a frame with two sockets. Gives the other ends.
fn start(frames: &Frames<Forks>) -> (Key, [TcpStream; 2]) {
    let mut frame = frames.allocate().expect("there is room");
    let ends = [0, 1].map(|i| {
        let (near, far) = pair();
        frame.put_descriptor(i, near);
        far
    });
    let key = frame.key();
    frame.park();
    (key, ends)
}

#[test]
fn the_last_strand_to_end_gives_the_frame_back() {
    let _alone = alone();
    let runtime = Runtime::new().expect("a ring");
    runtime.block_on(async {
        let frames = forks([Start::Submits, Start::Submits]);
        let (_, [mut one, mut other]) = start(&frames);
        other.write_all(b"other...").expect("send");
        until("the second strand has ended", || frames.runner().log.borrow().len() == 1).await;
        assert_eq!((frames.live(), frames.runner().back.borrow().len()), (1, 0));
        one.write_all(b"first...").expect("send");
        until("the frame has ended", || frames.live() == 0).await;
        assert_eq!(*frames.runner().log.borrow(), [(1, "left", 11), (0, "left", 10)]);
        assert_eq!(*frames.runner().back.borrow(), [false]);
        assert_eq!(frames.advanced(), 2);
    });
}

#[test]
fn a_cancelled_frame_cancels_its_strands_wherever_they_are() {
    let _alone = alone();
    let runtime = Runtime::new().expect("a ring");
    for starts in
        [[Start::Submits, Start::Submits], [Start::Waits, Start::Submits], [Start::Waits, Start::Ends]]
    {
        runtime.block_on(async {
            let frames = forks(starts);
            // Before they have started, and when they have.
            for started in [false, true] {
                let (key, far) = start(&frames);
                if started {
                    until("the strands have started", || frames.runner().keys.borrow().len() >= 2).await;
                }
                frames.cancel(key);
                frames.cancel(key);
                until("the frame has ended", || frames.live() == 0).await;
                assert_eq!(frames.runner().back.borrow_mut().pop(), Some(true));
                let log = frames.runner().log.take();
                assert!(log.iter().all(|(_, what, _)| *what == "cancelled") && !log.is_empty(), "{log:?}");
                frames.runner().keys.borrow_mut().clear();
                drop(far);
            }
            frames.retire();
        });
    }
    assert_eq!(runtime.metrics().strays, 0);
}

#[test]
fn strands_whose_tokens_are_dropped_end_with_their_frame() {
    let _alone = alone();
    drop(Runtime::new().expect("a ring"));
    let before = descriptors();
    let runtime = Runtime::new().expect("a ring");
    runtime.block_on(async {
        let frames = forks([Start::Drops, Start::Drops]);
        let (_, far) = start(&frames);
        until("the frame has ended", || frames.live() == 0).await;
        for mut far in far {
            assert_eq!(far.read(&mut [0]).expect("its socket is closed"), 0);
        }
        // One is dropped while the other is in flight: that one is the last.
        let frames = forks([Start::Drops, Start::Submits]);
        let (_, [_, mut other]) = start(&frames);
        until("the strands have started", || frames.runner().keys.borrow().len() == 2).await;
        assert_eq!(frames.live(), 1);
        other.write_all(b"other...").expect("send");
        until("the frame has ended", || frames.live() == 0).await;
        assert_eq!(*frames.runner().back.borrow(), [false]);
    });
    drop(runtime);
    assert_eq!(descriptors(), before, "open descriptors");
}

#[test]
fn a_strand_that_is_leaked_keeps_no_runtime_from_ending() {
    let _alone = alone();
    drop(Runtime::new().expect("a ring"));
    let before = descriptors();
    for starts in
        [[Start::Leaks, Start::Leaks], [Start::Leaks, Start::Submits], [Start::Submits, Start::Waits]]
    {
        let runtime = Runtime::new().expect("a ring");
        let far = runtime.block_on(async {
            let frames = forks(starts);
            let (key, far) = start(&frames);
            until("the strands have started", || frames.runner().keys.borrow().len() == 2).await;
            if starts == [Start::Leaks, Start::Leaks] {
                frames.cancel(key);
            }
            far
        });
        drop(runtime);
        for mut far in far {
            assert_eq!(far.read(&mut [0]).expect("its socket is closed"), 0);
        }
    }
    assert_eq!(descriptors(), before, "open descriptors");
}

#[test]
fn a_strand_runs_and_submits_what_is_its_branchs_and_nothing_else() {
    let _alone = alone();
    let runtime = Runtime::new().expect("a ring");
    runtime.block_on(async {
        let frames = forks([Start::Strays, Start::Strays]);
        let (_, _far) = start(&frames);
        // The tokens are gone with the panics.
        until("the frame has ended", || frames.live() == 0).await;
    });
}

#[test]
fn a_frame_that_forks_again_has_strands_of_new_names() {
    let _alone = alone();
    let runtime = Runtime::new().expect("a ring");
    runtime.block_on(async {
        let mut seen = Vec::new();
        // The number of an owner that is gone is another's, and its generations go on.
        for _ in 0..3 {
            let frames = forks([Start::Ends, Start::Ends]);
            for _ in 0..5 {
                let _ends = start(&frames);
                until("the frame has ended", || frames.live() == 0).await;
            }
            seen.extend(frames.runner().keys.take());
            frames.retire();
        }
        assert_eq!(seen.len(), 30);
        assert!((0..30).all(|i| !seen[..i].contains(&seen[i])), "{seen:?}");
    });
}
