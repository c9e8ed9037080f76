//! Listening sockets that a frame owns: connections that it accepts itself.

mod common;

use std::io::{Read, Write};
use std::time::Duration;

use chainring_chains::{Chain, ErrorKind, Program, Socket};
use chainring_runtime::Runtime;
use common::one::{Notes, alone, lowered, run};
use common::{connect, descriptors, listener, run_beside, soon};

/// Accepts one connection after the other and answers each with what it says, in as many bytes.
fn answers(c: &mut Chain<Notes>) -> (Socket, Socket) {
    let (listening, conn, data) = (c.socket(), c.socket(), c.buffer(5));
    c.repeat(|c| {
        c.accept(listening, conn);
        c.recv_exact(conn, data.all());
        c.send_all(conn, data.all());
    });
    (listening, conn)
}

#[test]
fn a_frame_accepts_one_connection_after_the_other() {
    let _alone = alone();
    // What the process opens once, and keeps.
    drop(Runtime::new().expect("a ring"));
    let before = descriptors();
    for (program, (listening, _)) in lowered(answers) {
        let runtime = Runtime::new().expect("a ring");
        let (listener, address) = runtime.block_on(async { listener() });
        let handle = runtime.block_on(async {
            let spawner = program.start(1).expect("it starts");
            let handle = spawner.spawn(Notes::new(), |frame| {
                frame.listener(listening, listener);
            });
            handle.expect("there is room")
        });
        run_beside(&runtime, || {
            for i in 0..20_u8 {
                let (mut client, mut answer) = (connect(address), [0; 5]);
                client.write_all(&[i; 5]).expect("send");
                client.read_exact(&mut answer).expect("an answer");
                assert_eq!(answer, [i; 5]);
            }
        });
        handle.cancel();
        let exit = runtime.block_on(async { soon("the frame to end", handle).await });
        let error = exit.result.expect_err("it never ends by itself");
        assert!(matches!(error.kind(), ErrorKind::Cancelled { .. }), "{error}");
    }
    assert_eq!(descriptors(), before, "a connection is still open");
}

#[test]
fn what_is_no_listener_accepts_nothing() {
    let _alone = alone();
    for (program, (listening, _)) in lowered(answers) {
        let (near, _far) = common::pair();
        let ended = run(&program, Notes::new(), |frame| {
            frame.socket(listening, near);
        });
        assert!(
            ended.text().starts_with("chain test, step 2 (accept): Invalid argument"),
            "{}",
            ended.text()
        );
        let ended = run(&program, Notes::new(), |_| {});
        assert!(
            ended.text().starts_with("chain test, step 2 (accept): Bad file descriptor"),
            "{}",
            ended.text()
        );
    }
}

#[test]
fn a_connection_that_comes_as_the_frame_is_cancelled_is_closed() {
    let _alone = alone();
    // What the process opens once, and keeps.
    drop(Runtime::new().expect("a ring"));
    let before = descriptors();
    let [(program, (listening, _)), _] = lowered(answers);
    for delay in 0..50_u64 {
        let runtime = Runtime::new().expect("a ring");
        let (listener, address) = runtime.block_on(async { listener() });
        let clients = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_micros(100 * delay));
            let client = std::net::TcpStream::connect(address);
            drop(client);
        });
        runtime.block_on(async {
            let spawner = program.start(1).expect("it starts");
            let handle = spawner.spawn(Notes::new(), |frame| {
                frame.listener(listening, listener);
            });
            let handle = handle.expect("there is room");
            chainring_runtime::time::sleep(Duration::from_millis(2)).await;
            handle.cancel();
            soon("the frame to end", handle).await
        });
        drop(runtime);
        clients.join().expect("the client");
    }
    assert_eq!(descriptors(), before, "a connection is still open");
}

#[test]
fn an_accept_after_the_close_of_its_listener_is_refused() {
    let mut c = Chain::<()>::new("test");
    let (listening, conn) = (c.socket(), c.socket());
    c.close(listening);
    c.accept(listening, conn);
    let built: Result<Program<()>, _> = c.build();
    let error = built.expect_err("it can never work").to_string();
    assert_eq!(error, "chain test, step 2 (accept): descriptor 0 is closed on every path to it");
}
