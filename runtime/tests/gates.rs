//! Code that does no more than to load a number, compare it and submit is gone through without being run: what it leaves
//! behind is the same, whatever the number is, and whichever register is told how much has come.

mod common;

use std::cell::RefCell;
use std::io::{Read, Write};
use std::rc::Rc;
use std::time::Duration;

use chainring_runtime::Runtime;
use chainring_runtime::frame::{
    Code, Frame, Frames, Interrupt, Layout, Len, Op, Order, Plan, Plans, Resume, Stop, Then, Transfer, Verb,
};
use chainring_runtime::time::sleep;

/// Why the frame has ended, and what its registers said then.
type End = Rc<RefCell<Option<(Option<u32>, [u64; 2])>>>;

struct Tells(End);

impl Resume for Tells {
    fn advanced(&self, _: Frame<'_>, segment: u16) {
        unreachable!("code follows segment {segment}");
    }

    fn interrupted(&self, frame: Frame<'_>, interrupt: Interrupt) {
        let registers = [0, 1].map(|register| frame.registers().get(register));
        let left = if let Interrupt::Left(number) = interrupt { Some(number) } else { None };
        *self.0.borrow_mut() = Some((left, registers));
        frame.free();
    }

    fn stopped(&self, frame: Frame<'_>, _: Stop) {
        frame.free();
    }

    fn unparked(&self, frame: Frame<'_>) {
        frame.free();
    }
}

const MOST: u32 = 16;

/// Receives four bytes; code 0 takes them for a length, and submits a segment that receives as many, sends all of it back, and
/// begins again.
fn plans(into: Option<u16>) -> Plans {
    let received = |offset, len| Transfer::new(Verb::RecvExact, 0, offset, len);
    let len = |plus| Len::Register { index: 0, plus, max: MOST + plus };
    let head = received(0, Len::Fixed(4));
    let whole = vec![received(4, len(0)), Transfer::new(Verb::SendAll, 0, 0, len(4)), head];
    let plan = |members| Plan { members, into, then: Then::Code(0) };
    let load = Op::LoadAtMost { order: Order::Be32, to: 0, at: 0, most: MOST, or: 3 };
    let ops = vec![load, Op::Leave(9), Op::Submit(1), Op::Leave(7)];
    Plans {
        segments: vec![plan(vec![head]), plan(whole)],
        code: Code { ops, bulk: vec![] },
        ..Plans::default()
    }
}

#[test]
fn numbers_pass_or_run_code_and_the_registers_say_so() {
    for into in [None, Some(1), Some(0)] {
        for last in [MOST + 1, u32::MAX] {
            let (socket, mut peer) = common::tcp();
            let near = socket.try_into_owned().expect("nothing is in flight");
            let client = std::thread::spawn(move || {
                for len in [5, MOST, 0, 1, 0, 0, MOST] {
                    let message = [&len.to_be_bytes()[..], &vec![len as u8; len as usize]].concat();
                    peer.write_all(&message).expect("send");
                    let mut back = vec![0; message.len()];
                    peer.read_exact(&mut back).expect("receive");
                    assert_eq!(back, message);
                }
                peer.write_all(&last.to_be_bytes()).expect("send");
                assert_eq!(peer.read(&mut [0; 1]).expect("the end"), 0);
            });
            let end = End::default();
            Runtime::new().expect("a ring").block_on(async {
                let layout = Layout { registers: 2, descriptors: 1, bytes: 4 + MOST };
                let frames = Frames::new(layout, plans(into), 1, Tells(end.clone())).expect("frames");
                let mut frame = frames.allocate().expect("there is room");
                frame.put_descriptor(0, near);
                frame.submit(0).expect("submitted");
                while frames.live() > 0 {
                    sleep(Duration::from_millis(1)).await;
                }
            });
            client.join().expect("the client");
            let count = if into == Some(1) { 4 } else { 0 };
            assert_eq!(*end.borrow(), Some((Some(7), [last.into(), count])), "{into:?}");
        }
    }
}
