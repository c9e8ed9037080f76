//! Answers: their heads, and the words of those that have no file.

use std::cell::{Cell, RefCell};
use std::fmt::Write as _;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use chainring::CancellationToken;
use chainring::chains::OutboxView;
use chainring::time;

use crate::cache::Cache;
use crate::version::Version;

/// What the connections of a core share.
pub(crate) struct Core {
    pub(crate) cache: RefCell<Cache>,
    /// Cancelled when the server is to end: then no connection is kept.
    pub(crate) end: CancellationToken,
    /// When the call began that answers now: looked up once.
    now: Cell<Instant>,
    begin: RefCell<Begin>,
}

/// How heads of one status begin until the second is over: most begin like the one before.
struct Begin {
    status: u16,
    until: Instant,
    text: String,
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
        let now = Instant::now();
        let begin = RefCell::new(Begin { status: 0, until: now, text: String::new() });
        Core { cache, end, now: Cell::new(now), begin }
    }

    /// Looks at the clock; to be called at the beginning of each call.
    pub(crate) fn look(&self) {
        self.now.set(time::now());
    }

    pub(crate) fn now(&self) -> Instant {
        self.now.get()
    }

    /// Puts the head of an answer into the outbox, with `lines` of its own.
    pub(crate) fn head(&self, out: &mut OutboxView, status: u16, manner: Manner, lines: &str) {
        let begin = &mut *self.begin.borrow_mut();
        begin.renew(status, self.now());
        out.copy(begin.text.as_bytes());
        out.copy(lines.as_bytes());
        out.copy(match manner {
            Manner { close: true, .. } => b"Connection: close\r\n\r\n",
            Manner { old: true, .. } => b"Connection: keep-alive\r\n\r\n",
            _ => b"\r\n",
        });
    }

    /// An answer of a few words, with `lines` of its own.
    pub(crate) fn words(&self, out: &mut OutboxView, status: u16, manner: Manner, lines: &str) {
        let reason = reason(status);
        let allow = if status == 405 { "Allow: GET, HEAD\r\n" } else { "" };
        let length = format!("{status} {reason}\n").len();
        let kind = "Content-Type: text/plain; charset=utf-8";
        self.head(out, status, manner, &format!("Content-Length: {length}\r\n{kind}\r\n{allow}{lines}"));
        if !manner.head {
            out.copy(format!("{status} {reason}\n").as_bytes());
        }
    }
}

impl Begin {
    #[inline]
    fn renew(&mut self, status: u16, now: Instant) {
        if self.status != status || self.until <= now {
            self.write(status, now);
        }
    }

    #[cold]
    fn write(&mut self, status: u16, now: Instant) {
        let date = SystemTime::now();
        let passed = date.duration_since(UNIX_EPOCH).map_or(0, |since| since.subsec_nanos());
        (self.status, self.until) =
            (status, now + Duration::from_secs(1) - Duration::from_nanos(passed.into()));
        self.text.clear();
        let (reason, date) = (reason(status), httpdate::HttpDate::from(date));
        // Writing to a string does not fail.
        let _ = write!(self.text, "HTTP/1.1 {status} {reason}\r\nServer: chainring\r\nDate: {date}\r\n");
    }
}

/// The lines about a version of a file, in the order in which fewer and fewer of them are wanted.
#[derive(Debug, Default)]
pub(crate) struct About {
    text: String,
    /// Where those begin that do not say how long it is.
    kind: usize,
    /// Where those begin by which the version is known.
    validators: usize,
}

impl About {
    pub(crate) fn new(path: &str, version: &Version) -> About {
        let mut text = format!("Content-Length: {}\r\n", version.size);
        let kind = text.len();
        let guess = mime_guess::from_path(path).first_raw().unwrap_or("application/octet-stream");
        let charset = if guess.starts_with("text/") { "; charset=utf-8" } else { "" };
        let _ = write!(text, "Content-Type: {guess}{charset}\r\nAccept-Ranges: bytes\r\n");
        let validators = text.len();
        let _ = write!(text, "Last-Modified: {}\r\nETag: {}\r\n", version.date(), version.tag());
        text.shrink_to_fit();
        About { text, kind, validators }
    }

    /// All of them.
    pub(crate) fn whole(&self) -> &str {
        &self.text
    }

    /// For a part: without the length of the whole.
    pub(crate) fn part(&self) -> &str {
        &self.text[self.kind..]
    }

    /// Only those by which the version is known.
    pub(crate) fn validators(&self) -> &str {
        &self.text[self.validators..]
    }

    /// Bytes that it takes.
    pub(crate) fn len(&self) -> usize {
        self.text.len()
    }
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
            |head| sent(|core, out| core.words(out, 404, Manner { head, close: false, old: false }, ""));
        assert_eq!(words(false) - words(true), "404 Not Found\n".len());
    }

    #[test]
    fn a_head_begins_with_its_own_status_and_the_second_it_is_sent_in() {
        let now = Instant::now();
        let mut begin = Begin { status: 0, until: now, text: String::new() };
        begin.renew(200, now);
        assert!(begin.text.starts_with("HTTP/1.1 200 OK\r\n"), "{}", begin.text);
        assert!(begin.until > now && begin.until <= now + Duration::from_secs(1));
        let date = |text: &str| {
            let date = text.lines().find_map(|line| line.strip_prefix("Date: ")).unwrap();
            httpdate::parse_http_date(date).unwrap()
        };
        assert!(SystemTime::now().duration_since(date(&begin.text)).unwrap() < Duration::from_secs(10));
        begin.text.push('x');
        begin.renew(200, begin.until - Duration::from_nanos(1));
        assert!(begin.text.ends_with('x'), "it was written again within the second");
        begin.renew(200, begin.until);
        assert!(begin.text.ends_with("GMT\r\n"), "the second was over");
        begin.renew(404, now);
        assert!(begin.text.starts_with("HTTP/1.1 404 Not Found\r\n"), "{}", begin.text);
    }

    #[test]
    fn fewer_and_fewer_lines_are_about_the_whole_a_part_and_the_version() {
        let about = About::new("a/b.html", &Version { size: 12, ..Version::default() });
        assert!(
            about.whole().starts_with("Content-Length: 12\r\nContent-Type: text/html; charset=utf-8\r\n")
        );
        assert!(
            about.part().starts_with("Content-Type: ")
                && about.part().contains("\r\nAccept-Ranges: bytes\r\n")
        );
        assert!(
            about.validators().starts_with("Last-Modified: ") && about.validators().contains("\r\nETag: W/")
        );
        assert!(about.whole().ends_with(about.part()) && about.part().ends_with(about.validators()));
    }

    #[test]
    fn nothing_that_is_written_into_a_header_ends_it() {
        assert_eq!(encode("a b/\u{e4}\r\n\"?.txt"), "a%20b/%C3%A4%0D%0A%22%3F.txt");
    }
}
