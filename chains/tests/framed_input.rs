//! A framed protocol against input that is short, split, huge, endless, empty or broken off: the right error for that
//! connection, and not a byte wrong for those that run beside it.

mod common;

use std::cell::RefCell;
use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream as Client};
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use chainring_chains::{ChainError, ErrorKind};
use chainring_runtime::Runtime;
use common::framed::{ANSWER, BODY, CHECK, HEAD, LONGEST, behave, exchange, framed, message, receive};
use common::{beside, connect, listener, reset, until, watchdog};

/// How a connection must end.
#[derive(Clone, Copy, Debug)]
enum End {
    Well,
    Short {
        step: u32,
        done: u32,
        want: u32,
    },
    TooLong,
    /// Broken off by the peer, in one of the steps from here to there.
    Broken {
        from: u32,
        to: u32,
    },
}

impl End {
    fn is(self, result: &Result<(), ChainError>) -> bool {
        let gone = [libc::ECONNRESET, libc::EPIPE];
        match (self, result) {
            (End::Well, result) => result.is_ok(),
            (_, Ok(())) => false,
            (End::TooLong, Err(error)) => {
                error.step() == CHECK && matches!(error.kind(), ErrorKind::Ensure(libc::EMSGSIZE))
            }
            (End::Short { step, done, want }, Err(error)) => {
                let kind =
                    matches!(error.kind(), ErrorKind::Short { done: d, want: w } if (*d, *w) == (done, want));
                error.step() == step && kind
            }
            (End::Broken { from, to }, Err(error)) => {
                let kind = matches!(error.kind(), ErrorKind::Errno(errno) if gone.contains(errno));
                (from..=to).contains(&error.step()) && kind
            }
        }
    }
}

type Ended = Rc<RefCell<HashMap<SocketAddr, Result<(), ChainError>>>>;

/// Runs `misbehave` beside four clients that behave, then checks how each of its connections has ended.
fn beside_neighbours(misbehave: impl FnOnce(SocketAddr, &mut Vec<(SocketAddr, End)>) + Send) {
    let _watchdog = watchdog(Duration::from_secs(60));
    let runtime = Runtime::new().expect("a ring");
    let (listener, address) = listener();
    let ended = Ended::default();
    let told = ended.clone();
    let server =
        framed().serve(listener, |peer| peer.addr().expect("an address")).on_exit(move |peer, result| {
            assert!(told.borrow_mut().insert(peer, result).is_none(), "a connection ends once");
        });
    let mut ends = Vec::new();
    let messages = beside(&runtime, server, || {
        let stop = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let go_on = || !stop.load(Ordering::Relaxed);
            let neighbours: Vec<_> =
                (0..4).map(|seed| scope.spawn(move || behave(address, seed, go_on))).collect();
            // Dropped in any case: neighbours must not run on if something is wrong here.
            let stopper = Stop(&stop);
            misbehave(address, &mut ends);
            drop(stopper);
            neighbours
                .into_iter()
                .map(|neighbour| neighbour.join().expect("a neighbour was disturbed"))
                .sum::<u64>()
        })
    });
    assert!(messages >= 4, "the neighbours got on: {messages} messages");
    until(&runtime, "every connection has ended", || ended.borrow().len() == ends.len() + 4);
    let ended = ended.borrow();
    for (peer, end) in ends {
        let result = &ended[&peer];
        assert!(end.is(result), "expected {end:?}, got {result:?}");
    }
    assert!(ended.values().filter(|result| result.is_ok()).count() >= 4, "the neighbours ended well");
    assert_eq!(runtime.metrics().strays, 0);
}

struct Stop<'s>(&'s AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn named(client: &Client) -> SocketAddr {
    client.local_addr().expect("an address")
}

/// The server has closed its side.
fn closed(mut client: Client) {
    let mut rest = Vec::new();
    match client.read_to_end(&mut rest) {
        Ok(_) => assert!(rest.is_empty(), "nothing was to be answered"),
        Err(error) => assert_eq!(error.raw_os_error(), Some(libc::ECONNRESET), "{error}"),
    }
}

#[test]
fn short_input_ends_with_how_much_was_there() {
    beside_neighbours(|address, ends| {
        for sent in 0..4u32 {
            let mut client = connect(address);
            client.write_all(&[0; 4][..sent as usize]).expect("send");
            client.shutdown(Shutdown::Write).expect("shutdown");
            let end = if sent == 0 { End::Well } else { End::Short { step: HEAD, done: sent, want: 4 } };
            ends.push((named(&client), end));
            closed(client);
        }
        for (len, sent) in [(1, 0), (100, 0), (100, 1), (100, 99), (LONGEST, 40_000)] {
            let mut client = connect(address);
            client.write_all(&u32::to_be_bytes(len)).expect("send");
            client.write_all(&vec![0; sent as usize]).expect("send");
            client.shutdown(Shutdown::Write).expect("shutdown");
            ends.push((named(&client), End::Short { step: BODY, done: sent, want: len }));
            closed(client);
        }
    });
}

#[test]
fn input_that_comes_byte_by_byte_is_put_together() {
    beside_neighbours(|address, ends| {
        let mut random = fastrand::Rng::with_seed(1);
        let mut client = connect(address);
        ends.push((named(&client), End::Well));
        for len in [0, 1, 2, 60, 300] {
            let message = message(&mut random, len);
            for byte in &message {
                client.write_all(std::slice::from_ref(byte)).expect("send");
            }
            receive(&mut client, &message);
        }
        // In pieces that respect no border, several messages in flight.
        let messages: Vec<_> = (0..50).map(|_| message(&mut random, 500)).collect();
        let stream = messages.concat();
        let mut rest = stream.as_slice();
        while !rest.is_empty() {
            let (piece, behind) = rest.split_at(random.usize(1..=rest.len().min(700)));
            client.write_all(piece).expect("send");
            rest = behind;
        }
        receive(&mut client, &stream);
    });
}

#[test]
fn a_length_over_the_limit_is_refused_and_the_longest_is_not() {
    beside_neighbours(|address, ends| {
        for len in [LONGEST + 1, 1 << 20, u32::MAX] {
            let mut client = connect(address);
            client.write_all(&len.to_be_bytes()).expect("send");
            ends.push((named(&client), End::TooLong));
            closed(client);
        }
        let mut random = fastrand::Rng::with_seed(2);
        let mut client = connect(address);
        ends.push((named(&client), End::Well));
        exchange(&mut client, &message(&mut random, LONGEST as usize));
    });
}

#[test]
fn messages_without_a_body_are_messages() {
    beside_neighbours(|address, ends| {
        let mut client = connect(address);
        ends.push((named(&client), End::Well));
        for _ in 0..100 {
            exchange(&mut client, &[0; 4]);
        }
        client.write_all(&[0; 4000]).expect("send");
        receive(&mut client, &[0; 4000]);
    });
}

#[test]
fn endless_input_from_a_client_that_never_reads_is_held_back() {
    beside_neighbours(|address, ends| {
        let mut random = fastrand::Rng::with_seed(3);
        let mut client = connect(address);
        ends.push((named(&client), End::Broken { from: HEAD, to: ANSWER }));
        client.set_write_timeout(Some(Duration::from_millis(200))).expect("timeout");
        let message = message(&mut random, 50_000);
        let start = Instant::now();
        // Until the server, which cannot get rid of its answers, takes no more.
        let mut sent = 0usize;
        while start.elapsed() < Duration::from_secs(20) {
            match client.write(&message[sent % message.len()..]) {
                Ok(n) => sent += n,
                Err(error) => {
                    assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock, "{error}");
                    break;
                }
            }
        }
        assert!(start.elapsed() < Duration::from_secs(20), "{sent} bytes were taken without an answer read");
        reset(client);
    });
}

#[test]
fn a_reset_ends_that_connection_wherever_it_was() {
    beside_neighbours(|address, ends| {
        let mut random = fastrand::Rng::with_seed(4);
        for sent in [0, 2, 4, 100] {
            let mut client = connect(address);
            let message = message(&mut random, 1000);
            exchange(&mut client, &message);
            client.write_all(&message[..sent]).expect("send");
            // What was sent arrives before the reset, which takes nothing back.
            std::thread::sleep(Duration::from_millis(20));
            // Of a receive that has taken something already the kernel reports that, and forgets the reset: the
            // stream then seems to end.
            let end = match sent {
                0 => End::Broken { from: HEAD, to: HEAD },
                1..4 => End::Short { step: HEAD, done: sent as u32, want: 4 },
                4 => End::Broken { from: BODY, to: BODY },
                _ => End::Short { step: BODY, done: sent as u32 - 4, want: 1000 },
            };
            ends.push((named(&client), end));
            reset(client);
        }
    });
}
