//! Side-by-side comparison of chainring with hand-written loops and other runtimes.
//!
//! The parts and who owns what:
//!
//! - [`workload`]: the client's bytes of each protocol;
//! - [`competitor`]: the servers, each a file, listed in `competitor::ALL`;
//! - [`serve`]: one competitor's server, which owns its whole process;
//! - [`load`]: the load generator, likewise a process of its own, so that it can be pinned and accounted for;
//! - [`compare`] and [`instructions`]: the two referees. They own nothing but child processes and the figures
//!   read from them: the first measures time, the second counts user-space instructions under callgrind;
//! - [`nops`]: operations that do nothing, in a process of their own that the second referee starts;
//! - [`files`]: the reading of files, side by side in this process;
//! - [`process`]: child processes and what is read from outside them; [`sys`]: the system calls that std
//!   lacks.

mod compare;
mod competitor;
mod files;
mod instructions;
mod load;
mod nops;
mod process;
mod progress;
mod serve;
mod stats;
mod sys;
mod table;
mod workload;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Any failure, told to a person.
type Error = Box<dyn std::error::Error + Send + Sync>;
type Result<T, E = Error> = std::result::Result<T, E>;

/// Compares chainring with hand-written loops and other runtimes. Without a command: every workload, for less than two
/// minutes.
#[derive(Debug, Parser)]
#[command(version)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    Serve(serve::Options),
    Load(load::Options),
    Compare(compare::Options),
    Files(files::Options),
    Instructions(instructions::Options),
    Nops(nops::Options),
    /// Names the competitors and the workloads
    List,
}

fn main() -> ExitCode {
    let outcome = match Cli::parse().command {
        None => compare::all(),
        Some(Command::Serve(options)) => serve::run(&options),
        Some(Command::Load(options)) => load::run(&options),
        Some(Command::Compare(options)) => compare::run(&options),
        Some(Command::Files(options)) => files::run(&options),
        Some(Command::Instructions(options)) => instructions::run(&options),
        Some(Command::Nops(options)) => nops::run(&options),
        Some(Command::List) => {
            list();
            Ok(())
        }
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("chainring-bench: {error}");
            ExitCode::FAILURE
        }
    }
}

fn list() {
    println!("Competitors:");
    for competitor in competitor::ALL {
        println!("  {:<16} {}", competitor.name, competitor.about);
    }
    println!("Workloads:");
    for workload in workload::ALL {
        println!("  {:<16} {}", workload.name, workload.about);
    }
}
