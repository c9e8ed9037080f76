//! Programs that come and go on a core, and what they leave behind.

mod common;

use std::time::Duration;

use chainring_chains::{Chain, ErrorKind};
use chainring_runtime::{Runtime, spawn, yield_now};
use common::{beside, connect, listener, pair, soon, watchdog};
use std::io::Write;

#[test]
fn a_program_starts_where_another_was_just_cancelled() {
    let _watchdog = watchdog(Duration::from_secs(60));
    let mut c = Chain::<()>::new("five");
    let (socket, bytes) = (c.accepted(), c.buffer(5));
    c.recv_exact(socket, bytes.all());
    let program = c.build().unwrap();
    // A task, because it goes on in the very turn after the cancellation.
    let task = async move {
        let ((idle, _peer), (stream, mut peer)) = (pair(), pair());
        let first = program.start(1).unwrap();
        let handle = first
            .spawn((), |init| {
                init.socket(socket, idle);
            })
            .unwrap();
        for _ in 0..3 {
            yield_now().await;
        }
        handle.cancel();
        let exit = soon("the first", handle).await;
        assert!(matches!(exit.result.unwrap_err().kind(), ErrorKind::Cancelled { .. }));
        drop(first);

        let second = program.start(1).unwrap();
        let handle = second
            .spawn((), |init| {
                init.socket(socket, stream);
            })
            .unwrap();
        for _ in 0..10 {
            yield_now().await;
        }
        peer.write_all(b"hello").unwrap();
        soon("the second", handle).await.result.unwrap();
    };
    Runtime::new().unwrap().block_on(async { spawn(task).await }).unwrap();
}

#[test]
fn what_on_exit_has_captured_panics_when_the_last_connection_of_a_dropped_server_ends() {
    struct Panics;
    impl Drop for Panics {
        fn drop(&mut self) {
            panic!("a destructor panics");
        }
    }
    let _watchdog = watchdog(Duration::from_secs(60));
    let mut c = Chain::<()>::new("one");
    let (socket, bytes) = (c.accepted(), c.buffer(1));
    c.repeat(|c| {
        c.recv_exact(socket, bytes.all()).or_finish();
    });
    let program = c.build().unwrap();
    let runtime = Runtime::new().unwrap();
    let (listener, address) = listener();
    let panics = Panics;
    let server = program.serve(listener, |_| ()).on_exit(move |(), _| {
        let _captured = &panics;
    });
    let client = beside(&runtime, server, || {
        let mut client = connect(address);
        client.write_all(b"x").unwrap();
        std::thread::sleep(Duration::from_millis(100));
        client
    });
    // The server is gone, its connection is not.
    drop(client);
    runtime.block_on(async {
        for _ in 0..50 {
            chainring_runtime::time::sleep(Duration::from_millis(1)).await;
        }
    });
}
