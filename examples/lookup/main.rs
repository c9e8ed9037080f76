//! A B+tree in a file: built once, then looked into by chains of reads of which each depends on the one before. What is
//! searched in a node is found by portable computation, where the completion of its read is met: no task, no waker.
//!
//!     cargo run --release --example lookup -- build keys.tree --keys 1000000
//!     cargo run --release --example lookup -- get keys.tree 12345
//!     cargo run --release --example lookup -- verify keys.tree

mod build;
mod chain;
mod format;
mod pairs;
mod range;
mod repl;
mod tree;
mod verify;

use std::num::NonZeroU32;
use std::path::PathBuf;
use std::pin::pin;
use std::process::ExitCode;

use chainring::Runtime;
use chainring::signal::signal;
use clap::{Parser, Subcommand};
use futures::future::{Either, select};

use tree::Tree;

type Error = Box<dyn std::error::Error + Send + Sync>;

/// Builds a B+tree of numbers in a file, and looks them up.
#[derive(Parser)]
struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Writes a tree; in the place of an old one only when it is whole
    Build {
        file: PathBuf,
        #[command(flatten)]
        pairs: pairs::Options,
    },
    /// Tells the values of keys, in the order asked for
    Get {
        #[command(flatten)]
        tree: TreeArgs,
        #[arg(required = true)]
        keys: Vec<u64>,
    },
    /// Tells keys and values from one key to another, both included
    Range {
        #[command(flatten)]
        tree: TreeArgs,
        from: u64,
        to: u64,
        /// At most so many
        #[arg(long, value_name = "N", default_value_t = u64::MAX, hide_default_value = true)]
        limit: u64,
    },
    /// Looks everything up, and compares with a map in memory
    Verify {
        #[command(flatten)]
        tree: TreeArgs,
        #[command(flatten)]
        pairs: pairs::Options,
    },
    /// Answers what is typed: `get KEY...`, `range FROM TO [LIMIT]`
    Repl {
        #[command(flatten)]
        tree: TreeArgs,
    },
}

#[derive(clap::Args)]
struct TreeArgs {
    /// The tree
    file: PathBuf,
    /// Read past the page cache (O_DIRECT)
    #[arg(long)]
    direct: bool,
    /// Lookups at a time
    #[arg(long, value_name = "N", default_value = "64")]
    depth: NonZeroU32,
}

fn main() -> ExitCode {
    match run(Args::parse().command) {
        Ok(None) => ExitCode::SUCCESS,
        Ok(Some(signal)) => ExitCode::from(128 + signal),
        Err(error) => {
            eprintln!("lookup: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Does what is asked for, or gives the signal that came before the end.
fn run(command: Command) -> Result<Option<u8>, Error> {
    Runtime::new()?.block_on(async {
        let (mut int, mut term) = (signal(libc::SIGINT)?, signal(libc::SIGTERM)?);
        let (int, term) = (pin!(int.recv()), pin!(term.recv()));
        match select(pin!(execute(command)), select(int, term)).await {
            Either::Left((result, _)) => result.map(|()| None),
            Either::Right((Either::Left(_), _)) => Ok(Some(libc::SIGINT as u8)),
            Either::Right((Either::Right(_), _)) => Ok(Some(libc::SIGTERM as u8)),
        }
    })
}

async fn execute(command: Command) -> Result<(), Error> {
    match command {
        Command::Build { file, pairs } => {
            let header = build::build(&file, pairs.sorted()?).await?;
            println!("{} keys in {} pages, {} levels", header.keys, header.pages, header.top + 1);
        }
        Command::Get { tree, keys } => {
            let tree = Tree::open(&tree).await?;
            repl::get(&tree, keys).await?;
        }
        Command::Range { tree, from, to, limit } => {
            let tree = Tree::open(&tree).await?;
            repl::range(&tree, from, to, limit).await?;
        }
        Command::Verify { tree, pairs } => {
            let tree = Tree::open(&tree).await?;
            verify::verify(&tree, pairs.sorted()?).await?;
        }
        Command::Repl { tree } => {
            let tree = Tree::open(&tree).await?;
            println!("{} keys; get KEY..., range FROM TO [LIMIT]", tree.header.keys);
            repl::repl(&tree).await?;
        }
    }
    Ok(())
}
