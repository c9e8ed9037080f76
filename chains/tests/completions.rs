//! One completion a segment: on success, and whichever of its members fails. What the ring counts is compared with
//! what the segment should post, and what the peers got with what should have run.

mod common;

use std::io::{Read, Write};
use std::net::TcpStream as Client;
use std::time::Duration;

use chainring_chains::{BuildError, Chain, ChainError, ErrorKind, Flow, Program, Socket, Spawner, write};
use chainring_net::TcpStream;
use chainring_runtime::{Builder, Capability, Runtime};
use common::{pair, reset, soon};

/// The members of the segments here: alternately a send and an exact receive, each on a socket of its own.
const MEMBERS: usize = 6;
const LEN: u32 = 16;

struct Probe {
    program: Program<()>,
    sockets: Vec<Socket>,
}

/// One segment of `MEMBERS` transfers on as many sockets, and then the end.
fn probe() -> Result<Probe, BuildError> {
    let mut c = Chain::new("probe");
    let sockets: Vec<Socket> = (0..MEMBERS).map(|_| c.socket()).collect();
    let data = c.buffer(LEN * MEMBERS as u32);
    c.call((write(data.all()),), |(), (bytes,)| {
        bytes.fill(b'x');
        Flow::Next
    });
    for (i, socket) in sockets.iter().enumerate() {
        let span = data.range(i as u32 * LEN..(i as u32 + 1) * LEN);
        if sends(i) {
            c.send_all(*socket, span);
        } else {
            c.recv_exact(*socket, span);
        }
    }
    Ok(Probe { program: c.build()?, sockets })
}

fn sends(member: usize) -> bool {
    member.is_multiple_of(2)
}

/// The number of a member's step: the call comes first.
fn step(member: usize) -> u32 {
    member as u32 + 2
}

/// What became of the frame, and what it took.
struct Outcome {
    result: Result<(), (u32, ErrorKind)>,
    completions: u64,
    /// Whether the peer of each member saw it run: got the bytes that it sends, or had its own bytes taken.
    ran: Vec<bool>,
    one_by_one: u64,
    skips: bool,
    /// The completions of one submission of the whole segment, on this ring.
    one_each: u64,
}

/// How the peer of one member breaks the segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Break {
    /// Resets the connection.
    Reset(usize),
    /// Ends the stream after so many of the bytes.
    End(usize, usize),
}

/// Runs the segment once, with `also` done to the runtime before.
fn run(builder: &Builder, broken: Option<Break>, also: impl FnOnce(&Runtime)) -> Outcome {
    let runtime = builder.build().expect("a ring");
    let Probe { program, sockets } = probe().expect("the chain is right");
    let (streams, mut peers): (Vec<TcpStream>, Vec<Option<Client>>) = (0..MEMBERS)
        .map(|member| {
            let (stream, mut peer) = pair();
            let bytes = match broken {
                Some(Break::Reset(broken)) if broken == member => 0,
                Some(Break::End(broken, bytes)) if broken == member => bytes,
                _ => LEN as usize,
            };
            if !sends(member) {
                peer.write_all(&[b'y'; LEN as usize][..bytes]).expect("send");
            }
            (stream, Some(peer))
        })
        .unzip();
    match broken {
        Some(Break::Reset(member)) => reset(peers[member].take().expect("not taken before")),
        Some(Break::End(member, _)) => drop(peers[member].take()),
        None => {}
    }
    // Whatever the peers did has arrived.
    std::thread::sleep(Duration::from_millis(5));
    let spawner: Spawner<()> = runtime.block_on(async { program.start(1).expect("it starts") });
    also(&runtime);
    let before = runtime.metrics();
    let exit = runtime.block_on(async {
        let handle = spawner.spawn((), |frame| {
            for (socket, stream) in sockets.iter().zip(streams) {
                frame.socket(*socket, stream);
            }
        });
        soon("the segment to end", handle.expect("there is room")).await
    });
    let after = runtime.metrics();
    assert_eq!((after.strays, after.lost), (0, 0), "{after:?}");
    let mut sockets_left = exit.sockets;
    let ran = (0..MEMBERS)
        .map(|member| {
            let ours = sockets_left.take(sockets[member]).expect("the frame gives its sockets back");
            let ours = ours.into_std().expect("nothing is in flight");
            ours.set_nonblocking(true).expect("nonblocking");
            match &mut peers[member] {
                Some(peer) if sends(member) => {
                    peer.set_nonblocking(true).expect("nonblocking");
                    peer.read(&mut [0; 64]).is_ok_and(|n| n == LEN as usize)
                }
                Some(_) => (&ours).read(&mut [0; 64]).is_err(),
                None => false,
            }
        })
        .collect();
    let skips = runtime.handle().capabilities().skip_success();
    Outcome {
        result: exit.result.map_err(|error| (error.step(), into_kind(error))),
        completions: after.completions - before.completions,
        ran,
        one_by_one: spawner.counters().one_by_one,
        skips,
        one_each: if skips { 1 } else { MEMBERS as u64 },
    }
}

fn into_kind(error: ChainError) -> ErrorKind {
    match error.kind() {
        ErrorKind::Errno(errno) => ErrorKind::Errno(*errno),
        ErrorKind::Short { done, want } => ErrorKind::Short { done: *done, want: *want },
        other => panic!("{other:?}"),
    }
}

fn in_order(ran_until: usize) -> Vec<bool> {
    (0..MEMBERS).map(|member| member < ran_until).collect()
}

#[test]
fn a_segment_that_succeeds_posts_one_completion() {
    let outcome = run(&Builder::new(), None, |_| ());
    assert!(outcome.result.is_ok());
    assert_eq!(outcome.ran, in_order(MEMBERS));
    assert_eq!(outcome.completions, outcome.one_each);
}

#[test]
fn a_segment_whose_first_middle_or_last_member_fails_posts_one_completion_and_names_the_member() {
    for failing in 0..MEMBERS {
        let outcome = run(&Builder::new(), Some(Break::Reset(failing)), |_| ());
        let Err((at, ErrorKind::Errno(errno))) = outcome.result else {
            panic!("member {failing}: {:?}", outcome.result)
        };
        assert_eq!(at, step(failing));
        assert!([libc::ECONNRESET, libc::EPIPE].contains(&errno), "member {failing}: errno {errno}");
        assert_eq!(outcome.ran, in_order(failing), "what stands behind it has not run");
        assert_eq!(outcome.completions, outcome.one_each, "member {failing}");
        assert_eq!(outcome.one_by_one, 0);
    }
}

#[test]
fn a_receive_whose_stream_ends_posts_one_completion_a_submission() {
    for failing in (0..MEMBERS).filter(|member| !sends(*member)) {
        for done in [0, 5] {
            let outcome = run(&Builder::new(), Some(Break::End(failing, done)), |_| ());
            let Err((at, ErrorKind::Short { done: told, want })) = outcome.result else {
                panic!("member {failing}: {:?}", outcome.result)
            };
            assert_eq!((at, told as usize, want), (step(failing), done, LEN));
            assert!(outcome.ran[..failing].iter().all(|ran| *ran), "what stands before it has run");
            assert!(outcome.ran[failing + 1..].iter().all(|ran| !ran), "what stands behind it has not run");
            // Five bytes are short, and the rest of the segment is submitted again: the end comes then.
            let submissions = if done == 0 { 1 } else { 2 };
            if outcome.skips {
                assert_eq!(outcome.completions, submissions, "member {failing} after {done} bytes");
            }
        }
    }
}

#[test]
fn without_skipped_completions_every_member_posts_one_and_the_result_is_the_same() {
    let masked = Builder::new().mask(Capability::SkipSuccess);
    let outcome = run(&masked, None, |_| ());
    assert!(outcome.result.is_ok() && !outcome.skips);
    assert_eq!(outcome.completions, MEMBERS as u64);
    for failing in 0..MEMBERS {
        let outcome = run(&masked, Some(Break::Reset(failing)), |_| ());
        assert!(matches!(outcome.result, Err((at, ErrorKind::Errno(_))) if at == step(failing)));
        assert_eq!(outcome.ran, in_order(failing));
        assert_eq!(outcome.completions, MEMBERS as u64, "member {failing}");
    }
}

#[test]
fn a_member_that_cannot_be_prepared_is_named() {
    for (name, failing, one_by_one) in [("send", 0, 0), ("recv", 1, 1)] {
        // All of its kind: those of the segment, and the one that is then submitted by itself. A head that cannot
        // be prepared says so at once; for any other the head reports that it was cancelled.
        let times = MEMBERS as u32 / 2 + 1;
        let outcome = run(&Builder::new(), None, |runtime| runtime.handle().injector().refuse(name, times));
        let Err((at, ErrorKind::Errno(libc::EINVAL))) = outcome.result else {
            panic!("{name}: {:?}", outcome.result)
        };
        assert_eq!((at, outcome.one_by_one), (step(failing), one_by_one));
        assert_eq!(outcome.ran, in_order(failing), "members before it ran, one by one; none behind it");
    }
}

#[test]
fn a_member_that_can_be_prepared_the_second_time_does_no_harm() {
    let outcome = run(&Builder::new(), None, |runtime| runtime.handle().injector().refuse("recv", 1));
    assert!(outcome.result.is_ok(), "{:?}", outcome.result);
    assert_eq!((outcome.ran, outcome.one_by_one), (in_order(MEMBERS), 1));
}

#[test]
fn a_list_behind_a_single_transfer_is_waited_for_until_all_its_members_have_posted() {
    let runtime = Builder::new().mask(Capability::SkipSuccess).build().expect("a ring");
    let mut c = Chain::<()>::new("list behind a single transfer");
    let (socket, data) = (c.socket(), c.buffer(LEN));
    c.recv(socket, data.range(..1));
    c.recv_exact(socket, data.all());
    c.send_all(socket, data.all());
    let program = c.build().expect("the chain is right");
    let (stream, mut peer) = pair();
    let error = runtime.block_on(async {
        let spawner = program.start(1).expect("it starts");
        let handle = spawner.spawn((), |frame| {
            frame.socket(socket, stream);
        });
        peer.write_all(b"x").expect("send");
        drop(peer);
        let exit = soon("the end of the stream", handle.expect("there is room")).await;
        // What would still come has come.
        chainring_runtime::time::sleep(Duration::from_millis(5)).await;
        exit.result.expect_err("the stream has ended")
    });
    assert!(matches!(error.kind(), ErrorKind::Short { done: 0, want: LEN }), "{error}");
    let metrics = runtime.metrics();
    assert_eq!(metrics.strays, 0, "the frame has ended under what was in flight: {metrics:?}");
}

#[test]
fn a_length_that_does_not_fit_fails_its_own_step_and_not_those_before_it() {
    let mut c = Chain::<()>::new("too long");
    let (len, socket) = (c.param(), c.socket());
    let (head, body) = (c.buffer(LEN), c.buffer(LEN));
    c.call((write(head.all()),), |(), (bytes,)| {
        bytes.fill(b'x');
        Flow::Next
    });
    c.send_all(socket, head.all());
    c.recv_exact(socket, head.all());
    c.recv_exact(socket, body.to(len));
    let program = c.build().expect("the chain is right");
    let runtime = Runtime::new().expect("a ring");
    let (stream, mut peer) = pair();
    peer.write_all(&[b'y'; LEN as usize]).expect("send");
    let error = runtime.block_on(async {
        let spawner = program.start(1).expect("it starts");
        let handle = spawner.spawn((), |frame| {
            frame.socket(socket, stream).set(len, 100);
        });
        let exit = soon("the frame to end", handle.expect("there is room")).await;
        exit.result.expect_err("it does not fit")
    });
    assert!(matches!(error.kind(), ErrorKind::Bounds { len: 100, max: LEN }), "{error}");
    assert_eq!(error.step(), 4);
    let mut answer = Vec::new();
    peer.read_to_end(&mut answer).expect("receive");
    assert_eq!(answer, [b'x'; LEN as usize], "the step before it has happened");
}
