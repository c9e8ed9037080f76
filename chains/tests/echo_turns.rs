//! Once a connection runs, a turn of its chain polls no task, wakes no waker and allocates nothing: shown with the
//! core's counters and with an allocator that counts what the core's thread asks for.

mod common;
#[path = "common/counting.rs"]
mod counting;

use std::io::{Read, Write};
use std::net::TcpStream as Client;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;
use std::time::Duration;

use chainring_chains::{Chain, Program};
use chainring_runtime::{Metrics, Runtime};
use common::{beside, connect, listener};
use counting::{ALLOCATIONS, COUNTING};
use futures::channel::oneshot;

const CONNECTIONS: usize = 16;

fn echo() -> Program<()> {
    let mut c = Chain::new("echo");
    let (sock, len, data) = (c.accepted(), c.reg(), c.buffer(4096));
    c.repeat(|c| {
        c.recv(sock, data.all()).into(len).or_finish();
        c.send_all(sock, data.to(len));
    });
    c.build().expect("the chain is right")
}

/// With the length in front: turns that compute between their two submissions.
fn framed() -> Program<()> {
    let mut c = Chain::new("framed");
    let (sock, len) = (c.accepted(), c.reg());
    let (head, body) = (c.buffer(4), c.buffer(4096));
    c.repeat(|c| {
        c.recv_exact(sock, head.all()).or_finish();
        c.set(len, head.be32(0));
        c.ensure(len.le(body.capacity()), libc::EMSGSIZE);
        c.recv_exact(sock, body.to(len));
        c.send_all(sock, [head.all(), body.to(len)]);
    });
    c.build().expect("the chain is right")
}

/// Every turn has its time, and so has every message in it.
fn bounded() -> Program<()> {
    let mut c = Chain::new("bounded");
    let (sock, data) = (c.accepted(), c.buffer(64));
    c.repeat(|c| {
        c.within(Duration::from_secs(60), |c| {
            c.within(Duration::from_secs(30), |c| {
                c.recv_exact(sock, data.all()).or_finish();
            });
            c.send_all(sock, data.all());
        });
    });
    c.build().expect("the chain is right")
}

fn talk(clients: &mut [Client], requests: usize) {
    let mut message = [b'.'; 64];
    message[..4].copy_from_slice(&60u32.to_be_bytes());
    for i in 0..requests {
        let client = &mut clients[i % CONNECTIONS];
        message[60..].copy_from_slice(&(i as u32).to_be_bytes());
        client.write_all(&message).expect("send");
        let mut answer = [0; 64];
        client.read_exact(&mut answer).expect("receive");
        assert_eq!(answer, message);
    }
}

/// What `requests` requests cost the core beyond the I/O itself: metrics before and after, and allocations.
fn measure(runtime: &Runtime, clients: &mut [Client], requests: usize) -> (Metrics, Metrics, u64) {
    let (done, ended) = oneshot::channel::<()>();
    std::thread::scope(|scope| {
        scope.spawn(move || {
            let _done = done;
            talk(clients, requests);
        });
        let before = runtime.metrics();
        let allocations = runtime.block_on(async {
            let mut ended = pin!(ended);
            // Counts from its first poll to its last: exactly while requests come.
            std::future::poll_fn(|cx| {
                COUNTING.set(true);
                let polled = ended.as_mut().poll(cx);
                if polled.is_ready() { Poll::Ready(()) } else { Poll::Pending }
            })
            .await;
            COUNTING.set(false);
            ALLOCATIONS.replace(0)
        });
        (before, runtime.metrics(), allocations)
    })
}

/// A turn of the program makes `each` submissions.
fn turns_cost_nothing_but_io(program: Program<()>, each: u64) {
    let runtime = Runtime::new().expect("a ring");
    let (listener, address) = listener();
    let mut clients = beside(&runtime, program.serve(listener, |_| ()), || {
        let mut clients: Vec<_> = (0..CONNECTIONS).map(|_| connect(address)).collect();
        talk(&mut clients, 200);
        clients
    });
    // The server no longer accepts; its connections go on.
    let polls = [500, 5000].map(|requests| {
        let (before, after, allocations) = measure(&runtime, &mut clients, requests);
        let submitted = after.submitted - before.submitted;
        // And a few of the core's own.
        assert!(
            (0..100).contains(&(submitted as i64 - (each * requests as u64) as i64)),
            "{submitted} submissions"
        );
        assert_eq!(after.wakes - before.wakes, 0, "wakes by completions, {requests} requests");
        assert_eq!(allocations, 0, "allocations on the core's thread, {requests} requests");
        after.polls - before.polls
    });
    // Those of `block_on` itself, at its start and at its end.
    assert_eq!(polls[0], polls[1], "polls do not grow with the requests");
    assert!(polls[0] <= 4, "polls of tasks: {polls:?}");
}

#[test]
fn echo_turns_poll_no_task_and_allocate_nothing() {
    turns_cost_nothing_but_io(echo(), 2);
}

#[test]
fn turns_with_deadlines_poll_no_task_and_allocate_nothing() {
    turns_cost_nothing_but_io(bounded(), 2);
}

#[test]
fn framed_turns_poll_no_task_and_allocate_nothing() {
    turns_cost_nothing_but_io(framed(), 3);
}

#[test]
fn the_allocator_counts_this_thread_and_no_other() {
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            drop(std::hint::black_box(vec![0u8; 1000]));
            done.store(true, Ordering::Release);
        });
        COUNTING.set(true);
        drop(std::hint::black_box(Box::new(1u64)));
        while !done.load(Ordering::Acquire) {
            std::hint::spin_loop();
        }
        COUNTING.set(false);
    });
    assert_eq!(ALLOCATIONS.replace(0), 1, "the box, and nothing of the other thread");
}
