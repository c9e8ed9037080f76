//! Replies, written piece by piece.

use std::sync::Arc;

/// Bytes that are sent without a copy, by any core, and freed by whoever is the last to need them.
pub(crate) type Shared = Arc<Vec<u8>>;

/// Where replies go, in order.
pub(crate) trait Sink {
    /// Appends a copy of some bytes.
    fn copy(&mut self, bytes: &[u8]);
    /// Appends shared bytes without copying them.
    fn push(&mut self, blob: Shared);
    /// Drops everything that was not sent.
    fn forget(&mut self);
    /// Whether it is time to send what there is.
    fn is_full(&self) -> bool;
    /// Copied bytes that cannot be sent before more commands are done; none where [`is_full`](Sink::is_full) is heeded.
    fn waiting(&self) -> usize {
        0
    }
}

/// Which version of the protocol a client has asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Proto {
    #[default]
    Resp2,
    /// With types for nothing, maps, and messages that nobody asked for.
    Resp3,
}

/// The replies of the protocol.
pub(crate) trait Reply: Sink {
    fn simple(&mut self, text: &str) {
        self.copy(b"+");
        self.copy(text.as_bytes());
        self.copy(b"\r\n");
    }

    fn ok(&mut self) {
        self.copy(b"+OK\r\n");
    }

    /// An error, its kind in capitals in front.
    fn error(&mut self, text: &str) {
        self.copy(b"-");
        self.copy(text.as_bytes());
        self.copy(b"\r\n");
    }

    fn integer(&mut self, number: i64) {
        self.number(b':', number);
    }

    #[inline]
    fn bulk(&mut self, bytes: &[u8]) {
        self.number(b'$', bytes.len() as i64);
        self.copy(bytes);
        self.copy(b"\r\n");
    }

    /// Shared bytes.
    fn blob(&mut self, blob: Shared) {
        self.number(b'$', blob.len() as i64);
        self.push(blob);
        self.copy(b"\r\n");
    }

    fn null(&mut self, proto: Proto) {
        self.copy(match proto {
            Proto::Resp2 => b"$-1\r\n".as_slice(),
            Proto::Resp3 => b"_\r\n",
        });
    }

    fn null_array(&mut self, proto: Proto) {
        self.copy(match proto {
            Proto::Resp2 => b"*-1\r\n".as_slice(),
            Proto::Resp3 => b"_\r\n",
        });
    }

    /// The beginning of an array of as many replies.
    fn array(&mut self, len: usize) {
        self.number(b'*', len as i64);
    }

    /// The beginning of as many pairs.
    fn map(&mut self, proto: Proto, pairs: usize) {
        match proto {
            Proto::Resp2 => self.number(b'*', 2 * pairs as i64),
            Proto::Resp3 => self.number(b'%', pairs as i64),
        }
    }

    /// The beginning of a message of as many parts that is no reply.
    fn message(&mut self, proto: Proto, parts: usize) {
        match proto {
            Proto::Resp2 => self.number(b'*', parts as i64),
            Proto::Resp3 => self.number(b'>', parts as i64),
        }
    }

    #[doc(hidden)]
    #[inline]
    fn number(&mut self, kind: u8, number: i64) {
        let digit = |number: i64| b'0' + number as u8;
        match number {
            // Most are these, which need no loop.
            0..=9 => self.copy(&[kind, digit(number), b'\r', b'\n']),
            10..=99 => self.copy(&[kind, digit(number / 10), digit(number % 10), b'\r', b'\n']),
            _ => self.long_number(kind, number),
        }
    }

    #[doc(hidden)]
    fn long_number(&mut self, kind: u8, number: i64) {
        let mut line = [0; 24];
        let mut digits = itoa::Buffer::new();
        let digits = digits.format(number).as_bytes();
        line[0] = kind;
        line[1..=digits.len()].copy_from_slice(digits);
        line[digits.len() + 1..digits.len() + 3].copy_from_slice(b"\r\n");
        self.copy(&line[..digits.len() + 3]);
    }
}

impl<S: Sink + ?Sized> Reply for S {}
