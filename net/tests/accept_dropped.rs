//! Accepts whose futures are dropped: nobody who has connected is lost.

mod common;

use std::collections::HashSet;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::SocketAddr;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Wake, Waker};
use std::time::Duration;

use chainring_net::{TcpListener, TcpStream, UnixListener, UnixStream};
use chainring_runtime::time::{sleep, timeout};
use chainring_runtime::{CancellationToken, Runtime, spawn, yield_now};
use common::{Random, any_port, poll_once, run};
use futures::future::{Either, join_all, select};
use futures::stream::FuturesUnordered;
use futures::{FutureExt, StreamExt};

const CONNECTIONS: usize = 1000;

#[test]
fn a_select_loop_around_accept_loses_no_connection() {
    run(async || {
        let listener = TcpListener::bind(any_port()).unwrap();
        let address = listener.local_addr().unwrap();
        let clients = spawn(async move {
            let client = async |_| {
                for _ in 0..CONNECTIONS / 50 {
                    let stream = TcpStream::connect(address).await.unwrap();
                    stream.write_all("x").await.0.unwrap();
                    let (received, bytes) = stream.read(vec![0; 2]).await;
                    assert_eq!((received.unwrap(), &bytes[..]), (1, &b"x"[..]), "it was turned away");
                }
            };
            join_all((0..50).map(client)).await;
        });

        let mut tasks = FuturesUnordered::new();
        let (mut accepted, mut ended, mut dropped) = (0, 0, 0);
        while ended < CONNECTIONS {
            if tasks.is_empty() {
                tasks.push(yield_now().map(|()| 0).boxed_local());
            }
            let accept = pin!(listener.accept());
            match select(tasks.next(), accept).await {
                Either::Left((n, _accept)) => {
                    ended += n.unwrap();
                    dropped += 1;
                }
                Either::Right((stream, _next)) => {
                    let stream = stream.unwrap();
                    accepted += 1;
                    let echo = async move {
                        let (received, bytes) = stream.read(vec![0; 2]).await;
                        assert_eq!(received.unwrap(), 1);
                        stream.write_all(bytes).await.0.unwrap();
                        1
                    };
                    tasks.push(echo.boxed_local());
                }
            }
        }
        clients.await.unwrap();
        assert_eq!(accepted, CONNECTIONS);
        assert!(dropped >= CONNECTIONS, "accepts were dropped");
    });
}

#[test]
fn who_came_for_a_dropped_accept_goes_to_the_next() {
    run(async || {
        let listener = TcpListener::bind(any_port()).unwrap();
        assert!(poll_once(&mut Box::pin(listener.accept())).is_pending());
        let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        sleep(Duration::from_millis(5)).await;
        let accepted = timeout(Duration::from_secs(5), listener.accept()).await.unwrap().unwrap();
        assert_eq!(accepted.peer_addr().unwrap(), client.local_addr().unwrap());

        let name = SocketAddr::from_abstract_name(format!("kept-{}", std::process::id())).unwrap();
        let listener = UnixListener::bind_addr(&name).unwrap();
        assert!(poll_once(&mut Box::pin(listener.accept())).is_pending());
        let client = UnixStream::connect_addr(&listener.local_addr().unwrap()).await.unwrap();
        sleep(Duration::from_millis(5)).await;
        let accepted = timeout(Duration::from_secs(5), listener.accept()).await.unwrap().unwrap();
        client.write_all("x").await.0.unwrap();
        assert_eq!(accepted.read(vec![0; 2]).await.0.unwrap(), 1);
    });
}

#[test]
fn who_came_for_a_dropped_accept_goes_to_incoming() {
    run(async || {
        let listener = TcpListener::bind(any_port()).unwrap();
        let address = listener.local_addr().unwrap();
        assert!(poll_once(&mut Box::pin(listener.accept())).is_pending());
        let clients =
            [TcpStream::connect(address).await.unwrap(), TcpStream::connect(address).await.unwrap()];
        let mut incoming = listener.incoming();
        let mut peers = HashSet::new();
        for _ in &clients {
            let accepted = timeout(Duration::from_secs(5), incoming.next()).await.unwrap().unwrap().unwrap();
            peers.insert(accepted.peer_addr().unwrap());
        }
        assert_eq!(peers, clients.iter().map(|client| client.local_addr().unwrap()).collect());

        // One is dropped while the stream waits.
        let mut dropped = Box::pin(listener.accept());
        assert!(poll_once(&mut dropped).is_pending());
        let third = incoming.next();
        let late = async {
            sleep(Duration::from_millis(5)).await;
            drop(dropped);
            // Two: the multishot is as ready to take one as what is kept.
            (TcpStream::connect(address).await.unwrap(), TcpStream::connect(address).await.unwrap())
        };
        let (accepted, _clients) = futures::join!(third, late);
        accepted.unwrap().unwrap();
        timeout(Duration::from_secs(5), incoming.next()).await.unwrap().unwrap().unwrap();
    });
}

#[test]
fn an_accept_that_waits_takes_who_came_for_one_that_was_dropped() {
    run(async || {
        let listener = TcpListener::bind(any_port()).unwrap();
        let address = listener.local_addr().unwrap();
        let mut accepts: Vec<_> = (0..4).map(|_| Box::pin(listener.accept())).collect();
        for accept in &mut accepts {
            assert!(poll_once(accept).is_pending());
        }
        // The kernel gives the first connections to the first accepts, which are not there any more.
        let others = accepts.split_off(2);
        let waiting =
            async { timeout(Duration::from_secs(5), join_all(others)).await.expect("nobody comes") };
        let connecting = async {
            sleep(Duration::from_millis(5)).await;
            drop(accepts);
            (TcpStream::connect(address).await.unwrap(), TcpStream::connect(address).await.unwrap())
        };
        let (accepted, _clients) = futures::join!(waiting, connecting);
        assert!(accepted.iter().all(Result::is_ok));
    });
}

#[test]
fn a_waker_that_panics_keeps_nobody_else_from_who_came() {
    struct Panics;
    impl Wake for Panics {
        fn wake(self: Arc<Self>) {
            panic!("not this one");
        }
    }
    struct Counts(AtomicUsize);
    impl Wake for Counts {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }
    run(async || {
        let listener = TcpListener::bind(any_port()).unwrap();
        let (panics, counts) = (Waker::from(Arc::new(Panics)), Arc::new(Counts(AtomicUsize::new(0))));
        let mut dropped = Box::pin(listener.accept());
        assert!(poll_once(&mut dropped).is_pending());
        let counted = Waker::from(counts.clone());
        let mut others: Vec<_> = [&panics, &counted]
            .into_iter()
            .map(|waker| {
                let mut accept = Box::pin(listener.accept());
                assert!(accept.as_mut().poll(&mut Context::from_waker(waker)).is_pending());
                accept
            })
            .collect();
        drop(dropped);
        assert_eq!(counts.0.load(Ordering::Relaxed), 1, "who else waits is to look");
        // Whoever comes goes to the one whose waker is sound, and the other one is dropped before it is woken.
        drop(others.remove(0));
        let address = listener.local_addr().unwrap();
        let connecting = TcpStream::connect(address);
        let accepting = timeout(Duration::from_secs(5), others.remove(0));
        let (accepted, client) = futures::join!(accepting, connecting);
        assert_eq!(accepted.unwrap().unwrap().peer_addr().unwrap(), client.unwrap().local_addr().unwrap());
    });
}

#[test]
fn who_came_before_the_listener_was_dropped_is_turned_away() {
    run(async || {
        let listener = TcpListener::bind(any_port()).unwrap();
        assert!(poll_once(&mut Box::pin(listener.accept())).is_pending());
        let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        sleep(Duration::from_millis(5)).await;
        drop(listener);
        let (received, _) = timeout(Duration::from_secs(5), client.read(vec![0; 1])).await.unwrap();
        // Accepted and closed, or never accepted.
        let turned_away = |error: std::io::Error| error.kind() == std::io::ErrorKind::ConnectionReset;
        assert!(received.map_or_else(turned_away, |count| count == 0));
    });
}

#[test]
fn a_dropped_accept_takes_nobody_from_another_listener_of_the_socket() {
    run(async || {
        let first = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let second = TcpListener::from_std(first.try_clone().unwrap());
        let first = TcpListener::from_std(first);
        assert!(poll_once(&mut Box::pin(first.accept())).is_pending());
        sleep(Duration::from_millis(5)).await;
        for _ in 0..3 {
            let _client = TcpStream::connect(second.local_addr().unwrap()).await.unwrap();
            timeout(Duration::from_secs(5), second.accept()).await.expect("the first has taken it").unwrap();
        }
        drop(first);
    });
}

#[test]
fn a_paused_stream_gives_out_who_came_for_a_dropped_accept_and_then_has_stopped() {
    run(async || {
        let listener = TcpListener::bind(any_port()).unwrap();
        let mut accept = Box::pin(listener.accept());
        assert!(poll_once(&mut accept).is_pending());
        let mut incoming = listener.incoming();
        assert!(poll_once(&mut incoming.next()).is_pending());
        let connect = TcpStream::connect(listener.local_addr().unwrap());
        let _client = connect.await.unwrap();
        // One of the two has it. What the accept has is the stream's from here on.
        drop(accept);
        incoming.pause();
        let accepted = timeout(Duration::from_secs(5), incoming.next()).await.expect("nobody has it");
        accepted.unwrap().unwrap();
        assert!(timeout(Duration::from_millis(20), incoming.next()).await.is_err());
        assert!(incoming.has_stopped());
    });
}

#[test]
fn a_listener_outlives_the_runtime_in_which_an_accept_was_dropped() {
    let _alone = common::alone();
    let listener = TcpListener::bind(any_port()).unwrap();
    let address = listener.local_addr().unwrap();
    let first = Runtime::new().unwrap();
    first.block_on(async { assert!(poll_once(&mut Box::pin(listener.accept())).is_pending()) });
    // In another runtime, while the first is there and when it is gone.
    let second = Runtime::new().unwrap();
    let accept_one = async || {
        let connect = async {
            // The kernel may give the first to what the other runtime has in flight.
            (TcpStream::connect(address).await.unwrap(), TcpStream::connect(address).await.unwrap())
        };
        let (accepted, _clients) = futures::join!(listener.accept(), connect);
        accepted.unwrap();
    };
    let within = Duration::from_secs(5);
    second.block_on(async { timeout(within, accept_one()).await.unwrap() });
    second.block_on(async { assert!(poll_once(&mut Box::pin(listener.accept())).is_pending()) });
    drop(first);
    drop(second);
    Runtime::new().unwrap().block_on(async { timeout(within, accept_one()).await.unwrap() });
}

#[test]
fn accepts_side_by_side_that_come_and_go_lose_nobody() {
    run(async || {
        let listener = Rc::new(TcpListener::bind(any_port()).unwrap());
        let address = listener.local_addr().unwrap();
        let end = CancellationToken::new();
        let acceptors: Vec<_> = (1..=4)
            .map(|seed| {
                let (listener, end, mut random) = (listener.clone(), end.clone(), Random(seed));
                spawn(async move {
                    let mut accepted = 0;
                    while !end.is_cancelled() {
                        let patience = Duration::from_micros(random.below(2000) as u64);
                        if let Ok(stream) = timeout(patience, listener.accept()).await {
                            stream.unwrap().write_all("x").await.0.unwrap();
                            accepted += 1;
                        }
                    }
                    accepted
                })
            })
            .collect();
        let mut random = Random(0);
        for _ in 0..100 {
            // Fewer than there are accepts, so that one that waits must find what another one has left.
            let clients = (0..1 + random.below(3)).map(async |_| {
                let stream = TcpStream::connect(address).await.unwrap();
                let (received, _) = stream.read(vec![0; 1]).await;
                assert_eq!(received.unwrap(), 1, "it was turned away");
            });
            timeout(Duration::from_secs(5), join_all(clients)).await.expect("nobody answers");
        }
        end.cancel();
        let accepted: usize = join_all(acceptors).await.into_iter().map(Result::unwrap).sum();
        assert!((100..=300).contains(&accepted), "{accepted} of 100 to 300");
    });
}
