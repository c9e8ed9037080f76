//! Linked segments reach the kernel whole, however small the ring is: every chain does what it says, and none is
//! left dangling, which would show as a worker thread of io_uring (`iou-wrk-*`) in this process.

mod common;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream as Client};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use chainring_chains::{Chain, Lowering, Program};
use chainring_runtime::{Builder, Runtime};
use common::{beside, connect, listener, watchdog, workers};

/// Bytes of a request.
const LEN: u32 = 720;

/// One test at a time: threads are looked for in the whole process.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

/// An echo that receives in parts and sends in parts, so that a turn is one sequence of `members` transfers.
fn parts(members: u32) -> Program<()> {
    lowered(members, Lowering::Chosen)
}

fn lowered(members: u32, lowering: Lowering) -> Program<()> {
    let mut c = Chain::new("parts");
    c.lowering(lowering);
    let (sock, data) = (c.accepted(), c.buffer(LEN));
    let part = |i: u32, of: u32| data.range(i * LEN / of..(i + 1) * LEN / of);
    let receives = members / 2;
    let sends = members - receives;
    c.repeat(|c| {
        for i in 0..receives {
            let step = c.recv_exact(sock, part(i, receives));
            if i == 0 {
                step.or_finish();
            }
        }
        for i in 0..sends {
            c.send_all(sock, part(i, sends));
        }
    });
    c.build().expect("the chain is right")
}

/// Talks over `connections` at once, a request on each and then an answer from each.
fn talk(address: SocketAddr, connections: usize, rounds: usize, seed: u64) {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut clients: Vec<Client> = (0..connections).map(|_| connect(address)).collect();
    for _ in 0..rounds {
        let mut requests = Vec::new();
        for client in &mut clients {
            let request: Vec<u8> = std::iter::repeat_with(|| random.u8(..)).take(LEN as usize).collect();
            client.write_all(&request).expect("send");
            requests.push(request);
        }
        for (client, request) in clients.iter_mut().zip(requests) {
            let mut answer = vec![0; LEN as usize];
            client.read_exact(&mut answer).expect("receive");
            assert!(answer == request, "the answer is not the request");
        }
    }
}

/// Looks for worker threads again and again while `body` runs.
fn without_workers(body: impl FnOnce()) {
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let watch = scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                let workers = workers();
                assert!(workers.is_empty(), "a link dangles: {workers:?}");
                std::thread::sleep(Duration::from_millis(2));
            }
        });
        body();
        done.store(true, Ordering::Relaxed);
        watch.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    });
}

fn serve(ring: u32, program: &Program<()>, connections: usize, rounds: usize) -> Runtime {
    let runtime = Builder::new().submission_entries(ring).build().expect("a ring");
    let (listener, address) = listener();
    without_workers(|| {
        beside(&runtime, program.serve(listener, |_| ()), || {
            talk(address, connections, rounds, u64::from(ring));
        });
    });
    let metrics = runtime.metrics();
    assert_eq!((metrics.strays, metrics.lost), (0, 0), "{metrics:?}");
    runtime
}

/// How a program is lowered for a ring of this size.
fn explained(ring: u32, program: &Program<()>) -> String {
    let runtime = Builder::new().submission_entries(ring).build().expect("a ring");
    runtime.block_on(async { program.start(1).expect("it starts").explain().to_string() })
}

#[test]
fn chains_of_two_to_eight_arrive_whole_through_a_ring_of_eight() {
    let (_alone, _watchdog) = (alone(), watchdog(Duration::from_secs(120)));
    for members in 2..=8 {
        let text = explained(8, &parts(members));
        let whole = format!("linked, {members} SQEs submitted at once");
        assert!(text.contains(&whole) && !text.contains("cut at"), "{text}");
        let metrics = serve(8, &parts(members), 200, 12).metrics();
        assert!(metrics.flushes > 0, "the queue was never full: {metrics:?}");
    }
}

#[test]
fn nine_are_cut_at_eight_and_the_explanation_says_so() {
    let (_alone, _watchdog) = (alone(), watchdog(Duration::from_secs(60)));
    for ring in [8, 512] {
        let text = explained(ring, &parts(9));
        assert!(text.contains("linked, 8 SQEs submitted at once"), "{text}");
        assert!(text.contains("ends because cut at 8 members"), "{text}");
        serve(ring, &parts(9), 50, 8);
    }
}

#[test]
fn smaller_rings_cut_earlier_and_serve_all_the_same() {
    let (_alone, _watchdog) = (alone(), watchdog(Duration::from_secs(120)));
    for ring in [1, 2, 4] {
        let text = explained(ring, &parts(6));
        assert!(text.contains(&format!("ends because cut at {ring} members")), "{text}");
        for members in [2, 3, 6] {
            serve(ring, &parts(members), 40, 8);
        }
    }
}

#[test]
fn single_lowering_does_the_same_one_by_one() {
    let (_alone, _watchdog) = (alone(), watchdog(Duration::from_secs(60)));
    let program = lowered(6, Lowering::Single);
    let text = explained(8, &program);
    assert!(!text.contains("linked"), "{text}");
    assert!(text.contains("ends because single lowering was asked for"), "{text}");
    serve(8, &program, 40, 8);
}
