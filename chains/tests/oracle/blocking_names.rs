//! The twin's steps on the names of files, and on bytes that pass by.

use std::io::{self, Read, Write};

use super::blocking::{Twin, Way, errno};
use super::disk;
use super::program::{End, Kind, Len, NAMES, Path};
use super::report::Failure;

impl Twin<'_> {
    /// The bytes of a path, up to the first NUL.
    pub(super) fn path(&self, path: &Path) -> Result<Vec<u8>, Failure> {
        match path {
            Path::Name(name) => Ok(NAMES[*name].as_bytes().to_vec()),
            Path::Bytes(span) => {
                let bytes = &self.bufs[span.buf][self.range(span)?];
                if bytes.last() != Some(&0) {
                    return Err(Failure::Bounds { len: 0, max: 0, plus: 0 });
                }
                Ok(bytes.split(|byte| *byte == 0).next().expect("there is a first part").to_vec())
            }
        }
    }

    pub(super) fn name(&mut self, kind: &Kind) -> Result<Way, Failure> {
        let directory = self.disk.as_ref().expect("a program with names has files").directory();
        let done = match kind {
            Kind::Rename { from, to } => {
                let (from, to) = (self.path(from)?, self.path(to)?);
                self.strike()?;
                disk::rename(&directory, &from, &to)
            }
            Kind::Remove { path, directory: is_directory } => {
                let path = self.path(path)?;
                self.strike()?;
                disk::remove(&directory, &path, *is_directory)
            }
            other => unreachable!("no step on a name: {other:?}"),
        };
        done.map(|()| Way::On).map_err(|error| errno(&error))
    }

    /// Takes what there is, and puts exactly that.
    pub(super) fn splice(&mut self, step: u32, kind: &Kind) -> Result<Way, Failure> {
        let Kind::Splice { from, to, len, into, or_finish } = kind else {
            unreachable!("no splice: {kind:?}")
        };
        let want = match len {
            Len::Fixed(len) => u64::from(*len),
            Len::Reg(reg) => self.regs[*reg],
        };
        let mut bytes = vec![0; want as usize];
        let got = match from {
            End::Socket(socket) => {
                self.strike()?;
                let known = self.logged(step, bytes.len());
                bytes.truncate(known.map_or(bytes.len(), |known| known as usize));
                let wire = self.wire(*socket);
                let mut wire = &*wire;
                let got = if known.is_some() {
                    wire.read_exact(&mut bytes).map(|()| bytes.len())
                } else {
                    loop {
                        match wire.read(&mut bytes) {
                            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                            got => break got,
                        }
                    }
                };
                got.map_err(|error| errno(&error))?
            }
            End::File(file) => {
                self.noted(step);
                let mut file = self.for_mode(*file, libc::O_WRONLY)?;
                file.read(&mut bytes).map_err(|error| errno(&error))?
            }
        };
        if got == 0 {
            if let End::Socket(socket) = from {
                self.report.met_end = Some(*socket);
            }
            let short = Failure::Short { done: 0, want: want as u32 };
            return if *or_finish { Ok(Way::Finish) } else { Err(short) };
        }
        let done: io::Result<()> = match to {
            End::Socket(socket) => {
                let done = (&*self.wire(*socket)).write_all(&bytes[..got]);
                if done.is_ok() {
                    self.report.sent[*socket].extend_from_slice(&bytes[..got]);
                }
                done
            }
            End::File(file) => self.for_mode(*file, libc::O_RDONLY)?.write_all(&bytes[..got]),
        };
        done.map_err(|error| errno(&error))?;
        self.regs[*into] = got as u64;
        Ok(Way::On)
    }
}
