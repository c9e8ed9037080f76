//! The kv example against a model: random commands, pipelined in random pieces, on one core and on several, as chains and
//! as tasks.

#[path = "kv_model/commands.rs"]
mod commands;
mod common;
#[path = "kv_model/model.rs"]
mod model;

use commands::{command, normal};
use common::Server;
use common::resp::{Client, Reply, request};
use model::Model;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestCaseError, TestRunner};

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
