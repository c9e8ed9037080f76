//! Fewer pooled buffers than connections: who waits for bytes holds none, who has bytes waits for a buffer, and whoever
//! ends meanwhile keeps nobody else waiting.

mod common;

use std::io::{ErrorKind as IoErrorKind, Read, Write};
use std::net::TcpStream as Client;
use std::time::Duration;

use chainring_chains::{Chain, ChainHandle, ErrorKind, Flow, Program, Socket, Spawner, read};
use chainring_runtime::Runtime;
use common::one::chain;
use common::{pair, run_beside, scaled, soon, until, watchdog};

/// Echoes eight bytes at a time. Between a message and its echo it waits for a byte on another socket, with the message
/// in its pooled buffer.
struct Held {
    program: Program<()>,
    sock: Socket,
    gate: Socket,
}

fn held(limit: u16) -> Held {
    let (program, (sock, gate)) = chain(|c: &mut Chain<()>| {
        let (sock, gate, message, byte) = (c.socket(), c.socket(), c.pooled(8), c.buffer(1));
        c.pool_limit(limit);
        c.repeat(|c| {
            c.recv_exact(sock, message.all()).or_finish();
            c.recv_exact(gate, byte.all());
            c.send_all(sock, message.all());
        });
        (sock, gate)
    });
    Held { program, sock, gate }
}

/// A frame, and the other ends of its sockets.
struct Connection {
    handle: ChainHandle<()>,
    peer: Client,
    gate: Client,
}

impl Held {
    fn connect(&self, spawner: &Spawner<()>) -> Connection {
        let ((near, peer), (shut, gate)) = (pair(), pair());
        let handle = spawner.spawn((), |frame| {
            frame.socket(self.sock, near).socket(self.gate, shut);
        });
        Connection { handle: handle.expect("there is room"), peer, gate }
    }
}

/// A runtime, and so many frames of the program.
fn started(program: &Held, connections: usize) -> (Runtime, Spawner<()>, Vec<Connection>) {
    let runtime = Runtime::new().expect("a ring");
    let (spawner, connections) = runtime.block_on(async {
        let spawner = program.program.start(connections as u32).expect("it starts");
        let connections = (0..connections).map(|_| program.connect(&spawner)).collect();
        (spawner, connections)
    });
    (runtime, spawner, connections)
}

/// The loop has looked at everything that has come so far.
fn settle(runtime: &Runtime) {
    runtime.block_on(async { chainring_runtime::time::sleep(Duration::from_millis(20)).await });
}

fn echoed(runtime: &Runtime, connection: &mut Connection, message: &[u8; 8]) {
    connection.gate.write_all(b"!").expect("send");
    let mut answer = [0; 8];
    let peer = &mut connection.peer;
    run_beside(runtime, || peer.read_exact(&mut answer).expect("an echo"));
    assert_eq!(&answer, message);
}

fn silent(connection: &mut Connection) {
    connection.peer.set_nonblocking(true).expect("nonblocking");
    let error = connection.peer.read(&mut [0]).expect_err("it has no buffer");
    assert_eq!(error.kind(), IoErrorKind::WouldBlock);
    connection.peer.set_nonblocking(false).expect("blocking");
}

#[test]
fn who_waits_for_bytes_holds_no_buffer() {
    let program = held(1);
    let (runtime, spawner, mut connections) = started(&program, 50);
    settle(&runtime);
    let parked = spawner.counters().parked;
    for connection in connections.iter_mut().rev() {
        connection.peer.write_all(b"a word..").expect("send");
        echoed(&runtime, connection, b"a word..");
    }
    assert_eq!(spawner.counters().parked, parked, "the kernel asks for a buffer only when bytes have come");
    let metrics = runtime.metrics();
    assert_eq!((metrics.strays, metrics.lost), (0, 0), "{metrics:?}");
}

#[test]
fn who_has_bytes_waits_its_turn_for_a_buffer() {
    let program = held(1);
    let (runtime, spawner, mut connections) = started(&program, 6);
    settle(&runtime);
    let parked = spawner.counters().parked;
    for (i, connection) in connections.iter_mut().enumerate() {
        connection.peer.write_all(&[i as u8; 8]).expect("send");
        settle(&runtime);
    }
    assert_eq!(spawner.counters().parked - parked, 5);
    for i in 0..connections.len() {
        // Its gate is open, but it has not got so far.
        for later in &mut connections[i + 1..] {
            silent(later);
        }
        echoed(&runtime, &mut connections[i], &[i as u8; 8]);
        settle(&runtime);
    }
    assert_eq!(spawner.counters().parked - parked, 5, "each is told once");
}

#[test]
fn whoever_is_cancelled_while_it_waits_or_holds_a_buffer_keeps_nobody_waiting() {
    // The second waits, and the others behind it; the first holds the buffer.
    for cancelled in [[0, 1], [1, 0], [1, 2], [2, 3], [0, 3]] {
        let program = held(1);
        let (runtime, spawner, mut connections) = started(&program, 4);
        for (i, connection) in connections.iter_mut().enumerate() {
            connection.peer.write_all(&[i as u8; 8]).expect("send");
            settle(&runtime);
        }
        cancelled.iter().for_each(|i| connections[*i].handle.cancel());
        settle(&runtime);
        for (i, mut connection) in connections.into_iter().enumerate() {
            if cancelled.contains(&i) {
                let exit =
                    runtime.block_on(async { soon("the cancelled frame to end", connection.handle).await });
                let error = exit.result.expect_err("it was cancelled");
                assert!(matches!(error.kind(), ErrorKind::Cancelled { .. }), "{error}");
            } else {
                echoed(&runtime, &mut connection, &[i as u8; 8]);
            }
        }
        until(&runtime, "all frames have ended", || spawner.live() == 0);
    }
}

#[test]
fn a_connection_that_ends_while_it_waits_for_a_buffer_keeps_nobody_waiting() {
    let program = held(1);
    let (runtime, _spawner, mut connections) = started(&program, 3);
    for connection in &mut connections {
        connection.peer.write_all(b"a word..").expect("send");
        settle(&runtime);
    }
    let Connection { handle, peer, gate } = connections.remove(1);
    common::reset(peer);
    drop(gate);
    settle(&runtime);
    for connection in &mut connections {
        echoed(&runtime, connection, b"a word..");
    }
    let exit = runtime.block_on(async { soon("the frame to end", handle).await });
    assert!(exit.result.is_err(), "its peer is gone");
}

#[test]
fn the_pool_grows_as_long_as_it_may() {
    let program = held(200);
    let (runtime, spawner, mut connections) = started(&program, 200);
    for connection in &mut connections {
        connection.peer.write_all(b"a word..").expect("send");
    }
    settle(&runtime);
    for connection in connections.iter_mut().rev() {
        echoed(&runtime, connection, b"a word..");
    }
    assert_eq!(spawner.counters().cancelled, 0);
}

#[test]
fn the_runtime_ends_while_frames_hold_buffers_and_wait_for_them() {
    for keep in [false, true] {
        let program = held(1);
        let (runtime, spawner, mut connections) = started(&program, 3);
        for connection in &mut connections {
            connection.peer.write_all(b"a word..").expect("send");
            settle(&runtime);
        }
        if keep {
            drop(runtime);
            drop((connections, spawner));
        } else {
            drop((connections, spawner));
            drop(runtime);
        }
    }
}

#[test]
fn under_traffic_cancels_and_exhaustion_every_answer_is_the_right_one() {
    const CONNECTIONS: usize = 16;
    let _watchdog = watchdog(Duration::from_secs(120));
    let (program, sock) = chain(|c: &mut Chain<u64>| {
        let (sock, head, body, n) = (c.socket(), c.pooled(2), c.pooled(500), c.reg());
        c.pool_limit(3);
        c.repeat(|c| {
            c.recv_exact(sock, head.all()).or_finish();
            c.set(n, head.be16(0));
            c.recv_exact(sock, body.to(n));
            c.call((read(body.to(n)),), |seen, (bytes,)| {
                *seen += bytes.len() as u64;
                Flow::Next
            });
            c.send_all(sock, body.to(n));
        });
        sock
    });
    let runtime = Runtime::new().expect("a ring");
    let rounds = scaled(40, 2000);
    let (nears, fars): (Vec<_>, Vec<_>) = (0..CONNECTIONS).map(|_| pair()).unzip();
    let (victims, mut victim_peers): (Vec<_>, Vec<_>) = (0..CONNECTIONS).map(|_| pair()).unzip();
    let spawner = runtime.block_on(async { program.start(2 * CONNECTIONS as u32).expect("it starts") });
    let spawn = |near| {
        let handle = spawner.spawn(0, |frame| {
            frame.socket(sock, near);
        });
        handle.expect("there is room")
    };
    let handles: Vec<_> = runtime.block_on(async { nears.into_iter().map(spawn).collect() });
    runtime.block_on(async {
        for (i, near) in victims.into_iter().enumerate() {
            let handle = spawn(near);
            drop(chainring_runtime::spawn(async move {
                let mut random = fastrand::Rng::with_seed(i as u64);
                chainring_runtime::time::sleep(Duration::from_micros(random.u64(..20_000))).await;
                handle.cancel();
                let _ = handle.await;
            }));
        }
    });
    run_beside(&runtime, || {
        std::thread::scope(|scope| {
            for (i, mut far) in fars.into_iter().enumerate() {
                scope.spawn(move || {
                    let mut random = fastrand::Rng::with_seed(i as u64);
                    for _ in 0..rounds {
                        let bytes: Vec<u8> = (0..random.usize(1..500)).map(|_| random.u8(..)).collect();
                        let message = [&(bytes.len() as u16).to_be_bytes()[..], &bytes].concat();
                        let cut = random.usize(..message.len());
                        far.write_all(&message[..cut]).expect("send");
                        if random.bool() {
                            std::thread::yield_now();
                        }
                        far.write_all(&message[cut..]).expect("send");
                        let mut answer = vec![0; bytes.len()];
                        far.read_exact(&mut answer).expect("receive");
                        assert!(answer == bytes, "the answer is another's");
                    }
                });
            }
            for peer in &mut victim_peers {
                let _ = peer.write_all(&[1; 100]);
            }
        });
    });
    for handle in handles {
        let exit = runtime.block_on(async { soon("the frame to end", handle).await });
        assert_eq!(exit.result.map_err(|error| error.to_string()), Ok(()));
        assert!(exit.session > 0);
    }
    let metrics = runtime.metrics();
    assert_eq!((metrics.strays, metrics.lost), (0, 0), "{metrics:?}");
}
