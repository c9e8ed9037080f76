//! Messages with their length in front, sent back as they came: the protocol of the example `framed_chain`.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream as Client};

use chainring_chains::{Chain, Program};

use super::connect;

pub(crate) const LONGEST: u32 = 64 << 10;

/// The numbers of the steps below.
pub(crate) const HEAD: u32 = 2;
pub(crate) const CHECK: u32 = 4;
pub(crate) const BODY: u32 = 5;
pub(crate) const ANSWER: u32 = 6;

pub(crate) fn framed<S: 'static>() -> Program<S> {
    let mut c = Chain::new("framed");
    let (sock, len) = (c.accepted(), c.reg());
    let (head, body) = (c.buffer(4), c.buffer(LONGEST));
    c.repeat(|c| {
        c.recv_exact(sock, head.all()).or_finish();
        c.set(len, head.be32(0));
        c.ensure(len.le(body.capacity()), libc::EMSGSIZE);
        c.recv_exact(sock, body.to(len));
        c.send_all(sock, [head.all(), body.to(len)]);
    });
    c.build().expect("the chain is right")
}

/// A message of random bytes, its length in front.
pub(crate) fn message(random: &mut fastrand::Rng, len: usize) -> Vec<u8> {
    let mut message = (len as u32).to_be_bytes().to_vec();
    message.extend(std::iter::repeat_with(|| random.u8(..)).take(len));
    message
}

/// Sends a message and checks that it comes back as it was.
pub(crate) fn exchange(client: &mut Client, message: &[u8]) {
    client.write_all(message).expect("send");
    receive(client, message);
}

pub(crate) fn receive(client: &mut Client, message: &[u8]) {
    let mut answer = vec![0; message.len()];
    client.read_exact(&mut answer).expect("receive");
    assert!(answer == message, "the answer is not the message");
}

/// A client that does nothing wrong, for as long as it is told to, and a few messages at least. Gives their number.
pub(crate) fn behave(address: SocketAddr, seed: u64, go_on: impl Fn() -> bool) -> u64 {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut client = connect(address);
    let mut messages = 0;
    while messages < 10 || go_on() {
        let len = if random.u8(..) < 8 { LONGEST as usize } else { random.usize(..2000) };
        let message = message(&mut random, len);
        exchange(&mut client, &message);
        messages += 1;
    }
    messages
}
