//! Files over HTTP/1.1. Servers write different heads, and a date, so what the reply looks like is learnt from the server; its
//! status and its body are compared every time.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;

use super::{Exchange, Kind, Protocol, Workload};
use crate::Result;

/// The size of a message is that of the file.
pub(crate) static FILES: Workload = Workload {
    name: "http",
    about: "a file over HTTP/1.1 on connections that stay",
    connections: 64,
    size: 1024,
    kind: Kind::Served(Protocol {
        prepare,
        learn: Some(learn),
        ..Protocol::new(1..=16 << 20, exchange, "http")
    }),
};

/// What a reply that is right begins with.
const STATUS: &[u8] = b"HTTP/1.1 200 ";

/// No head is longer.
const HEAD: usize = 8192;

/// The file of a size.
fn file(size: usize) -> Vec<u8> {
    super::noise(size, size as u64)
}

fn prepare(dir: &Path, size: usize) -> Result<()> {
    Ok(std::fs::write(dir.join(size.to_string()), file(size))?)
}

/// The reply is the body alone, to begin with.
fn exchange(size: usize, _: u64) -> Exchange {
    let request = format!("GET /{size} HTTP/1.1\r\nHost: localhost\r\n\r\n");
    Exchange::plain(request.into(), file(size))
}

/// Puts the server's head in front of the body.
fn learn(server: &mut TcpStream, exchange: &mut Exchange) -> Result<()> {
    server.write_all(&exchange.request)?;
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        server.read_exact(&mut byte)?;
        head.push(byte[0]);
        if head.len() > HEAD {
            return Err("the server's head does not end".into());
        }
    }
    let refused = || {
        let line = head.split(|&byte| byte == b'\r').next().unwrap_or_default();
        format!("the server does not send the file: {}", String::from_utf8_lossy(line))
    };
    if !head.starts_with(STATUS) {
        return Err(refused().into());
    }
    let mut body = vec![0; exchange.reply.len()];
    server.read_exact(&mut body)?;
    if body != exchange.reply {
        return Err(refused().into());
    }
    exchange.loose = STATUS.len()..head.len();
    head.append(&mut body);
    exchange.reply = head;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Asks a server that answers with these bytes.
    fn asked(answer: &'static [u8]) -> Result<Exchange> {
        let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let mut stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (mut server, _) = listener.accept().unwrap();
        server.write_all(answer).unwrap();
        drop(server);
        let mut exchange = Exchange::plain(b"GET".to_vec(), b"file".to_vec());
        learn(&mut stream, &mut exchange).map(|()| exchange)
    }

    #[test]
    fn what_may_differ_is_what_stands_between_status_and_body() {
        let exchange = asked(b"HTTP/1.1 200 OK\r\nDate: now\r\n\r\nfile").unwrap();
        assert_eq!(&exchange.reply[exchange.loose.clone()], b"OK\r\nDate: now\r\n\r\n");
        assert!(exchange.reply.ends_with(b"\r\n\r\nfile"));
    }

    #[test]
    fn another_status_or_another_file_is_no_reply() {
        let refused = asked(b"HTTP/1.1 404 Not Found\r\n\r\nfile").unwrap_err().to_string();
        assert_eq!(refused, "the server does not send the file: HTTP/1.1 404 Not Found");
        assert!(asked(b"HTTP/1.1 200 OK\r\n\r\nlife").is_err());
        assert!(asked(b"HTTP/1.1 200 OK\r\n").is_err());
    }
}
