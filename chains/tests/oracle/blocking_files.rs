//! The twin's steps on files.

use std::fs::File;
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};

use super::blocking::{Twin, Way, errno};
use super::disk;
use super::program::{Expr, FileStep, Path, Span};
use super::report::Failure;

/// A file that is open, and what for.
pub(super) struct Open {
    file: File,
    flags: i32,
}

impl Open {
    pub(super) fn new(file: File, flags: i32) -> Open {
        Open { file, flags }
    }

    fn mode(&self) -> i32 {
        self.flags & libc::O_ACCMODE
    }
}

type Done<T> = Result<T, Failure>;

impl Twin<'_> {
    /// A step on a file.
    pub(super) fn file(&mut self, number: u32, step: &FileStep) -> Done<Way> {
        match step {
            FileStep::Read { file, span, position, into, exact, or_finish } => {
                self.read_file(number, *file, span, position, *exact).and_then(|(got, want)| {
                    if got < want && *exact || got == 0 && want > 0 && *or_finish {
                        if got == 0 && *or_finish {
                            return Ok(Way::Finish);
                        }
                        return Err(Failure::Short { done: got as u32, want: want as u32 });
                    }
                    into.iter().for_each(|reg| self.regs[*reg] = got as u64);
                    Ok(Way::On)
                })
            }
            FileStep::Write { file, spans, position, into } => {
                self.write_file(*file, spans, position).map(|all| {
                    into.iter().for_each(|reg| self.regs[*reg] = all);
                    Way::On
                })
            }
            FileStep::Sync { file, data } => {
                self.on_file(*file, |file| if *data { file.sync_data() } else { file.sync_all() })
            }
            FileStep::Fallocate { file, position, len } => self.value(position).and_then(|position| {
                let len = self.value(len)?;
                self.on_file(*file, |file| disk::allocate(file, position, len))
            }),
            FileStep::Truncate { file, len } => {
                self.value(len).and_then(|len| self.on_file(*file, |file| disk::truncate(file, len)))
            }
            FileStep::Open { file, path, flags } => self.open(*file, path, *flags),
            FileStep::CloseFile { file } => match self.files[*file].take() {
                Some(_) => Ok(Way::On),
                None => Err(Failure::Errno(libc::EBADF)),
            },
            FileStep::Statx { file, size, mode } => {
                let mut answer = None;
                let done = self.on_file(*file, |file| {
                    answer = Some(file.metadata()?);
                    Ok(())
                });
                if let Some(answer) = answer {
                    size.iter().for_each(|reg| self.regs[*reg] = answer.size());
                    mode.iter().for_each(|reg| self.regs[*reg] = u64::from(answer.mode()));
                }
                done
            }
        }
    }

    fn on_file(&mut self, file: usize, body: impl FnOnce(&File) -> io::Result<()>) -> Done<Way> {
        self.strike()?;
        let open = self.files[file].as_ref().ok_or(Failure::Errno(libc::EBADF))?;
        body(&open.file).map(|()| Way::On).map_err(|error| errno(&error))
    }

    /// A file that can be read from, or written to. The kernel looks at that first, whatever the position is.
    pub(super) fn for_mode(&self, file: usize, not: i32) -> Done<&File> {
        let open = self.files[file].as_ref().filter(|open| open.mode() != not);
        open.map(|open| &open.file).ok_or(Failure::Errno(libc::EBADF))
    }

    /// How much was read, and how much there was to be.
    fn read_file(
        &mut self,
        step: u32,
        file: usize,
        span: &Span,
        position: &Expr,
        exact: bool,
    ) -> Done<(usize, usize)> {
        let position = self.value(position)?;
        let range = self.inlet(span)?;
        let want = range.len();
        if want == 0 {
            if !exact {
                self.noted(step);
            }
            return Ok((0, 0));
        }
        self.strike()?;
        let mut bytes = vec![0; want];
        let (mut got, mut struck) = (0, Ok(()));
        while got < want {
            match self
                .for_mode(file, libc::O_WRONLY)?
                .read_at(&mut bytes[got..], position.wrapping_add(got as u64))
            {
                Ok(0) => {
                    // What is short is taken up again.
                    if got > 0 && exact {
                        struck = self.strike();
                    }
                    break;
                }
                Ok(n) => got += n,
                Err(error) => return Err(errno(&error)),
            }
        }
        // Shortened there, it brings as little here.
        let noted = if exact { None } else { self.noted(step).map(|noted| noted as usize) };
        let got = noted.filter(|noted| self.shortened && (1..got).contains(noted)).unwrap_or(got);
        self.came(span, range.start, got);
        self.bufs[span.buf][range][..got].copy_from_slice(&bytes[..got]);
        struck?;
        Ok((got, want))
    }

    fn write_file(&mut self, file: usize, spans: &[Span], position: &Expr) -> Done<u64> {
        let (mut position, mut all) = (self.value(position)?, 0);
        for run in Span::merged(spans) {
            let bytes = self.gather(run)?;
            if bytes.is_empty() {
                continue;
            }
            self.strike()?;
            let open = self.for_mode(file, libc::O_RDONLY)?;
            open.write_all_at(&bytes, position).map_err(|error| errno(&error))?;
            position = position.wrapping_add(bytes.len() as u64);
            all += bytes.len() as u64;
        }
        Ok(all)
    }

    fn open(&mut self, file: usize, path: &Path, flags: i32) -> Done<Way> {
        let path = self.path(path)?;
        self.strike()?;
        let directory = &self.disk.as_ref().expect("a program that opens files has some").directory();
        let opened = disk::open(directory, &path, flags).map_err(|error| errno(&error))?;
        self.files[file] = Some(Open::new(opened, flags));
        Ok(Way::On)
    }
}
