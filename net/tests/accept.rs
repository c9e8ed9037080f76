//! Listeners: who gets in, and what happens when there is no room.

mod common;

use std::time::{Duration, Instant};

use chainring_net::{TcpListener, TcpSocket, TcpStream, UnixListener, UnixStream};
use chainring_runtime::Handle;
use chainring_runtime::time::{sleep, timeout};
use common::{any_port, errno, exhaust, poll_once, run, settle};
use futures::StreamExt;

#[test]
fn without_descriptors_the_listener_rests_and_recovers() {
    run(async || {
        let listener = TcpListener::bind(any_port()).unwrap();
        let address = listener.local_addr().unwrap();
        let client = TcpSocket::new_v4().unwrap();
        let files = exhaust();
        let client = client.connect(address).await.unwrap();

        let mut incoming = listener.incoming();
        let (begin, before) = (Instant::now(), Handle::current().metrics());
        let mut refusals = 0;
        while begin.elapsed() < Duration::from_millis(220) {
            match timeout(Duration::from_millis(220), incoming.next()).await {
                Ok(accepted) => {
                    assert_eq!(errno(&accepted.unwrap()), Some(libc::EMFILE));
                    refusals += 1;
                }
                Err(_) => break,
            }
        }
        assert!((2..=6).contains(&refusals), "{refusals} attempts in 220 ms");
        let enters = Handle::current().metrics().enters - before.enters;
        assert!(enters < 60, "{enters} enters in 220 ms");
        drop(files);
        settle().await;
        let accepted = timeout(Duration::from_millis(500), incoming.next()).await.unwrap().unwrap().unwrap();
        assert_eq!(accepted.peer_addr().unwrap(), client.local_addr().unwrap());
        drop(incoming);

        // One by one it is the same.
        let client = TcpSocket::new_v4().unwrap();
        let files = exhaust();
        let _client = client.connect(address).await.unwrap();
        let begin = Instant::now();
        assert_eq!(errno(&listener.accept().await), Some(libc::EMFILE));
        assert_eq!(errno(&listener.accept().await), Some(libc::EMFILE));
        assert!(begin.elapsed() >= Duration::from_millis(50), "it did not rest");
        // Whoever gives up while it rests does not wake it.
        let begin = Instant::now();
        while timeout(Duration::from_millis(5), listener.accept()).await.is_err() {}
        assert!(begin.elapsed() >= Duration::from_millis(40), "it was woken");
        drop(files);
        settle().await;
        listener.accept().await.unwrap();
    });
}

#[test]
fn many_connections_come_in_through_one_submission() {
    run(async || {
        let listener = TcpListener::bind(any_port()).unwrap();
        let address = listener.local_addr().unwrap();
        let clients: Vec<_> = (0..100).map(|_| std::net::TcpStream::connect(address).unwrap()).collect();
        let before = Handle::current().metrics().submitted;
        let accepted: Vec<_> = listener.incoming().take(100).collect().await;
        // One to accept all of them, one to end it.
        assert!(Handle::current().metrics().submitted - before <= 2);
        for (client, accepted) in clients.iter().zip(&accepted) {
            let accepted = accepted.as_ref().unwrap();
            assert_eq!(accepted.peer_addr().unwrap(), client.local_addr().unwrap());
            assert!(accepted.nodelay().unwrap(), "inherited from the listener");
        }
    });
}

#[test]
fn dropping_incoming_closes_whom_nobody_took_and_leaves_the_backlog() {
    run(async || {
        let listener = TcpListener::bind(any_port()).unwrap();
        let address = listener.local_addr().unwrap();
        let mut incoming = listener.incoming();
        assert!(poll_once(&mut incoming.next()).is_pending());
        let first = TcpStream::connect(address).await.unwrap();
        sleep(Duration::from_millis(5)).await;
        drop(incoming);
        // Accepted, never taken: closed.
        assert_eq!(first.read(vec![0; 8]).await.0.unwrap(), 0);
        settle().await;
        let second = TcpStream::connect(address).await.unwrap();
        let accepted = listener.accept().await.unwrap();
        assert_eq!(accepted.peer_addr().unwrap(), second.local_addr().unwrap());
    });
}

#[test]
fn two_listeners_share_a_port_only_if_both_agree() {
    run(async || {
        let first = TcpListener::bind(any_port()).unwrap();
        let address = first.local_addr().unwrap();
        let second = TcpListener::bind(address).unwrap();
        assert_eq!(second.local_addr().unwrap(), address);
        let alone = TcpListener::builder().reuse_port(false).bind(address);
        assert_eq!(errno(&alone), Some(libc::EADDRINUSE));
    });
}

#[test]
fn unix_connections_come_in_too() {
    run(async || {
        let dir = std::env::temp_dir().join(format!("chainring-net-{}", std::process::id()));
        let _ = std::fs::remove_file(&dir);
        let listener = UnixListener::bind(&dir).unwrap();
        let client = UnixStream::connect(&dir).await.unwrap();
        let accepted = listener.incoming().next().await.unwrap().unwrap();
        client.write_all("hello").await.0.unwrap();
        assert_eq!(accepted.read(vec![0; 8]).await.0.unwrap(), 5);
        assert_eq!(accepted.local_addr().unwrap().as_pathname(), Some(dir.as_path()));
        assert_eq!(errno(&UnixListener::bind(&dir)), Some(libc::EADDRINUSE));
        std::fs::remove_file(&dir).unwrap();
    });
}

#[test]
fn a_pause_that_is_taken_back_at_once_is_no_error() {
    run(async || {
        let listener = TcpListener::bind(any_port()).unwrap();
        let address = listener.local_addr().unwrap();
        let mut incoming = listener.incoming();
        for round in 0..50 {
            let client = std::net::TcpStream::connect(address).unwrap();
            let accepted = timeout(Duration::from_secs(10), incoming.next()).await.expect("nobody comes");
            assert!(accepted.unwrap().is_ok(), "round {round}");
            drop(client);
            incoming.pause();
            if round % 2 == 0 {
                // The kernel has heard of it, or has not.
                sleep(Duration::from_millis(1)).await;
            }
            incoming.resume();
        }
        // Paused, those whom the kernel had accepted already are still given out, and nobody else.
        incoming.pause();
        sleep(Duration::from_millis(5)).await;
        let _client = std::net::TcpStream::connect(address).unwrap();
        let accepted = timeout(Duration::from_millis(20), incoming.next()).await;
        assert!(accepted.is_err(), "accepted in a pause: {accepted:?}");
        incoming.resume();
        assert!(incoming.next().await.unwrap().is_ok());
    });
}
