//! The web server on hyper, as clients see it.

mod common;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;
use std::time::{Duration, Instant};

use common::{Server, have, output};

#[test]
fn curl_is_greeted_twice_over_one_connection() {
    if !have("curl") {
        return;
    }
    let server = Server::start("hyper_hello", &[]);
    let url = |path: &str| format!("http://{}/{path}", server.address);
    let greetings = output(
        Command::new("curl")
            .args(["-sS", "--max-time", "10", "-w", "%{http_code} %{num_connects}\n"])
            .args([url("io_uring"), url("")]),
    );
    assert_eq!(greetings, "Hello, io_uring!\n200 1\nHello, World!\n200 0\n");
}

#[test]
fn a_large_upload_that_nobody_reads_does_not_stop_the_answer() {
    if !have("curl") {
        return;
    }
    let server = Server::start("hyper_hello", &[]);
    let mut curl = Command::new("curl");
    curl.args(["-sS", "--max-time", "10", "-H", "Expect:", "--data-binary", "@/proc/self/exe"]);
    let got = curl.arg(format!("http://{}/up", server.address)).output().unwrap();
    let (answer, trouble) = (String::from_utf8_lossy(&got.stdout), String::from_utf8_lossy(&got.stderr));
    assert_eq!(answer, "Hello, up!\n", "{trouble}");
    // The server closes behind its answer; curl may be in the middle of a send then (55), and says so.
    assert!(matches!(got.status.code(), Some(0 | 55)), "{}: {trouble}", got.status);
}

#[test]
fn wrk_gets_an_answer_to_every_request() {
    if !have("wrk") {
        return;
    }
    let server = Server::start("hyper_hello", &[]);
    let report = output(
        Command::new("wrk").args(["-t1", "-c32", "-d1s"]).arg(format!("http://{}/wrk", server.address)),
    );
    println!("{report}");
    let requests = report.lines().find_map(|line| line.trim().split_once(" requests in "));
    let requests: u64 = requests.and_then(|(n, _)| n.parse().ok()).expect("wrk counts requests");
    assert!(requests > 100, "{report}");
    for trouble in ["Non-2xx", "Socket errors"] {
        assert!(!report.contains(trouble), "{report}");
    }
}

#[test]
fn h2load_gets_an_answer_to_pipelined_requests() {
    if !have("h2load") {
        return;
    }
    let server = Server::start("hyper_hello", &[]);
    let mut h2load = Command::new("h2load");
    let report =
        output(h2load.args(["--h1", "-n2000", "-c10", "-m4"]).arg(format!("http://{}/", server.address)));
    assert!(report.contains("2000 succeeded, 0 failed, 0 errored, 0 timeout"), "{report}");
}

#[test]
fn clients_that_break_off_leave_nothing_behind() {
    let server = Server::start("hyper_hello", &[]);
    // Whatever a first connection opens for good.
    request(&server, b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    let before = settled(&server, usize::MAX);
    for beginning in ["", "GET / HT", "GET / HTTP/1.1\r\nHost: x\r\n", "garbage\r\n\r\n", "\0\0\0"] {
        let mut client = TcpStream::connect(server.address).unwrap();
        client.write_all(beginning.as_bytes()).unwrap();
        drop(client);
    }
    assert_eq!(settled(&server, before), before, "descriptors were left open");
    assert!(request(&server, b"garbage\r\n\r\n").starts_with("HTTP/1.1 400"));
}

fn request(server: &Server, bytes: &[u8]) -> String {
    let mut client = TcpStream::connect(server.address).unwrap();
    client.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    client.write_all(bytes).unwrap();
    let mut answer = String::new();
    client.read_to_string(&mut answer).unwrap();
    answer
}

/// The open descriptors of the server when they are as few as expected, or after a while.
fn settled(server: &Server, expected: usize) -> usize {
    let begin = Instant::now();
    loop {
        let count = server.descriptors();
        let patience = if expected == usize::MAX { 50 } else { 3000 };
        if count == expected || begin.elapsed() > Duration::from_millis(patience) {
            return count;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}
