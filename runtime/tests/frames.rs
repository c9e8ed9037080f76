//! The surface of frames, used wrongly by safe code: tokens that are dropped, leaked or kept, numbers out of range,
//! owners that are retired twice, and callbacks that panic. Nothing hangs, nothing leaks a descriptor that somebody still
//! knows of, and nobody else is harmed.

mod common;

use std::cell::{Cell, RefCell};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::fd::OwnedFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::Command;
use std::rc::Rc;
use std::time::{Duration, Instant};

use chainring_runtime::frame::{
    Frame, Frames, FramesError, Interrupt, Layout, Len, NotSubmitted, Plan, PlanError, Resume, Stop, Then,
    Transfer, Verb,
};
use chainring_runtime::time::sleep;
use chainring_runtime::{Key, Runtime};
use common::{alone, descriptors};

/// What the frames here report, in order.
type Log = Rc<RefCell<Vec<(&'static str, Key, i32)>>>;

/// Writes down what happens and ends the frame.
struct Ends(Log);

impl Ends {
    fn note(&self, what: &'static str, frame: &Frame<'_>, result: i32) {
        self.0.borrow_mut().push((what, frame.key(), result));
    }
}

impl Resume for Ends {
    fn advanced(&self, frame: Frame<'_>, _: u16) {
        self.note("advanced", &frame, 0);
    }

    fn interrupted(&self, frame: Frame<'_>, _: Interrupt) {
        self.note("refused", &frame, 0);
        frame.free();
    }

    fn stopped(&self, frame: Frame<'_>, stop: Stop) {
        self.note("stopped", &frame, stop.result);
        frame.free();
    }

    fn unparked(&self, frame: Frame<'_>) {
        self.note("unparked", &frame, 0);
        frame.free();
    }
}

const LAYOUT: Layout = Layout { registers: 2, descriptors: 1, bytes: 64 };

fn recv(len: Len) -> Transfer {
    Transfer::new(Verb::RecvExact, 0, 0, len)
}

fn send(len: Len) -> Transfer {
    Transfer::new(Verb::SendAll, 0, 0, len)
}

/// Segment 0 receives eight bytes and sends them back, segment 1 receives as many as a register says.
fn plans() -> [Plan; 2] {
    let two =
        Plan { members: vec![recv(Len::Fixed(8)), send(Len::Fixed(8))], into: None, then: Then::Resume };
    let len = Len::Register { index: 0, plus: 4, max: 64 };
    [two, Plan { members: vec![recv(len)], into: Some(1), then: Then::Resume }]
}

fn frames(limit: u32) -> (Rc<Frames<Ends>>, Log) {
    let log = Log::default();
    (Frames::new(LAYOUT, plans(), limit, Ends(log.clone())).expect("frames"), log)
}

fn pair() -> (OwnedFd, TcpStream) {
    let (socket, peer) = common::tcp();
    peer.set_read_timeout(Some(Duration::from_secs(10))).expect("timeout");
    (socket.try_into_owned().expect("nothing is in flight"), peer)
}

async fn until(what: &str, condition: impl Fn() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < Duration::from_secs(10), "waited in vain until {what}");
        sleep(Duration::from_millis(1)).await;
    }
}

/// The frame was given this socket and is to have closed it.
fn is_closed(mut peer: TcpStream) -> bool {
    matches!(peer.read(&mut [0; 1]), Ok(0))
}

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
fn numbers_out_of_range_are_refused_and_the_frame_ends() {
    let _alone = alone();
    let runtime = Runtime::new().expect("a ring");
    runtime.block_on(async {
        let (frames, _) = frames(10);
        let panics = |what: &str, misuse: &dyn Fn(Frame<'_>)| {
            let frame = frames.allocate().expect("there is room");
            assert!(catch_unwind(AssertUnwindSafe(|| misuse(frame))).is_err(), "{what} was accepted");
            assert_eq!(frames.live(), 0, "{what}: the token is gone, and so is its frame");
        };
        panics("segment 2", &|frame| drop(frame.submit(2)));
        panics("segment 65535", &|frame| drop(frame.submit(u16::MAX)));
        panics("member 0 of segment 2", &|frame| drop(frame.submit_from(2, 0, 0, false)));
        for alone in [false, true] {
            panics("member 2 of two", &|frame| drop(frame.submit_from(0, 2, 0, alone)));
            panics("member 255", &|frame| drop(frame.submit_from(0, 255, 0, alone)));
        }
        panics("register 2", &|frame| assert_eq!(frame.registers().get(2), 0));
        panics("register 65535", &|frame| frame.registers().set(u16::MAX, 1));
        panics("descriptor 1", &|mut frame| drop(frame.take_descriptor(1)));
        panics("descriptor 1", &|mut frame| frame.put_descriptor(1, pair().0));
        panics("overlapping views", &|mut frame| {
            let (mut views, _) = frame.parts();
            let _both = (views.read(0..5), views.write(4..8));
        });
        let mut frame = frames.allocate().expect("there is room");
        assert!(frame.take_descriptor(0).is_none(), "the place is vacant");
        let (mut views, _) = frame.parts();
        assert!(views.read(0..65).is_none() && views.write(65..65).is_none());
    });
}

#[test]
fn a_second_descriptor_for_the_same_place_is_refused_and_closed() {
    let _alone = alone();
    let runtime = Runtime::new().expect("a ring");
    let ((first, mut stays), (second, closed)) = (pair(), pair());
    runtime.block_on(async {
        let (frames, log) = frames(1);
        let mut frame = frames.allocate().expect("there is room");
        frame.put_descriptor(0, first);
        assert!(catch_unwind(AssertUnwindSafe(|| frame.put_descriptor(0, second))).is_err());
        frame.submit(0).expect("submitted");
        stays.write_all(b"eight by").expect("send");
        until("the segment has succeeded", || log.borrow().len() == 1).await;
        assert_eq!(log.borrow()[0].0, "advanced");
    });
    assert!(is_closed(closed));
    let mut answer = [0; 8];
    stays.read_exact(&mut answer).expect("receive");
    assert_eq!(&answer, b"eight by");
}

#[test]
fn more_bytes_done_than_there_are_is_as_good_as_all() {
    let _alone = alone();
    let runtime = Runtime::new().expect("a ring");
    let (near, mut far) = pair();
    runtime.block_on(async {
        let (frames, log) = frames(1);
        let mut frame = frames.allocate().expect("there is room");
        frame.put_descriptor(0, near);
        // Nothing is left to receive; the answer is sent.
        frame.submit_from(0, 0, u32::MAX, false).expect("submitted");
        until("the segment has succeeded", || log.borrow().len() == 1).await;
        assert_eq!(log.borrow()[0].0, "advanced");
    });
    far.read_exact(&mut [0; 8]).expect("receive");
}

#[test]
fn a_length_that_does_not_fit_gives_the_token_back() {
    let _alone = alone();
    let runtime = Runtime::new().expect("a ring");
    runtime.block_on(async {
        let (frames, _) = frames(1);
        let mut frame = frames.allocate().expect("there is room");
        for len in [61, u64::from(u32::MAX) + 1, u64::MAX] {
            frame.registers().set(0, len);
            let Err((back, refused)) = frame.submit(1) else {
                panic!("{len} and four bytes were taken for 64")
            };
            let told = NotSubmitted::TooLong { member: 0, len: len.saturating_add(4), max: 64 };
            assert_eq!(refused, told);
            frame = back;
        }
    });
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

#[test]
fn layouts_and_plans_that_do_not_fit_are_refused() {
    let _alone = alone();
    let runtime = Runtime::new().expect("a ring");
    runtime.block_on(async {
        let new = |layout, plans: &[Plan]| {
            let made = Frames::new(layout, plans, 4, Ends(Log::default()));
            made.map(drop).map_err(|error| error.to_string())
        };
        // More words than a template can name: registers would be taken for descriptors.
        for (registers, descriptors) in
            [(u16::MAX, u16::MAX), (u16::MAX, 0), (1, u16::MAX - 1), (40_000, 30_000)]
        {
            let refused = new(Layout { registers, descriptors, bytes: 64 }, &plans());
            assert_eq!(refused, Err(FramesError::Layout.to_string()), "{registers} and {descriptors}");
        }
        let mine = Layout { registers: u16::MAX - 2, descriptors: 1, bytes: 64 };
        assert_eq!(new(mine, &plans()), Ok(()));

        let plan = |members: Vec<Transfer>| Plan { members, into: None, then: Then::Resume };
        let refused = |plan: Plan, error: PlanError| {
            let expected = FramesError::Plan { segment: 0, error }.to_string();
            assert_eq!(new(LAYOUT, &[plan]), Err(expected));
        };
        let whole = || recv(Len::Fixed(64));
        refused(plan(vec![]), PlanError::Empty);
        refused(plan(vec![whole(); 17]), PlanError::TooLong { members: 17, limit: 16 });
        refused(plan(vec![Transfer { descriptor: 1, ..whole() }]), PlanError::NoSuchHandle);
        refused(Plan { into: Some(2), ..plan(vec![whole()]) }, PlanError::NoSuchHandle);
        refused(Plan { then: Then::Segment(1), ..plan(vec![whole()]) }, PlanError::NoSuchHandle);
        refused(plan(vec![Transfer { offset: 1, ..whole() }]), PlanError::OutOfBounds);
        refused(plan(vec![Transfer { offset: u32::MAX, ..whole() }]), PlanError::OutOfBounds);
        let len = |index, plus, max| plan(vec![recv(Len::Register { index, plus, max })]);
        refused(len(0, 0, 65), PlanError::OutOfBounds);
        refused(len(0, 9, 8), PlanError::OutOfBounds);
        refused(len(2, 0, 8), PlanError::NoSuchHandle);
        let loose = Transfer { verb: Verb::Recv, ..whole() };
        refused(plan(vec![loose, whole()]), PlanError::DoesNotSever { member: 0 });
    });
}

/// Panics where it is told to.
struct Panics(Cell<bool>);

impl Resume for Panics {
    fn advanced(&self, _: Frame<'_>, _: u16) {
        panic!("a continuation that panics");
    }

    fn interrupted(&self, _: Frame<'_>, _: Interrupt) {
        panic!("a continuation that panics");
    }

    fn stopped(&self, _: Frame<'_>, _: Stop) {
        panic!("a continuation that panics");
    }

    fn unparked(&self, _: Frame<'_>) {
        self.0.set(true);
        panic!("a continuation that panics");
    }
}

const CHILD: &str = "CHAINRING_TEST_PANICS";

#[test]
fn a_continuation_that_panics_ends_the_process() {
    let _alone = alone();
    if std::env::var_os(CHILD).is_some() {
        let runtime = Runtime::new().expect("a ring");
        runtime.block_on(async {
            let frames = Frames::new(LAYOUT, plans(), 1, Panics(Cell::new(false))).expect("frames");
            frames.allocate().expect("there is room").park();
            sleep(Duration::from_secs(5)).await;
        });
        return;
    }
    let child = Command::new(std::env::current_exe().expect("this program"))
        .args(["a_continuation_that_panics_ends_the_process", "--exact", "--nocapture"])
        .env(CHILD, "1")
        .output()
        .expect("a second process");
    use std::os::unix::process::ExitStatusExt;
    assert_eq!(child.status.signal(), Some(libc::SIGABRT), "{child:?}");
    assert!(String::from_utf8_lossy(&child.stderr).contains("a continuation that panics"), "{child:?}");
}
