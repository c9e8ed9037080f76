//! When a buffer is given back, and how many are held.

use std::io::{Read, Write};
use std::time::Duration;

use chainring_chains::Chain;
use chainring_runtime::{Builder, Capability};

use crate::common::one::{Dir, Notes, chain, note, run};
use crate::common::{pair, soon};

#[test]
fn the_last_reader_reports_though_the_segment_goes_on_into_a_wait() {
    let (program, sock) = chain(|c: &mut Chain<Notes>| {
        let (sock, data, n) = (c.socket(), c.pooled(100), c.reg());
        c.repeat(|c| {
            c.recv(sock, data.all()).into(n).or_finish();
            c.send_all(sock, data.to(n));
        });
        sock
    });
    let text = program.explain().to_string();
    assert!(text.contains("and, only while it uses them, p0 of 100 bytes"), "{text}");
    assert!(text.contains("linked, 2 SQEs submitted at once, 2 completions"), "{text}");
    let line = |name: &str| text.lines().rev().find(|line| line.trim().starts_with(name)).expect("a line");
    assert!(line("send_all").ends_with("link waitall gives back p0"), "{text}");
    assert!(line("recv").ends_with("select or_finish"), "{text}");
    assert!(text.contains("how much a recv brings"), "{text}");

    // And the ring counts as many.
    let runtime = Builder::new().build().expect("a ring");
    let (near, mut far) = pair();
    runtime.block_on(async {
        let spawner = program.start(1).expect("it starts");
        let handle = spawner.spawn(Notes::new(), |frame| {
            frame.socket(sock, near);
        });
        let handle = handle.expect("there is room");
        for _ in 0..10 {
            far.write_all(b"hello").expect("send");
            while spawner.counters().segments == 0 {
                chainring_runtime::time::sleep(Duration::from_millis(1)).await;
            }
            let mut answer = [0; 5];
            far.set_nonblocking(true).expect("nonblocking");
            while far.read_exact(&mut answer).is_err() {
                chainring_runtime::time::sleep(Duration::from_millis(1)).await;
            }
            assert_eq!(&answer, b"hello");
        }
        drop(far);
        assert_eq!(soon("the frame to end", handle).await.result.map_err(|error| error.to_string()), Ok(()));
        let metrics = runtime.metrics();
        assert_eq!((metrics.strays, metrics.lost), (0, 0), "{metrics:?}");
    });
}

#[test]
fn without_silent_members_everything_is_the_same() {
    let (program, sock) = chain(|c: &mut Chain<Notes>| {
        let (sock, head, body, n) = (c.socket(), c.buffer(4), c.pooled(100), c.reg());
        c.repeat(|c| {
            c.recv_exact(sock, head.all()).or_finish();
            c.set(n, head.be32(0));
            c.recv_exact(sock, body.to(n));
            c.send_all(sock, [body.to(n), body.range(..1)]);
            c.send_all(sock, head.all());
        });
        sock
    });
    let runtime = Builder::new().mask(Capability::SkipSuccess).build().expect("a ring");
    let (near, mut far) = pair();
    let peer = std::thread::spawn(move || {
        for _ in 0..50 {
            far.write_all(b"\0\0\0\x05hello").expect("send");
            let mut answer = [0; 10];
            far.read_exact(&mut answer).expect("receive");
            assert_eq!(&answer, b"helloh\0\0\0\x05");
        }
    });
    runtime.block_on(async {
        let spawner = program.start(1).expect("it starts");
        let handle = spawner.spawn(Notes::new(), |frame| {
            frame.socket(sock, near);
        });
        let exit = soon("the frame to end", handle.expect("there is room")).await;
        assert_eq!(exit.result.map_err(|error| error.to_string()), Ok(()));
        let metrics = runtime.metrics();
        assert_eq!((metrics.strays, metrics.lost), (0, 0), "{metrics:?}");
    });
    peer.join().expect("the peer is content");
}

#[test]
fn a_buffer_that_no_path_looks_at_is_given_back_where_the_paths_part() {
    let (program, _) = chain(|c: &mut Chain<Notes>| {
        let (sock, data, n) = (c.socket(), c.pooled(8), c.reg());
        c.recv(sock, data.all()).into(n);
        c.when(n.eq(1), |c| c.sleep(1)).otherwise(|c| {
            c.send_all(sock, data.to(n));
        });
        c.recv(sock, data.all());
    });
    let text = program.explain().to_string();
    assert!(text.contains("{ gives back p0; sleep 1ns #3 } otherwise { segment 2 }; segment 1"), "{text}");
    // What nobody looks at is given back at once.
    let last = text.lines().rev().find(|line| line.trim().starts_with("recv")).expect("a line");
    assert!(last.ends_with("select gives back p0"), "{text}");
}

#[test]
fn sixty_four_of_them_are_held_at_once() {
    let dir = Dir::new();
    let (program, file) = chain(|c: &mut Chain<Notes>| {
        let (file, sum) = (c.file(), c.reg());
        let pooled: Vec<_> = (1..=64).map(|i| c.pooled(i)).collect();
        for buf in &pooled {
            c.read_exact_at(file, buf.all(), 0);
        }
        c.set(sum, 0);
        for buf in &pooled {
            c.set(sum, sum + buf.u8(0));
        }
        note(c, sum);
        file
    });
    let open = dir.file("given", &[3; 64]);
    let ended = run(&program, Notes::new(), |frame| {
        frame.file(file, open);
    });
    assert_eq!((ended.text(), &ended.session[..]), (String::new(), &[192][..]));
}
