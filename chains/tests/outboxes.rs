//! Outboxes: what calls put in arrives in order, however the peer reads; and nothing of it stays behind.

mod common;

use std::io::{Read, Write};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use chainring_chains::{Chain, ErrorKind, Flow, Program, outbox, stream, value};
use chainring_runtime::Runtime;
use common::*;

/// Answers each line with what its digit says: copies and blobs in turns, `#` of them.
fn answers() -> Program<Rc<[u8]>> {
    let mut c = Chain::new("answers");
    let (sock, lines, reply) = (c.accepted(), c.stream(256), c.outbox());
    c.repeat(|c| {
        c.fill(sock, lines).or_finish();
        c.call((stream(lines), outbox(reply)), |blob: &mut Rc<[u8]>, (mut lines, reply)| {
            while let Some(&digit) = lines.bytes().first() {
                for i in 0..digit - b'0' {
                    reply.copy(&[b'<', b'0' + i]);
                    reply.push(blob.clone());
                    reply.push("|");
                    reply.push(Arc::<[u8]>::from(*b">"));
                }
                lines.consume(1);
            }
            Flow::Next
        });
        c.send_outbox(sock, reply);
    });
    c.build().expect("the chain is right")
}

fn expected(digits: &str, blob: &[u8]) -> Vec<u8> {
    let mut all = Vec::new();
    for digit in digits.bytes() {
        for i in 0..digit - b'0' {
            all.extend_from_slice(&[b'<', b'0' + i]);
            all.extend_from_slice(blob);
            all.extend_from_slice(b"|>");
        }
    }
    all
}

/// What the digits are answered with, and how often the blob is still held afterwards.
fn answered(digits: &'static str, size: usize, slowly: bool) -> (Vec<u8>, usize) {
    let _guard = watchdog(PATIENCE);
    let blob: Rc<[u8]> = (0..size).map(|i| i as u8).collect();
    let program = answers();
    let runtime = Runtime::new().expect("a ring");
    let (listener, address) = listener();
    let want = expected(digits, &blob);
    let len = want.len();
    let client = std::thread::spawn(move || {
        let mut client = connect(address);
        client.write_all(digits.as_bytes()).expect("send");
        client.shutdown(std::net::Shutdown::Write).expect("shutdown");
        let (mut got, mut part) = (Vec::new(), [0; 4096]);
        while got.len() < len {
            let n = client.read(&mut part).expect("receive");
            assert!(n > 0, "the stream ended after {} of {len} bytes", got.len());
            got.extend_from_slice(&part[..n]);
            if slowly {
                std::thread::sleep(Duration::from_micros(200));
            }
        }
        got
    });
    let got = runtime.block_on(async {
        let session = blob.clone();
        let serving = program.serve(listener, move |_| session.clone());
        let (done, ended) = futures::channel::oneshot::channel();
        std::thread::spawn(move || drop(done.send(client.join().expect("the client"))));
        match futures::future::select(std::pin::pin!(std::future::IntoFuture::into_future(serving)), ended)
            .await
        {
            futures::future::Either::Left((end, _)) => panic!("the server ended: {end:?}"),
            futures::future::Either::Right((got, _)) => got.expect("the client"),
        }
    });
    assert_eq!(got.len(), want.len());
    assert!(got == want, "bytes in another order");
    drop(runtime);
    (got, Rc::strong_count(&blob))
}

#[test]
fn copies_and_blobs_arrive_in_order() {
    let (_, held) = answered("123", 5, false);
    assert_eq!(held, 1, "the blob is let go of with the frame");
}

#[test]
fn one_part_and_none_are_sent_as_well() {
    assert_eq!(answered("0010", 0, false).0, b"<0|>");
}

#[test]
fn a_slow_peer_gets_all_of_a_large_reply() {
    let (got, held) = answered("9", 300_000, true);
    assert_eq!((got.len(), held), (9 * 300_004, 1));
}

#[test]
fn more_parts_than_a_message_takes_arrive() {
    answered("99999999999999999999999999999999999999999999", 3, false);
}

#[test]
fn what_waits_is_dropped_with_a_frame_that_fails() {
    let mut c = Chain::<Rc<[u8]>>::new("fails");
    let (sock, code, reply) = (c.socket(), c.param(), c.outbox());
    c.call((outbox(reply), value(code)), |blob: &mut Rc<[u8]>, (reply, _)| {
        reply.push(blob.clone());
        Flow::Next
    });
    c.ensure(code.eq(1), libc::EPROTO);
    c.send_outbox(sock, reply);
    let program = c.build().expect("the chain is right");
    let blob = Rc::<[u8]>::from(*b"kept");
    let runtime = Runtime::new().expect("a ring");
    let (near, mut far) = pair();
    runtime.block_on(async {
        let spawner = program.start(1).expect("it starts");
        let handle = spawner
            .spawn(blob.clone(), |frame| {
                frame.socket(sock, near);
            })
            .expect("room");
        let exit = handle.await;
        assert!(matches!(exit.result.expect_err("it fails").kind(), ErrorKind::Ensure(libc::EPROTO)));
        assert_eq!(Rc::strong_count(&exit.session), 2, "the outbox let go of it");
    });
    drop(runtime);
    let mut rest = Vec::new();
    far.read_to_end(&mut rest).expect("receive");
    assert!(rest.is_empty());
}
