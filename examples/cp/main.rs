//! Copies files and trees: many files at a time, each with several chunks in flight. Holes, attributes, symbolic links and
//! hard links within the tree are kept.
//!
//!     cargo run --release --example cp -- SOURCE... TARGET

mod attributes;
mod extents;
mod file;
mod plan;
mod report;
mod tree;
mod verify;

use std::cell::Cell;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::pin::pin;
use std::process::ExitCode;
use std::rc::Rc;

use chainring::Runtime;
use chainring::signal::signal;
use clap::{Parser, ValueEnum};
use futures::future::{Either, select};

use report::Report;

/// Copies files and trees, with their holes, attributes and links.
///
/// Symbolic links are copied as links. Named pipes, sockets and devices are not copied. What goes wrong with one file is
/// told, and the others are copied all the same.
#[derive(Parser)]
struct Args {
    /// What to copy, and where to: into it, if it is a directory
    #[arg(required = true, num_args = 2.., value_names = ["SOURCE", "TARGET"])]
    paths: Vec<PathBuf>,
    /// Read what was written back from the disk, and compare
    #[arg(long)]
    verify: bool,
    /// Whether files share their blocks until one of them is changed
    #[arg(long, value_enum, default_value_t = Reflink::Auto, value_name = "WHEN")]
    reflink: Reflink,
    /// Let the kernel copy (copy_file_range), on threads that wait for it, instead of reading and writing through the ring
    #[arg(long)]
    in_kernel: bool,
    /// Files at a time
    #[arg(long, value_name = "N", default_value = "32")]
    files: NonZeroUsize,
    /// Reads, and writes, in flight for each file
    #[arg(long, value_name = "N", default_value = "8")]
    depth: NonZeroUsize,
    /// KiB of a read
    #[arg(long, value_name = "KIB", default_value = "256", value_parser = clap::value_parser!(u32).range(1..=65536))]
    block: u32,
    /// No progress bar and no word at the end
    #[arg(short, long)]
    quiet: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Reflink {
    /// Where the file system can
    Auto,
    /// Or the file is not copied
    Always,
    Never,
}

/// What every file's copy has a part of.
struct Job {
    args: Args,
    report: Report,
    /// Whether the owner of a file may be changed.
    root: bool,
    /// What the file systems were not found to be unable to do.
    can_share: Cell<bool>,
    can_in_kernel: Cell<bool>,
}

impl Job {
    /// Bytes of a chunk of so many: a small file needs no large buffer.
    fn block(&self, len: u64) -> usize {
        len.clamp(1, u64::from(self.args.block) << 10) as usize
    }
}

fn main() -> ExitCode {
    let args = Args::parse();
    let pairs = match plan::pairs(&args.paths) {
        Ok(pairs) => pairs,
        Err(error) => {
            eprintln!("cp: {error}");
            return ExitCode::FAILURE;
        }
    };
    let report = Report::new(args.quiet);
    let (can_share, can_in_kernel) = (Cell::new(true), Cell::new(true));
    let job = Rc::new(Job { args, report, root: attributes::am_root(), can_share, can_in_kernel });
    match run(&job, pairs) {
        Ok(None) => job.report.end(),
        Ok(Some(signal)) => {
            job.report.say("interrupted; files that were not finished are removed");
            // As shells count it.
            ExitCode::from(128 + signal)
        }
        Err(error) => {
            job.report.say(&error.to_string());
            ExitCode::FAILURE
        }
    }
}

/// Copies everything, or gives the signal that came before the end.
fn run(job: &Rc<Job>, pairs: Vec<plan::Pair>) -> std::io::Result<Option<u8>> {
    // With it go the copies that have not ended, and the files that they have not finished.
    let runtime = Runtime::new()?;
    runtime.block_on(async {
        let (mut int, mut term) = (signal(libc::SIGINT)?, signal(libc::SIGTERM)?);
        let (int, term) = (pin!(int.recv()), pin!(term.recv()));
        Ok(match select(pin!(tree::copy(job, pairs)), select(int, term)).await {
            Either::Left(_) => None,
            Either::Right((Either::Left(_), _)) => Some(libc::SIGINT as u8),
            Either::Right((Either::Right(_), _)) => Some(libc::SIGTERM as u8),
        })
    })
}
