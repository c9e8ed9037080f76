//! Programs side by side: two on one ring, one on two cores. Whatever one of them does in a call, the others do not notice.

mod common;

use std::cell::Cell;
use std::io::{Read, Write};
use std::net::TcpStream as Client;
use std::rc::Rc;
use std::thread;
use std::time::Duration;

use chainring_chains::{Chain, ChainHandle, Flow, Program, Socket, Spawner, write};
use chainring_runtime::{Builder, Runtime, time};
use common::one::chain;
use common::{pair, run_beside, scaled, soon, until, watchdog};

/// Echoes messages of eight bytes, in capitals.
fn shout() -> (Program<u64>, Socket) {
    chain(|c: &mut Chain<u64>| {
        let (sock, data) = (c.socket(), c.buffer(8));
        c.repeat(|c| {
            c.recv_exact(sock, data.all()).or_finish();
            c.call((write(data.all()),), |seen, (bytes,)| {
                bytes.make_ascii_uppercase();
                *seen += 1;
                Flow::Next
            });
            c.send_all(sock, data.all());
        });
        sock
    })
}

/// Echoes what comes as it comes, from another layout: more registers, a pooled buffer.
fn repeat() -> (Program<()>, Socket) {
    chain(|c: &mut Chain<()>| {
        let (_, _, sock) = (c.socket(), c.file(), c.socket());
        let (_, n, data) = (c.reg(), c.reg(), c.pooled(100));
        c.repeat(|c| {
            c.recv(sock, data.all()).into(n).or_finish();
            c.send_all(sock, data.to(n));
        });
        sock
    })
}

fn talk(mut peer: Client, message: &[u8; 8], answer: &[u8; 8], times: usize) {
    for _ in 0..times {
        peer.write_all(message).expect("send");
        let mut got = [0; 8];
        peer.read_exact(&mut got).expect("receive");
        assert_eq!(&got, answer);
    }
}

fn spawned<S: 'static>(spawner: &Spawner<S>, session: S, sock: Socket) -> (ChainHandle<S>, Client) {
    let (near, far) = pair();
    let handle = spawner.spawn(session, |frame| {
        frame.socket(sock, near);
    });
    (handle.expect("there is room"), far)
}

#[test]
fn two_programs_share_a_ring() {
    let _watchdog = watchdog(Duration::from_secs(60));
    let times = scaled(300, 30_000);
    let ((shout, one), (repeat, other)) = (shout(), repeat());
    let runtime = Runtime::new().expect("a ring");
    let (shouts, repeats, peers) = runtime.block_on(async {
        let (shouting, repeating) = (shout.start(4).expect("it starts"), repeat.start(4).expect("it starts"));
        let (mut shouts, mut repeats, mut peers) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..4 {
            let (handle, peer) = spawned(&shouting, 0, one);
            shouts.push(handle);
            let (handle, other) = spawned(&repeating, (), other);
            repeats.push(handle);
            peers.push((peer, other));
        }
        (shouts, repeats, peers)
    });
    run_beside(&runtime, || {
        thread::scope(|scope| {
            for (shouted, repeated) in peers {
                scope.spawn(move || talk(shouted, b"a word..", b"A WORD..", times));
                scope.spawn(move || talk(repeated, b"a word..", b"a word..", times));
            }
        });
    });
    for handle in shouts {
        let exit = runtime.block_on(async { soon("a frame to end", handle).await });
        assert_eq!((exit.session, exit.result.is_ok()), (times as u64, true));
    }
    for handle in repeats {
        let exit = runtime.block_on(async { soon("a frame to end", handle).await });
        assert_eq!(exit.result.map_err(|error| error.to_string()), Ok(()));
    }
    let metrics = runtime.metrics();
    assert_eq!((metrics.strays, metrics.lost), (0, 0), "{metrics:?}");
}

#[test]
fn a_completion_queue_that_overflows_again_and_again_disturbs_no_frame() {
    const FRAMES: u32 = 100;
    let _watchdog = watchdog(Duration::from_secs(120));
    let (program, sock) = shout();
    let runtime = Builder::new()
        .submission_entries(2)
        .completion_entries(4)
        .build()
        .expect("a ring as small as can be");
    let mut handles = Vec::new();
    let mut peers = Vec::new();
    let spawner = runtime.block_on(async { program.start(FRAMES).expect("it starts") });
    for _ in 0..FRAMES {
        let (handle, peer) = runtime.block_on(async { spawned(&spawner, 0, sock) });
        handles.push(handle);
        peers.push(peer);
    }
    let turns = scaled(5, 500);
    for _ in 0..turns {
        // All of them wait; then there is something for all of them at once, while the core looks away.
        runtime.block_on(async { time::sleep(Duration::from_millis(1)).await });
        peers.iter_mut().for_each(|peer| peer.write_all(b"a word..").expect("send"));
        run_beside(&runtime, || {
            for peer in &mut peers {
                let mut got = [0; 8];
                peer.read_exact(&mut got).expect("receive");
                assert_eq!(&got, b"A WORD..");
            }
        });
    }
    drop(peers);
    for handle in handles {
        let exit = runtime.block_on(async { soon("a frame to end", handle).await });
        assert_eq!((exit.session, exit.result.is_ok()), (turns as u64, true));
    }
    let metrics = runtime.metrics();
    assert!(metrics.overflows > 0, "{metrics:?}");
    assert_eq!((metrics.strays, metrics.lost), (0, 0), "{metrics:?}");
}

#[test]
fn one_program_runs_on_two_cores() {
    let _watchdog = watchdog(Duration::from_secs(60));
    let times = scaled(300, 30_000);
    let (program, sock) = shout();
    thread::scope(|scope| {
        for core in 1..=2 {
            let program = program.clone();
            scope.spawn(move || {
                let runtime = Runtime::new().expect("a ring");
                let (spawner, handle, peer) = runtime.block_on(async {
                    let spawner = program.start(1).expect("it starts");
                    let (handle, peer) = spawned(&spawner, 0, sock);
                    assert!(spawner.spawn(0, |_| {}).is_err(), "each core has frames of its own");
                    (spawner, handle, peer)
                });
                run_beside(&runtime, || talk(peer, b"a word..", b"A WORD..", core * times));
                let exit = runtime.block_on(async { soon("the frame to end", handle).await });
                assert_eq!((exit.session, exit.result.is_ok()), ((core * times) as u64, true));
                assert!(spawner.counters().segments <= 2 * exit.session + 1, "{:?}", spawner.counters());
            });
        }
    });
}

/// What a call does to its own frame and to its program.
#[derive(Clone)]
struct Trouble {
    spawner: Rc<Cell<Option<Spawner<Trouble>>>>,
    own: Rc<Cell<Option<ChainHandle<Trouble>>>>,
    begun: Rc<Cell<usize>>,
    sock: Socket,
}

#[test]
fn calls_that_panic_spawn_or_cancel_their_own_frame_disturb_nobody() {
    let _watchdog = watchdog(Duration::from_secs(60));
    let times = scaled(200, 20_000);
    let (program, sock) = shout();
    let (trouble, one) = chain(|c: &mut Chain<Trouble>| {
        let (sock, data) = (c.socket(), c.buffer(8));
        c.repeat(|c| {
            c.recv_exact(sock, data.all()).or_finish();
            c.call((write(data.all()),), |trouble, (bytes,)| {
                trouble.begun.set(trouble.begun.get() + 1);
                match bytes[0] {
                    b'p' => panic!("as asked"),
                    b'c' => {
                        if let Some(own) = trouble.own.take() {
                            own.cancel();
                            own.cancel();
                        }
                    }
                    b's' => {
                        let spawner = trouble.spawner.take().expect("the program");
                        let (mut session, (near, mut far)) = (trouble.clone(), pair());
                        session.own = Rc::default();
                        far.write_all(b"panic!!!").expect("send");
                        let spawned = spawner.spawn(session, |frame| {
                            frame.socket(trouble.sock, near);
                        });
                        drop(spawned);
                        trouble.spawner.set(Some(spawner));
                    }
                    _ => {}
                }
                Flow::Next
            });
            c.send_all(sock, data.all());
        });
        sock
    });
    std::panic::set_hook(Box::new(|info| {
        if info.payload().downcast_ref::<&str>() != Some(&"as asked") {
            eprintln!("{info}");
        }
    }));
    let runtime = Runtime::new().expect("a ring");
    let begun = Rc::new(Cell::new(0));
    let (spawner, handle, peer, same) = runtime.block_on(async {
        let spawner = program.start(2).expect("it starts");
        let troubled = trouble.start(8).expect("it starts");
        let (handle, peer) = spawned(&spawner, 0, sock);
        (spawner, handle, peer, troubled)
    });
    let session = || Trouble {
        spawner: Rc::new(Cell::new(Some(same.clone()))),
        own: Rc::default(),
        begun: begun.clone(),
        sock: one,
    };
    // A neighbour in the troubled program itself.
    let (quiet, beside) = runtime.block_on(async { spawned(&same, session(), one) });
    let troubles = async {
        for i in 0..times {
            let session = session();
            let own = session.own.clone();
            let (handle, mut far) = spawned(&same, session, one);
            own.set(Some(handle));
            far.write_all([b"panic!!!", b"cancel!!", b"spawn!!!"][i % 3]).expect("send");
            while same.live() > 1 {
                if i % 3 == 2 {
                    // That one goes on, and ends with its peer.
                    let _ = far.shutdown(std::net::Shutdown::Write);
                }
                chainring_runtime::time::sleep(Duration::from_micros(200)).await;
            }
            // The session has come back into its handle, which lies in the session: they would keep each other.
            drop(own.take());
        }
    };
    let talking = thread::spawn(move || talk(peer, b"a word..", b"A WORD..", times));
    let beside = thread::spawn(move || talk(beside, b"a word..", b"a word..", times));
    runtime.block_on(troubles);
    run_beside(&runtime, || {
        talking.join().expect("the neighbour's peer is content");
        beside.join().expect("and that of the other");
    });
    let exit = runtime.block_on(async { soon("the neighbour to end", handle).await });
    assert_eq!((exit.session, exit.result.is_ok()), (times as u64, true));
    let exit = runtime.block_on(async { soon("the other to end", quiet).await });
    assert!(exit.result.is_ok(), "{:?}", exit.result);
    assert!(begun.get() >= 2 * times, "{} calls", begun.get());
    until(&runtime, "all have ended", || same.live() == 0 && spawner.live() == 0);
    let metrics = runtime.metrics();
    assert_eq!((metrics.strays, metrics.lost), (0, 0), "{metrics:?}");
}
