//! The web server for files, as clients see it that mean well.

mod common;

use std::fs;
use std::io::{Read, Write};
use std::process::Command;
use std::thread;
use std::time::Duration;

use common::site::{Answer, Site, noise};
use common::{have, output};

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
    // What has just been written is not remembered.
    thread::sleep(Duration::from_millis(1100));
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
fn a_file_that_is_written_twice_within_a_second_is_not_kept_as_it_was_between() {
    let site = Site::new(&[]);
    let file = site.root().join("twice");
    for round in 0..20 {
        fs::write(&file, "aaaa").unwrap();
        assert_eq!(site.get("/twice", "").body, b"aaaa", "in round {round}");
        fs::write(&file, "bbbb").unwrap();
        assert_eq!(site.get("/twice", "").body, b"bbbb", "in round {round}");
    }
    thread::sleep(Duration::from_millis(1100));
    assert_eq!(site.get("/twice", "").body, b"bbbb");
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
