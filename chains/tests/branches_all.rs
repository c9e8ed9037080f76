//! Branches side by side that must all succeed.

mod common;

use std::io::{Read, Write};
use std::net::TcpStream as Client;
use std::time::{Duration, Instant};

use chainring_chains::{Chain, ErrorKind, Exit, Init, Program, Socket, SpanLen};
use chainring_runtime::time::sleep;
use chainring_runtime::{Builder, Capability, Runtime};
use common::one::{Dir, Ended, Notes, alone, chain, lowered, mark, note};
use common::{descriptors, pair, soon, until, watchdog};

/// Connections of one frame: its ends are given to it, the others are the test's.
fn given<const N: usize>(
    sockets: [Socket; N],
    frames: &mut [Option<chainring_net::TcpStream>; N],
) -> impl FnOnce(&mut Init<'_, '_>) {
    let near = frames.each_mut().map(|near| near.take().expect("not given yet"));
    move |frame| {
        for (socket, near) in sockets.into_iter().zip(near) {
            frame.socket(socket, near);
        }
    }
}

fn pairs<const N: usize>() -> ([Option<chainring_net::TcpStream>; N], [Client; N]) {
    let mut far = [const { None }; N];
    let near = std::array::from_fn(|i| {
        let (near, client) = pair();
        far[i] = Some(client);
        Some(near)
    });
    (near, far.map(|client| client.expect("made above")))
}

/// Runs a frame to its end; what `meanwhile` does happens while it runs.
fn run<const N: usize, T>(
    runtime: &Runtime,
    program: &Program<Notes>,
    sockets: [Socket; N],
    meanwhile: impl AsyncFnOnce([Client; N]) -> T,
) -> (Ended<Notes>, T) {
    let _watchdog = watchdog(Duration::from_secs(60));
    let (mut near, far) = pairs();
    runtime.block_on(async {
        let spawner = program.start(1).unwrap_or_else(|error| panic!("{error}"));
        let handle = spawner.spawn(Notes::new(), given(sockets, &mut near)).expect("there is room");
        let done = meanwhile(far).await;
        let Exit { session, result, .. } = soon("the frame to end", handle).await;
        (Ended { session, result, counters: spawner.counters() }, done)
    })
}

/// Receives eight bytes on each of two sockets at the same time, and notes their first ones.
fn two(c: &mut Chain<Notes>) -> [Socket; 2] {
    let sockets = [c.socket(), c.socket()];
    let (data, first) = (c.buffer(16), [c.reg(), c.reg()]);
    c.all(|b| {
        for i in 0..2 {
            b.branch(|c| {
                c.recv_exact(sockets[i], data.range(8 * i as u32..8 * i as u32 + 8));
                c.set(first[i], data.u8(8 * i as u64));
            });
        }
    });
    first.map(|first| note(c, first));
    sockets
}

#[test]
fn both_branches_wait_at_the_same_time_and_the_frame_goes_on_when_both_have_come() {
    let _alone = alone();
    for masked in [false, true] {
        let builder = Builder::new();
        let builder = if masked { builder.mask(Capability::SkipSuccess) } else { builder };
        let runtime = builder.build().expect("a ring");
        for (program, sockets) in lowered(two) {
            // The second one comes first: were the receives in a row it would not be taken.
            let (ended, ()) = run(&runtime, &program, sockets, async |[mut one, mut other]| {
                other.write_all(b"bbbbbbbb").expect("send");
                sleep(Duration::from_millis(20)).await;
                one.write_all(b"aaaaaaaa").expect("send");
                sleep(Duration::from_millis(20)).await;
            });
            assert_eq!((ended.text(), ended.session), (String::new(), vec![97, 98]));
            assert_eq!(ended.counters.segments, 2);
        }
    }
}
