//! A store of keys and values, in the protocol of Redis.

use super::{Exchange, Kind, Protocol, Workload, noise};

/// A value is set, and got: two commands at once, answered together. Every connection has a key of its own.
pub(crate) static KV: Workload = Workload {
    name: "kv",
    about: "SET of a value and GET of the same, at once, in the protocol of Redis",
    connections: 64,
    size: 64,
    kind: Kind::Served(Protocol::new(1..=1 << 20, exchange, "kv")),
};

fn exchange(size: usize, seed: u64) -> Exchange {
    let key = format!("key:{seed:012}");
    let value = noise(size, seed);
    let head = |count: usize, verb: &str| {
        let len = key.len();
        format!("*{count}\r\n$3\r\n{verb}\r\n${len}\r\n{key}\r\n")
    };
    let (set, get) = (format!("{}${size}\r\n", head(3, "SET")), head(2, "GET"));
    let answer = format!("+OK\r\n${size}\r\n");
    let request = [set.as_bytes(), &value, b"\r\n", get.as_bytes()].concat();
    let reply = [answer.as_bytes(), &value, b"\r\n"].concat();
    Exchange::plain(request, reply).stamped(size, set.len(), answer.len())
}
