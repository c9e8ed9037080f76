//! A chain run as the compiler sees fit and step by step, beside a peer: it does the same.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream as Client};

use chainring_chains::{Buf, Chain, Init, Socket};

use super::one::{Notes, lowered, with_peer};

pub(crate) const MOVED: &str = "(moved up)";

/// Reads what the frame sends, to its end; a reset ends it too.
pub(crate) fn all(mut client: Client) -> Vec<u8> {
    let mut bytes = Vec::new();
    let _ = client.read_to_end(&mut bytes);
    bytes
}

/// Sends eight bytes and reads the rest.
pub(crate) fn eight(mut client: Client) -> Vec<u8> {
    client.write_all(b"\0\0\0\x03abcd").expect("send");
    all(client)
}

/// The same, and ends its half of the connection.
pub(crate) fn eight_and_no_more(mut client: Client) -> Vec<u8> {
    client.write_all(b"\0\0\0\x03abcd").expect("send");
    silent(client)
}

/// Sends nothing more, and reads the rest.
pub(crate) fn silent(client: Client) -> Vec<u8> {
    client.shutdown(Shutdown::Write).expect("shutdown");
    all(client)
}

/// What became of a chain: how it was compiled, what its peer received, what it noted and how it ended.
pub(crate) struct Seen {
    pub(crate) explain: String,
    pub(crate) segments: usize,
    pub(crate) received: Vec<u8>,
    pub(crate) notes: Notes,
    pub(crate) error: String,
}

impl Seen {
    pub(crate) fn moved(&self) -> usize {
        self.explain.matches(MOVED).count()
    }
}

/// Runs a chain in both ways, checks that they do the same, and gives what the compiler has chosen.
pub(crate) fn same(steps: impl Fn(&mut Chain<Notes>, Socket), peer: fn(Client) -> Vec<u8>) -> Seen {
    let [chosen, single] = lowered(|c| {
        let sock = c.accepted();
        steps(c, sock);
        sock
    })
    .map(|(program, sock)| {
        let init = |frame: &mut Init<'_, '_>, near| {
            frame.socket(sock, near);
        };
        let (ended, received) = with_peer(&program, Notes::new(), init, peer);
        let (explain, segments) = (program.explain().to_string(), program.explain().segments());
        let error = ended.text();
        Seen { explain, segments, received, notes: ended.session, error }
    });
    assert_eq!(chosen.received, single.received, "{}", chosen.explain);
    assert_eq!(chosen.notes, single.notes, "{}", chosen.explain);
    assert_eq!(chosen.error, single.error, "{}", chosen.explain);
    chosen
}

/// A buffer with these bytes, written by the frame.
pub(crate) fn filled(c: &mut Chain<Notes>, bytes: &[u8]) -> Buf {
    let (from, buf) = (c.constant(bytes), c.buffer(bytes.len() as u32));
    c.copy(buf.all(), from.all());
    buf
}
