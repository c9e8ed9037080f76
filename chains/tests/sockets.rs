//! Steps on sockets, and sleeps: connections that frames make, partial sends, polls, and the clock.

mod common;

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::thread;
use std::time::Duration;

use chainring_chains::{Chain, ErrorKind, Init, Lowering, Program, Reg, Socket};
use chainring_runtime::{Builder, Runtime, time};
use common::one::{Notes, alone, chain, lowered, mark, note, run, with_peer};
use common::{descriptors, pair, soon, watchdog};

/// An address at which nobody listens.
fn nobody() -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("bind");
    listener.local_addr().expect("an address")
}

/// Accepts so many connections, and sends each its number and what it has received, until its end.
fn answers(listener: &TcpListener, connections: u8) {
    for number in 0..connections {
        let (mut client, _) = listener.accept().expect("accept");
        let mut word = [0; 4];
        client.read_exact(&mut word).expect("receive");
        client.write_all(&[&[number][..], &word].concat()).expect("send");
        assert_eq!(client.read(&mut word).expect("the end"), 0, "the frame has closed it");
    }
}

/// Connects, sends four bytes, and notes the number that comes with them.
fn asks(c: &mut Chain<Notes>, sock: Socket, address: SocketAddr) {
    let (word, answer, number) = (c.constant(b"ping"), c.buffer(5), c.reg());
    c.connect(sock, address);
    c.send_all(sock, word.all());
    c.recv_exact(sock, answer.all());
    c.ensure(answer.range(1..).equals(word.all()), libc::EPROTO);
    c.set(number, answer.u8(0));
    note(c, number);
}

#[test]
fn a_frame_connects_by_either_protocol() {
    let _alone = alone();
    let addresses: [SocketAddr; 2] = [(Ipv4Addr::LOCALHOST, 0).into(), (Ipv6Addr::LOCALHOST, 0).into()];
    for address in addresses {
        let Ok(listener) = TcpListener::bind(address) else {
            println!("skipped: there is no {address} here");
            continue;
        };
        let address = listener.local_addr().expect("an address");
        let programs = lowered(|c| {
            let sock = c.socket();
            asks(c, sock, address);
        });
        thread::scope(|scope| {
            scope.spawn(|| answers(&listener, 1));
            let ended = run(&programs[0].0, Notes::new(), |_| ());
            assert_eq!((ended.text(), ended.session), (String::new(), vec![0]), "{address}");
        });
        thread::scope(|scope| {
            scope.spawn(|| answers(&listener, 1));
            let ended = run(&programs[1].0, Notes::new(), |_| ());
            assert_eq!((ended.text(), ended.session), (String::new(), vec![0]), "{address}");
        });
    }
}

#[test]
fn an_address_that_does_not_answer_is_told_and_can_be_handled() {
    let _alone = alone();
    drop(Runtime::new().expect("a ring"));
    let before = descriptors();
    let ended = run(&chain(|c| mark_after_connect(c, None)).0, Notes::new(), |_| ());
    assert_eq!(ended.text(), "chain test, step 1 (connect): Connection refused (os error 111)");
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("bind");
    let fallback = listener.local_addr().expect("an address");
    for (program, ()) in lowered(|c| mark_after_connect(c, Some(fallback))) {
        let ended = run(&program, Notes::new(), |_| ());
        assert_eq!((ended.text(), ended.session), (String::new(), vec![libc::ECONNREFUSED as u64, 7]));
    }
    drop(listener);
    assert_eq!(descriptors(), before, "open descriptors");
}

/// Connects to nobody, and if that fails to somebody.
fn mark_after_connect(c: &mut Chain<Notes>, fallback: Option<SocketAddr>) {
    let (sock, errno) = (c.socket(), c.reg());
    match fallback {
        Some(fallback) => c.attempt(|c| c.connect(sock, nobody())).on_error(errno, |c| {
            note(c, errno);
            c.connect(sock, fallback);
        }),
        None => c.connect(sock, nobody()),
    }
    mark(c, 7);
}

#[test]
fn a_frame_that_connects_again_and_again_leaves_no_descriptor() {
    const TURNS: u8 = 30;
    let _alone = alone();
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("bind");
    let address = listener.local_addr().expect("an address");
    drop(Runtime::new().expect("a ring"));
    // With the connection before closed by a step, and by the one that takes its place.
    for closes in [true, false] {
        for (program, ()) in lowered(|c| {
            let (sock, turns) = (c.socket(), c.param());
            c.repeat(|c| {
                asks(c, sock, address);
                if closes {
                    c.close(sock);
                }
                c.set(turns, turns + 1);
                c.when(turns.eq(u32::from(TURNS)), |c| c.leave());
            });
            mark(c, 1000);
        }) {
            let before = descriptors();
            let listener = &listener;
            let ended = thread::scope(|scope| {
                scope.spawn(move || answers(listener, TURNS));
                run(&program, Notes::new(), |_| ())
            });
            let expected: Notes = (0..u64::from(TURNS)).chain([1000]).collect();
            assert_eq!((ended.text(), ended.session), (String::new(), expected), "{}", program.explain());
            assert_eq!(descriptors(), before, "open descriptors");
        }
    }
}

#[test]
fn a_close_directly_before_a_connect_closes_what_was_there_and_nothing_else() {
    let _alone = alone();
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("bind");
    let address = listener.local_addr().expect("an address");
    drop(Runtime::new().expect("a ring"));
    for (program, sock) in lowered(|c| {
        let (sock, gone) = (c.accepted(), c.constant(b"gone"));
        c.send_all(sock, gone.all());
        c.close(sock);
        asks(c, sock, address);
        sock
    }) {
        let before = descriptors();
        let listener = &listener;
        let init = |frame: &mut Init<'_, '_>, near| {
            frame.socket(sock, near);
        };
        let (ended, _) = with_peer(&program, Notes::new(), init, move |mut client| {
            let mut bytes = Vec::new();
            client.read_to_end(&mut bytes).expect("receive");
            assert_eq!(bytes, b"gone");
            answers(listener, 1);
        });
        assert_eq!((ended.text(), ended.session), (String::new(), vec![0]), "{}", program.explain());
        assert_eq!(descriptors(), before, "open descriptors");
    }
}

#[test]
fn a_send_into_a_slow_peer_says_how_much_it_took() {
    const SIZE: u32 = 8 << 20;
    let _alone = alone();
    for (program, sock) in lowered(|c| {
        let (sock, sent, at, left) = (c.accepted(), c.reg(), c.reg(), c.reg());
        let data = c.constant(&pattern(SIZE as usize));
        c.set(at, 0);
        c.set(left, SIZE);
        c.repeat(|c| {
            c.send(sock, data.part(at, left)).into(sent);
            note(c, sent);
            c.set(at, at + sent);
            c.set(left, left - sent);
            c.when(left.eq(0), |c| c.leave());
        });
        sock
    }) {
        let init = |frame: &mut Init<'_, '_>, near| {
            frame.socket(sock, near);
        };
        let (ended, received) = with_peer(&program, Notes::new(), init, |mut client| {
            thread::sleep(Duration::from_millis(20));
            let mut bytes = Vec::new();
            client.read_to_end(&mut bytes).expect("receive");
            bytes
        });
        assert_eq!(ended.text(), "");
        assert!(received == pattern(SIZE as usize), "the bytes are those that were sent");
        assert!(ended.session.len() > 1, "it was sent in parts");
        assert_eq!(ended.session.iter().sum::<u64>(), u64::from(SIZE));
    }
}

fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|i| ((i * 31) >> 3) as u8).collect()
}

#[test]
fn a_poll_waits_for_what_it_is_told() {
    let _alone = alone();
    for (program, sock) in lowered(|c| {
        let (sock, events, len, data) = (c.accepted(), c.reg(), c.reg(), c.buffer(8));
        c.poll(sock, libc::POLLOUT as u32).into(events);
        note(c, events);
        c.poll(sock, libc::POLLIN as u32).into(events);
        c.set(events, events & libc::POLLIN as i32);
        note(c, events);
        c.recv(sock, data.all()).into(len);
        note(c, len);
        sock
    }) {
        let init = |frame: &mut Init<'_, '_>, near| {
            frame.socket(sock, near);
        };
        let (ended, ()) = with_peer(&program, Notes::new(), init, |mut client| {
            thread::sleep(Duration::from_millis(10));
            client.write_all(b"abc").expect("send");
            client.read_to_end(&mut Vec::new()).ok();
        });
        let (out, input) = (libc::POLLOUT as u64, libc::POLLIN as u64);
        assert_eq!((ended.text(), ended.session), (String::new(), vec![out, input, 3]));
    }
}

#[test]
fn a_segment_ends_with_a_shutdown() {
    let _alone = alone();
    let (program, sock) = chain::<Notes, _>(|c| {
        let (sock, text, data) = (c.accepted(), c.constant(b"bye"), c.buffer(4));
        c.send_all(sock, text.all());
        c.shutdown(sock);
        c.recv_exact(sock, data.all());
        c.close(sock);
        mark(c, 7);
        sock
    });
    let explain = program.explain().to_string();
    assert_eq!(program.explain().segments(), 2, "{explain}");
    let why = "ends because a failure of its last step would not keep the next from running";
    assert!(explain.contains(why), "{explain}");
    let init = |frame: &mut Init<'_, '_>, near| {
        frame.socket(sock, near);
    };
    let (ended, received) = with_peer(&program, Notes::new(), init, |mut client| {
        let mut bytes = Vec::new();
        client.read_to_end(&mut bytes).expect("receive");
        client.write_all(b"okay").expect("send");
        bytes
    });
    assert_eq!((ended.text(), ended.session, &received[..]), (String::new(), vec![7], &b"bye"[..]));
}

/// Sleeps for as long as its parameter says, between two marks.
fn sleeper(lowering: Lowering) -> (Program<Notes>, Reg) {
    chain(|c| {
        c.lowering(lowering);
        let time = c.param();
        mark(c, 1);
        c.sleep(time * 1000);
        mark(c, 2);
        time
    })
}

#[test]
fn a_sleep_ends_when_its_time_has_come() {
    let _alone = alone();
    let runtime = Builder::new().hold_clock(true).build().expect("a ring");
    let (program, micros) = sleeper(Lowering::Chosen);
    runtime.block_on(async {
        let spawner = program.start(3).expect("it starts");
        let handles = [0, 1_000, 3_600_000_000].map(|value| {
            let handle = spawner.spawn(Notes::new(), |frame| {
                frame.set(micros, value);
            });
            handle.expect("there is room")
        });
        let ended = || handles.iter().map(|handle| handle.is_finished()).collect::<Vec<_>>();
        time::advance(Duration::ZERO).await;
        assert_eq!(ended(), [true, false, false], "no time is none to wait for");
        time::advance(Duration::from_micros(900)).await;
        assert_eq!(ended(), [true, false, false]);
        time::advance(Duration::from_micros(101)).await;
        time::advance(Duration::from_millis(1)).await;
        assert_eq!(ended(), [true, true, false]);
        time::advance(Duration::from_secs(3599)).await;
        assert_eq!(ended(), [true, true, false]);
        time::advance(Duration::from_secs(2)).await;
        assert_eq!(ended(), [true, true, true]);
        for handle in handles {
            let exit = handle.await;
            assert!(exit.result.is_ok());
            assert_eq!(exit.session, [1, 2]);
        }
        assert_eq!(spawner.live(), 0);
    });
}

#[test]
fn a_sleep_is_cancelled_and_its_alarm_wakes_nobody() {
    let _alone = alone();
    let _watchdog = watchdog(Duration::from_secs(60));
    let runtime = Builder::new().hold_clock(true).build().expect("a ring");
    let (program, micros) = sleeper(Lowering::Single);
    runtime.block_on(async {
        let spawner = program.start(1).expect("it starts");
        // The longest time that there is, too.
        for value in [1_000_000, u64::MAX / 1000] {
            let spawn = |value: u64| {
                let handle = spawner.spawn(Notes::new(), |frame| {
                    frame.set(micros, value);
                });
                handle.expect("there is room")
            };
            let handle = spawn(value);
            time::advance(Duration::from_millis(1)).await;
            assert!(!handle.is_finished());
            handle.cancel();
            let exit = soon("the frame to end", handle).await;
            let error = exit.result.expect_err("cancelled");
            assert_eq!(error.to_string(), "chain test, step 2 (sleep): cancelled after 0 bytes");
            assert!(matches!(error.kind(), ErrorKind::Cancelled { done: 0 }));
            assert_eq!(exit.session, [1]);
            // Another use of the frame, which sleeps past the alarm of the first.
            let handle = spawn(10_000_000);
            time::advance(Duration::from_secs(5)).await;
            assert!(!handle.is_finished(), "the alarm was not its own");
            time::advance(Duration::from_secs(6)).await;
            assert_eq!(handle.await.session, [1, 2]);
        }
    });
}

#[test]
fn a_socket_is_still_there_after_a_sleep_between_two_transfers() {
    let _alone = alone();
    let (program, sock) = chain::<Notes, _>(|c| {
        let (sock, data) = (c.accepted(), c.buffer(4));
        c.recv_exact(sock, data.all());
        c.sleep(1_000_000);
        c.send_all(sock, data.all());
        sock
    });
    let (near, mut far) = pair();
    let runtime = Runtime::new().expect("a ring");
    far.write_all(b"abcd").expect("send");
    runtime.block_on(async {
        let spawner = program.start(1).expect("it starts");
        let handle = spawner.spawn(Notes::new(), |frame| {
            frame.socket(sock, near);
        });
        let mut exit = soon("the frame to end", handle.expect("there is room")).await;
        exit.result.expect("it works");
        assert!(exit.sockets.take(sock).is_some());
    });
    let mut bytes = [0; 4];
    far.read_exact(&mut bytes).expect("receive");
    assert_eq!(&bytes, b"abcd");
}
