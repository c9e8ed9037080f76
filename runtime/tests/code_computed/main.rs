//! Portable code beside an interpreter of it in plain Rust: random code on random registers and bytes leaves the same
//! ones behind, and ends or traps at the same op.
//!
//! `CHAINRING_LONG=1` runs a hundred thousand programs. A failure names its seed.

#[path = "../common/mod.rs"]
mod common;
mod interpreter;
mod maker;

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicU32, AtomicU64};

use chainring_runtime::Runtime;
use chainring_runtime::frame::{Code, Frames, Interrupt, Layout, Op, Operator, Plans, Trap, Word};
use common::{Nobody, alone};
use interpreter::{BACK, End, Machine};
use maker::Maker;

const REGISTERS: u16 = 6;
const BYTES: u32 = 48;
const CONSTANTS: u32 = 20;
/// Times that a frame is given a further turn, when it should have ended: more than those jumps could take.
const TURNS: u32 = BACK;
/// Turns after which code that has no end must still be running.
const ENDLESS: u32 = 20;

/// Runs code in a frame, and gives what it leaves.
fn in_frame(code: &Code, mut machine: Machine, most: u32) -> (End, Machine) {
    let layout = Layout { registers: REGISTERS, descriptors: 1, bytes: BYTES };
    let constants = machine.constants.clone().into();
    let core = Rc::from([Cell::new(0), Cell::new(machine.words[0])]);
    let small = Arc::new(AtomicU32::new(machine.words[1] as u32));
    let large = Arc::new(AtomicU64::new(machine.words[2]));
    let words = vec![Word::Core(Rc::clone(&core), 1), Word::Small(small.clone()), Word::Large(large.clone())];
    let plans = Plans { code: code.clone(), constants, words, outboxes: 1, ..Plans::default() };
    let frames: Rc<Frames<Nobody>> = Frames::new(layout, plans, 1, Nobody).expect("the code is right");
    let mut frame = frames.allocate().expect("there is room");
    {
        let (mut views, registers) = frame.parts();
        views.write(0..BYTES).expect("all of them").copy_from_slice(&machine.bytes);
        (0..REGISTERS).for_each(|i| registers.set(i, machine.registers[usize::from(i)]));
    }
    let (mut pc, mut turns) = (0, 0);
    let end = loop {
        let Err((back, interrupt)) = frame.run(pc) else { panic!("there is nothing to submit") };
        frame = back;
        match interrupt {
            Interrupt::Left(number) => break End::Left(number),
            Interrupt::Trapped { pc, trap } => break End::Trapped(pc as usize, trap),
            Interrupt::Spent { pc: op } if turns < most => (pc, turns) = (op, turns + 1),
            Interrupt::Spent { .. } => break End::Endless,
            Interrupt::NotSubmitted { .. } => panic!("there is nothing to submit"),
        }
    };
    machine.bytes = frame.bytes().to_vec();
    machine.words = [core[1].get(), small.load(Relaxed).into(), large.load(Relaxed)];
    assert_eq!(core[0].get(), 0, "the word beside it");
    machine.registers = (0..REGISTERS).map(|i| frame.registers().get(i)).collect();
    machine.appended = frame.parts().0.outbox(0).len();
    frame.free();
    frames.retire();
    (end, machine)
}

#[test]
fn random_code_does_what_an_interpreter_does() {
    let _alone = alone();
    let long = std::env::var_os("CHAINRING_LONG").is_some_and(|value| value == "1");
    let mut ends = [0u32; 4];
    Runtime::new().expect("a ring").block_on(async {
        for seed in 0..if long { 100_000 } else { 5000 } {
            let mut maker = Maker(fastrand::Rng::with_seed(seed));
            let (code, before) = (maker.code(), maker.machine());
            let mut expected = before.clone();
            let end = expected.run(&code);
            let most = if end == End::Endless { ENDLESS } else { TURNS };
            let (ended, after) = in_frame(&code, before.clone(), most);
            assert_eq!(ended, end, "seed {seed}: {code:#?} on {before:?}");
            ends[match end {
                End::Left(_) => 0,
                End::Trapped(_, Trap::Bounds { .. }) => 1,
                End::Trapped(_, Trap::Division) => 2,
                End::Endless => 3,
            }] += 1;
            if end != End::Endless {
                assert_eq!(after, expected, "seed {seed}: {code:#?} on {before:?}");
            }
        }
    });
    assert!(ends.iter().all(|count| *count > 10), "every kind of end is among them: {ends:?}");
}

#[test]
fn going_back_is_paid_for_and_going_on_is_not() {
    let _alone = alone();
    Runtime::new().expect("a ring").block_on(async {
        let machine = || Machine {
            registers: vec![0; REGISTERS.into()],
            bytes: vec![0; BYTES as usize],
            constants: vec![0; CONSTANTS as usize],
            words: [0; 3],
            appended: 0,
        };
        // A loop through a jump back; and one of ten thousand ops in a row, which has none.
        let back = Code {
            ops: vec![
                Op::BinaryBy { operator: Operator::Add, to: 0, a: 0, value: 1 },
                Op::UnlessWithin { a: 0, low: 5000, span: 0, to: 0 },
                Op::Leave(1),
            ],
            bulk: vec![],
        };
        assert_eq!(in_frame(&back, machine(), 2).0, End::Endless, "it takes more than three turns");
        let (end, after) = in_frame(&back, machine(), TURNS);
        assert_eq!((end, after.registers[0]), (End::Left(1), 5000));
        let mut ops = vec![Op::BinaryBy { operator: Operator::Add, to: 0, a: 0, value: 1 }; 10_000];
        ops.extend([Op::Jump { to: 10_002 }, Op::Leave(2), Op::Leave(3)]);
        let (end, after) = in_frame(&Code { ops, bulk: vec![] }, machine(), 0);
        assert_eq!((end, after.registers[0]), (End::Left(3), 10_000));
    });
}
