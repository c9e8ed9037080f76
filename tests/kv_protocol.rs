//! The kv example and requests that are not as they should be: an error or an end, and the next client is served.

mod common;

use std::io::Write;
use std::net::{Shutdown, SocketAddr};
use std::time::Duration;

use common::Server;
use common::resp::{Client, Reply, request};

/// Both ways to serve.
fn servers() -> [Server; 2] {
    [&["--maxmemory", "64"][..], &["--maxmemory", "64", "--mode", "await"]]
        .map(|mode| Server::start("kv", mode))
}

/// All replies to some bytes, up to the end of the connection.
fn answers(address: SocketAddr, bytes: &[u8], piece: usize) -> Vec<Reply> {
    let mut client = Client::new(address);
    for piece in bytes.chunks(piece) {
        // The server may have closed the connection by now.
        if client.stream.write_all(piece).is_err() {
            break;
        }
    }
    let _ = client.stream.shutdown(Shutdown::Write);
    std::iter::from_fn(|| client.next()).collect()
}

fn error() -> Reply {
    Reply::Error("ERR".to_owned())
}

fn pong() -> Reply {
    Reply::Simple("PONG".to_owned())
}

/// What breaks the protocol, and so ends the connection after an error.
const BROKEN: &[&[u8]] = &[
    b"*x\r\n",
    b"*1x\r\n",
    b"*--1\r\n",
    b"*1000000000000000000000\r\n",
    b"*1048577\r\n",
    b"*\r\n",
    b"*1\n",
    b"*1\r\nPING\r\n",
    b"*1\r\n:4\r\nPING\r\n",
    b"*1\r\n\xff\r\n",
    b"*1\r\n$x\r\nPING\r\n",
    b"*1\r\n$-1\r\nPING\r\n",
    b"*1\r\n$-4\r\nPING\r\n",
    b"*1\r\n$\r\nPING\r\n",
    b"*1\r\n$536870913\r\n",
    b"*1\r\n$99999999999999999999\r\n",
    b"*1\r\n$4\r\nPINGPONG\r\n",
    b"*1\r\n$4\r\nPING\n\n",
    b"*1\r\n$4\r\nPING\r\r",
    b"*2\r\n$4\r\nECHO\r\n$20000\r\n",
    b"GET \"unbalanced\r\n",
    b"GET 'unbalanced\r\n",
    b"GET \"one\"two\r\n",
];

#[test]
fn what_breaks_the_protocol_is_answered_with_an_error_and_the_end() {
    for server in servers() {
        for broken in BROKEN {
            let last = broken.ends_with(b"$20000\r\n");
            let bytes = if last { [broken, &[b'x'; 20_002][..]].concat() } else { broken.to_vec() };
            for piece in [1, 3, bytes.len()] {
                let bytes = [b"PING\r\n", bytes.as_slice(), b"PING\r\n"].concat();
                let replies = answers(server.address, &bytes, piece);
                assert_eq!(replies, [pong(), error()], "{} in pieces of {piece}", broken.escape_ascii());
            }
        }
        assert_eq!(Client::new(server.address).say("PING"), pong());
    }
}

#[test]
fn what_is_odd_but_right_is_done() {
    let odd: &[(&[u8], &[Reply])] = &[
        (b"\r\n\r\nPING\r\n", &[pong()]),
        (b"PING\n", &[pong()]),
        (b"   PING   \r\n", &[pong()]),
        (b"*0\r\nPING\r\n", &[pong()]),
        (b"*-1\r\nPING\r\n", &[pong()]),
        (b"*1\r\n$0\r\n\r\nPING\r\n", &[error(), pong()]),
        (b"*01\r\n$04\r\nPING\r\n", &[pong()]),
        (b"ECHO \"a\\x41\\n\\\"\"\r\n", &[Reply::bulk(b"aA\n\"")]),
        (b"ECHO 'it\\'s'\r\n", &[Reply::bulk(b"it's")]),
        (b"ECHO a'b c'\r\n", &[Reply::bulk(b"ab c")]),
        (b"*2\r\n$4\r\neChO\r\n$4\r\n\r\n\0*\r\n", &[Reply::bulk(b"\r\n\0*")]),
    ];
    for server in servers() {
        for (bytes, replies) in odd {
            for piece in [1, 4, bytes.len()] {
                let got = answers(server.address, bytes, piece);
                assert_eq!(got, *replies, "{} in pieces of {piece}", bytes.escape_ascii());
            }
        }
    }
}

#[test]
fn lines_without_an_end_are_given_up() {
    for server in servers() {
        for start in [&b"P"[..], b"*1", b"*1\r\n$1"] {
            let bytes = [start, &[b'1'; 200_000][..]].concat();
            assert_eq!(answers(server.address, &bytes, 10_000), [error()], "{}", start.escape_ascii());
        }
    }
}

#[test]
fn a_request_that_ends_in_the_middle_is_no_request() {
    let whole = request(&[&b"SET"[..], b"half", &vec![b'x'; 40_000][..]]);
    for server in servers() {
        for len in (0..40).chain([whole.len() / 2, whole.len() - 2, whole.len() - 1]) {
            assert_eq!(answers(server.address, &whole[..len], 7_000), [], "{len} bytes");
        }
        assert_eq!(Client::new(server.address).say("EXISTS half"), Reply::Int(0));
    }
}

#[test]
fn what_is_announced_takes_no_memory_before_it_comes() {
    for server in servers() {
        // Together 25 GiB, on 64 MiB.
        let clients: Vec<_> = (0..50)
            .map(|_| {
                let mut client = Client::new(server.address);
                client.send(b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$536870912\r\nxxxx");
                client
            })
            .collect();
        let mut other = Client::new(server.address);
        assert_eq!(other.say("SET other value"), Reply::ok());
        drop(clients);
        assert_eq!(other.say("EXISTS k"), Reply::Int(0));
    }
}

#[test]
fn values_beyond_the_memory_limit_are_refused_and_the_connection_goes_on() {
    for server in servers() {
        let mut client = Client::new(server.address);
        let (small, large) = (vec![b's'; 1 << 20], vec![b'l'; 80 << 20]);
        assert_eq!(client.call(&[&b"SET"[..], b"large", &large[..]]), Reply::Error("OOM".to_owned()));
        assert_eq!(client.say("EXISTS large"), Reply::Int(0));
        let mut stored = 0;
        let refused = loop {
            let key = format!("small:{stored}");
            match client.call(&[&b"SET"[..], key.as_bytes(), &small[..]]) {
                Reply::Simple(_) => stored += 1,
                other => break other,
            }
        };
        assert_eq!(refused, Reply::Error("OOM".to_owned()));
        assert!((50..64).contains(&stored), "{stored} MiB of 64 are stored");
        assert_eq!(client.call(&[&b"LPUSH"[..], b"list", &small]), Reply::Error("OOM".to_owned()));
        // What is there can be read and removed, and there is room again.
        assert_eq!(client.say("GET small:0"), Reply::bulk(&small));
        assert_eq!(client.say("DEL small:0 small:1"), Reply::Int(2));
        assert_eq!(client.call(&[&b"SET"[..], b"small:0", &small[..]]), Reply::ok());
        assert_eq!(client.say("FLUSHALL"), Reply::ok());
        assert_eq!(client.call(&[&b"SET"[..], b"large", &large[..40 << 20]]), Reply::ok());
        assert_eq!(client.say("STRLEN large"), Reply::Int(40 << 20));
    }
}

#[test]
fn many_large_replies_are_asked_for_at_once() {
    for server in servers() {
        let mut client = Client::new(server.address);
        let value = vec![b'v'; 20_000];
        assert_eq!(client.call(&[&b"SET"[..], b"k", &value[..]]), Reply::ok());
        // More shared parts than one message can have: in many requests, and in one.
        let gets = request(&[&b"GET"[..], b"k"]).repeat(1500);
        let mget: Vec<&[u8]> =
            std::iter::once(&b"MGET"[..]).chain(std::iter::repeat_n(&b"k"[..], 1500)).collect();
        let mut writer = client.stream.try_clone().unwrap();
        let bytes = [gets, request(&mget), request(&[b"PING"])].concat();
        let sending = std::thread::spawn(move || writer.write_all(&bytes).unwrap());
        for i in 0..1500 {
            assert!(client.reply() == Reply::bulk(&value), "reply {i} is another one");
        }
        let Reply::Array(Some(all)) = client.reply() else { panic!("no array") };
        assert!(all.len() == 1500 && all.iter().all(|one| *one == Reply::bulk(&value)));
        assert_eq!(client.reply(), pong());
        sending.join().unwrap();
    }
}

/// Clients who ask for something, and stay.
type Ask = fn(SocketAddr) -> Vec<Client>;

/// What takes much memory when it is asked for, and little to ask for. None of the clients reads its replies.
const GREEDY: [(&str, Ask); 5] = [
    ("one text many times", |address| {
        let words = ["k0", "k1", "k2", "k3"].iter().cycle().take(40_000);
        let mget: Vec<&str> = std::iter::once("MGET").chain(words.copied()).collect();
        vec![asking(address, request(&mget))]
    }),
    ("many texts at once", |address| {
        let gets = b"GET k0\r\nGET k1\r\nGET k2\r\nGET k3\r\n".repeat(8000);
        vec![asking(address, gets)]
    }),
    ("words that are no words", |address| {
        let word = vec![0xff; 30 << 20];
        let refused =
            [&[&b"CLIENT"[..], &word[..]][..], &[b"HELLO", b"3", &word], &[b"EXPIRE", b"k0", b"1", &word]];
        let refused = refused.map(|words| {
            let mut client = Client::new(address);
            assert!(matches!(client.call(words), Reply::Error(_)));
            client
        });
        refused.into()
    }),
    ("names", |address| {
        let mut client = Client::new(address);
        let long = vec![b'n'; 100 << 10];
        assert_eq!(client.call(&[&b"CLIENT"[..], b"SETNAME", &long]), Reply::Error("ERR".to_owned()));
        assert_eq!(client.call(&[&b"SUBSCRIBE"[..], &long]), Reply::Error("ERR".to_owned()));
        let mut last = Reply::ok();
        for number in 0..3000 {
            let channel = format!("{number:060000}");
            last = client.call(&["SUBSCRIBE", &channel]);
            if matches!(last, Reply::Error(_)) {
                break;
            }
        }
        assert_eq!(last, Reply::Error("OOM".to_owned()), "all channels together");
        vec![client]
    }),
    ("empty arguments", |address| {
        let some = [&b"*500000\r\n$4\r\nMGET\r\n"[..], &b"$0\r\n\r\n".repeat(300_000)].concat();
        (0..20).map(|_| asking(address, some.clone())).collect()
    }),
];

/// A client that has said this, or as much as the server takes.
fn asking(address: SocketAddr, bytes: Vec<u8>) -> Client {
    let mut client = Client::new(address);
    client.stream.set_write_timeout(Some(Duration::from_secs(2))).unwrap();
    let _ = client.stream.write_all(&bytes);
    client
}

#[test]
fn what_clients_ask_for_stays_within_the_memory_limit() {
    for arguments in [&["--cores", "1"][..], &["--cores", "2"], &["--cores", "2", "--mode", "await"]] {
        for (what, ask) in GREEDY {
            let server = Server::start("kv", &[&["--maxmemory", "64"], arguments].concat());
            let mut other = Client::new(server.address);
            for key in ["k0", "k1", "k2", "k3"] {
                assert_eq!(other.call(&["SET", key, &"v".repeat(16_000)]), Reply::ok());
            }
            let held = ask(server.address);
            // Of each core, and behind what was sent.
            for _ in 0..20 {
                assert_eq!(Client::new(server.address).say("PING"), pong(), "{what} {arguments:?}");
            }
            let peak = server.status("VmHWM") >> 10;
            println!("{what} {arguments:?}: {peak} MiB");
            // A sanitizer's own memory counts with it.
            let is_judged = std::env::var_os("CHAINRING_SANITIZED").is_none();
            assert!(!is_judged || peak < 256, "{what} {arguments:?}: {peak} MiB");
            drop(held);
        }
    }
}
