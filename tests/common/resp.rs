//! A client of the kv example that is as simple as can be.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// A reply. Of an error the first word.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Reply {
    Simple(String),
    Error(String),
    Int(i64),
    Bulk(Option<Vec<u8>>),
    Array(Option<Vec<Reply>>),
}

impl Reply {
    pub(crate) fn ok() -> Self {
        Reply::Simple("OK".to_owned())
    }

    pub(crate) fn bulk(bytes: impl AsRef<[u8]>) -> Self {
        Reply::Bulk(Some(bytes.as_ref().to_vec()))
    }

    pub(crate) fn array(items: impl IntoIterator<Item = Reply>) -> Self {
        Reply::Array(Some(items.into_iter().collect()))
    }

    /// The texts of an array, in order of the alphabet.
    pub(crate) fn sorted(self) -> Vec<Vec<u8>> {
        let Reply::Array(Some(items)) = self else { panic!("{self:?} is no array") };
        let mut texts: Vec<_> = items
            .into_iter()
            .map(|item| match item {
                Reply::Bulk(Some(bytes)) => bytes,
                other => panic!("{other:?} among texts"),
            })
            .collect();
        texts.sort();
        texts
    }
}

/// The bytes of a request.
pub(crate) fn request(args: &[impl AsRef<[u8]>]) -> Vec<u8> {
    let mut bytes = format!("*{}\r\n", args.len()).into_bytes();
    for arg in args {
        bytes.extend(format!("${}\r\n", arg.as_ref().len()).bytes());
        bytes.extend(arg.as_ref());
        bytes.extend(b"\r\n");
    }
    bytes
}

pub(crate) struct Client {
    pub(crate) stream: TcpStream,
    reader: BufReader<TcpStream>,
}

impl Client {
    pub(crate) fn new(address: SocketAddr) -> Client {
        let stream = TcpStream::connect(address).unwrap();
        // A server that says nothing fails the test instead of stopping it.
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        let reader = BufReader::new(stream.try_clone().unwrap());
        Client { stream, reader }
    }

    pub(crate) fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).unwrap();
    }

    /// One request and its reply.
    pub(crate) fn call(&mut self, args: &[impl AsRef<[u8]>]) -> Reply {
        self.send(&request(args));
        self.reply()
    }

    /// The same for words.
    pub(crate) fn say(&mut self, words: &str) -> Reply {
        self.call(&words.split(' ').collect::<Vec<_>>())
    }

    pub(crate) fn reply(&mut self) -> Reply {
        self.next().expect("the server has closed the connection")
    }

    /// The next reply, or none if the connection is over, in the middle of a reply perhaps.
    pub(crate) fn try_next(&mut self) -> Option<Reply> {
        let mut line = Vec::new();
        match self.reader.read_until(b'\n', &mut line) {
            Ok(_) if line.ends_with(b"\r\n") && line[0] == b':' => {
                Some(Reply::Int(std::str::from_utf8(&line[1..line.len() - 2]).unwrap().parse().unwrap()))
            }
            Ok(_) if line.ends_with(b"\n") => Some(Reply::Error(String::from_utf8(line).unwrap())),
            _ => None,
        }
    }

    /// The next reply, or none if the connection is over.
    pub(crate) fn next(&mut self) -> Option<Reply> {
        let mut line = Vec::new();
        match self.reader.read_until(b'\n', &mut line) {
            Ok(0) => return None,
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => return None,
            result => result.unwrap(),
        };
        let text = String::from_utf8(line).unwrap();
        let text = text.strip_suffix("\r\n").unwrap_or_else(|| panic!("{text:?} is no line"));
        let (kind, text) = text.split_at(1);
        Some(match kind {
            "+" => Reply::Simple(text.to_owned()),
            "-" => Reply::Error(text.split(' ').next().unwrap().to_owned()),
            ":" => Reply::Int(text.parse().unwrap()),
            "$" if text == "-1" => Reply::Bulk(None),
            "$" => {
                let mut bytes = vec![0; text.parse::<usize>().unwrap() + 2];
                self.reader.read_exact(&mut bytes).unwrap();
                assert!(bytes.ends_with(b"\r\n"));
                bytes.truncate(bytes.len() - 2);
                Reply::Bulk(Some(bytes))
            }
            "*" if text == "-1" => Reply::Array(None),
            "*" => Reply::Array(Some((0..text.parse().unwrap()).map(|_| self.reply()).collect())),
            _ => panic!("{kind}{text} is no reply"),
        })
    }
}
