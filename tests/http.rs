//! The web server for files: what clients get that mean well, and those that do not.

mod common;

use std::fs;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use common::{Server, Temp, have, output};

fn noise(len: usize, mut seed: u64) -> Vec<u8> {
    let mut next = || {
        seed = seed.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
        (seed >> 33) as u8
    };
    (0..len).map(|_| next()).collect()
}

/// A root with something to find, and a server for it.
struct Site {
    server: Server,
    dir: Temp,
}

impl Site {
    fn new(arguments: &[&str]) -> Site {
        let dir = Temp::new();
        let root = dir.path().join("root");
        fs::create_dir_all(root.join("sub/empty")).unwrap();
        fs::write(root.join("index.html"), "<p>root").unwrap();
        fs::write(root.join("sub/index.html"), "<p>sub").unwrap();
        fs::write(root.join("nothing"), "").unwrap();
        fs::write(root.join("a b.txt"), "with a space").unwrap();
        fs::write(root.join("small"), noise(1000, 1)).unwrap();
        fs::write(root.join("chunk"), noise(65536, 2)).unwrap();
        fs::write(root.join("large"), noise(1_000_000, 3)).unwrap();
        fs::write(dir.path().join("secret"), "secret").unwrap();
        symlink("../secret", root.join("out")).unwrap();
        symlink(dir.path().join("secret"), root.join("absolute")).unwrap();
        symlink("..", root.join("up")).unwrap();
        symlink("loop", root.join("loop")).unwrap();
        symlink("small", root.join("in")).unwrap();
        output(Command::new("mkfifo").arg(root.join("pipe")));
        let all = [&["--root", root.to_str().unwrap()], arguments].concat();
        Site { server: Server::start("http", &all), dir }
    }

    fn root(&self) -> std::path::PathBuf {
        self.dir.path().join("root")
    }

    fn connect(&self) -> TcpStream {
        let client = TcpStream::connect(self.server.address).unwrap();
        client.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        client
    }

    /// Sends these bytes and an end, and gives all that comes.
    fn ask(&self, bytes: &[u8]) -> Vec<u8> {
        let mut client = self.connect();
        // A server that has answered already may not take all of them.
        let _ = client.write_all(bytes);
        let _ = client.shutdown(Shutdown::Write);
        let mut answer = Vec::new();
        client.read_to_end(&mut answer).unwrap();
        answer
    }

    fn answers(&self, requests: &str) -> Vec<Answer> {
        Answer::all(&self.ask(requests.as_bytes()), requests)
    }

    /// Asks for a path with further lines.
    fn get(&self, path: &str, lines: &str) -> Answer {
        let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\n{lines}\r\n");
        let mut answers = self.answers(&request);
        assert_eq!(answers.len(), 1, "{request}");
        answers.remove(0)
    }
}

#[derive(Debug)]
struct Answer {
    status: u16,
    head: String,
    body: Vec<u8>,
}

impl Answer {
    /// Takes apart what was answered to requests; those that begin with HEAD get no body.
    fn all(mut bytes: &[u8], requests: &str) -> Vec<Answer> {
        let mut requests = requests.split("\r\n\r\n");
        let mut answers = Vec::new();
        while !bytes.is_empty() {
            let end = bytes.windows(4).position(|four| four == b"\r\n\r\n").expect("a head") + 4;
            let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
            let status =
                head.strip_prefix("HTTP/1.1 ").and_then(|rest| rest[..3].parse().ok()).expect("a status");
            let mut answer = Answer { status, head, body: Vec::new() };
            let none = requests.next().is_some_and(|request| request.starts_with("HEAD")) || status == 304;
            let length = if none { 0 } else { answer.header("Content-Length").unwrap().parse().unwrap() };
            answer.body = bytes[end..end + length].to_vec();
            bytes = &bytes[end + length..];
            answers.push(answer);
        }
        answers
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    }
}

#[test]
fn curl_fetches_a_tree_byte_for_byte() {
    if !have("curl") {
        return;
    }
    let site = Site::new(&["--cores", "2"]);
    let mut paths: Vec<String> =
        ["nothing", "a%20b.txt", "small", "chunk", "large", "in"].map(str::to_owned).to_vec();
    fs::create_dir(site.root().join("many")).unwrap();
    for number in 0..200 {
        fs::write(site.root().join(format!("many/{number}")), noise(number * 977, number as u64)).unwrap();
        paths.push(format!("many/{number}"));
    }
    let got = site.dir.path().join("got");
    // Twice: once as the files are, and once as they are remembered.
    for _ in 0..2 {
        let mut curl = Command::new("curl");
        curl.args(["-sS", "--max-time", "30", "--create-dirs", "--output-dir", got.to_str().unwrap()]);
        for path in &paths {
            curl.args(["-o", &path.replace("%20", " "), &format!("http://{}/{path}", site.server.address)]);
        }
        output(&mut curl);
        for path in &paths {
            let path = path.replace("%20", " ");
            assert!(
                fs::read(got.join(&path)).unwrap() == fs::read(site.root().join(&path)).unwrap(),
                "{path}"
            );
        }
    }
    for path in ["small", "large"] {
        let whole = fs::read(site.root().join(path)).unwrap();
        for (range, expected) in [
            ("0-0", 0..1),
            ("100-199", 100..200),
            ("900-", 900..whole.len()),
            ("-10", whole.len() - 10..whole.len()),
        ] {
            let part = Command::new("curl")
                .args([
                    "-sS",
                    "--max-time",
                    "10",
                    "-r",
                    range,
                    &format!("http://{}/{path}", site.server.address),
                ])
                .output()
                .unwrap();
            assert!(part.stdout == whole[expected], "{path} {range}");
        }
    }
}

#[test]
fn files_have_types_versions_and_indices() {
    let site = Site::new(&[]);
    let index = site.get("/", "");
    assert_eq!(
        (index.status, &index.body[..], index.header("Content-Type")),
        (200, &b"<p>root"[..], Some("text/html; charset=utf-8"))
    );
    assert_eq!(site.get("/sub/", "").body, b"<p>sub");
    assert_eq!(site.get("/small?query=/../..", "").body, noise(1000, 1));
    assert_eq!(site.get("http://x/small", "").body, noise(1000, 1));
    for (path, location) in [("/sub", "/sub/"), ("//sub", "/sub/"), ("/./sub/../sub", "/sub/")] {
        let moved = site.get(path, "");
        assert_eq!((moved.status, moved.header("Location")), (301, Some(location)), "{path}");
    }
    let small = site.get("/small", "");
    assert_eq!(small.header("Content-Type"), Some("application/octet-stream"));
    let (tag, date) = (small.header("ETag").unwrap(), small.header("Last-Modified").unwrap());
    for lines in [
        format!("If-None-Match: {tag}\r\n"),
        format!("If-Modified-Since: {date}\r\n"),
        "If-None-Match: *\r\n".into(),
    ] {
        for path in ["/small", "/small"] {
            let known = site.get(path, &lines);
            assert_eq!(
                (known.status, known.header("ETag"), known.header("Content-Length")),
                (304, Some(tag), None),
                "{lines}"
            );
        }
    }
    assert_eq!(site.get("/small", "If-None-Match: \"other\"\r\n").status, 200);
    // A file that has changed is another one, when it is looked at again.
    fs::write(site.root().join("small"), "changed now").unwrap();
    thread::sleep(Duration::from_millis(1100));
    let changed = site.get("/small", &format!("If-None-Match: {tag}\r\n"));
    assert_eq!((changed.status, &changed.body[..]), (200, &b"changed now"[..]));
}

#[test]
fn ranges_are_given_as_far_as_there_is_something() {
    let site = Site::new(&[]);
    for (path, size) in [("/small", 1000), ("/chunk", 65536), ("/large", 1_000_000_usize)] {
        let whole = fs::read(site.root().join(&path[1..])).unwrap();
        let part = |range: &str| site.get(path, &format!("Range: bytes={range}\r\n"));
        for (range, from, to) in [
            ("0-0", 0, 1),
            ("1-", 1, size),
            ("-1", size - 1, size),
            ("10-99999999", 10, size),
            ("5-500", 5, 501),
        ] {
            let answer = part(range);
            let content = format!("bytes {from}-{}/{size}", to - 1);
            assert_eq!(
                (answer.status, answer.header("Content-Range")),
                (206, Some(content.as_str())),
                "{path} {range}"
            );
            assert!(answer.body == whole[from..to], "{path} {range}");
        }
        for range in ["1000000-", "99999999999999999999-", "-0"] {
            let answer = part(range);
            let content = format!("bytes */{size}");
            assert_eq!(
                (answer.status, answer.header("Content-Range")),
                (416, Some(content.as_str())),
                "{path} {range}"
            );
        }
        for range in ["1-2,4-5", "x", "5-2"] {
            let answer = part(range);
            assert!(answer.status == 200 && answer.body == whole, "{path} {range}");
        }
    }
    let date = site.get("/small", "").header("Last-Modified").unwrap().to_owned();
    let part = |date: &str| site.get("/small", &format!("Range: bytes=0-1\r\nIf-Range: {date}\r\n")).status;
    assert_eq!((part(&date), part("Sun, 06 Nov 1994 08:49:37 GMT"), part("\"tag\"")), (206, 200, 200));
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let site = Site::new(&[]);
    let mut requests = String::new();
    let order = ["/small", "/large", "/missing", "/", "/chunk", "/nothing", "/sub", "/../x"];
    for path in order.iter().cycle().take(80) {
        requests += &format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n");
        requests += &format!("HEAD {path} HTTP/1.1\r\nHost: x\r\n\r\n");
    }
    // With bodies that nobody wants.
    requests += "GET /small HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello";
    requests += "POST /small HTTP/1.1\r\nHost: x\r\nContent-Length: 19\r\n\r\nGET / HTTP/1.1\r\n\r\n\n";
    requests +=
        "GET /nothing HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n";
    let mut client = site.connect();
    let mut sender = client.try_clone().unwrap();
    let sent = requests.clone();
    let sender = thread::spawn(move || sender.write_all(sent.as_bytes()));
    let mut bytes = Vec::new();
    client.read_to_end(&mut bytes).unwrap();
    sender.join().unwrap().unwrap();
    let answers = Answer::all(&bytes, &requests);
    let statuses = [200, 200, 404, 200, 200, 200, 301, 403];
    for (number, pair) in answers[..160].chunks(2).enumerate() {
        let [get, head] = pair else { unreachable!() };
        assert_eq!((get.status, head.status), (statuses[number % 8], statuses[number % 8]));
        assert_eq!(get.header("Content-Length"), head.header("Content-Length"));
        if number % 8 == 1 {
            assert!(get.body == noise(1_000_000, 3));
        }
    }
    let rest: Vec<u16> = answers[160..].iter().map(|answer| answer.status).collect();
    assert_eq!(rest, [200, 405, 200]);
    assert_eq!(answers[161].header("Allow"), Some("GET, HEAD"));
}

#[test]
fn connections_are_kept_as_the_client_says() {
    let site = Site::new(&[]);
    for (request, header) in [
        ("GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", Some("close")),
        ("GET / HTTP/1.0\r\n\r\n", None),
        ("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", Some("keep-alive")),
        ("GET / HTTP/1.1\r\nHost: x\r\n\r\n", None),
    ] {
        let mut client = site.connect();
        client.write_all(request.as_bytes()).unwrap();
        let closes = header == Some("close") || (request.contains("1.0") && header.is_none());
        if !closes {
            // It is still there.
            client.write_all(b"GET /missing HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
        }
        let mut bytes = Vec::new();
        client.read_to_end(&mut bytes).unwrap();
        let answers = Answer::all(&bytes, "");
        assert_eq!(answers.len(), if closes { 1 } else { 2 }, "{request}");
        assert_eq!(answers[0].header("Connection"), if closes { Some("close") } else { header }, "{request}");
    }
}

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
        (with("Transfer-Encoding: chunked\r\n"), 501),
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
