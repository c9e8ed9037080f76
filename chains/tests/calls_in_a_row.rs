//! Completions that come together, of frames that call one after the other: what one call does to the others counts.

mod common;

use std::cell::{Cell, RefCell};
use std::io::{Read, Write};
use std::rc::Rc;
use std::time::Duration;

use chainring_chains::{Chain, ChainHandle, ErrorKind, Flow, Program, Socket, read, write};
use chainring_runtime::Runtime;
use common::one::chain;
use common::{pair, soon, watchdog};

const FRAMES: usize = 8;

/// What the frames share.
#[derive(Default)]
struct Shared {
    calls: Cell<usize>,
    handles: RefCell<Vec<ChainHandle<Rc<Shared>>>>,
}

/// Answers each byte with its double; the call with which `cancels` have been made cancels everybody.
fn doubling(cancels: usize) -> (Program<Rc<Shared>>, Socket) {
    chain(move |c: &mut Chain<Rc<Shared>>| {
        let (sock, asked, answer) = (c.socket(), c.buffer(1), c.buffer(1));
        c.repeat(|c| {
            c.recv_exact(sock, asked.all()).or_finish();
            c.call((read(asked.all()), write(answer.all())), move |shared, (asked, answer)| {
                shared.calls.set(shared.calls.get() + 1);
                answer[0] = asked[0] * 2;
                if shared.calls.get() == cancels {
                    shared.handles.borrow().iter().for_each(ChainHandle::cancel);
                }
                Flow::Next
            });
            c.send_all(sock, answer.all());
        });
        sock
    })
}

#[test]
fn every_frame_of_a_batch_is_called_and_goes_on() {
    let _watchdog = watchdog(Duration::from_secs(60));
    let (program, sock) = doubling(0);
    let shared = Rc::<Shared>::default();
    Runtime::new().expect("a ring").block_on(async {
        let spawner = program.start(FRAMES as u32).expect("the program starts");
        let mut clients = Vec::new();
        let mut frames = Vec::new();
        for number in 0..FRAMES {
            let (stream, mut client) = pair();
            client.write_all(&[number as u8, 100 + number as u8]).expect("a peer that listens");
            client.shutdown(std::net::Shutdown::Write).expect("an end");
            let spawned = spawner.spawn(shared.clone(), |frame| {
                frame.socket(sock, stream);
            });
            frames.push(spawned.expect("there is room"));
            clients.push(client);
        }
        for frame in frames {
            soon("a frame to end", frame).await.result.expect("a success");
        }
        for (number, mut client) in clients.into_iter().enumerate() {
            let mut answers = [0; 2];
            client.read_exact(&mut answers).expect("two answers");
            assert_eq!(answers, [2 * number as u8, 200 + 2 * number as u8]);
        }
        assert_eq!(spawner.counters().segments, 2 * FRAMES as u64);
    });
    assert_eq!(shared.calls.get(), 2 * FRAMES);
}

#[test]
fn a_call_cancels_frames_whose_completions_have_come_with_its_own() {
    let _watchdog = watchdog(Duration::from_secs(60));
    let (program, sock) = doubling(3);
    let shared = Rc::<Shared>::default();
    Runtime::new().expect("a ring").block_on(async {
        let spawner = program.start(FRAMES as u32).expect("the program starts");
        let mut clients = Vec::new();
        for number in 0..FRAMES {
            let (stream, mut client) = pair();
            client.write_all(&[number as u8]).expect("a peer that listens");
            let spawned = spawner.spawn(shared.clone(), |frame| {
                frame.socket(sock, stream);
            });
            shared.handles.borrow_mut().push(spawned.expect("there is room"));
            clients.push(client);
        }
        chainring_runtime::time::sleep(Duration::from_millis(20)).await;
        let frames = shared.handles.take();
        for frame in frames {
            let exit = soon("a frame to end", frame).await;
            let error = exit.result.expect_err("it was cancelled");
            assert!(matches!(error.kind(), ErrorKind::Cancelled { .. }), "{error}");
        }
    });
    // Nobody is called any more.
    assert_eq!(shared.calls.get(), 3);
}
