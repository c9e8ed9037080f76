//! What is refused when frames are made: pooled buffers, cleanups and names that are used wrongly.

use std::rc::Rc;

use chainring_runtime::Runtime;
use chainring_runtime::frame::{
    Area, Bulk, Code, Directory, Extra, Frame, Frames, FramesError, Interrupt, Layout, Len, Op, Order, Plan,
    PlanError, Plans, PooledPlan, Resume, Stop, Target, Transfer, Verb,
};

struct Ends;

impl Resume for Ends {
    fn advanced(&self, frame: Frame<'_>, _: u16) {
        frame.free();
    }

    fn interrupted(&self, frame: Frame<'_>, _: Interrupt) {
        frame.free();
    }

    fn stopped(&self, frame: Frame<'_>, _: Stop) {
        frame.free();
    }

    fn unparked(&self, frame: Frame<'_>) {
        frame.free();
    }
}

/// Frames with two pooled buffers, of 8 and of 100 bytes.
fn made(members: &[Transfer], bulk: &[Bulk]) -> Result<Rc<Frames<Ends>>, FramesError> {
    let layout = Layout { registers: 2, descriptors: 2, bytes: 64 };
    let code = Code { ops: vec![Op::Bulk(0), Op::Leave(0)], bulk: bulk.to_vec() };
    let plans = Plans {
        segments: vec![Plan { members: members.to_vec(), ..Plan::default() }],
        code: if bulk.is_empty() { Code::default() } else { code },
        constants: vec![0; 64].into(),
        pooled: PooledPlan { sizes: vec![8, 100], owned: 0, limit: 1 },
        ..Plans::default()
    };
    Frames::new(layout, plans, 1, Ends)
}

/// A member on pooled buffer `number`.
fn member(verb: Verb, number: u16, offset: u32, len: u32) -> Transfer {
    let extra = Extra { pooled: Some(number), ..Extra::default() };
    Transfer { extra, ..Transfer::new(verb, 0, offset, Len::Fixed(len)) }
}

fn giving_back(transfer: Transfer, which: u64) -> Transfer {
    Transfer { extra: Extra { gives_back: which, ..transfer.extra }, ..transfer }
}

fn segment(members: &[Transfer]) -> Result<(), PlanError> {
    match made(members, &[]) {
        Ok(frames) => {
            frames.retire();
            Ok(())
        }
        Err(FramesError::Plan { segment: 0, error }) => Err(error),
        Err(error) => panic!("{error}"),
    }
}

fn code(bulk: Bulk) -> Result<(), PlanError> {
    match made(&[Transfer::new(Verb::Nop, 0, 0, Len::Fixed(0))], &[bulk]) {
        Ok(frames) => {
            frames.retire();
            Ok(())
        }
        Err(FramesError::Code(error)) => Err(error),
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn segments_on_pooled_buffers_are_checked() {
    Runtime::new().expect("a ring").block_on(async {
        use Verb::{Connect, Nop, Open, Recv, RecvExact, SendAll, Statx};
        assert_eq!(segment(&[member(Recv, 0, 0, 8)]), Ok(()));
        assert_eq!(segment(&[member(Recv, 1, 0, 101)]), Err(PlanError::OutOfBounds));
        assert_eq!(segment(&[member(Recv, 0, 1, 8)]), Err(PlanError::OutOfBounds));
        assert_eq!(segment(&[member(Recv, 0, 1, u32::MAX)]), Err(PlanError::OutOfBounds));
        assert_eq!(segment(&[member(Recv, 2, 0, 8)]), Err(PlanError::NoSuchHandle));
        for verb in [Nop, Open, Connect, Statx] {
            assert_eq!(segment(&[member(verb, 1, 0, 0)]), Err(PlanError::Unfit(verb)));
        }
        // Where it lies is known only when it has come.
        let (fill, more, send) =
            (member(RecvExact, 0, 0, 4), member(RecvExact, 0, 4, 4), member(SendAll, 0, 0, 8));
        assert_eq!(segment(&[fill, more]), Err(PlanError::DoesNotSever { member: 0 }));
        assert_eq!(segment(&[more, send]), Err(PlanError::DoesNotSever { member: 0 }));
        assert_eq!(segment(&[send, fill]), Ok(()));
        assert_eq!(segment(&[send, more]), Ok(()));
        // What is given back may be another frame's by then.
        assert_eq!(segment(&[giving_back(send, 1), fill]), Ok(()));
        assert_eq!(segment(&[giving_back(send, 1), send]), Err(PlanError::Spent { member: 1 }));
        assert_eq!(segment(&[giving_back(send, 1), more]), Err(PlanError::Spent { member: 1 }));
        assert_eq!(segment(&[giving_back(send, 2), send]), Ok(()));
        assert_eq!(segment(&[giving_back(send, 4)]), Err(PlanError::NoSuchHandle));
    });
}

#[test]
fn an_owned_buffer_is_not_filled_beside_what_works_on_it() {
    Runtime::new().expect("a ring").block_on(async {
        use Verb::{RecvExact, SendAll};
        // The first of the two is owned.
        let owned = |members: &[Transfer]| {
            let layout = Layout { registers: 2, descriptors: 2, bytes: 64 };
            let segments = vec![Plan { members: members.to_vec(), ..Plan::default() }];
            let pooled = PooledPlan { sizes: vec![8, 100], owned: 1, limit: 1 };
            Frames::new(layout, Plans { segments, pooled, ..Plans::default() }, 1, Ends)
        };
        let refused = |members: &[Transfer]| match owned(members) {
            Err(FramesError::Plan { error, .. }) => error,
            other => panic!("{other:?}"),
        };
        let (send, fill, more) =
            (member(SendAll, 0, 0, 4), member(RecvExact, 0, 0, 4), member(RecvExact, 0, 4, 4));
        let other = Transfer::new(SendAll, 0, 0, Len::Fixed(4));
        for members in [[send, fill], [send, more], [giving_back(other, 1), fill]] {
            assert_eq!(refused(&members), PlanError::Spent { member: 1 });
        }
        assert_eq!(refused(&[send, other, fill]), PlanError::Spent { member: 2 });
        for members in [[other, fill], [send, other], [member(SendAll, 1, 0, 4), fill]] {
            owned(&members).expect("apart").retire();
        }
    });
}

#[test]
fn code_on_pooled_buffers_is_checked() {
    Runtime::new().expect("a ring").block_on(async {
        let area =
            Area { offset: 4, start: None, room: 4, len: Len::Fixed(4), constant: false, pooled: Some(0) };
        let load = |area| code(Bulk::Load { order: Order::Be32, to: 0, area });
        let store = |area| code(Bulk::Store { order: Order::Be32, from: 0, area });
        assert_eq!((load(area), store(area)), (Ok(()), Ok(())));
        assert_eq!(load(Area { offset: 5, ..area }), Err(PlanError::OutOfBounds));
        assert_eq!(load(Area { offset: u32::MAX, ..area }), Err(PlanError::OutOfBounds));
        assert_eq!(load(Area { len: Len::Fixed(5), ..area }), Err(PlanError::OutOfBounds));
        assert_eq!(load(Area { pooled: Some(2), ..area }), Err(PlanError::NoSuchHandle));
        assert_eq!(load(Area { start: Some(2), ..area }), Err(PlanError::NoSuchHandle));
        let constant = Area { constant: true, pooled: None, ..area };
        assert_eq!(store(constant), Err(PlanError::NoSuchHandle));
        assert_eq!(load(Area { constant: true, ..area }), Err(PlanError::NoSuchHandle));
        assert_eq!(
            code(Bulk::Hash { to: 0, area: Area { constant: true, ..area } }),
            Err(PlanError::OutOfBounds)
        );
        assert_eq!(code(Bulk::GiveBack(3)), Ok(()));
        assert_eq!(code(Bulk::GiveBack(4)), Err(PlanError::NoSuchHandle));
    });
}

#[test]
fn there_are_no_more_pooled_buffers_than_bits() {
    Runtime::new().expect("a ring").block_on(async {
        let pooled = PooledPlan { sizes: vec![1; 65], ..PooledPlan::default() };
        let segments =
            vec![Plan { members: vec![Transfer::new(Verb::Nop, 0, 0, Len::Fixed(0))], ..Plan::default() }];
        let plans = Plans { segments, pooled, ..Plans::default() };
        let layout = Layout { registers: 1, descriptors: 1, bytes: 0 };
        assert!(matches!(Frames::new(layout, plans, 1, Ends), Err(FramesError::Layout)));
    });
}

#[test]
fn only_a_read_whose_count_is_not_known_has_a_cleanup_and_only_its_own_close_is_one() {
    Runtime::new().expect("a ring").block_on(async {
        use Verb::{Close, ReadAt, ReadExactAt, Recv, SendAll};
        let at = |verb: Verb| {
            let extra = Extra { position: verb.has_position().then_some(0), hard: true, ..Extra::default() };
            Transfer { extra, ..Transfer::new(verb, 0, 0, Len::Fixed(8)) }
        };
        let close = |descriptor| Transfer::new(Close, descriptor, 0, Len::Fixed(0));
        let send = Transfer::new(SendAll, 1, 0, Len::Fixed(8));
        assert_eq!(segment(&[at(ReadAt), close(0)]), Ok(()));
        assert_eq!(segment(&[send, at(ReadAt), close(0)]), Ok(()));
        for verb in [ReadExactAt, Recv, SendAll] {
            assert_eq!(segment(&[at(verb), close(0)]), Err(PlanError::Unfit(verb)));
        }
        assert_eq!(segment(&[at(ReadAt)]), Err(PlanError::Unfit(ReadAt)));
        assert_eq!(segment(&[at(ReadAt), close(1)]), Err(PlanError::Unfit(ReadAt)));
        assert_eq!(segment(&[at(ReadAt), send]), Err(PlanError::Unfit(ReadAt)));
        assert_eq!(segment(&[at(ReadAt), close(0), send]), Err(PlanError::Unfit(ReadAt)));
    });
}

#[test]
fn names_and_second_descriptors_are_checked() {
    Runtime::new().expect("a ring").block_on(async {
        use Verb::{Accept, Close, Recv, Rename, Splice, Unlink};
        let none = Extra::default();
        let path = |extra: Extra| Transfer { extra, ..Transfer::new(Rename, 9, 0, Len::Fixed(8)) };
        let directory = Some(Directory::Working);
        let target = Target { directory: Directory::Descriptor(1), offset: 0, len: 8, constant: true };
        let renames = Extra { directory, target: Some(target), ..none };
        assert_eq!(segment(&[path(renames)]), Ok(()));
        assert_eq!(segment(&[path(Extra { target: None, ..renames })]), Err(PlanError::Unfit(Rename)));
        assert_eq!(segment(&[path(Extra { directory: None, ..renames })]), Err(PlanError::Unfit(Rename)));
        let with = |target| segment(&[path(Extra { target: Some(target), ..renames })]);
        assert_eq!(with(Target { len: 0, ..target }), Err(PlanError::OutOfBounds));
        assert_eq!(with(Target { offset: 57, ..target }), Err(PlanError::OutOfBounds));
        assert_eq!(with(Target { offset: u32::MAX, ..target }), Err(PlanError::OutOfBounds));
        let elsewhere = Directory::Descriptor(2);
        assert_eq!(with(Target { directory: elsewhere, ..target }), Err(PlanError::NoSuchHandle));
        let unlink = Transfer { verb: Unlink, ..path(Extra { directory, ..none }) };
        assert_eq!(segment(&[unlink]), Ok(()));
        assert_eq!(segment(&[Transfer { len: Len::Fixed(0), ..unlink }]), Err(PlanError::Unfit(Unlink)));
        let lost = Extra { directory: Some(elsewhere), ..none };
        assert_eq!(segment(&[Transfer { extra: lost, ..unlink }]), Err(PlanError::NoSuchHandle));

        let second = |verb, second, len| {
            let extra = Extra { second, ..none };
            Transfer { extra, ..Transfer::new(verb, 0, 0, Len::Fixed(len)) }
        };
        assert_eq!(segment(&[second(Accept, Some(1), 0)]), Ok(()));
        assert_eq!(segment(&[second(Accept, None, 0)]), Err(PlanError::Unfit(Accept)));
        assert_eq!(segment(&[second(Accept, Some(2), 0)]), Err(PlanError::NoSuchHandle));
        assert_eq!(segment(&[second(Recv, Some(1), 8)]), Err(PlanError::Unfit(Recv)));
        assert_eq!(segment(&[second(Splice, Some(1), i32::MAX as u32)]), Ok(()));
        assert_eq!(segment(&[second(Splice, Some(1), 1 << 31)]), Err(PlanError::OutOfBounds));
        assert_eq!(
            segment(&[Transfer { offset: 1, ..second(Splice, Some(1), 8) }]),
            Err(PlanError::Unfit(Splice))
        );
        // The entry would name a listener that is closed by then.
        let close = Transfer::new(Close, 1, 0, Len::Fixed(0));
        assert_eq!(segment(&[close, second(Accept, Some(1), 0)]), Err(PlanError::Spent { member: 1 }));
        assert_eq!(segment(&[close, second(Accept, Some(0), 0)]), Ok(()));
    });
}
