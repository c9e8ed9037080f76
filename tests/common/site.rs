//! A root with something to find, the web server for it, and its answers.

use std::fs;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::unix::fs::symlink;
use std::process::Command;
use std::time::Duration;

use super::{Server, Temp, output};

pub(crate) fn noise(len: usize, mut seed: u64) -> Vec<u8> {
    let mut next = || {
        seed = seed.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
        (seed >> 33) as u8
    };
    (0..len).map(|_| next()).collect()
}

/// A root with something to find, and a server for it.
pub(crate) struct Site {
    pub(crate) server: Server,
    pub(crate) dir: Temp,
}

impl Site {
    pub(crate) fn new(arguments: &[&str]) -> Site {
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

    pub(crate) fn root(&self) -> std::path::PathBuf {
        self.dir.path().join("root")
    }

    pub(crate) fn connect(&self) -> TcpStream {
        let client = TcpStream::connect(self.server.address).unwrap();
        client.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        client
    }

    /// Sends these bytes and an end, and gives all that comes.
    pub(crate) fn ask(&self, bytes: &[u8]) -> Vec<u8> {
        let mut client = self.connect();
        // A server that has answered already may not take all of them.
        let _ = client.write_all(bytes);
        let _ = client.shutdown(Shutdown::Write);
        let mut answer = Vec::new();
        client.read_to_end(&mut answer).unwrap();
        answer
    }

    pub(crate) fn answers(&self, requests: &str) -> Vec<Answer> {
        Answer::all(&self.ask(requests.as_bytes()), requests)
    }

    /// Asks for a path with further lines.
    pub(crate) fn get(&self, path: &str, lines: &str) -> Answer {
        let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\n{lines}\r\n");
        let mut answers = self.answers(&request);
        assert_eq!(answers.len(), 1, "{request}");
        answers.remove(0)
    }
}

#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    /// Takes apart what was answered to requests; those that begin with HEAD get no body.
    pub(crate) fn all(mut bytes: &[u8], requests: &str) -> Vec<Answer> {
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

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    }
}
