//! Branches side by side of which some must succeed: three replicas, one slow, one dead.

mod common;

use std::io::Write;
use std::net::TcpStream as Client;
use std::time::Duration;

use chainring_chains::{Chain, ErrorKind, Flow, Socket, read, write};
use chainring_runtime::injector::Injector;
use chainring_runtime::time::sleep;
use chainring_runtime::{Builder, Capability, Handle, Runtime, yield_now};
use common::descriptors;
use common::one::{Notes, alone, lowered, note};
use common::several::{is_silent, pairs, receive, run, run_on, spawn};

const A_WHILE: Duration = Duration::from_millis(10);

/// Sends a record to three replicas, and an acknowledgement to the client when two of them have answered. Notes which.
fn replicate(c: &mut Chain<Notes>) -> [Socket; 4] {
    let (client, replicas) = (c.socket(), [c.socket(), c.socket(), c.socket()]);
    let (record, done, errno) = (c.buffer(8), [c.reg(), c.reg(), c.reg()], c.reg());
    c.repeat(|c| {
        c.recv_exact(client, record.all()).or_finish();
        for done in done {
            c.set(done, 0);
        }
        c.attempt(|c| {
            c.quorum(2, |b| {
                for (replica, done) in replicas.into_iter().zip(done) {
                    b.branch(|c| {
                        let answer = c.buffer(1);
                        c.send_all(replica, record.all());
                        c.recv_exact(replica, answer.all());
                        c.set(done, 1);
                    });
                }
            });
            let (which, acknowledgement) = (c.reg(), c.constant(b"+"));
            c.set(which, done[0] + done[1] * 2 + done[2] * 4);
            note(c, which);
            c.send_all(client, acknowledgement.all());
        })
        .on_error(errno, |c| {
            let refusal = c.constant(b"-");
            note(c, errno);
            c.send_all(client, refusal.all());
        });
    });
    [client, replicas[0], replicas[1], replicas[2]]
}

/// Takes a record and answers it.
async fn answer(replica: &mut Client, record: &[u8; 8]) {
    assert_eq!(&receive(replica).await, record);
    replica.write_all(b"k").expect("send");
}

#[test]
fn the_acknowledgement_leaves_at_the_second_although_the_third_keeps_silent() {
    let _alone = alone();
    for masked in [false, true] {
        let builder = Builder::new();
        let builder = if masked { builder.mask(Capability::SkipSuccess) } else { builder };
        let runtime = builder.build().expect("a ring");
        for (program, sockets) in lowered(replicate) {
            let (ended, ()) = run_on(
                &runtime,
                &program,
                sockets,
                |_| {},
                async |[mut client, mut a, _silent, mut b], _| {
                    client.write_all(b"record 1").expect("send");
                    answer(&mut a, b"record 1").await;
                    sleep(A_WHILE).await;
                    assert!(is_silent(&client), "one is not enough");
                    answer(&mut b, b"record 1").await;
                    assert_eq!(receive(&mut client).await, [b'+']);
                },
            );
            assert_eq!((ended.text(), ended.session), (String::new(), vec![0b101]));
            assert_eq!(ended.counters.cancelled, 0, "the frame was not");
        }
    }
}

#[test]
fn with_one_dead_the_two_others_must_answer_and_with_two_dead_the_error_is_the_seconds() {
    let _alone = alone();
    for (program, sockets) in lowered(replicate) {
        let (ended, ()) = run(&program, sockets, async |[mut client, dead, mut slow, mut good], _| {
            drop(dead);
            client.write_all(b"record 1").expect("send");
            answer(&mut good, b"record 1").await;
            sleep(A_WHILE).await;
            assert!(is_silent(&client), "one is not enough");
            answer(&mut slow, b"record 1").await;
            assert_eq!(receive(&mut client).await, [b'+']);
            // The second of them is gone as well: that is too few.
            common::reset(slow);
            client.write_all(b"record 2").expect("send");
            assert_eq!(receive(&mut client).await, [b'-']);
            // The third got the record, or was cancelled before.
            drop(good);
        });
        assert_eq!(ended.text(), "");
        let [which, errno] = ended.session[..] else { panic!("{:?}", ended.session) };
        assert_eq!(which, 0b110);
        let gone = [libc::EPIPE, libc::ECONNRESET, libc::ENODATA];
        assert!(gone.contains(&(errno as i32)), "{errno}");
    }
}

/// Waits for a byte on each of two sockets, notes how many completions are still held back when one has come, and
/// writes over both buffers.
fn either(c: &mut Chain<Notes>) -> [Socket; 2] {
    let (sockets, data) = ([c.socket(), c.socket()], c.buffer(16));
    c.quorum(1, |b| {
        for (i, socket) in (0..).zip(sockets) {
            b.branch(|c| {
                c.recv_exact(socket, data.range(8 * i..8 * i + 8));
            });
        }
    });
    c.call((write(data.all()),), |notes, (data,)| {
        notes.push(Handle::current().injector().held() as u64);
        data.fill(0xff);
        Flow::Next
    });
    // Nobody writes into them any more.
    c.sleep(20_000_000);
    c.call((read(data.all()),), |notes, (data,)| {
        notes.push(data.iter().filter(|byte| **byte == 0xff).count() as u64);
        Flow::Next
    });
    sockets
}

#[test]
fn the_losers_buffer_is_used_again_only_after_its_completion() {
    let _alone = alone();
    for beaten in [false, true] {
        for (program, sockets) in lowered(either) {
            // The completion of the first receive, cancelled or not, is kept from the core for a while.
            let runtime = Runtime::new().expect("a ring");
            let faults = |injector: &Injector| injector.delay("recv", 50, 1);
            let (ended, ()) = run_on(&runtime, &program, sockets, faults, async |[mut slow, mut fast], _| {
                sleep(A_WHILE).await;
                if beaten {
                    slow.write_all(b"too late").expect("send");
                }
                fast.write_all(b"in time!").expect("send");
                sleep(A_WHILE).await;
            });
            assert_eq!((ended.text(), ended.session), (String::new(), vec![0, 16]));
            assert!(runtime.handle().injector().is_spent());
        }
    }
}

#[test]
fn a_thousand_quorums_in_a_loop_leave_nothing_behind() {
    let _alone = alone();
    let turns = 1000;
    let runtime = Runtime::new().expect("a ring");
    for (program, sockets) in lowered(|c| {
        let (sockets, data) = ([c.socket(), c.socket()], c.buffer(16));
        let (turn, won) = (c.reg(), [c.reg(), c.reg(), c.reg()]);
        for reg in [turn].into_iter().chain(won) {
            c.set(reg, 0);
        }
        c.repeat(|c| {
            c.quorum(2, |b| {
                b.branch(|c| {
                    c.recv_exact(sockets[0], data.to(8));
                    c.set(won[0], won[0] + 1);
                });
                b.branch(|c| {
                    c.sleep((turn & 3) * 10_000);
                    c.set(won[1], won[1] + 1);
                });
                b.branch(|c| {
                    c.sleep(20_000);
                    c.recv(sockets[1], data.range(8..));
                    c.set(won[2], won[2] + 1);
                });
            });
            c.set(turn, turn + 1);
            c.when(turn.ge(turns), |c| c.leave());
        });
        for won in won {
            note(c, won);
        }
        sockets
    }) {
        let (ended, ()) = run_on(
            &runtime,
            &program,
            sockets,
            |_| {},
            async |[_silent, mut fast], frame| {
                while !frame.is_finished() {
                    let _ = fast.write_all(b"x");
                    sleep(Duration::from_micros(100)).await;
                }
            },
        );
        assert_eq!((ended.text(), ended.session), (String::new(), vec![0, turns, turns]));
    }
    let metrics = runtime.metrics();
    assert_eq!(metrics.strays, 0, "{metrics:?}");
}

#[test]
fn a_frame_that_is_cancelled_at_any_moment_of_a_quorum_leaves_nothing_behind() {
    let _alone = alone();
    drop(Runtime::new().expect("a ring"));
    let before = descriptors();
    let runtime = Runtime::new().expect("a ring");
    for (program, sockets) in lowered(replicate) {
        for moment in 0..40 {
            let (ended, ()) = run_on(
                &runtime,
                &program,
                sockets,
                |_| {},
                async |[mut client, mut a, _slow, mut b], frame| {
                    client.write_all(b"record 1").expect("send");
                    let _ = (a.write_all(b"k"), if moment % 2 == 0 { b.write_all(b"k") } else { Ok(()) });
                    for _ in 0..moment / 2 {
                        yield_now().await;
                    }
                    frame.cancel();
                },
            );
            let error = ended.result.expect_err("it was cancelled");
            assert!(matches!(error.kind(), ErrorKind::Cancelled { .. }), "{moment}: {error}");
        }
    }
    assert_eq!(runtime.metrics().strays, 0);
    drop(runtime);
    assert_eq!(descriptors(), before, "open descriptors");
}

#[test]
fn a_runtime_that_ends_in_a_quorum_waits_for_the_losers_too() {
    let _alone = alone();
    drop(Runtime::new().expect("a ring"));
    let before = descriptors();
    for (program, sockets) in lowered(either) {
        for answered in [false, true] {
            let (near, [_slow, mut fast]) = pairs();
            let runtime = Runtime::new().expect("a ring");
            runtime.handle().injector().delay("recv", 50, 1);
            runtime.block_on(async {
                let spawner = program.start(1).expect("it starts");
                drop(spawn(&spawner, sockets, near));
                sleep(A_WHILE).await;
                if answered {
                    fast.write_all(b"in time!").expect("send");
                    sleep(Duration::from_micros(100)).await;
                }
            });
            drop(runtime);
        }
    }
    assert_eq!(descriptors(), before, "open descriptors");
}
