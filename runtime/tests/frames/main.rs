//! The surface of frames, used wrongly by safe code: tokens that are dropped, leaked or kept, numbers out of range,
//! owners that are retired twice, and callbacks that panic. Nothing hangs, nothing leaks a descriptor that somebody still
//! knows of, and nobody else is harmed.

#[path = "../common/mod.rs"]
mod common;

mod refused;
mod tokens;

use std::cell::{Cell, RefCell};
use std::io::Read;
use std::net::TcpStream;
use std::process::Command;
use std::rc::Rc;
use std::time::Duration;

use chainring_runtime::frame::{
    Frame, Frames, Interrupt, Layout, Len, Plan, Resume, Stop, Then, Transfer, Verb,
};
use chainring_runtime::time::sleep;
use chainring_runtime::{Key, Runtime};
use common::alone;

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

/// The frame was given this socket and is to have closed it.
fn is_closed(mut peer: TcpStream) -> bool {
    matches!(peer.read(&mut [0; 1]), Ok(0))
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
