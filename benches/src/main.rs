//! Side-by-side comparison of chainring with hand-written loops and other runtimes.
//!
//! The parts and who owns what:
//!
//! - [`workload`]: what is compared: the client's bytes of each protocol, and the [`job`]s that need no client;
//! - [`competitor`]: who competes, each a file, listed in `competitor::ALL`;
//! - [`serve`]: one competitor's server, which owns its whole process;
//! - [`load`]: the load generator, likewise a process of its own, so that it can be pinned and accounted for;
//! - [`compare`], [`instructions`] and [`idle`]: the referees. They own nothing but child processes and the figures read
//!   from them: the first measures time, the second counts user-space instructions under callgrind, the third memory;
//! - [`kv`]: servers of keys, ours and others', under the load of redis-benchmark;
//! - [`copy`]: copies of files beside those of coreutils;
//! - [`report`]: what was found out, as plain data, and the forms in which it is told;
//! - [`process`]: child processes and what is read from outside them; [`sys`]: the system calls that std
//!   lacks.

mod compare;
mod competitor;
mod copy;
mod idle;
mod instructions;
mod job;
mod kv;
mod load;
mod process;
mod progress;
mod report;
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

/// Compares chainring with hand-written loops and other runtimes. Without a command: the four workloads of the README,
/// against tokio and the loop by hand.
#[derive(Debug, Parser)]
#[command(version, args_conflicts_with_subcommands = true)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    options: compare::Options,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// The same as no command
    Compare(compare::Options),
    /// Compares everything: all workloads in many shapes, all competitors
    Full(compare::Options),
    /// Writes the ratios of a report as Markdown
    Document(compare::kept::DocumentOptions),
    Agree(compare::kept::AgreeOptions),
    Instructions(instructions::Options),
    Serve(serve::Options),
    Load(load::Options),
    Work(job::Options),
    Kv(kv::Options),
    Cp(copy::Options),
    /// Names the competitors and the workloads
    List,
}

fn main() -> ExitCode {
    let Cli { command, options } = Cli::parse();
    let outcome = match command {
        None => compare::brief(&options),
        Some(Command::Compare(options)) => compare::brief(&options),
        Some(Command::Full(options)) => compare::full(&options),
        Some(Command::Document(options)) => compare::kept::document(&options),
        Some(Command::Agree(options)) => compare::kept::agree(&options),
        Some(Command::Instructions(options)) => instructions::run(&options),
        Some(Command::Serve(options)) => serve::run(&options),
        Some(Command::Load(options)) => load::run(&options),
        Some(Command::Work(options)) => job::run(&options),
        Some(Command::Kv(options)) => kv::run(&options),
        Some(Command::Cp(options)) => copy::run(&options),
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
    println!("  {:<16} memory of connections that say nothing (`full` only)", idle::NAME);
}
