//! The kv example against a model: random commands, pipelined in random pieces, on one core and on several, as chains and
//! as tasks.

mod common;
#[path = "kv_model/model.rs"]
mod model;

use common::Server;
use common::resp::{Client, Reply, request};
use model::Model;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestCaseError, TestRunner};

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
fn command() -> impl Strategy<Value = Vec<Vec<u8>>> {
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
fn normal(command: &[Vec<u8>], reply: Reply) -> Reply {
    match (command[0].to_ascii_uppercase().as_slice(), reply) {
        (b"KEYS", reply) => Reply::array(reply.sorted().into_iter().map(Reply::bulk)),
        (b"TTL" | b"PTTL", Reply::Int(1..)) => Reply::Int(1),
        (_, reply) => reply,
    }
}

fn as_the_model(arguments: &[&str], cases: u32) {
    let server = Server::start("kv", arguments);
    let mut client = Client::new(server.address);
    let case =
        (proptest::collection::vec(command(), 1..60), proptest::collection::vec(1..50_000_usize, 1..8));
    let config = Config { cases, failure_persistence: None, ..Config::default() };
    let test = |(commands, pieces): (Vec<Vec<Vec<u8>>>, Vec<usize>)| {
        // Begun anew after a case that has failed in between.
        if client.say("FLUSHALL") != Reply::ok() {
            return Err(TestCaseError::fail("FLUSHALL fails"));
        }
        let bytes: Vec<u8> = commands.iter().flat_map(|command| request(command)).collect();
        let mut writer = client.stream.try_clone().unwrap();
        let sending = std::thread::spawn(move || {
            let mut rest = bytes.as_slice();
            for piece in pieces.iter().cycle() {
                let (now, later) = rest.split_at((*piece).min(rest.len()));
                std::io::Write::write_all(&mut writer, now).unwrap();
                rest = later;
                if rest.is_empty() {
                    break;
                }
            }
        });
        let replies: Vec<_> = commands.iter().map(|_| client.reply()).collect();
        sending.join().unwrap();
        let mut model = Model::default();
        for (i, (command, reply)) in commands.iter().zip(replies).enumerate() {
            prop_assert_eq!(normal(command, reply), model.run(command), "command {}", i);
        }
        Ok(())
    };
    let test = std::cell::RefCell::new(test);
    TestRunner::new(config)
        .run(&case, |input| (test.borrow_mut())(input))
        .unwrap_or_else(|error| panic!("{error}"));
}

/// More cases where there is time for them.
fn cases() -> u32 {
    if std::env::var("CHAINRING_LONG").as_deref() == Ok("1") { 3000 } else { 60 }
}

#[test]
fn a_chain_on_one_core_does_what_the_model_does() {
    as_the_model(&["--cores", "1"], cases());
}

#[test]
fn chains_on_three_cores_do_what_the_model_does() {
    as_the_model(&["--cores", "3"], cases());
}

#[test]
fn a_task_on_one_core_does_what_the_model_does() {
    as_the_model(&["--cores", "1", "--mode", "await"], cases());
}

#[test]
fn tasks_on_three_cores_do_what_the_model_does() {
    as_the_model(&["--cores", "3", "--mode", "await"], cases());
}

#[test]
fn a_scan_shows_every_key_of_all_cores_once_while_nothing_changes() {
    let server = Server::start("kv", &["--cores", "3"]);
    let mut client = Client::new(server.address);
    for i in 0..500 {
        client.say(&format!("SET key:{i} {i}"));
    }
    let (mut cursor, mut seen, mut calls) = (b"0".to_vec(), Vec::new(), 0);
    loop {
        let Reply::Array(Some(mut reply)) = client.call(&[b"SCAN", cursor.as_slice(), b"COUNT", b"7"]) else {
            panic!("no cursor and keys");
        };
        seen.extend(reply.pop().unwrap().sorted());
        let Some(Reply::Bulk(Some(next))) = reply.pop() else { panic!("no cursor") };
        (cursor, calls) = (next, calls + 1);
        if cursor == b"0" {
            break;
        }
    }
    seen.sort();
    let mut expected: Vec<_> = (0..500).map(|i| format!("key:{i}").into_bytes()).collect();
    expected.sort();
    assert_eq!(seen, expected);
    assert!(calls > 500 / 7, "{calls} calls");
}
