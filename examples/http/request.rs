//! A request as it comes: its head is parsed by httparse, and what it means for a server of files is decided here.

use std::mem::MaybeUninit;

use httparse::{Error, Status};

/// Headers at most.
const HEADERS: usize = 64;
/// Bytes of the longest name of a header that is looked at.
const LONGEST: usize = 17;
/// Bytes of a target at most.
pub(crate) const TARGET: usize = 4096;
/// Bytes of a body that is read, for nothing, so that the connection can go on.
const BODY: u64 = 64 << 10;

/// What the bytes at the front of a connection are.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Head {
    /// The beginning of one; how long it may still become is the buffer's business.
    Part,
    /// A whole one, of so many bytes.
    Whole(usize),
    /// One that is answered with this status, after which the connection is closed.
    Refused(u16),
}

#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Request {
    /// Only the head of the answer is wanted.
    pub(crate) head: bool,
    /// As it was written, without the query: begins with a slash.
    pub(crate) target: String,
    pub(crate) keep_alive: bool,
    /// Clients of HTTP/1.0 have to be told that it is kept alive.
    pub(crate) old: bool,
    /// Bytes behind the head that belong to it.
    pub(crate) body: u64,
    pub(crate) range: Option<String>,
    pub(crate) if_range: Option<String>,
    pub(crate) if_none_match: Option<String>,
    pub(crate) if_modified_since: Option<String>,
    /// Answered with this status, and the connection goes on.
    pub(crate) refused: Option<u16>,
}

impl Request {
    /// Becomes one of which nothing is known, in the memory of the one before.
    pub(crate) fn clear(&mut self) {
        let mut target = std::mem::take(&mut self.target);
        target.clear();
        *self = Request { target, ..Request::default() };
    }
}

/// Parses the head at the front of `bytes` into `request`, which is worth something if it is whole; `full` if there is no room
/// for more.
pub(crate) fn parse(bytes: &[u8], full: bool, request: &mut Request) -> Head {
    let mut headers = [const { MaybeUninit::uninit() }; HEADERS];
    let mut parsed = httparse::Request::new(&mut []);
    match parsed.parse_with_uninit_headers(bytes, &mut headers) {
        Ok(Status::Complete(len)) => match understand(&parsed, request) {
            Ok(()) => Head::Whole(len),
            Err(status) => Head::Refused(status),
        },
        Ok(Status::Partial) => match target_len(bytes) {
            len if len > TARGET => Head::Refused(414),
            _ if full => Head::Refused(431),
            _ => Head::Part,
        },
        Err(Error::TooManyHeaders) => Head::Refused(431),
        Err(Error::Version) if is_version(bytes) => Head::Refused(505),
        Err(_) => Head::Refused(400),
    }
}

/// The length of the second word, of what there is of it.
fn target_len(bytes: &[u8]) -> usize {
    let line = bytes.iter().copied().skip_while(|byte| matches!(byte, b'\r' | b'\n'));
    let line = line.take_while(|byte| *byte != b'\r' && *byte != b'\n');
    line.skip_while(|byte| *byte != b' ').skip(1).take_while(|byte| *byte != b' ').count()
}

/// Whether the third word is a version of HTTP, if not one of ours.
fn is_version(bytes: &[u8]) -> bool {
    let line =
        bytes.split(|byte| *byte == b'\n').find(|line| !line.is_empty() && *line != b"\r").unwrap_or(b"");
    let word = line.split(|byte| *byte == b' ').nth(2).unwrap_or(b"");
    match word.strip_prefix(b"HTTP/") {
        Some([major, b'.', minor, rest @ ..]) => {
            major.is_ascii_digit() && minor.is_ascii_digit() && matches!(rest, b"" | b"\r")
        }
        _ => false,
    }
}

/// What a request that was parsed asks for; or the status of one that cannot be trusted to end where it seems to.
fn understand(parsed: &httparse::Request<'_, '_>, request: &mut Request) -> Result<(), u16> {
    let old = parsed.version == Some(0);
    let target = parsed.path.ok_or(400_u16)?;
    if target.len() > TARGET {
        return Err(414);
    }
    request.clear();
    (request.keep_alive, request.old) = (!old, old);
    let (mut hosts, mut length, mut coded) = (0, None, None);
    for header in parsed.headers.iter() {
        // What is looked at has no use for other bytes.
        let value = || std::str::from_utf8(header.value).map(str::trim).map_err(|_| 400_u16);
        let mut lower = [0; LONGEST];
        let Some(name) = lower.get_mut(..header.name.len()) else { continue };
        name.copy_from_slice(header.name.as_bytes());
        name.make_ascii_lowercase();
        match &*name {
            b"host" => hosts += 1,
            b"content-length" => {
                let value = content_length(value()?).ok_or(400_u16)?;
                // Twice the same is no better: who is in between may see it otherwise.
                if length.replace(value).is_some() {
                    return Err(400);
                }
            }
            b"transfer-encoding" => {
                // Several are a list, and then more than chunks.
                let value = value()?;
                coded = Some(coded.map_or(value.to_owned(), |before: String| format!("{before}, {value}")));
            }
            b"connection" => {
                let mut words = value()?.split(',').map(str::trim);
                let is_close = |word: &str| word.eq_ignore_ascii_case("close");
                if let Some(word) =
                    words.find(|word| is_close(word) || word.eq_ignore_ascii_case("keep-alive"))
                {
                    request.keep_alive = !is_close(word);
                }
            }
            b"range" => request.range = Some(value()?.to_owned()),
            b"if-range" => request.if_range = Some(value()?.to_owned()),
            b"if-modified-since" => request.if_modified_since = Some(value()?.to_owned()),
            b"if-none-match" => {
                // Several are a list.
                let list = request.if_none_match.get_or_insert_default();
                if !list.is_empty() {
                    list.push_str(", ");
                }
                list.push_str(value()?);
            }
            _ => {}
        }
    }
    if hosts > 1 || (hosts == 0 && !old) {
        return Err(400);
    }
    if let Some(coded) = coded {
        return Err(match coded.as_str() {
            // With a length it is one request for one and two for another (RFC 9112, 6.1).
            _ if length.is_some() || old => 400,
            // Nobody sends files here: what a request brings is skipped, and has to say how long it is.
            coded if coded.eq_ignore_ascii_case("chunked") => 411,
            _ => 501,
        });
    }
    request.body = length.unwrap_or(0);
    if request.body > BODY {
        return Err(413);
    }
    match parsed.method.ok_or(400_u16)? {
        "GET" => {}
        "HEAD" => request.head = true,
        "POST" | "PUT" | "DELETE" | "PATCH" | "OPTIONS" | "TRACE" | "CONNECT" => request.refused = Some(405),
        _ => request.refused = Some(501),
    }
    if request.refused.is_none() {
        request.target.push_str(path_of(target).ok_or(400_u16)?);
    }
    Ok(())
}

/// Digits and nothing else: `+1` and `1, 1` are what requests are smuggled with.
fn content_length(value: &str) -> Option<u64> {
    let digits = !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit());
    if !digits {
        return None;
    }
    // What does not fit is too much in any case.
    Some(value.parse().unwrap_or(u64::MAX))
}

/// The path of a target in the forms `/path?query` and `http://host/path?query`.
fn path_of(target: &str) -> Option<&str> {
    let path = match target.get(..7) {
        _ if target.starts_with('/') => target,
        Some(scheme) if scheme.eq_ignore_ascii_case("http://") => match target[7..].find(['/', '?']) {
            Some(at) if target[7 + at..].starts_with('/') => &target[7 + at..],
            _ => "/",
        },
        _ => return None,
    };
    let end = memchr::memchr2(b'?', b'#', path.as_bytes());
    Some(&path[..end.unwrap_or(path.len())])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(bytes: &[u8], full: bool) -> (Head, Request) {
        // It may not matter what was there before.
        let text = || Some("x".to_owned());
        let (target, range, if_range, if_none_match) = ("/before".to_owned(), text(), text(), text());
        let (head, refused, body, if_modified_since) = (true, Some(405), 9, text());
        let (keep_alive, old) = (false, true);
        let mut request = Request {
            head,
            target,
            keep_alive,
            old,
            body,
            range,
            if_range,
            if_none_match,
            if_modified_since,
            refused,
        };
        (super::parse(bytes, full, &mut request), request)
    }

    fn whole(text: &str) -> Request {
        let (head, request) = parse(text.as_bytes(), false);
        assert_eq!(head, Head::Whole(text.len()), "{text:?}");
        request
    }

    fn refused(text: &str) -> u16 {
        match parse(text.as_bytes(), true).0 {
            Head::Refused(status) => status,
            other => panic!("{text:?}: {other:?}"),
        }
    }

    #[test]
    fn a_head_is_whole_at_its_last_byte_only() {
        let text = "GET /a?b HTTP/1.1\r\nHost: x\r\nRange: bytes=1-2\r\n\r\n";
        for len in 0..text.len() {
            assert_eq!(parse(&text.as_bytes()[..len], false).0, Head::Part);
        }
        let request = whole(text);
        assert_eq!((request.target.as_str(), request.range.as_deref()), ("/a", Some("bytes=1-2")));
        assert!(request.keep_alive && !request.old && !request.head);
        // What follows is the next one's.
        let (two, _) = parse(format!("{text}GET").as_bytes(), false);
        assert_eq!(two, Head::Whole(text.len()));
    }

    #[test]
    fn connections_are_kept_as_version_and_header_say() {
        let keeps = |version: &str, line: &str| {
            whole(&format!("HEAD / HTTP/{version}\r\nHost: x\r\n{line}\r\n")).keep_alive
        };
        assert!(keeps("1.1", ""));
        assert!(!keeps("1.1", "Connection: close\r\n"));
        assert!(!keeps("1.1", "Connection: Upgrade, Close\r\n"));
        assert!(!keeps("1.0", ""));
        assert!(keeps("1.0", "connection: Keep-Alive\r\n"));
    }

    #[test]
    fn targets_are_taken_apart() {
        let target = |target: &str| whole(&format!("GET {target} HTTP/1.1\r\nHost: x\r\n\r\n")).target;
        for (written, path) in [
            ("/", "/"),
            ("/a/b?c=/d", "/a/b"),
            ("http://host:80/a?b", "/a"),
            ("HTTP://host", "/"),
            ("http://host?a/b", "/"),
            ("/?", "/"),
        ] {
            assert_eq!(target(written), path);
        }
        for wrong in ["a", "*", "https://x/", "x:y"] {
            assert_eq!(refused(&format!("GET {wrong} HTTP/1.1\r\nHost: x\r\n\r\n")), 400, "{wrong}");
        }
    }

    #[test]
    fn what_could_be_understood_in_two_ways_is_refused() {
        let refused = |lines: &str| refused(&format!("GET / HTTP/1.1\r\n{lines}\r\n"));
        assert_eq!(refused(""), 400, "no host");
        assert_eq!(refused("Host: a\r\nHost: a\r\n"), 400);
        for length in ["+1", "-1", "1,1", "0x1", "", "1 1", "one"] {
            assert_eq!(refused(&format!("Host: x\r\nContent-Length: {length}\r\n")), 400, "{length}");
        }
        assert_eq!(refused("Host: x\r\nContent-Length: 1\r\nContent-Length: 1\r\n"), 400);
        assert_eq!(refused("Host: x\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n"), 400);
        assert_eq!(refused("Host: x\r\nTransfer-Encoding: Chunked\r\n"), 411);
        assert_eq!(refused("Host: x\r\nTransfer-Encoding: gzip, chunked\r\n"), 501);
        assert_eq!(refused("Host: x\r\nTransfer-Encoding : chunked\r\n"), 400, "a space before the colon");
        assert_eq!(refused("Host: x\r\n folded: y\r\n"), 400);
        assert_eq!(refused("Host: x\r\nContent-Length: 65537\r\n"), 413);
        assert_eq!(refused("Host: x\r\nContent-Length: 99999999999999999999999\r\n"), 413);
        assert_eq!(whole("GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n").body, 10);
    }

    #[test]
    fn what_is_not_done_here_has_a_status_of_its_own() {
        let method = |method: &str| whole(&format!("{method} / HTTP/1.1\r\nHost: x\r\n\r\n")).refused;
        assert_eq!(
            (method("POST"), method("DELETE"), method("BREW"), method("GET")),
            (Some(405), Some(405), Some(501), None)
        );
        assert_eq!(refused("GET / HTTP/2.0\r\n\r\n"), 505);
        assert_eq!(refused("GET / HTTP/1.9\r\n\r\n"), 505);
        for garbage in
            ["GET / HTTX/1.1\r\n\r\n", "GET / HTTP/1.1x\r\n\r\n", "\x16\x03\x01", "GET  / HTTP/1.1\r\n\r\n"]
        {
            assert_eq!(refused(garbage), 400, "{garbage:?}");
        }
    }

    #[test]
    fn what_is_too_long_is_refused_by_what_is_too_long() {
        let long = "a".repeat(TARGET + 1);
        assert_eq!(refused(&format!("GET /{long}")), 414);
        assert_eq!(refused(&format!("GET /{long} HTTP/1.1\r\nHost: x\r\n\r\n")), 414);
        assert_eq!(refused(&format!("GET / HTTP/1.1\r\nHost: {long}")), 431);
        let many = "a: b\r\n".repeat(HEADERS + 1);
        assert_eq!(refused(&format!("GET / HTTP/1.1\r\n{many}\r\n")), 431);
    }
}
