//! Bytes that pass a frame by, through a pipe.

mod common;

use std::io::{Read, Seek, Write};
use std::net::Shutdown;
use std::time::Duration;

use chainring_chains::{Chain, ErrorKind, Pipe, Socket};
use chainring_runtime::Runtime;
use common::one::{Dir, Notes, alone, lowered, note, run};
use common::{descriptors, pair, run_beside, soon, workers};

/// Copies one socket to the other.
fn proxy(c: &mut Chain<Notes>) -> (Socket, Socket, Pipe) {
    let (from, to, pipe, n) = (c.socket(), c.socket(), c.pipe(), c.reg());
    c.repeat(|c| {
        c.splice(from, to, pipe, 1 << 16).into(n).or_finish();
        note(c, n);
    });
    (from, to, pipe)
}

#[test]
fn whatever_comes_goes_on_to_its_end() {
    let _alone = alone();
    // What the process opens once, and keeps.
    drop(Runtime::new().expect("a ring"));
    let before = descriptors();
    for (program, (from, to, _)) in lowered(proxy) {
        let ((near, mut far), (other, mut sink)) = (pair(), pair());
        let text: Vec<u8> = (0..300_000_u32).map(|i| (i % 251) as u8).collect();
        let sent = text.clone();
        let source = std::thread::spawn(move || {
            far.write_all(&sent[..10]).expect("send");
            std::thread::sleep(Duration::from_millis(20));
            far.write_all(&sent[10..]).expect("send");
            far.shutdown(Shutdown::Write).expect("shutdown");
            far
        });
        let received = std::thread::spawn(move || {
            let mut all = Vec::new();
            sink.read_to_end(&mut all).expect("receive");
            all
        });
        let ended = run(&program, Notes::new(), |frame| {
            frame.socket(from, near).socket(to, other);
        });
        assert_eq!(ended.text(), "", "{}", program.explain());
        assert_eq!(ended.session.iter().sum::<u64>(), 300_000);
        assert!(received.join().expect("the sink") == text, "{}", program.explain());
        drop(source.join().expect("the source"));
    }
    assert_eq!(descriptors(), before, "a pipe is still open");
}

#[test]
fn nobody_works_for_a_splice_that_waits() {
    let _alone = alone();
    let [(program, (from, to, _)), _] = lowered(proxy);
    let runtime = Runtime::new().expect("a ring");
    let pairs: Vec<_> = (0..20).map(|_| (pair(), pair())).collect();
    let before = workers().len();
    let (spawner, handles) = runtime.block_on(async {
        let spawner = program.start(20).expect("it starts");
        let (mut handles, mut peers) = (Vec::new(), Vec::new());
        for ((near, far), (other, sink)) in pairs {
            let handle = spawner.spawn(Notes::new(), |frame| {
                frame.socket(from, near).socket(to, other);
            });
            handles.push(handle.expect("there is room"));
            peers.push((far, sink));
        }
        chainring_runtime::time::sleep(Duration::from_millis(50)).await;
        (spawner, (handles, peers))
    });
    assert!(workers().len() <= before, "a splice that has nothing to move occupies a thread");
    let (handles, _peers) = handles;
    handles.iter().for_each(|handle| handle.cancel());
    for handle in handles {
        let exit = runtime.block_on(async { soon("the frame to end", handle).await });
        assert!(matches!(exit.result.expect_err("cancelled").kind(), ErrorKind::Cancelled { .. }));
    }
    drop(spawner);
}

#[test]
fn a_frame_is_cancelled_while_it_splices_into_a_peer_that_does_not_read() {
    let _alone = alone();
    // What the process opens once, and keeps.
    drop(Runtime::new().expect("a ring"));
    let before = descriptors();
    let [(program, (from, to, _)), _] = lowered(proxy);
    let ((near, mut far), (other, sink)) = (pair(), pair());
    let runtime = Runtime::new().expect("a ring");
    let handle = runtime.block_on(async {
        let spawner = program.start(1).expect("it starts");
        let handle = spawner.spawn(Notes::new(), |frame| {
            frame.socket(from, near).socket(to, other);
        });
        handle.expect("there is room")
    });
    run_beside(&runtime, || {
        far.set_write_timeout(Some(Duration::from_millis(300))).expect("timeout");
        let chunk = vec![7; 1 << 16];
        while far.write_all(&chunk).is_ok() {}
    });
    handle.cancel();
    let exit = runtime.block_on(async { soon("the frame to end", handle).await });
    assert!(matches!(exit.result.expect_err("cancelled").kind(), ErrorKind::Cancelled { .. }));
    drop((runtime, far, sink, exit.sockets));
    assert_eq!(descriptors(), before, "a pipe is still open");
}

#[test]
fn files_are_spliced_from_where_they_are() {
    let _alone = alone();
    let dir = Dir::new();
    for (program, (from, to)) in lowered(|c| {
        let (from, to, pipe, n) = (c.file(), c.file(), c.pipe(), c.reg());
        c.repeat(|c| {
            c.splice(from, to, pipe, 1000).into(n).or_finish();
            note(c, n);
        });
        (from, to)
    }) {
        let text: Vec<u8> = (0..2500_u32).map(|i| i as u8).collect();
        let mut source = dir.file("from", &text);
        source.seek(std::io::SeekFrom::Start(100)).expect("seek");
        let target = dir.file("to", b"");
        let ended = run(&program, Notes::new(), |frame| {
            frame.file(from, source).file(to, target);
        });
        assert_eq!((ended.text(), &ended.session[..]), (String::new(), &[1000, 1000, 400][..]));
        assert!(std::fs::read(dir.join("to")).expect("the file") == text[100..]);
    }
}

#[test]
fn what_was_left_in_the_pipe_when_a_step_failed_is_lost() {
    let _alone = alone();
    for (program, (from, first, second)) in lowered(|c| {
        let (from, first, second, pipe) = (c.socket(), c.socket(), c.socket(), c.pipe());
        let (n, errno) = (c.reg(), c.reg());
        c.set(n, 5);
        c.attempt(|c| {
            c.splice(from, first, pipe, n);
        })
        .on_error(errno, |c| note(c, errno));
        c.splice(from, second, pipe, n);
        (from, first, second)
    }) {
        let ((near, mut far), (closed, peer), (open, mut sink)) = (pair(), pair(), pair());
        let closed = closed.into_std().expect("a socket");
        closed.shutdown(Shutdown::Write).expect("shutdown");
        far.write_all(b"first others").expect("send");
        let ended = run(&program, Notes::new(), |frame| {
            let closed = chainring_net::TcpStream::from_std(closed);
            frame.socket(from, near).socket(first, closed).socket(second, open);
        });
        assert_eq!((ended.text(), &ended.session[..]), (String::new(), &[libc::EPIPE as u64][..]));
        let mut received = Vec::new();
        sink.read_to_end(&mut received).expect("receive");
        assert_eq!(received, b" othe", "{}", program.explain());
        drop((peer, far));
    }
}

#[test]
fn splices_of_nothing_and_of_foreign_pipes_are_refused() {
    let mut other = Chain::<()>::new("other");
    let (pipe, n) = (other.pipe(), other.reg());
    let mut c = Chain::<()>::new("test");
    let (from, to) = (c.socket(), c.socket());
    c.splice(from, to, pipe, 10);
    let error = c.build().expect_err("refused").to_string();
    assert_eq!(error, "chain test, step 1 (splice): a handle was made by another builder");

    let mut c = Chain::<()>::new("test");
    let (from, to, pipe) = (c.socket(), c.socket(), c.pipe());
    c.splice(from, to, pipe, 0);
    let error = c.build().expect_err("refused").to_string();
    assert_eq!(error, "chain test, step 1 (splice): it can never transfer a byte: the span is empty");

    let mut c = Chain::<()>::new("test");
    let (from, to, pipe) = (c.socket(), c.socket(), c.pipe());
    c.splice(from, to, pipe, n);
    let error = c.build().expect_err("refused").to_string();
    assert_eq!(error, "chain test, step 1 (splice): a handle was made by another builder");
}

#[test]
fn a_splice_into_a_half_that_was_shut_down_is_refused() {
    let mut c = Chain::<()>::new("test");
    let (from, to, pipe) = (c.socket(), c.socket(), c.pipe());
    c.shutdown(to);
    c.splice(from, to, pipe, 10);
    let error = c.build().expect_err("refused").to_string();
    assert_eq!(
        error,
        "chain test, step 2 (splice): the sending half of socket s1 was shut down on every path to it"
    );
}
