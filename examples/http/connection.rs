//! The session of a connection: what its chain calls to understand a request and to decide how it is answered.

use std::ops::Range;
use std::rc::Rc;
use std::time::SystemTime;

use chainring::chains::{Flow, OutboxView, Stream};

use crate::answer::{self, About, Core, Manner};
use crate::cache::File;
use crate::chain::{CHUNK, HEAD, PATH, action, after};
use crate::path;
use crate::range::{self, Part};
use crate::request::{self, Head, Request};
use crate::version::Version;

pub(crate) struct Connection {
    core: Rc<Core>,
    request: Request,
    /// Bytes of its body that are still to come.
    body: u64,
    /// The file, seen from the root.
    path: String,
    /// It is the index of the directory that was asked for.
    index: Index,
    version: Version,
    /// A change from then on makes it another one.
    settled: bool,
    close: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Index {
    No,
    Yes,
    /// There is none; is there a directory?
    Missing,
}

const INDEX: &str = "index.html";
/// Bytes of a file that are copied behind their head: one piece costs less to send than two.
const COPIED: usize = 2048;

impl Connection {
    pub(crate) fn new(core: Rc<Core>) -> Connection {
        let (request, version) = (Request::default(), Version::default());
        Connection {
            core,
            request,
            body: 0,
            path: String::new(),
            index: Index::No,
            version,
            settled: false,
            close: false,
        }
    }

    /// Looks at what has come: part of a request, or one that can be answered now, or one for a file.
    pub(crate) fn understand(
        &mut self,
        mut input: Stream<'_>,
        action: &mut u64,
        after: &mut u64,
        out: &mut OutboxView,
    ) -> Flow {
        *action = action::MORE;
        let skipped = self.body.min(input.bytes().len() as u64);
        input.consume(skipped as usize);
        self.body -= skipped;
        if self.body > 0 || input.bytes().is_empty() {
            return Flow::Next;
        }
        self.core.look();
        match request::parse(input.bytes(), input.bytes().len() >= HEAD as usize, &mut self.request) {
            Head::Part => return Flow::Next,
            Head::Refused(status) => self.refuse(status, action, after, out),
            Head::Whole(len) => {
                input.consume(len);
                self.body = self.request.body;
                self.close = !self.request.keep_alive || self.core.end.is_cancelled();
                *after = if self.close { after::CLOSE } else { after::GO_ON };
                *action = self.resolve(out);
            }
        }
        Flow::Next
    }

    /// The request did not become whole in time.
    pub(crate) fn too_slow(&mut self, action: &mut u64, after: &mut u64, out: &mut OutboxView) -> Flow {
        self.core.look();
        self.refuse(408, action, after, out);
        Flow::Next
    }

    /// Nobody knows where the next request would begin.
    fn refuse(&mut self, status: u16, action: &mut u64, after: &mut u64, out: &mut OutboxView) {
        self.close = true;
        self.request.clear();
        (*action, *after) = (self.words(status, out), after::LINGER);
    }

    fn resolve(&mut self, out: &mut OutboxView) -> u64 {
        if let Some(status) = self.request.refused {
            return self.words(status, out);
        }
        self.index = Index::No;
        match path::resolve(&self.request.target, &mut self.path) {
            Err(status) => return self.words(status, out),
            Ok(false) => {}
            Ok(true) => {
                self.path.push('/');
                self.path.push_str(INDEX);
                self.index = Index::Yes;
            }
        }
        if self.path.len() >= PATH {
            return self.words(414, out);
        }
        let fresh = self.core.cache.borrow().fresh(&self.path, self.core.now());
        match fresh {
            Some(file) => self.whole(&file, out),
            None => action::OPEN,
        }
    }

    pub(crate) fn put_path(&mut self, room: &mut [u8]) -> Flow {
        let (path, rest) = room.split_at_mut(self.path.len());
        path.copy_from_slice(self.path.as_bytes());
        rest.fill(0);
        Flow::Next
    }

    /// What the file is, if it was opened.
    pub(crate) fn found(&mut self, size: u64, modified: u64, nanoseconds: u64, inode: u64) -> Flow {
        self.version = Version { size, modified, nanoseconds, inode };
        self.settled = self.version.is_settled(SystemTime::now());
        Flow::Next
    }

    /// How a file is answered with, or what is in its place.
    pub(crate) fn decide(
        &mut self,
        errno: u64,
        mode: u64,
        action: &mut u64,
        part: Range<&mut u64>,
        out: &mut OutboxView,
    ) -> Flow {
        const NONE: i32 = 0;
        self.core.look();
        *action = match (errno as i32, mode as u32 & libc::S_IFMT) {
            (libc::ENOENT, _) if self.index == Index::Yes => {
                // Without the index, the directory.
                self.path.truncate(self.path.len() - INDEX.len());
                self.index = Index::Missing;
                action::OPEN
            }
            (libc::ENOENT | libc::ENOTDIR | libc::ENAMETOOLONG, _) => self.words(404, out),
            (libc::EACCES | libc::EPERM | libc::EXDEV | libc::ELOOP | libc::ENXIO, _) => self.words(403, out),
            (libc::EMFILE | libc::ENFILE | libc::ENOMEM | libc::EAGAIN, _) => self.words(503, out),
            (NONE, libc::S_IFREG) => self.regular(part, out),
            (NONE, libc::S_IFDIR) if self.index == Index::No => self.redirect(out),
            (NONE, _) => self.words(403, out),
            _ => self.words(500, out),
        };
        Flow::Next
    }

    fn regular(&mut self, Range { start: at, end }: Range<&mut u64>, out: &mut OutboxView) -> u64 {
        let size = self.version.size;
        let known = self.core.cache.borrow_mut().seen(&self.path, self.version, self.core.now());
        if let Some(file) = known {
            return self.whole(&file, out);
        }
        if size == 0 {
            return self.whole(&self.file(&[]), out);
        }
        if size <= CHUNK.into() {
            (*at, *end) = (0, size);
            return action::READ;
        }
        match self.begin(&self.version, &About::new(&self.path, &self.version), out) {
            Some(part) if !self.request.head => {
                (*at, *end) = (part.start, part.end);
                action::STREAM
            }
            _ => action::SEND,
        }
    }

    /// A small file that was read: the answer, and that of the next ones.
    pub(crate) fn keep(&mut self, bytes: &[u8], out: &mut OutboxView) -> Flow {
        self.core.look();
        let file = self.file(bytes);
        self.whole(&file, out);
        // What was changed a moment ago could be changed again and look the same.
        if self.settled {
            self.core.cache.borrow_mut().keep(&self.path, file, self.core.now());
        }
        Flow::Next
    }

    fn file(&self, bytes: &[u8]) -> Rc<File> {
        let about = About::new(&self.path, &self.version);
        Rc::new(File { bytes: Rc::from(bytes), version: self.version, about })
    }

    /// A small file that could not be read, or not to its end.
    pub(crate) fn broken(&mut self, out: &mut OutboxView) -> Flow {
        self.core.look();
        self.words(500, out);
        Flow::Next
    }

    /// Answers with a file of which all bytes are here.
    fn whole(&self, file: &File, out: &mut OutboxView) -> u64 {
        let bytes = &file.bytes;
        match self.begin(&file.version, &file.about, out) {
            _ if self.request.head => {}
            Some(part) if bytes.len() > COPIED && part == (0..bytes.len() as u64) => out.push(bytes.clone()),
            Some(part) => out.copy(&bytes[part.start as usize..part.end as usize]),
            None => {}
        }
        action::SEND
    }

    /// The head of an answer with a file, and the part of it that is to follow, if one is.
    fn begin(&self, version: &Version, about: &About, out: &mut OutboxView) -> Option<Range<u64>> {
        let (core, manner, size) = (&self.core, self.manner(), version.size);
        if version.is_known(&self.request) {
            core.head(out, 304, manner, about.validators());
            return None;
        }
        let range = self.request.range.as_deref().filter(|_| version.fits(&self.request));
        match range::part(range, size) {
            Part::None => {
                core.words(out, 416, manner, &format!("Content-Range: bytes */{size}\r\n"));
                None
            }
            Part::Whole => {
                core.head(out, 200, manner, about.whole());
                Some(0..size)
            }
            Part::Some(part) => {
                let (first, last, length) = (part.start, part.end - 1, part.end - part.start);
                let range =
                    format!("Content-Length: {length}\r\nContent-Range: bytes {first}-{last}/{size}\r\n");
                core.head(out, 206, manner, &(range + about.part()));
                Some(part)
            }
        }
    }

    /// A directory is asked for by its name alone: names in it would be sought beside it.
    fn redirect(&self, out: &mut OutboxView) -> u64 {
        // Not as it was written: `//host` would lead to another one.
        let place = answer::encode(&self.path);
        self.core.words(out, 301, self.manner(), &format!("Location: /{place}/\r\n"));
        action::SEND
    }

    fn words(&self, status: u16, out: &mut OutboxView) -> u64 {
        self.core.words(out, status, self.manner(), "");
        action::SEND
    }

    fn manner(&self) -> Manner {
        Manner { head: self.request.head, close: self.close, old: self.request.old }
    }
}
