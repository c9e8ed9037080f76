//! A frame is cancelled at every step of a chain that has every kind of step that can wait: it ends there, leaves nothing
//! behind, and its neighbour in the same program does not notice.

mod common;

use std::future::pending;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream as Client};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use chainring_chains::{
    Branches, Chain, ChainHandle, ErrorKind, Event, Flow, Lowering, Pipe, Program, Reg, Socket, Spawner, read,
};
use chainring_net::{TcpListener, TcpStream};
use chainring_runtime::Runtime;
use common::one::{alone, chain};
use common::{descriptors, pair, run_beside, soon, watchdog};

/// More than the buffers of a connection take.
const MUCH: u32 = 16 << 20;

/// What the peers of steps that send have read.
static DRAINED: AtomicUsize = AtomicUsize::new(0);

/// The kinds of steps, in the order in which the chain has them. Those between two that say how much comes are linked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Recv,
    Exact,
    Fill,
    Pooled,
    PooledExact,
    Poll,
    SendAll,
    SendOutbox,
    Splice,
    Accept,
    Sleep,
    CallAsync,
    Within,
    All,
    Quorum,
    Pipelined,
    Wait,
}

use Kind::{
    Accept, All, CallAsync, Exact, Fill, Pipelined, Poll, Pooled, PooledExact, Quorum, Recv, SendAll,
    SendOutbox, Sleep, Splice, Wait, Within,
};

const STEPS: [Kind; 24] = [
    Exact,
    Exact,
    SendAll,
    Exact,
    Recv,
    Fill,
    Exact,
    Pooled,
    Exact,
    PooledExact,
    Poll,
    SendAll,
    SendAll,
    SendOutbox,
    Splice,
    Accept,
    Sleep,
    CallAsync,
    Within,
    All,
    Quorum,
    Pipelined,
    Wait,
    Exact,
];

/// What a step works on.
#[derive(Clone, Copy)]
struct Part {
    kind: Kind,
    sock: Socket,
    other: Socket,
    time: Reg,
}

/// The number of the future that never ends.
type Session = Option<usize>;

fn everything(lowering: Lowering, event: &Event) -> (Program<Session>, Vec<Part>) {
    chain(|c: &mut Chain<Session>| {
        c.lowering(lowering);
        let (eight, much, pipe) = (c.buffer(8), c.constant(&vec![7; MUCH as usize]), c.pipe());
        let mut parts = Vec::new();
        for (i, kind) in STEPS.into_iter().enumerate() {
            let part = Part { kind, sock: c.socket(), other: c.socket(), time: c.param() };
            match kind {
                All | Quorum | Pipelined | Wait => coordinate(c, part, event),
                _ => step(c, i, part, eight, much, pipe),
            }
            parts.push(part);
        }
        parts
    })
}

fn step(
    c: &mut Chain<Session>,
    i: usize,
    part: Part,
    eight: chainring_chains::Buf,
    much: chainring_chains::Buf,
    pipe: Pipe,
) {
    let Part { kind, sock, other, time } = part;
    let n = c.reg();
    match kind {
        Recv => _ = c.recv(sock, eight.all()),
        Exact => _ = c.recv_exact(sock, eight.all()),
        Fill => {
            let stream = c.stream(16);
            c.fill(sock, stream);
        }
        Pooled => {
            let pooled = c.pooled(64);
            c.recv(sock, pooled.all()).into(n);
            c.call((read(pooled.to(n)),), |_, (_,)| Flow::Next);
        }
        PooledExact => {
            let pooled = c.pooled(8);
            c.recv_exact(sock, pooled.all());
            c.set(n, pooled.be64(0));
        }
        Poll => _ = c.poll(sock, libc::POLLIN as u32),
        SendAll => _ = c.send_all(sock, much.all()),
        SendOutbox => {
            let outbox = c.outbox();
            c.call((chainring_chains::outbox(outbox),), |_, (out,)| {
                let blob: std::rc::Rc<[u8]> = vec![7; MUCH as usize / 2].into();
                out.push(blob.clone());
                out.push(blob);
                Flow::Next
            });
            c.send_outbox(sock, outbox);
        }
        Splice => _ = c.splice(sock, other, pipe, 8),
        Accept => c.accept(sock, other),
        Sleep => c.sleep(time),
        CallAsync => c.call_async(
            (),
            move |never: &mut Session, ()| {
                let waits = *never == Some(i);
                async move {
                    if waits {
                        pending::<()>().await;
                    }
                }
            },
            (),
            |_, (), ()| Flow::Next,
        ),
        Within => c.within(Duration::from_secs(3600), |c| _ = c.recv_exact(sock, eight.all())),
        All | Quorum | Pipelined | Wait => unreachable!("it coordinates"),
    }
}

/// What waits in several ways at once, or for others.
fn coordinate(c: &mut Chain<Session>, part: Part, event: &Event) {
    let Part { kind, sock, other, .. } = part;
    let both = |b: &mut Branches<'_, Session>| {
        for socket in [sock, other] {
            b.branch(|c| {
                let own = c.buffer(8);
                c.recv_exact(socket, own.all());
            });
        }
    };
    match kind {
        All => c.all(both),
        Quorum => c.quorum(1, both),
        Pipelined => c.pipelined(
            2,
            |c, _| c.nop(),
            |c, _, ()| {
                let own = c.buffer(8);
                c.recv_exact(sock, own.all());
                c.leave();
            },
        ),
        _ => c.wait(event),
    }
}

/// The other end of what a step works on.
enum End {
    Peer(Client),
    /// And what it goes on to.
    Spliced {
        from: Client,
        to: Client,
    },
    /// Two of which one or both are waited for.
    Both(Client, Client),
    Listener(std::net::SocketAddr),
    Posts(Event),
    Nothing,
}

impl End {
    /// Does what the step waits for.
    fn feed(&mut self, kind: Kind) {
        match self {
            End::Peer(peer) if matches!(kind, SendAll | SendOutbox) => {
                let mut peer = peer.try_clone().expect("another handle");
                thread::spawn(move || {
                    let mut chunk = vec![0; 1 << 20];
                    while let Ok(n @ 1..) = peer.read(&mut chunk) {
                        DRAINED.fetch_add(n, Ordering::Relaxed);
                    }
                });
            }
            End::Peer(peer) | End::Spliced { from: peer, .. } => peer.write_all(b"eight by").expect("send"),
            End::Listener(address) => {
                let address = *address;
                thread::spawn(move || drop(Client::connect(address)));
            }
            End::Both(a, b) => {
                a.write_all(b"eight by").expect("send");
                if kind == All {
                    b.write_all(b"eight by").expect("send");
                }
            }
            End::Posts(event) => event.notify(),
            End::Nothing => {}
        }
    }

    /// Whoever reads from it hears its end.
    fn close(self) {
        if let End::Peer(peer) | End::Spliced { from: peer, .. } = self {
            let _ = peer.shutdown(Shutdown::Both);
        }
    }
}

/// A frame that waits at step `at`, or nowhere.
fn spawned(
    spawner: &Spawner<Session>,
    parts: &[Part],
    event: &Event,
    at: Option<usize>,
) -> (ChainHandle<Session>, Vec<End>) {
    let mut ends = Vec::new();
    let handle = spawner.spawn(at, |frame| {
        for (i, part) in parts.iter().enumerate() {
            let mut end = match part.kind {
                Accept => {
                    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("bind");
                    let address = listener.local_addr().expect("an address");
                    frame.listener(part.sock, TcpListener::from_std(listener));
                    End::Listener(address)
                }
                Sleep => {
                    frame.set(part.time, if at == Some(i) { 3_600_000_000_000 } else { 0 });
                    End::Nothing
                }
                CallAsync => End::Nothing,
                Wait => End::Posts(event.clone()),
                All | Quorum => {
                    let ((near, far), (other, sink)) = (pair(), pair());
                    frame.socket(part.sock, near).socket(part.other, other);
                    End::Both(far, sink)
                }
                kind => {
                    let (near, far): (TcpStream, Client) = pair();
                    frame.socket(part.sock, near);
                    if kind == Splice {
                        let (other, sink) = pair();
                        frame.socket(part.other, other);
                        End::Spliced { from: far, to: sink }
                    } else {
                        End::Peer(far)
                    }
                }
            };
            if at.is_some_and(|at| i < at) {
                end.feed(part.kind);
            }
            ends.push(end);
        }
    });
    (handle.expect("there is room"), ends)
}

#[test]
fn a_frame_is_cancelled_at_every_step_and_its_neighbour_goes_on() {
    let _alone = alone();
    let _watchdog = watchdog(Duration::from_secs(300));
    for lowering in [Lowering::Chosen, Lowering::Single] {
        let event = Event::new("posted");
        let (program, parts) = everything(lowering, &event);
        let runtime = Runtime::new().expect("a ring");
        let spawner = runtime.block_on(async { program.start(2).expect("it starts") });
        for (at, part) in parts.iter().enumerate() {
            let before = descriptors();
            let (neighbour, mut its) = runtime.block_on(async { spawned(&spawner, &parts, &event, Some(0)) });
            DRAINED.store(0, Ordering::Relaxed);
            let sends = parts[..at].iter().filter(|part| matches!(part.kind, SendAll | SendOutbox)).count();
            let (handle, ends) = runtime.block_on(async { spawned(&spawner, &parts, &event, Some(at)) });
            // It has come as far as it can: past what threads of the kernel's and of ours do for it, and then what it does itself.
            let spliced = ends[..at].iter().filter_map(|end| match end {
                End::Spliced { to, .. } => Some(to.try_clone().expect("another handle")),
                _ => None,
            });
            let spliced: Vec<_> = spliced.collect();
            run_beside(&runtime, move || {
                for mut sink in spliced {
                    sink.read_exact(&mut [0; 8]).expect("what was spliced");
                }
                while DRAINED.load(Ordering::Relaxed) < sends * MUCH as usize {
                    thread::sleep(Duration::from_millis(1));
                }
                thread::sleep(Duration::from_millis(50));
            });
            assert!(!handle.is_finished(), "it waits at step {at} ({:?})\n{}", part.kind, program.explain());
            handle.cancel();
            let exit = runtime.block_on(async { soon("the cancelled frame to end", handle).await });
            let error = exit.result.expect_err("it was cancelled");
            assert!(matches!(error.kind(), ErrorKind::Cancelled { .. }), "{error}");
            let name = match part.kind {
                Recv | Pooled => "recv",
                Exact | PooledExact | Within | All | Quorum => "recv_exact",
                // One turn waits for its own step, the other for its turn.
                Pipelined if error.name() == "recv_exact" => "recv_exact",
                Pipelined => "pipelined",
                Wait => "wait",
                Fill => "fill",
                Poll => "poll",
                SendAll => "send_all",
                SendOutbox => "send_outbox",
                Splice => "splice",
                Accept => "accept",
                Sleep => "sleep",
                CallAsync => "call_async",
            };
            assert_eq!(error.name(), name, "cancelled at step {at}: {error}");
            drop(exit.sockets);
            ends.into_iter().for_each(End::close);

            runtime
                .block_on(async { its.iter_mut().zip(&parts).for_each(|(end, part)| end.feed(part.kind)) });
            let exit = runtime.block_on(async { soon("the neighbour to end", neighbour).await });
            assert_eq!(exit.result.map_err(|error| error.to_string()), Ok(()), "beside step {at}");
            drop(exit.sockets);
            its.into_iter().for_each(End::close);
            common::until(&runtime, "everything is closed", || descriptors() <= before);
        }
        let metrics = runtime.metrics();
        assert_eq!((metrics.strays, metrics.lost, spawner.live()), (0, 0, 0), "{metrics:?}");
    }
}
