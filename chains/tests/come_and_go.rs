//! Connections that come while others go: what the listener's completion says is not taken for what a frame waits for
//! that has just become free.

mod common;

use std::io::{Read, Write};
use std::net::SocketAddr;
use std::time::Duration;

use chainring_chains::{Chain, Program};
use chainring_runtime::Runtime;
use common::{beside, connect, listener, reset, scaled, watchdog};

fn echo() -> Program<()> {
    let mut c = Chain::new("echo");
    let (sock, len, data) = (c.accepted(), c.reg(), c.buffer(256));
    c.repeat(|c| {
        c.recv(sock, data.all()).into(len).or_finish();
        c.send_all(sock, data.to(len));
    });
    c.build().expect("the chain is right")
}

/// Connects, has something echoed, hangs up, again and again.
fn come_and_go(address: SocketAddr, times: usize) {
    let mut reply = [0; 64];
    for time in 0..times {
        let mut client = connect(address);
        let message = [time as u8; 64];
        client.write_all(&message).expect("send");
        client.read_exact(&mut reply).expect("an echo");
        assert_eq!(reply, message);
        reset(client);
    }
}

#[test]
fn every_connection_is_answered_while_others_are_reset() {
    let _watchdog = watchdog(Duration::from_secs(120));
    let runtime = Runtime::new().expect("a ring");
    let (listener, address) = listener();
    // The accept is the ring's first operation: its slot has the lowest of all numbers, as the first frame has.
    beside(&runtime, echo().serve(listener, |_| ()), || {
        std::thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| come_and_go(address, scaled(1500, 20_000)));
            }
        });
    });
}
