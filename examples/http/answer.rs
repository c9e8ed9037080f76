//! Answers: their heads, and the words of those that have no file.

use std::cell::RefCell;
use std::fmt::Write as _;
use std::time::{SystemTime, UNIX_EPOCH};

use chainring::CancellationToken;
use chainring::chains::OutboxView;

use crate::cache::Cache;
use crate::version::Version;

/// What the connections of a core share.
pub(crate) struct Core {
    pub(crate) cache: RefCell<Cache>,
    /// Cancelled when the server is to end: then no connection is kept.
    pub(crate) end: CancellationToken,
    /// The second, and how it is written.
    date: RefCell<(u64, String)>,
    /// The head that is being written.
    text: RefCell<String>,
}

/// How an answer treats its connection.
#[derive(Clone, Copy)]
pub(crate) struct Manner {
    /// Only the head is sent.
    pub(crate) head: bool,
    pub(crate) close: bool,
    /// It has to be said that the connection is kept.
    pub(crate) old: bool,
}

impl Core {
    pub(crate) fn new(cache: usize, end: CancellationToken) -> Core {
        let cache = RefCell::new(Cache::new(cache));
        Core { cache, end, date: RefCell::default(), text: RefCell::default() }
    }

    /// Puts the head of an answer into the outbox; `lines` writes what is its own. 304 has no length.
    pub(crate) fn head(
        &self,
        out: &mut OutboxView,
        status: u16,
        manner: Manner,
        length: Option<u64>,
        lines: impl FnOnce(&mut String),
    ) {
        let text = &mut *self.text.borrow_mut();
        text.clear();
        // Writing to a string does not fail.
        let _ = write!(text, "HTTP/1.1 {status} {}\r\nServer: chainring\r\nDate: ", reason(status));
        self.write_date(text);
        if let Some(length) = length {
            let _ = write!(text, "\r\nContent-Length: {length}");
        }
        text.push_str("\r\n");
        lines(text);
        text.push_str(match manner {
            Manner { close: true, .. } => "Connection: close\r\n\r\n",
            Manner { old: true, .. } => "Connection: keep-alive\r\n\r\n",
            _ => "\r\n",
        });
        out.copy(text.as_bytes());
    }

    /// An answer of a few words.
    pub(crate) fn words(
        &self,
        out: &mut OutboxView,
        status: u16,
        manner: Manner,
        lines: impl FnOnce(&mut String),
    ) {
        let words = format!("{status} {}\n", reason(status));
        self.head(out, status, manner, Some(words.len() as u64), |text| {
            text.push_str("Content-Type: text/plain; charset=utf-8\r\n");
            if status == 405 {
                text.push_str("Allow: GET, HEAD\r\n");
            }
            lines(text);
        });
        if !manner.head {
            out.copy(words.as_bytes());
        }
    }

    fn write_date(&self, text: &mut String) {
        let now = SystemTime::now();
        let second = now.duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs());
        let (of, date) = &mut *self.date.borrow_mut();
        if *of != second || date.is_empty() {
            (*of, *date) = (second, httpdate::fmt_http_date(now));
        }
        text.push_str(date);
    }
}

/// The lines about a file.
pub(crate) fn about(text: &mut String, path: &str, version: &Version) {
    let kind = mime_guess::from_path(path).first_raw().unwrap_or("application/octet-stream");
    let charset = if kind.starts_with("text/") { "; charset=utf-8" } else { "" };
    let _ = write!(text, "Content-Type: {kind}{charset}\r\nAccept-Ranges: bytes\r\n");
    validators(text, version);
}

/// The lines by which a version is known.
pub(crate) fn validators(text: &mut String, version: &Version) {
    let _ = write!(text, "Last-Modified: {}\r\nETag: {}\r\n", version.date(), version.tag());
}

/// A path as it is written in a header.
pub(crate) fn encode(path: &str) -> String {
    path.bytes().fold(String::with_capacity(path.len()), |mut text, byte| {
        match byte {
            b'/' | b'-' | b'.' | b'_' | b'~' => text.push(byte.into()),
            byte if byte.is_ascii_alphanumeric() => text.push(byte.into()),
            byte => {
                let _ = write!(text, "%{byte:02X}");
            }
        }
        text
    })
}

fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        206 => "Partial Content",
        301 => "Moved Permanently",
        304 => "Not Modified",
        400 => "Bad Request",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        411 => "Length Required",
        413 => "Content Too Large",
        414 => "URI Too Long",
        416 => "Range Not Satisfiable",
        431 => "Request Header Fields Too Large",
        501 => "Not Implemented",
        503 => "Service Unavailable",
        505 => "HTTP Version Not Supported",
        _ => "Internal Server Error",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(write: impl FnOnce(&Core, &mut OutboxView)) -> usize {
        let mut out = OutboxView::default();
        write(&Core::new(0, CancellationToken::new()), &mut out);
        out.len()
    }

    #[test]
    fn the_head_alone_is_sent_to_who_asks_for_it() {
        let words =
            |head| sent(|core, out| core.words(out, 404, Manner { head, close: false, old: false }, |_| {}));
        assert_eq!(words(false) - words(true), "404 Not Found\n".len());
    }

    #[test]
    fn nothing_that_is_written_into_a_header_ends_it() {
        assert_eq!(encode("a b/\u{e4}\r\n\"?.txt"), "a%20b/%C3%A4%0D%0A%22%3F.txt");
    }
}
