//! Random commands.

use proptest::prelude::*;

use crate::common::resp::Reply;

/// A handful of keys, so that commands meet.
fn key() -> impl Strategy<Value = Vec<u8>> {
    (0..12_u8).prop_map(|i| format!("key:{i}").into_bytes())
}

fn text() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        4 => (-3..30_i64).prop_map(|number| number.to_string().into_bytes()),
        4 => proptest::collection::vec(any::<u8>(), 0..40),
        1 => Just(i64::MAX.to_string().into_bytes()),
        1 => (any::<u8>(), 10_000..90_000_usize).prop_map(|(byte, len)| vec![byte; len]),
    ]
}

fn words(text: &'static str) -> impl Strategy<Value = Vec<Vec<u8>>> {
    Just(text.split(' ').map(|word| word.as_bytes().to_vec()).collect())
}

/// A command with its arguments.
pub(crate) fn command() -> impl Strategy<Value = Vec<Vec<u8>>> {
    let named = |names: &'static [&'static str]| proptest::sample::select(names).prop_map(str::as_bytes);
    let of_key = named(&[
        "GET", "get", "GETDEL", "STRLEN", "INCR", "DECR", "TTL", "PTTL", "PERSIST", "TYPE", "LPOP", "RPOP",
        "LLEN",
    ]);
    let of_key_and_text =
        named(&["SET", "SET", "SETNX", "GETSET", "APPEND", "INCRBY", "DECRBY", "LPUSH", "RPUSH"]);
    let of_keys = named(&["MGET", "DEL", "UNLINK", "EXISTS"]);
    let options = proptest::sample::select(vec![
        "NX",
        "XX",
        "GET",
        "NX GET",
        "XX GET",
        "KEEPTTL",
        "EX 1000",
        "EX 1000 GET",
        "XX EX 1000",
        "NX XX",
        "EX 1000 KEEPTTL",
        "what",
    ]);
    let whole = |parts: Vec<&[u8]>| parts.into_iter().map(<[u8]>::to_vec).collect::<Vec<_>>();
    prop_oneof![
        6 => (of_key, key()).prop_map(move |(name, key)| whole(vec![name, &key])),
        6 => (of_key_and_text, key(), text()).prop_map(move |(name, key, text)| whole(vec![name, &key, &text])),
        2 => (key(), text(), options).prop_map(move |(key, text, options)| {
            let mut set = whole(vec![b"SET", &key, &text]);
            set.extend(options.split(' ').map(|word| word.as_bytes().to_vec()));
            set
        }),
        3 => (of_keys, proptest::collection::vec(key(), 1..6)).prop_map(|(name, keys)| {
            std::iter::once(name.to_vec()).chain(keys).collect()
        }),
        1 => proptest::collection::vec((key(), text()), 1..5).prop_map(|pairs| {
            std::iter::once(b"MSET".to_vec()).chain(pairs.into_iter().flat_map(|(key, text)| [key, text])).collect()
        }),
        1 => (named(&["LPUSH", "RPUSH"]), key(), proptest::collection::vec(text(), 2..5)).prop_map(
            |(name, key, items)| [name.to_vec(), key].into_iter().chain(items).collect()
        ),
        1 => (named(&["EXPIRE", "PEXPIRE"]), key(), proptest::sample::select(vec!["100000", "0", "-1", "x"]))
            .prop_map(move |(name, key, time)| whole(vec![name, &key, time.as_bytes()])),
        1 => (named(&["LPOP", "RPOP"]), key(), -1..4_i64)
            .prop_map(move |(name, key, count)| whole(vec![name, &key, count.to_string().as_bytes()])),
        1 => (key(), -5..5_i64, -5..5_i64).prop_map(move |(key, from, to)| {
            whole(vec![b"LRANGE", &key, from.to_string().as_bytes(), to.to_string().as_bytes()])
        }),
        1 => words("KEYS *"),
        1 => words("DBSIZE"),
        1 => words("PING"),
        1 => words("ECHO echoed"),
        1 => words("MSET one"),
        1 => words("NOSUCH command"),
    ]
}

/// A reply as the model gives it.
pub(crate) fn normal(command: &[Vec<u8>], reply: Reply) -> Reply {
    match (command[0].to_ascii_uppercase().as_slice(), reply) {
        (b"KEYS", reply) => Reply::array(reply.sorted().into_iter().map(Reply::bulk)),
        (b"TTL" | b"PTTL", Reply::Int(1..)) => Reply::Int(1),
        (_, reply) => reply,
    }
}
