//! Pooled buffers: what comes into them, what is seen of them, and when they are given back.

#[path = "../common/mod.rs"]
mod common;

mod filled;
mod given_back;
mod used;

use std::io::Write;
use std::net::TcpStream as Client;
use std::thread::sleep;
use std::time::Duration;

use common::both::all;

/// Says `text` in parts of so many bytes, and waits a little between them.
fn in_parts(mut client: Client, text: &[u8], len: usize) -> Vec<u8> {
    for part in text.chunks(len) {
        client.write_all(part).expect("send");
        sleep(Duration::from_millis(5));
    }
    client.shutdown(std::net::Shutdown::Write).expect("shutdown");
    all(client)
}
