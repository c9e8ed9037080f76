//! What may not run side by side, and forks that lead elsewhere, are refused.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};

use chainring_runtime::Runtime;
use chainring_runtime::frame::{
    Area, Branch, Bulk, Code, Directory, Extra, Fork, ForkError, Frame, Frames, FramesError, Interrupt, Len,
    Op, Operator, Order, Plan, Plans, PooledPlan, Resume, Stop, Target, Then, Transfer, Verb,
};

use super::{Forks, LAYOUT, Start, plans};
use crate::common::{alone, until};

/// Two branches of one segment each, and of an op, if there is one, in front of two that leave.
fn beside(members: [Transfer; 2], ops: [Option<Op>; 2], bulk: Vec<Bulk>) -> Result<(), ForkError> {
    let (mut code, mut branches, mut segments) = (Code { bulk, ..Code::default() }, Vec::new(), Vec::new());
    for (i, (member, op)) in (0..).zip(members.into_iter().zip(ops)) {
        let start = code.ops.len() as u32;
        code.ops.extend(op);
        code.ops.extend([Op::Leave(0); 2]);
        segments.push(Plan { members: vec![member], into: None, then: Then::Code(start) });
        branches.push(Branch { ops: vec![start..code.ops.len() as u32], segments: vec![i] });
    }
    let constants = vec![0; 64].into();
    let pooled = PooledPlan { sizes: vec![64], ..PooledPlan::default() };
    let forks = vec![Fork { branches }];
    made(Plans { segments, code, constants, outboxes: 2, pooled, forks, ..Plans::default() })
}

fn made(plans: Plans) -> Result<(), ForkError> {
    let (log, back, keys) = Default::default();
    let runner = Forks { starts: [Start::Ends; 2], log, back, keys };
    match Frames::with_strands(LAYOUT, plans, 1, runner) {
        Ok(frames) => {
            frames.retire();
            Ok(())
        }
        Err(FramesError::Fork(error)) => Err(error),
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn branches_that_share_what_one_of_them_changes_are_refused() {
    let _alone = alone();
    let runtime = Runtime::new().expect("a ring");
    let shared = Err(ForkError::Shared { fork: 0, branches: [0, 1] });
    let on = |verb, place, offset, len| Transfer::new(verb, place, offset, Len::Fixed(len));
    let nop = on(Verb::Nop, 0, 0, 0);
    let recv = |offset, len| on(Verb::RecvExact, 0, offset, len);
    runtime.block_on(async {
        let apart = |a, b| beside([a, b], [None, None], Vec::new());
        // Bytes of the kernel's.
        assert_eq!(apart(recv(0, 8), recv(8, 8)), Ok(()));
        assert_eq!(apart(recv(0, 9), recv(8, 8)), shared);
        assert_eq!(apart(recv(0, 9), on(Verb::SendAll, 1, 8, 8)), shared);
        assert_eq!(apart(on(Verb::SendAll, 1, 0, 64), on(Verb::Send, 0, 8, 8)), Ok(()));
        let by_register = Len::Register { index: 0, plus: 4, max: 9 };
        assert_eq!(apart(Transfer { len: by_register, ..recv(0, 0) }, recv(8, 8)), shared);
        let started = Extra { start: Some(1), room: 9, ..Extra::default() };
        assert_eq!(apart(Transfer { extra: started, ..recv(0, 1) }, recv(8, 8)), shared);
        let constant = Extra { constant: true, ..Extra::default() };
        assert_eq!(apart(Transfer { extra: constant, ..on(Verb::SendAll, 1, 0, 64) }, recv(8, 8)), Ok(()));
        // Descriptors.
        let close = |place| on(Verb::Close, place, 0, 0);
        assert_eq!(apart(close(0), recv(0, 8)), shared);
        assert_eq!(apart(close(1), recv(0, 8)), Ok(()));
        assert_eq!(apart(close(1), close(1)), shared);
        assert_eq!(apart(on(Verb::Socket(libc::AF_INET), 0, 0, 0), recv(0, 8)), shared);
        // Outboxes: sending one lays out what the kernel reads.
        let outbox = |place, number| {
            let extra = Extra { outbox: Some(number), ..Extra::default() };
            Transfer { extra, ..on(Verb::SendOutbox, place, 0, 0) }
        };
        assert_eq!(apart(outbox(0, 0), outbox(1, 1)), Ok(()));
        assert_eq!(apart(outbox(0, 1), outbox(1, 1)), shared);
        // Bytes of the code's.
        let with = |member, op| beside([member, nop], [None, Some(op)], Vec::new());
        let order = Order::Be32;
        assert_eq!(with(recv(0, 8), Op::Load { order, to: 0, at: 8 }), Ok(()));
        assert_eq!(with(recv(0, 8), Op::Load { order, to: 0, at: 7 }), shared);
        assert_eq!(with(recv(0, 8), Op::LoadAt { order, to: 0, index: 1, start: 7, room: 8 }), shared);
        assert_eq!(with(on(Verb::SendAll, 0, 0, 8), Op::Load { order, to: 0, at: 4 }), Ok(()));
        assert_eq!(with(on(Verb::SendAll, 0, 0, 8), Op::Store { order, from: 0, at: 4 }), shared);
        assert_eq!(
            with(on(Verb::SendAll, 0, 0, 8), Op::StoreAt { order, from: 0, index: 1, start: 0, room: 64 }),
            shared
        );
        let area = |offset, room| Area {
            offset,
            start: None,
            room,
            len: Len::Fixed(room),
            constant: false,
            pooled: None,
        };
        let bulk = |bulk| beside([recv(0, 8), nop], [None, Some(Op::Bulk(0))], vec![bulk]);
        assert_eq!(bulk(Bulk::Hash { to: 0, area: area(8, 8) }), Ok(()));
        assert_eq!(bulk(Bulk::Hash { to: 0, area: area(7, 8) }), shared);
        assert_eq!(bulk(Bulk::Find { to: 0, area: area(7, 8), byte: 1 }), shared);
        assert_eq!(bulk(Bulk::Equal { to: 0, a: area(8, 8), b: area(4, 8) }), shared);
        assert_eq!(bulk(Bulk::Copy { to: area(16, 8), from: area(0, 8) }), shared);
        assert_eq!(bulk(Bulk::Copy { to: area(0, 8), from: area(16, 8) }), shared);
        assert_eq!(bulk(Bulk::Compact { offset: 0, room: 8, from: 0, len: 1, end: 2, left: 3 }), shared);
        assert_eq!(bulk(Bulk::Compact { offset: 8, room: 8, from: 0, len: 1, end: 2, left: 3 }), Ok(()));
        // Second descriptors and paths.
        let accept = |second| Transfer {
            extra: Extra { second: Some(second), ..Extra::default() },
            ..on(Verb::Accept, 0, 0, 0)
        };
        assert_eq!(apart(accept(1), close(1)), shared);
        assert_eq!(apart(accept(1), nop), Ok(()));
        let working = Directory::Working;
        let target = Target { directory: working, offset: 8, len: 8, constant: false };
        let names = Extra { directory: Some(working), target: Some(target), ..Extra::default() };
        let rename = Transfer { extra: names, ..on(Verb::Rename, 0, 16, 8) };
        assert_eq!(apart(rename, recv(0, 8)), Ok(()));
        assert_eq!(apart(rename, recv(8, 8)), shared);
        assert_eq!(apart(rename, recv(16, 8)), shared);
        // Pooled buffers are the whole frame's.
        let pooled = Err(ForkError::Pooled { fork: 0, branch: 1 });
        let comes = |verb| {
            let extra = Extra { pooled: Some(0), ..Extra::default() };
            Transfer { extra, ..on(verb, 1, 0, 8) }
        };
        assert_eq!(apart(nop, comes(Verb::Recv)), pooled);
        assert_eq!(apart(nop, comes(Verb::SendAll)), pooled);
        let gives_back = Extra { gives_back: 1, ..Extra::default() };
        assert_eq!(apart(nop, Transfer { extra: gives_back, ..recv(0, 8) }), pooled);
        let held = Area { pooled: Some(0), ..area(0, 4) };
        assert_eq!(bulk(Bulk::Load { order, to: 0, area: held }), pooled);
        assert_eq!(bulk(Bulk::Copy { to: held, from: area(16, 4) }), pooled);
        assert_eq!(bulk(Bulk::Hash { to: 0, area: held }), pooled);
        assert_eq!(bulk(Bulk::GiveBack(1)), pooled);
        assert_eq!(bulk(Bulk::Store { order, from: 0, area: area(4, 4) }), shared);
        let lend = |outbox| Op::Lend { outbox, from: 0, len: 1 };
        assert_eq!(beside([nop, nop], [Some(lend(0)), Some(lend(1))], Vec::new()), Ok(()));
        assert_eq!(beside([nop, nop], [Some(lend(1)), Some(lend(1))], Vec::new()), shared);
        // Registers are nobody's but this core's.
        let add = Op::BinaryBy { operator: Operator::Add, to: 0, a: 0, value: 1 };
        assert_eq!(beside([nop, nop], [Some(add), Some(add)], Vec::new()), Ok(()));
    });
}

#[test]
fn branches_that_lead_elsewhere_are_refused() {
    let _alone = alone();
    let runtime = Runtime::new().expect("a ring");
    runtime.block_on(async {
        let nop = || vec![Transfer::new(Verb::Nop, 0, 0, Len::Fixed(0))];
        // Segment 0 and ops 0 to 2 are branch 0's, segment 1 and op 3 branch 1's, and op 4 nobody's.
        let with = |first: Op, then: Then| {
            let segments = [then, Then::Code(3)].map(|then| Plan { members: nop(), into: None, then });
            let ops = vec![first, Op::Submit(0), Op::Leave(0), Op::Leave(0), Op::Leave(0)];
            let branches = vec![
                Branch { ops: vec![0..1, 1..3], segments: vec![0] },
                Branch { ops: vec![3..4], segments: vec![1] },
            ];
            let code = Code { ops, bulk: vec![Bulk::GiveBack(0)] };
            made(Plans {
                segments: segments.into(),
                code,
                forks: vec![Fork { branches }],
                ..Plans::default()
            })
        };
        let (set, stays) = (Op::Set { to: 0, value: 1 }, Then::Code(2));
        let leaves = Err(ForkError::Leaves { fork: 0, branch: 0 });
        assert_eq!(with(set, stays), Ok(()));
        assert_eq!(with(set, Then::Segment(0)), Ok(()));
        assert_eq!(with(set, Then::Segment(1)), leaves);
        assert_eq!(with(set, Then::Code(4)), leaves);
        assert_eq!(with(set, Then::Resume), leaves);
        assert_eq!(with(Op::Jump { to: 2 }, stays), Ok(()));
        assert_eq!(with(Op::Jump { to: 3 }, stays), leaves);
        assert_eq!(with(Op::Unless { condition: 0, to: 4 }, stays), leaves);
        assert_eq!(with(Op::UnlessWithin { a: 0, low: 0, span: 1, to: 3 }, stays), leaves);
        assert_eq!(with(Op::IfWithin { a: 0, low: 0, span: 1, to: 3 }, stays), leaves);
        assert_eq!(with(Op::Submit(1), stays), leaves);
        let load = |or| Op::LoadAtMost { order: Order::Be32, to: 0, at: 0, most: 1, or };
        assert_eq!(with(load(1), stays), Ok(()));
        assert_eq!(with(load(3), stays), leaves);
        let bulk = |or| Op::BulkUnless { number: 0, a: 0, b: 0, or };
        assert_eq!(with(bulk(1), stays), Ok(()));
        assert_eq!(with(bulk(3), stays), leaves);
        assert_eq!(with(Op::Submit(0), stays), Ok(()));
        assert_eq!(with(Op::Leave(7), stays), Ok(()));

        let fork = |branches: Vec<Branch>| {
            let segments = vec![Plan { members: nop(), into: None, then: Then::Code(0) }];
            let code = Code { ops: vec![Op::Leave(0)], bulk: Vec::new() };
            made(Plans { segments, code, forks: vec![Fork { branches }], ..Plans::default() })
        };
        let whole = || Branch { ops: vec![0..1], segments: vec![0] };
        assert_eq!(fork(vec![whole()]), Ok(()));
        assert_eq!(fork(vec![]), Err(ForkError::Count));
        assert_eq!(fork(vec![Branch::default(); 1025]), Err(ForkError::Count));
        assert_eq!(fork(vec![whole(), whole()]), Err(ForkError::NoSuchHandle));
        assert_eq!(fork(vec![Branch { segments: vec![1], ..whole() }]), Err(ForkError::NoSuchHandle));
        assert_eq!(fork(vec![Branch { ops: vec![0..u32::MAX], ..whole() }]), Err(ForkError::NoSuchHandle));
        // Nor is one that an op goes on with behind the next.
        for skips in [
            Op::Rewind { room: 8, from: 0, len: 0, end: 0, left: 0 },
            Op::Lend { outbox: 0, from: 0, len: 1 },
        ] {
            for (own, expected) in [(3, Ok(())), (2, leaves.clone())] {
                let code = Code { ops: vec![skips, Op::Leave(0), Op::Leave(1)], bulk: Vec::new() };
                let branches = vec![Branch { ops: vec![0..own], segments: Vec::new() }];
                let (forks, constants) = (vec![Fork { branches }], vec![0].into());
                let plans = Plans { code, constants, outboxes: 1, forks, ..Plans::default() };
                assert_eq!(made(plans), expected, "{skips:?}");
            }
        }
        // The op behind the last one of a branch is not its own.
        let runs_on = Code { ops: vec![set, Op::Leave(0)], bulk: Vec::new() };
        let branches = vec![Branch { ops: vec![0..1], segments: Vec::new() }];
        let plans = Plans { code: runs_on, forks: vec![Fork { branches }], ..Plans::default() };
        assert_eq!(made(plans), leaves);
    });
}

/// Resumes frames, and no strands.
struct Alone(Cell<bool>);

impl Resume for Alone {
    fn advanced(&self, _: Frame<'_>, _: u16) {}

    fn interrupted(&self, _: Frame<'_>, _: Interrupt) {}

    fn stopped(&self, _: Frame<'_>, _: Stop) {}

    fn unparked(&self, frame: Frame<'_>) {
        let forked = catch_unwind(AssertUnwindSafe(|| frame.fork(0)));
        self.0.set(forked.is_err());
    }
}

#[test]
fn forks_that_nobody_resumes_are_refused() {
    let _alone = alone();
    let runtime = Runtime::new().expect("a ring");
    runtime.block_on(async {
        let made = Frames::new(LAYOUT, plans(), 1, Alone(Cell::new(false)));
        assert!(matches!(made.map(drop), Err(FramesError::Fork(ForkError::NoStrands))));
        // And one that is not there is a panic, which costs the frame.
        let none = Plans { forks: Vec::new(), ..plans() };
        let frames = Frames::new(LAYOUT, none, 1, Alone(Cell::new(false))).expect("frames");
        frames.allocate().expect("there is room").park();
        until("the frame has ended", || frames.live() == 0).await;
        assert!(frames.runner().0.get());
    });
}
