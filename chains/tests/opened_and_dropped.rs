//! Ten thousand connections, opened and dropped at random moments and in every way, leave nothing behind: no
//! descriptor, no frame, no session, no slot.

mod common;

use std::cell::Cell;
use std::io::Write;
use std::net::{SocketAddr, TcpStream as Client};
use std::rc::Rc;
use std::time::Duration;

use chainring_runtime::Runtime;
use common::framed::{LONGEST, exchange, framed, message};
use common::{beside, connect, descriptors, listener, reset, scaled, until, watchdog};

const THREADS: usize = 4;

/// Counts itself, so that a session that is lost or dropped twice is seen.
struct Session(Rc<Cell<i64>>);

impl Session {
    fn new(alive: &Rc<Cell<i64>>) -> Session {
        alive.set(alive.get() + 1);
        Session(alive.clone())
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
    }
}

/// Opens connections and drops them, after having sent none, a part or all of a message or several.
fn storm(address: SocketAddr, connections: usize, seed: u64) {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut open: Vec<Client> = Vec::new();
    for _ in 0..connections {
        let mut client = connect(address);
        let len = if random.u8(..) == 0 { LONGEST as usize } else { random.usize(..300) };
        let message = message(&mut random, len);
        match random.u8(..5) {
            0 => {}
            1 => client.write_all(&message[..random.usize(..message.len())]).expect("send"),
            2 => exchange(&mut client, &message),
            // Answers that nobody will read.
            3 => (0..3).for_each(|_| client.write_all(&message).expect("send")),
            _ => client.write_all(&u32::MAX.to_be_bytes()).expect("send"),
        }
        open.push(client);
        while open.len() > random.usize(..32) {
            let client = open.swap_remove(random.usize(..open.len()));
            if random.bool() { reset(client) } else { drop(client) }
        }
    }
}

#[test]
fn connections_that_are_dropped_at_random_moments_leave_nothing_behind() {
    let _watchdog = watchdog(Duration::from_secs(120));
    let connections = scaled(10_000, 100_000);
    let runtime = Runtime::new().expect("a ring");
    let (listener, address) = listener();
    // What the process opens once, and keeps.
    let before = descriptors();
    let (alive, made, ended) = (Rc::new(Cell::new(0)), Rc::new(Cell::new(0)), Rc::new(Cell::new(0)));
    let server = framed::<Session>()
        .serve(listener, {
            let (alive, made) = (alive.clone(), made.clone());
            move |_| {
                made.set(made.get() + 1);
                Session::new(&alive)
            }
        })
        .on_exit({
            let ended = ended.clone();
            move |_, _| ended.set(ended.get() + 1)
        });
    beside(&runtime, server, || {
        std::thread::scope(|scope| {
            for seed in 0..THREADS {
                scope.spawn(move || storm(address, connections / THREADS, seed as u64));
            }
        });
        // Connections are accepted in order: behind this one there is none.
        exchange(&mut connect(address), &message(&mut fastrand::Rng::with_seed(9), 100));
    });
    until(&runtime, "every session has ended", || made.get() == ended.get());
    assert_eq!((made.get(), alive.get()), (connections + 1, 0), "sessions made, and alive");
    // The listener was closed with its server.
    until(&runtime, "every operation has ended", || runtime.metrics().operations == 0);
    assert_eq!(descriptors(), before - 1, "open descriptors");
    let metrics = runtime.metrics();
    assert_eq!((metrics.strays, metrics.lost), (0, 0), "{metrics:?}");
}
