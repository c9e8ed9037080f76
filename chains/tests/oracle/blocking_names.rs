//! The twin's steps on the names of files, and on bytes that pass by.

use std::fs::File;
use std::io::{self, Read, Write};

use super::blocking::{Twin, Way, errno};
use super::disk;
use super::program::{End, Len, NAMES, Path};
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

    fn directory(&self) -> File {
        self.disk.as_ref().expect("a program with names has files").directory()
    }

    pub(super) fn rename(&mut self, from: &Path, to: &Path) -> Result<Way, Failure> {
        let (from, to) = (self.path(from)?, self.path(to)?);
        self.strike()?;
        done(disk::rename(&self.directory(), &from, &to))
    }

    pub(super) fn remove(&mut self, path: &Path, is_directory: bool) -> Result<Way, Failure> {
        let path = self.path(path)?;
        self.strike()?;
        done(disk::remove(&self.directory(), &path, is_directory))
    }

    /// Takes what there is, and puts exactly that.
    pub(super) fn splice(
        &mut self,
        step: u32,
        from: &End,
        to: &End,
        len: Len,
        into: usize,
        or_finish: bool,
    ) -> Result<Way, Failure> {
        let want = match len {
            Len::Fixed(len) => u64::from(len),
            Len::Reg(reg) => self.regs[reg],
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
            return if or_finish { Ok(Way::Finish) } else { Err(short) };
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
        self.regs[into] = got as u64;
        Ok(Way::On)
    }
}

fn done(done: io::Result<()>) -> Result<Way, Failure> {
    done.map(|()| Way::On).map_err(|error| errno(&error))
}
