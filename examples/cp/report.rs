//! What is told while files are copied, and at the end.

use std::cell::Cell;
use std::fmt::Display;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use indicatif::{BinaryBytes, HumanCount, ProgressBar, ProgressStyle};

/// The counts, and the bar that shows them. It is drawn on a terminal only.
pub(crate) struct Report {
    bar: ProgressBar,
    quiet: bool,
    files: Cell<u64>,
    bytes: Cell<u64>,
    errors: Cell<u64>,
}

impl Report {
    pub(crate) fn new(quiet: bool) -> Report {
        let bar = if quiet { ProgressBar::hidden() } else { ProgressBar::new(0) };
        let line = "{bar:30} {binary_bytes} of {binary_total_bytes}  {binary_bytes_per_sec}  {eta}  {msg}";
        bar.set_style(ProgressStyle::with_template(line).expect("the template is right"));
        bar.enable_steady_tick(Duration::from_millis(200));
        Report { bar, quiet, files: Cell::new(0), bytes: Cell::new(0), errors: Cell::new(0) }
    }

    /// A file was found.
    pub(crate) fn found(&self, bytes: u64) {
        self.bar.inc_length(bytes);
    }

    /// So many bytes of a file were dealt with, holes included.
    pub(crate) fn progress(&self, bytes: u64) {
        self.bar.inc(bytes);
        self.bytes.set(self.bytes.get() + bytes);
    }

    /// A file, link or directory is there.
    pub(crate) fn done(&self) {
        self.files.set(self.files.get() + 1);
        if self.files.get().is_multiple_of(64) {
            self.bar.set_message(format!("{} files", HumanCount(self.files.get())));
        }
    }

    /// What happened to one file. The others go on.
    pub(crate) fn error(&self, path: &Path, error: impl Display) {
        self.errors.set(self.errors.get() + 1);
        self.say(&format!("{}: {error}", path.display()));
    }

    /// A line for people, above the bar.
    pub(crate) fn say(&self, line: &str) {
        self.bar.suspend(|| eprintln!("cp: {line}"));
    }

    /// The last words, and whether all went well.
    pub(crate) fn end(&self) -> ExitCode {
        self.bar.finish_and_clear();
        let (files, bytes) = (HumanCount(self.files.get()), BinaryBytes(self.bytes.get()));
        match self.errors.get() {
            0 if self.quiet => {}
            0 => println!("{files} files, links and directories, {bytes}"),
            errors => eprintln!(
                "cp: {files} files, links and directories, {bytes}; {errors} not copied as they are"
            ),
        }
        if self.errors.get() == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }
}
