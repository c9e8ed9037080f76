//! The kv example, driven by the programs of others: redis-cli, redis-benchmark, redis-py.

mod common;

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use common::resp::{Client, Reply};
use common::{Server, have, output, program};

fn modes() -> [Server; 4] {
    [
        &["--cores", "1"][..],
        &["--cores", "2"],
        &["--cores", "1", "--mode", "await"],
        &["--cores", "2", "--mode", "await"],
    ]
    .map(|arguments| Server::start("kv", arguments))
}

fn port(server: &Server) -> String {
    server.address.port().to_string()
}

#[test]
fn redis_cli_talks_in_both_versions_of_the_protocol() {
    if !have("redis-cli") {
        return;
    }
    for server in modes() {
        for version in ["-2", "-3"] {
            let cli = |words: &[&str]| {
                output(
                    Command::new("redis-cli").args(["-p", &port(&server), version, "--no-raw"]).args(words),
                )
            };
            assert_eq!(cli(&["SET", "greeting", "hello there"]), "OK\n");
            assert_eq!(cli(&["GET", "greeting"]), "\"hello there\"\n");
            assert_eq!(cli(&["GET", "nothing"]), "(nil)\n");
            assert_eq!(cli(&["RPUSH", "list", "a", "b"]), "(integer) 2\n");
            assert_eq!(cli(&["LRANGE", "list", "0", "-1"]), "1) \"a\"\n2) \"b\"\n");
            assert!(cli(&["INCR", "list"]).starts_with("(error) WRONGTYPE"));
            assert!(cli(&["HELLO"]).contains("\"redis\""));
            assert!(cli(&["CONFIG", "GET", "max*"]).contains("\"maxmemory\""));
            assert!(cli(&["INFO"]).contains("redis_version"));
            assert_eq!(cli(&["FLUSHALL"]), "OK\n");
        }
    }
}

#[test]
fn redis_benchmark_runs_to_the_end() {
    if !have("redis-benchmark") {
        return;
    }
    for server in modes() {
        for depth in ["1", "16"] {
            let mut benchmark = Command::new("redis-benchmark");
            benchmark.args(["-p", &port(&server), "-n", "2000", "-c", "50", "-P", depth, "--csv"]);
            let csv = output(
                benchmark.args(["-t", "set,get,incr,lpush,rpush,lpop,rpop,mset"]).stderr(Stdio::null()),
            );
            // A heading, and a line for each test.
            assert_eq!(csv.lines().count(), 9, "{csv}");
        }
    }
}

/// Every command, as a library of another language sees it.
const SCRIPT: &str = r#"
import redis, sys, threading, time
sent = set()
pack = redis.connection.Connection.pack_command
def recording(connection, *args):
    sent.add(args[0].split()[0].lower())
    return pack(connection, *args)
redis.connection.Connection.pack_command = recording
r = redis.Redis(port=int(sys.argv[1]), socket_timeout=20)
def refused(command, *args, word):
    try:
        r.execute_command(command, *args)
    except redis.ResponseError as error:
        assert word in str(error), error
        return
    raise AssertionError(f"{command} is not refused")
assert r.flushall() and r.ping() and r.echo("x") == b"x" and r.dbsize() == 0
assert r.set("a", 1) and r.get("a") == b"1" and r.get("none") is None
assert r.set("a", 2, nx=True) is None and r.set("b", 2, xx=True) is None
assert r.set("a", 2, get=True) == b"1" and r.set("a", 3, ex=100) and 0 < r.ttl("a") <= 100
assert r.set("a", 4, keepttl=True) and 0 < r.pttl("a") <= 100000 and r.persist("a") and r.ttl("a") == -1
assert r.setnx("n", 1) and not r.setnx("n", 2) and r.getset("n", 3) == b"1" and r.getdel("n") == b"3"
assert r.append("s", "ab") == 2 and r.append("s", "cd") == 4 and r.strlen("s") == 4 and r.get("s") == b"abcd"
assert r.incr("i") == 1 and r.incrby("i", 9) == 10 and r.decr("i") == 9 and r.decrby("i", 10) == -1
refused("INCR", "s", word="not an integer")
assert r.execute_command("DECR", "i") == -2 and b"server" in r.execute_command("HELLO", 2)
assert r.mset({f"m{i}": i for i in range(20)}) and r.mget([f"m{i}" for i in range(20)] + ["none"])[7:] == [
    str(i).encode() for i in range(7, 20)] + [None]
assert r.exists("m1", "m2", "none", "m1") == 3 and r.delete("m1", "m2", "none") == 2 and r.unlink("m3") == 1
assert r.expire("m4", 100) and r.pexpire("m5", 100000) and not r.expire("none", 1) and r.ttl("none") == -2
assert r.expireat("m4", int(time.time()) + 100) and 0 < r.ttl("m4") <= 100
assert r.pexpireat("m5", int(time.time() * 1000) + 100000) and 0 < r.pttl("m5") <= 100000
assert r.set("short", 1, px=30) and (time.sleep(0.06), r.get("short"))[1] is None
assert r.type("a") == b"string" and r.lpush("l", 1, 2, 3) == 3 and r.rpush("l", 0) == 4 and r.type("l") == b"list"
assert r.lrange("l", 0, -1) == [b"3", b"2", b"1", b"0"] and r.llen("l") == 4
assert r.lpop("l") == b"3" and r.rpop("l", 2) == [b"0", b"1"] and r.lpop("l") == b"2" and r.lpop("l") is None
refused("LPUSH", "a", "x", word="wrong kind")
assert sorted(r.keys("m1*")) == [f"m1{i}".encode() for i in range(10)]
assert sorted(r.scan_iter(match="m1?", count=3)) == sorted(r.keys("m1?"))
assert r.dbsize() == len(list(r.scan_iter())) == len(r.keys())
assert r.info()["role"] == "master" and r.config_get("maxmemory") and r.client_id() > 0
assert r.client_setname("me") and r.client_getname() in ("me", b"me")
assert r.execute_command("SELECT", 0) and r.command_count() > 40
refused("SELECT", 7, word="out of range")
refused("NOSUCH", word="unknown command")
refused("GET", word="wrong number")
with r.pipeline(transaction=False) as p:
    for i in range(1000):
        p.set(f"p{i}", i).get(f"p{i}").incr(f"p{i}")
    assert p.execute() == [x for i in range(1000) for x in (True, str(i).encode(), i + 1)]
big = bytes(range(256)) * (40 << 12)
assert r.set("big", big) and r.get("big") == big and r.append("big", big) == 2 * len(big)
sub = r.pubsub()
sub.subscribe("news", "other")
assert [sub.get_message(timeout=5)["type"] for _ in range(2)] == ["subscribe"] * 2
assert r.publish("news", "one") == 1 and r.publish("nobody", "x") == 0
assert sub.get_message(timeout=5)["data"] == b"one"
publisher = threading.Thread(target=lambda: [r.publish("other", i) for i in range(1000)])
publisher.start()
assert [sub.get_message(timeout=5)["data"] for _ in range(1000)] == [str(i).encode() for i in range(1000)]
publisher.join()
sub.unsubscribe()
assert sub.get_message(timeout=5)["type"] == "unsubscribe"
assert r.flushdb() and r.dbsize() == 0 and r.flushall() and r.execute_command("QUIT")
r = redis.Redis(port=int(sys.argv[1]))
missing = {name.decode().lower() for name in r.execute_command("COMMAND LIST")} - sent
assert not missing, f"no test of {missing}"
print("done")
"#;

#[test]
fn redis_py_runs_every_command() {
    // Debian's, which belongs to Debian's Python.
    let python = "/usr/bin/python3";
    let found = Command::new(python).args(["-c", "import redis"]).stderr(Stdio::null()).status();
    if !found.is_ok_and(|status| status.success()) {
        assert!(std::env::var("CI").as_deref() != Ok("true"), "python3-redis is not installed");
        return eprintln!("skipped: python3-redis is not installed");
    }
    for server in modes() {
        assert_eq!(output(Command::new(python).args(["-c", SCRIPT, &port(&server)])), "done\n");
    }
}

#[test]
fn keys_that_nobody_asks_for_end_in_time() {
    for server in modes() {
        let mut client = Client::new(server.address);
        for i in 0..200 {
            assert_eq!(client.say(&format!("SET key:{i} value PX {}", 1 + i)), Reply::ok());
        }
        assert_eq!(client.say("SET stays value PX 100000"), Reply::ok());
        let begin = Instant::now();
        loop {
            let Reply::Bulk(Some(info)) = client.say("INFO") else { panic!("no INFO") };
            let info = String::from_utf8(info).unwrap();
            if info.contains("db0:keys=1,expires=1,") && info.contains("expired_keys:200\r") {
                break;
            }
            assert!(begin.elapsed() < Duration::from_secs(10), "{info}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

#[test]
fn a_subscriber_of_the_old_protocol_may_only_subscribe() {
    for server in modes() {
        let mut client = Client::new(server.address);
        client.say("SUBSCRIBE channel");
        assert_eq!(client.say("GET key"), Reply::Error("ERR".to_owned()));
        assert_eq!(client.say("PING"), Reply::array([Reply::bulk("pong"), Reply::bulk("")]));
        client.say("UNSUBSCRIBE");
        assert_eq!(client.say("GET key"), Reply::Bulk(None));
    }
}

#[test]
fn a_subscriber_that_reads_nothing_is_dropped() {
    for server in modes() {
        let mut deaf = Client::new(server.address);
        deaf.say("SUBSCRIBE channel");
        let mut publisher = Client::new(server.address);
        let text = "x".repeat(1 << 20);
        let begin = Instant::now();
        // What the kernel takes for it, and 32 MiB.
        while publisher.say(&format!("PUBLISH channel {text}")) == Reply::Int(1) {
            assert!(begin.elapsed() < Duration::from_secs(30), "it is still there");
        }
        assert_eq!(publisher.say("PUBLISH channel x"), Reply::Int(0));
    }
}

#[test]
fn a_port_that_another_server_has_is_refused() {
    for server in modes() {
        let taken = server.address.to_string();
        let second = Command::new(program("kv")).args(["--listen", &taken]).output().unwrap();
        let words = String::from_utf8_lossy(&second.stderr);
        assert!(!second.status.success(), "two servers would share the clients");
        assert!(words.contains(&format!("cannot listen on {taken}")) && words.contains("in use"), "{words}");
    }
}

#[test]
fn subscribers_count_as_clients() {
    for mode in ["chain", "await"] {
        let server = Server::start("kv", &["--maxclients", "3", "--mode", mode]);
        let mut clients: Vec<_> = (0..3).map(|_| Client::new(server.address)).collect();
        clients.iter_mut().for_each(|client| drop(client.say("SUBSCRIBE news")));
        // The reply to it is sent where subscribers are.
        clients.iter_mut().for_each(|client| drop(client.say("PING")));
        let mut fourth = Client::new(server.address);
        assert_eq!((fourth.reply(), fourth.next()), (Reply::Error("ERR".to_owned()), None), "{mode}");
    }
}

#[test]
fn more_clients_than_there_may_be_are_turned_away() {
    for mode in ["chain", "await"] {
        let server = Server::start("kv", &["--maxclients", "3", "--mode", mode]);
        let mut clients: Vec<_> = (0..3).map(|_| Client::new(server.address)).collect();
        clients
            .iter_mut()
            .for_each(|client| assert_eq!(client.say("PING"), Reply::Simple("PONG".to_owned())));
        let mut fourth = Client::new(server.address);
        assert_eq!((fourth.reply(), fourth.next()), (Reply::Error("ERR".to_owned()), None));
        drop(clients.pop());
        // The server learns of the end in its own time.
        let served = (0..500).any(|_| {
            std::thread::sleep(Duration::from_millis(10));
            let mut client = Client::new(server.address);
            client.stream.set_nodelay(true).unwrap();
            std::io::Write::write_all(&mut client.stream, b"PING\r\n").is_ok()
                && client.next() == Some(Reply::Simple("PONG".to_owned()))
        });
        assert!(served, "there is no room again");
    }
}
