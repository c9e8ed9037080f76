//! The log of the kv example: nothing that was acknowledged is lost, nothing that is half there is served.

#[path = "kv_model/commands.rs"]
mod commands;
mod common;
#[allow(dead_code, unused_imports)]
#[path = "../examples/kv/engine/mod.rs"]
mod engine;
#[allow(dead_code, unused_imports)]
#[path = "../examples/kv/log/mod.rs"]
mod log;
#[path = "kv_model/model.rs"]
mod model;
#[allow(dead_code, unused_imports)]
#[path = "../examples/kv/protocol/mod.rs"]
mod protocol;
#[allow(dead_code, unused_imports)]
#[path = "../examples/kv/serve/mod.rs"]
mod serve;

use std::fs::{self, OpenOptions};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use common::Server;
use common::resp::{Client, Reply, request};
use engine::{Call, Journal, Memory, Place, Store, run};
use model::Model;
use protocol::{Limits, Parser, Proto, Replies};

fn is_long() -> bool {
    std::env::var("CHAINRING_LONG").as_deref() == Ok("1")
}

/// A folder that is removed at the end.
struct Dir(PathBuf);

impl Dir {
    fn new(name: &str) -> Dir {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("kv-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).unwrap();
        Dir(path)
    }

    fn server(&self, arguments: &[&str]) -> Server {
        Server::start("kv", &[&["--dir", self.0.to_str().unwrap()], arguments].concat())
    }

    /// The files of the log.
    fn files(&self) -> Vec<PathBuf> {
        let folders = fs::read_dir(&self.0).unwrap().map(|entry| entry.unwrap().path());
        folders.flat_map(|folder| fs::read_dir(folder).unwrap()).map(|entry| entry.unwrap().path()).collect()
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn store(journal: Journal) -> Store {
    Store::new(Place { index: 0, count: 1 }, Memory::new(usize::MAX), journal)
}

/// All that is in a store, each key in one line.
fn contents(store: &Store) -> Vec<Vec<u8>> {
    let (mut cursor, mut all) = (0, Vec::new());
    loop {
        let mut journal = [Journal::wanted()];
        cursor = store.describe(cursor, 1, |_| 0, &mut journal);
        all.push(journal[0].take());
        if cursor == 0 {
            all.sort();
            return all;
        }
    }
}

#[test]
fn a_log_that_is_cut_anywhere_is_read_back_to_its_last_whole_record() {
    let dir = Dir::new("cut");
    let path = dir.0.join("log");
    let long = "x".repeat(300);
    let commands = [
        "SET a 1",
        "INCR a",
        "RPUSH l a b c",
        "SET e v PXAT 99999999999999",
        "APPEND s half",
        "APPEND s whole",
        "LPOP l",
        "MSET k1 v1 k2 v2 a 7",
        "DEL k1",
        "GETDEL k2",
        "PERSIST e",
        "SET a x GET",
        "LPUSH l z",
        &format!("SET long {long}"),
        "FLUSHALL",
        "SET again 1",
        "EXPIRE again 100",
        "DECRBY again 5",
    ];
    let mut kept = store(Journal::wanted());
    let mut bytes = Vec::new();
    let mut states = vec![(0, contents(&kept))];
    for command in commands {
        let text = request(&command.split(' ').collect::<Vec<_>>());
        let (mut parser, mut replies) = (Parser::new(Limits::default()), Replies::default());
        let mut command = parser.parse(&mut text.as_slice(), usize::MAX).unwrap().unwrap();
        let spec = engine::table::find(command.arg(0)).unwrap();
        let call = Call { store: &mut kept, command: &mut command, proto: Proto::Resp2, out: &mut replies };
        run(spec, call);
        let noted = kept.journal.take();
        assert!(!noted.is_empty());
        log::record::records(&noted).for_each(|record| bytes.extend(record));
        states.push((bytes.len(), contents(&kept)));
    }
    fs::write(&path, &bytes).unwrap();
    let file = OpenOptions::new().write(true).open(&path).unwrap();
    for len in (0..=bytes.len()).rev() {
        file.set_len(len as u64).unwrap();
        let mut read = store(Journal::wanted());
        let (whole, torn) = log::load::load(&path, &mut read).unwrap();
        let (end, state) = states.iter().rev().find(|(end, _)| *end <= len).unwrap();
        assert_eq!((whole as usize, torn as usize), (*end, len - end), "cut at {len}");
        assert!(contents(&read) == *state, "cut at {len}");
    }
}

#[test]
fn a_byte_that_has_changed_before_others_is_damage_and_in_the_last_record_a_torn_end() {
    let dir = Dir::new("changed");
    let path = dir.0.join("log");
    let texts = ["SET a 1", "SET b 2", "SET c 3"].map(|text| request(&text.split(' ').collect::<Vec<_>>()));
    let records: Vec<_> = texts.iter().flat_map(|text| log::record::records(text)).collect();
    let (bytes, first) = (records.concat(), records[0].len());
    for i in 0..bytes.len() {
        let mut changed = bytes.clone();
        changed[i] ^= 0x10;
        fs::write(&path, changed).unwrap();
        let read = log::load::load(&path, &mut store(Journal::default()));
        let before = i / first * first;
        if before + first < bytes.len() {
            let error = read.unwrap_err().to_string();
            assert!(error.contains(&format!("damaged at byte {before}:")), "byte {i}: {error}");
        } else {
            assert_eq!(read.unwrap(), (before as u64, first as u64), "byte {i}");
        }
    }
}

#[test]
fn more_than_one_write_without_a_whole_record_is_damage_and_zeros_at_the_end_are_none() {
    let dir = Dir::new("zeros");
    let path = dir.0.join("log");
    let record: Vec<_> = log::record::records(&request(&["SET", "a", "1"])).flatten().collect();
    let with_zeros = |zeros: u64| {
        fs::write(&path, &record).unwrap();
        OpenOptions::new().write(true).open(&path).unwrap().set_len(record.len() as u64 + zeros).unwrap();
        log::load::load(&path, &mut store(Journal::default()))
    };
    for zeros in [1, 9, 4096, 4 << 20] {
        assert_eq!(with_zeros(zeros).unwrap(), (record.len() as u64, zeros));
    }
    assert!(with_zeros(5 << 20).unwrap_err().to_string().contains("is damaged at byte"));
}

#[test]
fn a_damaged_log_is_refused_and_the_remedy_helps() {
    let dir = Dir::new("damaged");
    let server = dir.server(&[]);
    let mut client = Client::new(server.address);
    for i in 0..10 {
        assert_eq!(client.say(&format!("SET key:{i} value")), Reply::ok());
    }
    server.kill();
    drop(server);
    let [file] = &dir.files()[..] else { panic!("one core, one file") };
    let mut bytes = fs::read(file).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(file, bytes).unwrap();
    let mut kv = Command::new(common::program("kv"));
    let refused = kv.args(["--listen", "127.0.0.1:0", "--dir"]).arg(&dir.0).output().unwrap();
    assert!(!refused.status.success());
    let told = String::from_utf8(refused.stderr).unwrap();
    assert!(told.starts_with("error: ") && told.contains("is damaged at byte "), "{told}");
    let (_, remedy) = told.trim().split_once("from there on: ").expect("a remedy");
    let remedy: Vec<_> = remedy.split(' ').collect();
    common::output(Command::new(remedy[0]).args(&remedy[1..]));
    let server = dir.server(&[]);
    let mut client = Client::new(server.address);
    assert_eq!(client.say("GET key:0"), Reply::bulk("value"));
    assert_eq!(client.say("DBSIZE"), Reply::Int(5));
}

/// What four clients have sent and what was acknowledged to them.
#[derive(Default)]
struct Pushed {
    sent: [AtomicU64; 4],
    acknowledged: [AtomicU64; 4],
}

/// Pushes numbers to a list of its own, some at a time, until the server is gone.
fn push(server: &Server, pushed: &Pushed, i: usize) {
    let mut client = Client::new(server.address);
    let mut next = pushed.sent[i].load(Ordering::Relaxed);
    loop {
        let requests: Vec<_> = (next..next + 8)
            .flat_map(|n| request(&["RPUSH", &format!("list:{i}"), &n.to_string()]))
            .collect();
        pushed.sent[i].store(next + 8, Ordering::Relaxed);
        if std::io::Write::write_all(&mut client.stream, &requests).is_err() {
            return;
        }
        for n in next..next + 8 {
            match client.try_next() {
                Some(Reply::Int(_)) => pushed.acknowledged[i].store(n + 1, Ordering::Relaxed),
                Some(other) => panic!("{other:?}"),
                None => return,
            }
        }
        next += 8;
    }
}

#[test]
fn killed_under_load_it_loses_nothing_that_was_acknowledged() {
    let dir = Dir::new("killed");
    let pushed = Pushed::default();
    let modes = [&["--cores", "2"][..], &["--cores", "1", "--mode", "await"], &["--cores", "3"]];
    let rounds = if is_long() { 50 } else { 6 };
    for round in 0..rounds {
        let mode = [modes[round % modes.len()], &["--compact-from", "64"]].concat();
        let server = dir.server(&mode);
        let mut client = Client::new(server.address);
        for i in 0..4 {
            let Reply::Array(Some(items)) = client.say(&format!("LRANGE list:{i} 0 -1")) else {
                panic!("no list")
            };
            let len = items.len() as u64;
            let (sent, acknowledged) = (&pushed.sent[i], &pushed.acknowledged[i]);
            let (most, least) = (sent.load(Ordering::Relaxed), acknowledged.load(Ordering::Relaxed));
            assert!(
                (least..=most).contains(&len),
                "{len} items, {least} acknowledged and {most} sent: {round}"
            );
            let expected = (0..len).map(|n| Reply::bulk(n.to_string()));
            assert!(items.into_iter().eq(expected), "the items of list {i} are not in order");
            sent.store(len, Ordering::Relaxed);
            acknowledged.store(len, Ordering::Relaxed);
        }
        std::thread::scope(|scope| {
            (0..4).for_each(|i| {
                drop(scope.spawn({
                    let (server, pushed) = (&server, &pushed);
                    move || push(server, pushed, i)
                }))
            });
            std::thread::sleep(Duration::from_millis(150 + 37 * (round as u64 % 7)));
            server.kill();
        });
        // As if a write had been cut off in the middle.
        let file = &dir.files()[0];
        let mut bytes = fs::read(file).unwrap();
        bytes.extend(&request(&["SET", "torn", "torn"])[..round % 20 + 1]);
        fs::write(file, bytes).unwrap();
    }
    assert!(pushed.acknowledged.iter().all(|n| n.load(Ordering::Relaxed) > 0));
}

/// Starts a server that is to be refused, and gives what it says.
fn refused(dir: &Dir, cores: &str) -> String {
    let mut server = Command::new("timeout");
    server.arg("20").arg(common::program("kv")).args(["--listen", "127.0.0.1:0", "--cores", cores]);
    let output = server.arg("--dir").arg(&dir.0).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    String::from_utf8(output.stderr).unwrap()
}

#[test]
fn a_folder_has_one_server_at_a_time() {
    let dir = Dir::new("lock");
    let mut server = dir.server(&[]);
    let mut client = Client::new(server.address);
    assert_eq!(normal_call(&mut client, "SET a 1"), Reply::ok());
    for cores in ["1", "2"] {
        let words = refused(&dir, cores);
        assert!(words.contains(&format!("{}: it is in use", dir.0.display())), "{words}");
    }
    assert_eq!(normal_call(&mut client, "SET b 2"), Reply::ok());
    server.signal("TERM");
    assert_eq!(server.ended(), Some(0));
    let server = dir.server(&["--cores", "2"]);
    let mut client = Client::new(server.address);
    assert_eq!(
        [normal_call(&mut client, "GET a"), normal_call(&mut client, "GET b")],
        ["1", "2"].map(Reply::bulk)
    );
}

#[test]
fn a_log_is_compacted_while_the_server_goes_on() {
    for mode in ["chain", "await"] {
        let dir = Dir::new(&format!("compacted-{mode}"));
        let arguments = ["--compact-from", "16", "--cores", "2", "--mode", mode];
        let server = dir.server(&arguments);
        let mut client = Client::new(server.address);
        let value = "v".repeat(100);
        for round in 0..60 {
            let requests: Vec<_> = (0..100)
                .flat_map(|i| {
                    let (key, list) = (format!("key:{i}"), format!("list:{}", i % 10));
                    [request(&["SET", &key, &format!("{round} {value}")]), request(&["RPUSH", &list, &key])]
                        .concat()
                })
                .chain((0..10).flat_map(|i| request(&["LPOP", &format!("list:{i}"), "10"])))
                .chain((0..7).flat_map(|_| request(&["INCR", "count"])))
                .collect();
            client.send(&requests);
            (0..217).for_each(|i| {
                let reply = client.reply();
                assert!(!matches!(reply, Reply::Error(_)), "{i}: {reply:?}");
            });
        }
        let len: u64 = dir.files().iter().map(|file| fs::metadata(file).unwrap().len()).sum();
        assert!(len < 60 * 100 * 100, "{len} bytes: not compacted");
        server.kill();
        let server = dir.server(&arguments);
        let mut client = Client::new(server.address);
        assert_eq!(client.say("DBSIZE"), Reply::Int(101));
        assert_eq!(client.say("GET count"), Reply::bulk("420"));
        for i in 0..100 {
            assert_eq!(client.say(&format!("GET key:{i}")), Reply::bulk(format!("59 {value}")));
        }
    }
}

#[test]
fn a_log_that_cannot_be_written_makes_the_server_read_only() {
    for mode in ["chain", "await"] {
        let dir = Dir::new(&format!("full-{mode}"));
        let path = dir.0.to_str().unwrap().to_owned();
        let server = Server::start_limited("kv", &["--dir", &path, "--mode", mode], 64);
        let mut client = Client::new(server.address);
        let mut acknowledged = 0;
        let refused = loop {
            match client.say(&format!("SET key:{acknowledged} {}", "v".repeat(500))) {
                Reply::Simple(_) if acknowledged < 1000 => acknowledged += 1,
                other => break other,
            }
        };
        assert_eq!((refused, client.next()), (Reply::Error("MISCONF".to_owned()), None));
        assert!((30..64).contains(&acknowledged), "{acknowledged} values of 500 bytes into 32 KiB");
        let mut client = Client::new(server.address);
        assert_eq!(client.say("SET key:0 new"), Reply::Error("MISCONF".to_owned()));
        assert_eq!(client.say("DEL key:0"), Reply::Error("MISCONF".to_owned()));
        assert_eq!(client.say("GET key:0"), Reply::bulk("v".repeat(500)));
        drop(server);
        // Without the limit everything is there that was acknowledged, and it can be changed.
        let server = dir.server(&["--mode", mode]);
        let mut client = Client::new(server.address);
        for i in 0..acknowledged {
            assert_eq!(client.say(&format!("GET key:{i}")), Reply::bulk("v".repeat(500)));
        }
        assert_eq!(client.say("SET key:0 new"), Reply::ok());
    }
}

#[test]
fn what_the_model_has_is_there_after_each_kill_on_any_number_of_cores() {
    use proptest::strategy::{Strategy, ValueTree};
    use proptest::test_runner::TestRunner;
    let dir = Dir::new("model");
    let mut runner = TestRunner::deterministic();
    let mut model = Model::default();
    for round in 0..if is_long() { 200 } else { 12 } {
        let cores = (round % 3 + 1).to_string();
        let mode = if round % 2 == 0 { "chain" } else { "await" };
        let server = dir.server(&["--cores", &cores, "--mode", mode, "--compact-from", "200"]);
        let mut client = Client::new(server.address);
        // All keys, and what is under them.
        let keys = normal_call(&mut client, "KEYS *");
        assert_eq!(keys, model.run(&words("KEYS *")), "in round {round}");
        for key in keys.sorted() {
            let key = String::from_utf8(key).unwrap();
            for command in ["TYPE", "GET", "TTL"]
                .map(|name| format!("{name} {key}"))
                .into_iter()
                .chain([format!("LRANGE {key} 0 -1")])
            {
                assert_eq!(
                    normal_call(&mut client, &command),
                    model.run(&words(&command)),
                    "{command} in round {round}"
                );
            }
        }
        let commands =
            proptest::collection::vec(commands::command(), 200).new_tree(&mut runner).unwrap().current();
        for command in commands {
            let reply = client.call(&command);
            assert_eq!(commands::normal(&command, reply), model.run(&command), "in round {round}");
        }
        server.kill();
    }
}

fn words(text: &str) -> Vec<Vec<u8>> {
    text.split(' ').map(|word| word.as_bytes().to_vec()).collect()
}

fn normal_call(client: &mut Client, text: &str) -> Reply {
    let reply = client.say(text);
    commands::normal(&words(text), reply)
}
