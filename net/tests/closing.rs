//! The ends of connections: lingering ones, and halves that are dropped.

mod common;

use std::io::{self, Read};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use chainring_net::{TcpListener, TcpStream};
use chainring_runtime::time::{sleep, timeout};
use chainring_runtime::{Runtime, spawn, yield_now};
use common::{alone, any_port, run, settle, tcp_pair};
use futures::StreamExt;
use socket2::SockRef;

const LINGER: Duration = Duration::from_secs(3);

/// Sends until the peer, which reads nothing, has no room for more.
async fn fill(stream: &TcpStream) {
    while timeout(Duration::from_millis(50), stream.write_all(vec![0; 1 << 20])).await.is_ok() {}
    settle().await;
}

/// How long the core was away at most while `stream` was closed.
async fn close(stream: TcpStream) -> Duration {
    drop(stream);
    let mut longest = Duration::ZERO;
    for _ in 0..20 {
        let begin = Instant::now();
        sleep(Duration::from_millis(1)).await;
        longest = longest.max(begin.elapsed());
    }
    longest
}

#[test]
fn closing_a_stream_that_lingers_does_not_stop_the_core() {
    run(async || {
        let (stream, silent) = tcp_pair().await;
        stream.set_linger(Some(LINGER)).unwrap();
        fill(&stream).await;
        let away = close(stream).await;
        assert!(away < LINGER / 2, "the core was away for {away:?}");
        // It does not linger any more, and is closed.
        drop(silent);
        settle().await;
    });
}

#[test]
fn accepted_streams_linger_as_their_listener_does() {
    run(async || {
        let listener = TcpListener::bind(any_port()).unwrap();
        listener.set_linger(Some(LINGER)).unwrap();
        for one_by_one in [true, false] {
            let silent = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
            let stream = match one_by_one {
                true => listener.accept().await.unwrap(),
                false => listener.incoming().next().await.unwrap().unwrap(),
            };
            assert_eq!(stream.linger().unwrap(), Some(LINGER));
            fill(&stream).await;
            let away = close(stream).await;
            assert!(away < LINGER / 2, "the core was away for {away:?}");
            drop(silent);
        }
    });
}

#[test]
fn a_stream_that_no_longer_lingers_is_closed_as_others_are() {
    run(async || {
        let (stream, _silent) = tcp_pair().await;
        for (linger, waits) in [(Some(LINGER), true), (None, false), (Some(Duration::ZERO), false)] {
            stream.set_linger(linger).unwrap();
            assert_eq!(stream.descriptor().closes_in_background(), waits, "{linger:?}");
        }
    });
}

/// What a blocking read comes to, for a second at most.
fn read(stream: &std::net::TcpStream) -> io::Result<usize> {
    stream.set_read_timeout(Some(Duration::from_secs(1))).unwrap();
    loop {
        match (&mut &*stream).read(&mut [0; 8]) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}

#[test]
fn a_writing_half_that_goes_with_its_runtime_still_ends_what_is_sent() {
    let _alone = alone();
    let runtime = Runtime::new().unwrap();
    let (reading, peer) = runtime.block_on(async {
        let (here, there) = tcp_pair().await;
        let (reading, writing) = here.into_split();
        drop(spawn(async move {
            let _writing = writing;
            std::future::pending::<()>().await
        }));
        yield_now().await;
        (reading, there.into_std().unwrap())
    });
    drop(runtime);
    assert_eq!(read(&peer).unwrap(), 0, "the end of the stream");
    assert!(SockRef::from(&reading.as_fd()).peer_addr().is_ok(), "the other half is still open");
}

#[test]
fn a_writing_half_that_is_dropped_in_the_last_turn_still_ends_what_is_sent() {
    let _alone = alone();
    let runtime = Runtime::new().unwrap();
    let (reading, peer) = runtime.block_on(async {
        let (here, there) = tcp_pair().await;
        let (reading, writing) = here.into_split();
        drop(writing);
        (reading, there.into_std().unwrap())
    });
    drop(runtime);
    assert_eq!(read(&peer).unwrap(), 0, "the end of the stream");
    drop(reading);
}
