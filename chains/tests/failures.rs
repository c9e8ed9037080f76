//! Foreign code that fails: panics in calls, sessions, exits and destructors end the frame that they are of, and touch
//! nobody else. And what foreign code may do: spawn, cancel (itself too), drop its own handle.

mod common;

use std::cell::{Cell, RefCell};
use std::io::{Read, Write};
use std::rc::Rc;
use std::sync::Once;
use std::time::Duration;

use chainring_chains::{
    Chain, ChainError, ChainHandle, ErrorKind, Flow, Program, Socket, Spawner, read, write,
};
use chainring_runtime::Runtime;
use common::{beside, connect, listener, pair, run_beside, scaled, soon, until, watchdog};

/// Panics with this in their message are on purpose: they are kept out of the output of the tests.
const ON_PURPOSE: &str = "on purpose";

fn quiet() {
    static QUIET: Once = Once::new();
    QUIET.call_once(|| {
        let usual = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            let payload = info.payload();
            let text = payload.downcast_ref::<&str>().copied();
            let text = text.or_else(|| payload.downcast_ref::<String>().map(String::as_str));
            let known = text.is_some_and(|text| text.contains(ON_PURPOSE)) || payload.is::<Bomb>();
            if !known {
                usual(info);
            }
        }));
    });
}

/// Panics when it is dropped.
struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        panic!("{ON_PURPOSE}: dropped");
    }
}

/// Counts its end.
#[derive(Default)]
struct Ends(Rc<Cell<u32>>);

impl Drop for Ends {
    fn drop(&mut self) {
        self.0.set(self.0.get() + 1);
    }
}

/// Echoes messages of eight bytes, with a call in between that does what the message says.
fn obedient<S: 'static>(
    body: impl Fn(&mut S, &[u8]) -> Flow + Send + Sync + 'static,
) -> (Program<S>, Socket) {
    let mut c = Chain::new("obedient");
    let (sock, data) = (c.accepted(), c.buffer(8));
    c.repeat(|c| {
        c.recv_exact(sock, data.all()).or_finish();
        c.call((read(data.all()),), move |session, (bytes,)| body(session, bytes));
        c.send_all(sock, data.all());
    });
    (c.build().expect("the chain is right"), sock)
}

/// Sends each order on a connection of its own, beside one that goes on exchanging messages; gives how each ended.
fn ends(program: &Program<Ends>, orders: &[&[u8; 8]]) -> Vec<ChainError> {
    let _watchdog = watchdog(Duration::from_secs(60));
    quiet();
    let runtime = Runtime::new().expect("a ring");
    let (listener, address) = listener();
    let (results, sessions) = (Rc::new(RefCell::new(Vec::new())), Rc::new(Cell::new(0)));
    let server = program
        .serve(listener, {
            let sessions = sessions.clone();
            move |_| Ends(sessions.clone())
        })
        .on_exit({
            let results = results.clone();
            move |session, result| {
                drop(session);
                results.borrow_mut().push(result);
            }
        });
    beside(&runtime, server, || {
        let mut neighbour = connect(address);
        let mut exchange = || {
            neighbour.write_all(b"neighbor").expect("send");
            let mut answer = [0; 8];
            neighbour.read_exact(&mut answer).expect("receive");
            assert_eq!(&answer, b"neighbor");
        };
        for order in orders {
            exchange();
            let mut client = connect(address);
            client.write_all(*order).expect("send");
            let answered = client.read(&mut [0; 8]).is_ok_and(|n| n > 0);
            assert!(!answered, "what fails is not answered");
            exchange();
        }
    });
    until(&runtime, "every connection has ended", || results.borrow().len() == orders.len() + 1);
    assert_eq!(sessions.get() as usize, orders.len() + 1, "each session is dropped once");
    let ended = results.take();
    assert_eq!(ended.iter().filter(|result| result.is_ok()).count(), 1, "the neighbour ends well");
    ended.into_iter().filter_map(Result::err).collect()
}

#[test]
fn a_call_that_panics_or_fails_ends_its_own_frame() {
    let (program, _) = obedient(|_: &mut Ends, order| match order {
        b"text    " => panic!("{ON_PURPOSE}"),
        b"string  " => panic!("{ON_PURPOSE} {}", order.len()),
        b"bomb    " => std::panic::panic_any(Bomb),
        b"fail    " => Flow::fail("not today"),
        b"neighbor" => Flow::Next,
        _ => unreachable!(),
    });
    let errors = ends(&program, &[b"text    ", b"string  ", b"bomb    ", b"fail    "]);
    let texts: Vec<_> = errors.iter().map(ToString::to_string).collect();
    assert_eq!(
        texts,
        [
            "chain obedient, step 3 (call): panicked: on purpose",
            "chain obedient, step 3 (call): panicked: on purpose 8",
            "chain obedient, step 3 (call): panicked: (no message)",
            "chain obedient, step 3 (call): not today",
        ]
    );
}

#[test]
fn a_session_that_panics_when_it_is_dropped_fails_nobody_else() {
    quiet();
    #[allow(dead_code, reason = "its drop is what counts")]
    struct Session(Ends, Option<Bomb>);
    let runtime = Runtime::new().expect("a ring");
    let (program, sock) = obedient::<Session>(|_, _| Flow::Next);
    let ended = Rc::new(Cell::new(0));
    let spawner = runtime.block_on(async { program.start(10).expect("it starts") });
    let (near, mut far) = pair();
    runtime.block_on(async {
        for bomb in [Some(Bomb), None, Some(Bomb), None] {
            // Its peer is gone: it ends at once, and nobody waits for it.
            let (gone, _) = pair();
            let spawned = spawner.spawn(Session(Ends(ended.clone()), bomb), |frame| {
                frame.socket(sock, gone);
            });
            drop(spawned.expect("there is room"));
        }
        let spawned = spawner.spawn(Session(Ends(ended.clone()), None), |frame| {
            frame.socket(sock, near);
        });
        drop(spawned.expect("there is room"));
    });
    until(&runtime, "four frames have ended", || spawner.live() == 1 && ended.get() == 4);
    run_beside(&runtime, || {
        far.write_all(b"exchange").expect("send");
        far.read_exact(&mut [0; 8]).expect("receive");
        drop(far);
    });
    until(&runtime, "the last one has ended", || spawner.live() == 0 && ended.get() == 5);
}

#[test]
fn an_exit_or_an_init_that_panics_leaves_no_frame_behind() {
    quiet();
    let runtime = Runtime::new().expect("a ring");
    let (program, sock) = obedient::<Ends>(|_, _| Flow::Next);
    let ended = Rc::new(Cell::new(0));
    let spawner = runtime.block_on(async { program.start(1).expect("it starts") });
    // In the making of a frame: the panic goes to whoever spawns, the session and the socket do not stay.
    runtime.block_on(async {
        let (near, mut far) = pair();
        let init = std::panic::AssertUnwindSafe(|| {
            spawner.spawn(Ends(ended.clone()), |frame| {
                frame.socket(sock, near);
                panic!("{ON_PURPOSE}");
            })
        });
        assert!(std::panic::catch_unwind(init).is_err(), "the panic reaches the caller");
        soon("the socket to be closed", async {
            while far.set_nonblocking(true).is_ok() && !far.read(&mut [0; 1]).is_ok_and(|n| n == 0) {
                chainring_runtime::time::sleep(Duration::from_millis(1)).await;
            }
        })
        .await;
    });
    assert_eq!((spawner.live(), ended.get()), (0, 1));
    // At the end of a connection: the server goes on.
    let (listener, address) = listener();
    let server =
        program.serve(listener, |_| Ends::default()).connections(2).on_exit(|_, _| panic!("{ON_PURPOSE}"));
    beside(&runtime, server, || {
        for _ in 0..20 {
            let mut client = connect(address);
            client.write_all(b"exchange").expect("send");
            client.read_exact(&mut [0; 8]).expect("receive");
        }
    });
}

/// A frame that has its own handle, and can spawn others like itself.
struct Node {
    depth: u32,
    spawner: Spawner<Node>,
    sum: Rc<Cell<u32>>,
    handle: Rc<RefCell<Option<ChainHandle<Node>>>>,
}

#[test]
fn a_call_spawns_frames_of_its_own_program() {
    let mut c = Chain::<Node>::new("tree");
    c.call((), |node: &mut Node, ()| {
        node.sum.set(node.sum.get() + 1);
        for _ in 0..if node.depth > 0 { 2 } else { 0 } {
            let child = Node {
                depth: node.depth - 1,
                spawner: node.spawner.clone(),
                sum: node.sum.clone(),
                handle: Rc::default(),
            };
            drop(node.spawner.clone().spawn(child, |_| ()).expect("there is room"));
        }
        Flow::Next
    });
    let program = c.build().expect("the chain is right");
    let runtime = Runtime::new().expect("a ring");
    let sum = Rc::new(Cell::new(0));
    let spawner = runtime.block_on(async {
        let spawner = program.start(5000).expect("it starts");
        let root = Node { depth: 10, spawner: spawner.clone(), sum: sum.clone(), handle: Rc::default() };
        soon("the root to end", spawner.spawn(root, |_| ()).expect("there is room"))
            .await
            .result
            .expect("it ends well");
        spawner
    });
    until(&runtime, "the tree has ended", || spawner.live() == 0);
    assert_eq!(sum.get(), (1 << 11) - 1, "every node ran once");
}

#[test]
fn a_call_cancels_its_own_frame_or_lets_go_of_its_handle() {
    for lets_go in [false, true] {
        let mut c = Chain::<Node>::new("itself");
        let data = c.buffer(8);
        c.call((write(data.all()),), move |node: &mut Node, (bytes,)| {
            bytes.fill(1);
            let handle = node.handle.take().expect("put there before the first turn");
            if lets_go {
                drop(handle);
            } else {
                handle.cancel();
                handle.cancel();
                node.handle.replace(Some(handle));
            }
            Flow::Next
        });
        c.call((read(data.all()),), |node, (bytes,)| {
            node.sum.set(node.sum.get() + u32::from(bytes[0]));
            Flow::Next
        });
        let program = c.build().expect("the chain is right");
        let runtime = Runtime::new().expect("a ring");
        let (sum, place) = (Rc::new(Cell::new(0)), Rc::new(RefCell::new(None)));
        let spawner = runtime.block_on(async {
            let spawner = program.start(1).expect("it starts");
            let node = Node { depth: 0, spawner: spawner.clone(), sum: sum.clone(), handle: place.clone() };
            place.replace(Some(spawner.spawn(node, |_| ()).expect("there is room")));
            spawner
        });
        until(&runtime, "the frame has ended", || spawner.live() == 0);
        let handle = place.take();
        if lets_go {
            assert!(handle.is_none());
            assert_eq!(sum.get(), 1, "it goes on by itself");
        } else {
            let exit = runtime.block_on(soon("the exit", handle.expect("it was put back")));
            let error = exit.result.expect_err("it was cancelled");
            assert!(matches!(error.kind(), ErrorKind::Cancelled { done: 0 }), "{error}");
            assert_eq!((error.step(), sum.get()), (1, 0), "nothing runs behind the call that cancels");
        }
    }
}

#[test]
fn a_handle_that_is_dropped_lets_its_frame_go_on() {
    let runtime = Runtime::new().expect("a ring");
    let (program, sock) = obedient::<Ends>(|_, _| Flow::Next);
    let ended = Rc::new(Cell::new(0));
    let (near, mut far) = pair();
    let spawner = runtime.block_on(async {
        let spawner = program.start(1).expect("it starts");
        let spawned = spawner.spawn(Ends(ended.clone()), |frame| {
            frame.socket(sock, near);
        });
        drop(spawned.expect("there is room"));
        spawner
    });
    run_beside(&runtime, || {
        for _ in 0..3 {
            far.write_all(b"exchange").expect("send");
            far.read_exact(&mut [0; 8]).expect("receive");
        }
        drop(far);
    });
    until(&runtime, "the frame has ended", || spawner.live() == 0 && ended.get() == 1);
}

#[test]
fn a_handle_whose_frame_has_ended_says_so_and_cancels_nobody() {
    let runtime = Runtime::new().expect("a ring");
    let (program, sock) = obedient::<Ends>(|_, _| Flow::Next);
    let ended = Rc::new(Cell::new(0));
    // A frame's name is used again after 2^20 others; the handle must not count on it.
    let frames = scaled(20_000, (1 << 20) + 10);
    runtime.block_on(async {
        let spawner = program.start(1).expect("it starts");
        let spawn = || {
            let (near, far) = pair();
            let spawned = spawner.spawn(Ends(ended.clone()), |frame| {
                frame.socket(sock, near);
            });
            (spawned.expect("there is room"), far)
        };
        let (mut first, far) = spawn();
        assert!(!first.is_finished());
        drop(far);
        soon("the first frame to end", &mut first).await.result.expect("its stream has ended");
        assert!(first.is_finished());
        for number in 1..frames {
            let spawned = spawner.spawn(Ends(ended.clone()), |_| ()).expect("there is room");
            first.cancel();
            let error = soon("a frame to end", spawned).await.result.expect_err("it has no socket");
            assert!(matches!(error.kind(), ErrorKind::Errno(libc::EBADF)), "frame {number}: {error}");
        }
        assert!(first.is_finished());
    });
    assert_eq!(ended.get() as usize, frames);
}
