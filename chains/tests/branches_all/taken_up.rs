//! Branches that are short, refused or put off, and go on.

use std::io::Write;

use chainring_chains::{ErrorKind, OpenHow};
use chainring_runtime::injector::Injector;
use chainring_runtime::{Builder, Capability, Runtime};

use super::busy;
use crate::common::one::{Dir, alone, lowered, note};
use crate::common::several::{pairs, receive, run, run_on, spawn};

/// Plays the peers of [`busy`].
async fn peers([mut one, mut other]: [std::net::TcpStream; 2]) -> [u8; 16] {
    let text: [u8; 16] = receive(&mut one).await;
    one.write_all(&text).expect("send");
    receive(&mut other).await
}

#[test]
fn short_transfers_in_a_branch_go_on_where_they_stopped() {
    let _alone = alone();
    let dir = Dir::new();
    for masked in [false, true] {
        for (program, [sock]) in lowered(|c| {
            let (sock, file, text) = (c.socket(), c.file(), c.constant(b"0123456789abcdef"));
            let (data, path) = (c.buffer(32), c.path(dir.join("file")));
            let create = (libc::O_RDWR | libc::O_CREAT) as u64;
            c.open(file, path, OpenHow { flags: create, mode: 0o600, ..OpenHow::default() });
            // The kernel takes a transfer that is made short for what was asked, and would go on to a linked one.
            c.all(|b| {
                b.branch(|c| {
                    c.write_all_at(file, text.all(), 0);
                    c.sleep(0);
                    c.read_exact_at(file, data.to(16), 0);
                });
                b.branch(|c| {
                    c.send_all(sock, text.all());
                    c.sleep(0);
                    c.recv_exact(sock, data.range(16..));
                });
            });
            c.ensure(data.to(16).equals(data.range(16..)), libc::EILSEQ);
            [sock]
        }) {
            let builder = Builder::new();
            let builder = if masked { builder.mask(Capability::SkipSuccess) } else { builder };
            let runtime = builder.build().expect("a ring");
            let faults = |injector: &Injector| {
                injector.shorten("send", 3, 4);
                injector.shorten("recv", 1, 3);
                injector.shorten("read", 5, 2);
                injector.shorten("write", 7, 1);
            };
            let (ended, ()) = run_on(&runtime, &program, [sock], faults, async |[mut peer], _| {
                let text: [u8; 16] = receive(&mut peer).await;
                peer.write_all(&text).expect("send");
            });
            assert_eq!(ended.text(), "");
            assert_eq!(ended.counters.short, 10);
        }
    }
}

#[test]
fn members_that_cannot_be_prepared_are_submitted_one_by_one() {
    let _alone = alone();
    let dir = Dir::new();
    for (program, sockets) in lowered(|c| busy(c, &dir)) {
        let runtime = Runtime::new().expect("a ring");
        // Only where another member stands beside it does it go unnoticed.
        let faults = |injector: &Injector| injector.refuse("recv", 1);
        let (near, far) = pairs();
        let linked = program.explain().to_string().contains("linked");
        let ended = runtime.block_on(async {
            let spawner = program.start(1).expect("it starts");
            let handle = spawn(&spawner, sockets, near);
            faults(runtime.handle().injector());
            let other = chainring_runtime::spawn(async move {
                peers(far).await;
            });
            let ended = crate::common::soon("the frame to end", handle).await;
            other.abort();
            (ended.result, spawner.counters().one_by_one)
        });
        match ended {
            (Ok(()), 1) if linked => {}
            (Err(error), 0) if !linked => assert!(matches!(error.kind(), ErrorKind::Errno(libc::EINVAL))),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_full_queue_puts_branches_off_until_there_is_room() {
    let _alone = alone();
    let dir = Dir::new();
    for (program, sockets) in lowered(|c| busy(c, &dir)) {
        for times in [1, 2, 7] {
            let runtime = Runtime::new().expect("a ring");
            let faults = |injector: &Injector| injector.fill_queue(times);
            let (ended, answer) =
                run_on(&runtime, &program, sockets, faults, async |far, _| peers(far).await);
            assert_eq!((ended.text(), &answer[..]), (String::new(), &b"0123456789abcdef"[..]));
            assert!(ended.counters.parked > 0, "{:?}", ended.counters);
        }
    }
}

#[test]
fn a_branch_without_io_burns_fuel_and_the_others_have_their_turn() {
    let _alone = alone();
    for (program, [sock]) in lowered(|c| {
        let (sock, data, stop, turns) = (c.socket(), c.buffer(1), c.reg(), c.reg());
        c.set(turns, 0);
        c.all(|b| {
            b.branch(|c| {
                c.repeat(|c| {
                    c.set(turns, turns + 1);
                    c.when(turns.ge(100_000), |c| c.leave());
                });
            });
            b.branch(|c| {
                c.recv_exact(sock, data.all());
                c.set(stop, 1);
            });
        });
        note(c, turns);
        [sock]
    }) {
        let (ended, ()) = run(&program, [sock], async |[mut peer], _| {
            peer.write_all(b"x").expect("send");
        });
        assert_eq!((ended.text(), ended.session), (String::new(), vec![100_000]));
        assert!(ended.counters.parked >= 50, "{:?}", ended.counters);
    }
}
