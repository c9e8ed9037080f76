//! The web server for files, as clients see it that mean harm, are slow, many, or gone.

mod common;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use common::site::{Answer, Site, noise};
use common::{have, output};

#[test]
fn hostile_requests_get_their_status_and_leave_the_server_alive() {
    let site = Site::new(&[]);
    let get = |path: &str| format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n");
    let with = |lines: &str| format!("GET / HTTP/1.1\r\nHost: x\r\n{lines}\r\n");
    let long = "a".repeat(5000);
    let name = "n".repeat(300);
    let cases = [
        // Out of the root, however it is written; and through links.
        (get("/../secret"), 403),
        (get("/..%2fsecret"), 403),
        (get("/%2e%2e/secret"), 403),
        (get("/%2E%2E%2Fsecret"), 403),
        (get("/sub/../../secret"), 403),
        (get("/sub/%2e%2e/%2e%2e/secret"), 403),
        (get("http://x/../secret"), 403),
        (get("/%252e%252e/secret"), 404),
        (get("/..\\secret"), 404),
        (get("/out"), 403),
        (get("/absolute"), 403),
        (get("/up/secret"), 403),
        (get("/up/"), 403),
        (get("/loop"), 403),
        (get("/pipe"), 403),
        (get("/sub/empty/"), 403),
        (get("/index.html/"), 404),
        (get("/small/x"), 404),
        (get(&format!("/{name}")), 404),
        (get("/%00"), 400),
        (get("/small%00.html"), 400),
        (get("/%c0%ae%c0%ae/secret"), 400),
        (get("/%"), 400),
        (get("/%zz"), 400),
        (get("secret"), 400),
        (get("*"), 400),
        // What is no request, or none of ours.
        ("hello\r\n\r\n".into(), 400),
        ("\x16\x03\x01\x02\x00\x01\x00\x01\r\n".into(), 400),
        ("GET / HTTP/1.1\r\n\r\n".into(), 400),
        ("GET /\r\n\r\n".into(), 400),
        ("GET / HTTP/2.0\r\nHost: x\r\n\r\n".into(), 505),
        ("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n".into(), 405),
        ("CONNECT x:443 HTTP/1.1\r\nHost: x\r\n\r\n".into(), 405),
        ("OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n".into(), 405),
        ("BREW / HTTP/1.1\r\nHost: x\r\n\r\n".into(), 501),
        // Lengths that others would read otherwise.
        (with("Content-Length: 1\r\nContent-Length: 2\r\n"), 400),
        (with("Content-Length: 5, 5\r\n"), 400),
        (with("Content-Length: +5\r\n"), 400),
        (with("Content-Length: -1\r\n"), 400),
        (with("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n"), 400),
        (with("Transfer-Encoding: chunked\r\n"), 411),
        (with("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n"), 501),
        (with("Transfer-Encoding: xchunked\r\n"), 501),
        (with("Transfer-Encoding : chunked\r\n"), 400),
        (with(" Transfer-Encoding: chunked\r\n"), 400),
        (with("Content-Length: 99999999999999999999\r\n"), 413),
        (with("Content-Length: 1000000\r\n"), 413),
        (with("X: a\rContent-Length: 5\r\n"), 400),
        (with("X: a\0b\r\n"), 400),
        (with("Host: y\r\n"), 400),
        // Without measure.
        (get(&format!("/{long}")), 414),
        (with(&format!("X: {}\r\n", "b".repeat(20_000))), 431),
        (with(&"X: y\r\n".repeat(100)), 431),
        (format!("GET / HTTP/1.1\r\n{}", "X: y\r\n".repeat(10_000)), 431),
    ];
    for (request, status) in &cases {
        let answers = site.answers(request);
        let shown = &request[..request.len().min(80)];
        assert_eq!(answers.first().map(|answer| answer.status), Some(*status), "{shown:?}");
        // Whatever was hidden in it is not taken for a request of its own.
        assert_eq!(answers.len(), 1, "{shown:?}: {answers:?}");
        assert!(!answers[0].body.windows(6).any(|bytes| bytes == b"secret"), "{shown:?}");
    }
    assert_eq!(site.get("/small", "").body, noise(1000, 1));
}

#[test]
fn who_is_slow_is_told_so_and_who_is_silent_is_not() {
    let site = Site::new(&["--head", "0.4", "--idle", "0.4", "--send", "0.4"]);
    let ended = |client: &mut TcpStream| {
        let begin = Instant::now();
        let mut bytes = Vec::new();
        let result = client.read_to_end(&mut bytes);
        (bytes, result, begin.elapsed())
    };
    let mut silent = site.connect();
    let (bytes, result, elapsed) = ended(&mut silent);
    assert!(
        bytes.is_empty() && result.is_ok() && elapsed >= Duration::from_millis(390),
        "{bytes:?} {elapsed:?}"
    );

    // A line every now and then is not enough.
    let mut slow = site.connect();
    slow.write_all(b"GET / HTTP/1.1\r\n").unwrap();
    let mut sender = slow.try_clone().unwrap();
    let sender = thread::spawn(move || {
        for _ in 0..40 {
            thread::sleep(Duration::from_millis(50));
            if sender.write_all(b"X: y\r\n").is_err() {
                break;
            }
        }
    });
    let (bytes, _, elapsed) = ended(&mut slow);
    assert_eq!(Answer::all(&bytes, "")[0].status, 408);
    assert!(elapsed < Duration::from_secs(3), "{elapsed:?}");
    sender.join().unwrap();

    // Who does not read is let go.
    let before = site.server.descriptors();
    let mut deaf = site.connect();
    deaf.write_all("GET /large HTTP/1.1\r\nHost: x\r\n\r\n".repeat(50).as_bytes()).unwrap();
    let begin = Instant::now();
    while site.server.descriptors() <= before && begin.elapsed() < Duration::from_secs(1) {
        thread::sleep(Duration::from_millis(1));
    }
    while site.server.descriptors() > before {
        assert!(begin.elapsed() < Duration::from_secs(20), "it still holds who does not read");
        thread::sleep(Duration::from_millis(10));
    }
    assert_eq!(site.get("/small", "").status, 200);
}

#[test]
fn a_request_may_come_byte_by_byte() {
    let site = Site::new(&[]);
    let mut client = site.connect();
    client.set_nodelay(true).unwrap();
    for byte in b"\r\nGET /small HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n" {
        client.write_all(&[*byte]).unwrap();
        thread::sleep(Duration::from_millis(1));
    }
    let mut bytes = Vec::new();
    client.read_to_end(&mut bytes).unwrap();
    assert_eq!(Answer::all(&bytes, "")[0].body, noise(1000, 1));
}

#[test]
fn clients_that_break_off_leave_nothing_behind() {
    let site = Site::new(&[]);
    assert_eq!(site.get("/large", "Connection: close\r\n").status, 200);
    let settled = |expected: usize| {
        let begin = Instant::now();
        loop {
            let count = site.server.descriptors();
            if count <= expected || begin.elapsed() > Duration::from_secs(10) {
                return count;
            }
            thread::sleep(Duration::from_millis(5));
        }
    };
    // The first connection and its file are closed by and by.
    thread::sleep(Duration::from_millis(200));
    let before = site.server.descriptors();
    for beginning in [
        "",
        "GET / HT",
        "GET /large HTTP/1.1\r\nHost: x\r\n\r\n",
        "GET /small HTTP/1.1\r\nHost: x\r\n\r\nGET",
        "x\r\n\r\n",
    ] {
        for _ in 0..10 {
            let mut client = site.connect();
            client.write_all(beginning.as_bytes()).unwrap();
        }
    }
    assert_eq!(settled(before), before, "descriptors were left open");
}

#[test]
fn wrk_gets_an_answer_to_every_request() {
    if !have("wrk") {
        return;
    }
    let site = Site::new(&[]);
    for (path, least) in [("small", 500), ("large", 5)] {
        let url = format!("http://{}/{path}", site.server.address);
        let report = output(Command::new("wrk").args(["-t1", "-c64", "-d2s", &url]));
        let requests = report.lines().find_map(|line| line.trim().split_once(" requests in "));
        let requests: u64 = requests.and_then(|(n, _)| n.parse().ok()).expect("wrk counts requests");
        assert!(requests > least, "{report}");
        for trouble in ["Non-2xx", "Socket errors"] {
            assert!(!report.contains(trouble), "{report}");
        }
    }
}

#[test]
fn who_is_being_served_when_it_is_told_to_end_gets_all_and_no_more() {
    let mut site = Site::new(&["--drain", "10"]);
    let mut client = site.connect();
    let mut other = site.connect();
    // Enough that the answers do not fit into the buffers of the sockets.
    let request = "GET /large HTTP/1.1\r\nHost: x\r\n\r\n";
    client.write_all(request.repeat(20).as_bytes()).unwrap();
    other.write_all(b"GET /small HTTP/1.1\r\n").unwrap();
    client.read_exact(&mut [0; 1]).unwrap();
    site.server.signal("TERM");
    let begin = Instant::now();
    while TcpStream::connect(site.server.address).is_ok() {
        assert!(begin.elapsed() < Duration::from_secs(5), "it still accepts");
        thread::sleep(Duration::from_millis(5));
    }
    let whole = |mut bytes: Vec<u8>, client: &mut TcpStream, path| {
        client.read_to_end(&mut bytes).unwrap();
        Answer::all(&bytes, path).pop().expect("an answer")
    };
    other.write_all(b"Host: x\r\n\r\n").unwrap();
    let answer = whole(Vec::new(), &mut other, "");
    assert_eq!((answer.status, answer.body), (200, noise(1000, 1)));
    let answer = whole(b"H".to_vec(), &mut client, "");
    assert_eq!((answer.status, answer.body), (200, noise(1_000_000, 3)));
    assert_eq!(site.server.ended(), Some(0));
    assert!(begin.elapsed() < Duration::from_secs(8), "it has waited for nobody");
}

#[test]
fn who_takes_too_long_when_it_is_told_to_end_is_broken_off_and_at_once_the_second_time() {
    for (drain, signals) in [("0.2", 1), ("30", 2)] {
        let mut site = Site::new(&["--drain", drain]);
        let mut silent = site.connect();
        silent.write_all(b"GET / HTTP/1.1\r\n").unwrap();
        // It is there when another that came later is.
        assert_eq!(site.get("/small", "").status, 200);
        for _ in 0..signals {
            site.server.signal("INT");
            thread::sleep(Duration::from_millis(50));
        }
        let begin = Instant::now();
        assert_eq!(site.server.ended(), Some(0));
        assert!(begin.elapsed() < Duration::from_secs(5), "{:?}", begin.elapsed());
    }
}

#[test]
fn signals_end_it_cleanly_and_a_root_that_is_not_there_is_told() {
    for signal in ["INT", "TERM"] {
        let mut site = Site::new(&["--cores", "2"]);
        let mut held = site.connect();
        held.write_all(b"GET /large HTTP/1.1\r\nHost: x\r\n").unwrap();
        site.server.signal(signal);
        assert_eq!(site.server.ended(), Some(0));
    }
    let missing = Path::new("/nowhere/at/all");
    let told = Command::new(common::program("http")).arg("--root").arg(missing).output().unwrap();
    assert!(!told.status.success());
    assert_eq!(
        String::from_utf8_lossy(&told.stderr),
        "error: /nowhere/at/all: No such file or directory (os error 2)\n"
    );
}
