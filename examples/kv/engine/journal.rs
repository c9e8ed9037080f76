//! What has changed, for a log: each change as the command that would make it again, whatever the clock says then.

/// The commands since it was last taken, as a client would send them; nothing is kept unless somebody wants to know.
#[derive(Clone, Debug, Default)]
pub(crate) struct Journal {
    wanted: bool,
    bytes: Vec<u8>,
}

impl Journal {
    pub(crate) fn wanted() -> Self {
        Journal { wanted: true, ..Journal::default() }
    }

    /// One change.
    pub(crate) fn note(&mut self, command: &[&[u8]]) {
        if self.wanted {
            self.begin(command.len());
            command.iter().for_each(|arg| self.arg(arg));
        }
    }

    /// One change with a list of things that it is about.
    pub(crate) fn note_all<'a>(&mut self, name: &[u8], args: impl ExactSizeIterator<Item = &'a [u8]>) {
        if self.wanted {
            self.begin(args.len() + 1);
            self.arg(name);
            args.for_each(|arg| self.arg(arg));
        }
    }

    /// Takes what was noted.
    pub(crate) fn take(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.bytes)
    }

    /// The bytes of what was noted.
    pub(crate) fn len(&self) -> usize {
        self.bytes.len()
    }

    fn begin(&mut self, args: usize) {
        self.line(b'*', args);
    }

    fn arg(&mut self, arg: &[u8]) {
        self.line(b'$', arg.len());
        self.bytes.extend_from_slice(arg);
        self.bytes.extend_from_slice(b"\r\n");
    }

    fn line(&mut self, kind: u8, number: usize) {
        self.bytes.push(kind);
        self.bytes.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
        self.bytes.extend_from_slice(b"\r\n");
    }
}
