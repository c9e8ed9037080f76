//! Members that name what is not there, or take what they cannot have.

use chainring_runtime::frame::{Code, Directory, Extra, FramesError, Len, Plan, PlanError, Transfer, Verb};
use chainring_runtime::{Builder, Capability, Handle};

use super::{CONSTANTS, NO_SUCH, OUTSIDE, alone, in_runtime, made, member};

/// A member with these extras.
fn with(verb: Verb, len: Len, extra: Extra) -> Transfer {
    Transfer { extra, ..Transfer::new(verb, 0, 0, len) }
}

#[test]
fn members_that_lack_what_they_need_or_have_what_they_cannot_take() {
    let unfit = |verb: Verb| Err(PlanError::Unfit(verb));
    let none = Extra::default();
    let position = Extra { position: Some(1), ..none };
    let amount = Extra { amount: Some(0), ..position };
    let nothing = Len::Fixed(0);
    let some = Len::Fixed(8);
    let register = Len::Register { index: 0, plus: 0, max: 256 };
    in_runtime(|| {
        for verb in [Verb::ReadAt, Verb::ReadSomeAt, Verb::ReadExactAt, Verb::WriteAllAt] {
            assert_eq!(member(with(verb, some, position)), Ok(()));
            assert_eq!(member(with(verb, some, none)), unfit(verb), "no position");
            assert_eq!(member(with(verb, some, amount)), unfit(verb), "an amount");
            let wrong = Extra { position: Some(2), ..none };
            assert_eq!(member(with(verb, some, wrong)), NO_SUCH);
        }
        for verb in [Verb::Recv, Verb::RecvExact, Verb::SendAll] {
            assert_eq!(member(with(verb, some, position)), unfit(verb), "a position");
        }
        for verb in [Verb::Fsync, Verb::Fdatasync, Verb::Close, Verb::Shutdown, Verb::Poll(1)] {
            assert_eq!(member(with(verb, nothing, none)), Ok(()));
            assert_eq!(member(with(verb, nothing, position)), unfit(verb), "a position");
            assert_eq!(member(with(verb, some, none)), OUTSIDE, "bytes");
            let start = Extra { start: Some(0), room: 8, ..none };
            assert_eq!(member(with(verb, nothing, start)), unfit(verb), "a start");
        }
        let offered = Handle::current().capabilities().ftruncate();
        let truncates = PlanError::NotOffered { member: 0, verb: Verb::Ftruncate };
        let expected = if offered { Ok(()) } else { Err(truncates) };
        assert_eq!(member(with(Verb::Ftruncate, nothing, position)), expected);
        assert_eq!(member(with(Verb::Ftruncate, nothing, none)), unfit(Verb::Ftruncate));
        assert_eq!(member(with(Verb::Fallocate, nothing, amount)), Ok(()));
        assert_eq!(member(with(Verb::Fallocate, nothing, position)), unfit(Verb::Fallocate));
        let wrong = Extra { amount: Some(2), ..position };
        assert_eq!(member(with(Verb::Fallocate, nothing, wrong)), NO_SUCH);

        // What is received goes into the frame, and nowhere else.
        let constant = Extra { constant: true, ..none };
        assert_eq!(member(with(Verb::SendAll, Len::Fixed(CONSTANTS), constant)), Ok(()));
        assert_eq!(member(with(Verb::SendAll, Len::Fixed(CONSTANTS + 1), constant)), OUTSIDE);
        assert_eq!(member(with(Verb::Recv, some, constant)), unfit(Verb::Recv));
        let started = |room| Extra { start: Some(0), room, ..none };
        assert_eq!(member(with(Verb::Recv, some, started(300))), Ok(()));
        assert_eq!(member(with(Verb::Recv, some, started(301))), OUTSIDE);
        assert_eq!(member(with(Verb::Recv, some, Extra { start: Some(2), ..started(300) })), NO_SUCH);

        let open = |directory, how| Extra { constant: true, open: Some((directory, how)), ..none };
        let here = open(Directory::Working, 8);
        assert_eq!(member(with(Verb::Open, some, here)), Ok(()));
        assert_eq!(member(with(Verb::Open, some, Extra { constant: false, ..here })), Ok(()));
        assert_eq!(member(with(Verb::Open, some, open(Directory::Descriptor(1), 0))), Ok(()));
        assert_eq!(member(with(Verb::Open, some, open(Directory::Descriptor(2), 0))), NO_SUCH);
        assert_eq!(member(with(Verb::Open, some, constant)), unfit(Verb::Open), "no way to open it");
        assert_eq!(member(with(Verb::Open, nothing, here)), unfit(Verb::Open), "no path");
        let length = Len::Register { index: 0, plus: 0, max: 8 };
        assert_eq!(member(with(Verb::Open, length, here)), unfit(Verb::Open), "a path of any length");
        for how in [9, CONSTANTS, u32::MAX] {
            assert_eq!(member(with(Verb::Open, some, open(Directory::Working, how))), OUTSIDE, "{how}");
        }
        assert_eq!(member(with(Verb::ReadAt, some, Extra { constant: false, ..here })), unfit(Verb::ReadAt));

        let statx = Len::Fixed(256);
        assert_eq!(member(with(Verb::Statx, statx, none)), Ok(()));
        assert_eq!(member(with(Verb::Statx, Len::Fixed(255), none)), unfit(Verb::Statx), "too few bytes");
        assert_eq!(member(with(Verb::Statx, register, none)), unfit(Verb::Statx));
        assert_eq!(member(Transfer { offset: 45, ..with(Verb::Statx, statx, none) }), OUTSIDE);

        assert_eq!(member(with(Verb::Connect, Len::Fixed(16), constant)), Ok(()));
        assert_eq!(member(with(Verb::Connect, nothing, none)), unfit(Verb::Connect));
        assert_eq!(member(with(Verb::Connect, register, none)), unfit(Verb::Connect));
        assert_eq!(member(with(Verb::Socket(libc::AF_INET), nothing, none)), Ok(()));
        let wrong = Transfer { descriptor: 2, ..with(Verb::Socket(libc::AF_INET), nothing, none) };
        assert_eq!(member(wrong), NO_SUCH);
    });
}

#[test]
fn members_that_the_ring_does_not_offer_are_refused_with_the_release_they_need() {
    let _alone = alone();
    Builder::new().mask(Capability::Ftruncate).build().expect("a ring").block_on(async {
        let extra = Extra { position: Some(0), ..Extra::default() };
        let nop = Transfer::new(Verb::Nop, 0, 0, Len::Fixed(0));
        let truncate = Transfer { extra, ..Transfer::new(Verb::Ftruncate, 0, 0, Len::Fixed(0)) };
        let plan = |members: &[Transfer]| Plan { members: members.to_vec(), ..Plan::default() };
        let refused = made(vec![plan(&[nop]), plan(&[nop, truncate])], Code::default());
        let expected = "segment 1: member 1: ftruncate needs Linux 6.9 or later";
        assert_eq!(refused.map_err(|error| error.to_string()), Err(expected.to_owned()));
        // What is wrong on every kernel is said first.
        let wrong = made(vec![plan(&[truncate, nop])], Code::default());
        let severs = matches!(
            wrong,
            Err(FramesError::Plan { segment: 0, error: PlanError::DoesNotSever { member: 0 } })
        );
        assert!(severs, "{wrong:?}");
        assert!(made(vec![plan(&[nop])], Code::default()).is_ok());
    });
}

#[test]
fn members_that_do_not_sever_have_no_successor() {
    let nothing = |verb| Transfer::new(verb, 0, 0, Len::Fixed(0));
    let extra = Extra { position: Some(0), ..Extra::default() };
    let read = |verb| Transfer { extra, ..Transfer::new(verb, 0, 0, Len::Fixed(8)) };
    in_runtime(|| {
        for (first, severs) in [
            (nothing(Verb::Nop), true),
            (nothing(Verb::Close), true),
            (read(Verb::ReadExactAt), true),
            (read(Verb::WriteAllAt), true),
            (read(Verb::ReadAt), false),
            (read(Verb::ReadSomeAt), false),
            (nothing(Verb::Poll(1)), false),
            (nothing(Verb::Socket(libc::AF_INET)), false),
            (nothing(Verb::Fsync), false),
            (nothing(Verb::Fdatasync), false),
            (nothing(Verb::Shutdown), false),
            (Transfer { extra, ..nothing(Verb::Ftruncate) }, false),
        ] {
            let members = vec![first, nothing(Verb::Nop)];
            let made = made(vec![Plan { members, ..Plan::default() }], Code::default());
            match made {
                Ok(()) => assert!(severs, "{first:?}"),
                Err(FramesError::Plan { error: PlanError::DoesNotSever { member: 0 }, .. }) => {
                    assert!(!severs, "{first:?}");
                }
                Err(error) => panic!("{first:?}: {error}"),
            }
        }
    });
}
