//! `document` and `agree`: what is done with reports that are there.

use std::path::{Path, PathBuf};

use super::target;
use crate::Result;
use crate::report::{Agreement, Findings};

/// Writes the ratios of a report as Markdown
#[derive(Debug, clap::Args)]
pub(crate) struct DocumentOptions {
    /// The report [default: bench-report/report.json in the target directory]
    #[arg(long, value_name = "FILE")]
    from: Option<PathBuf>,
    /// Where they go
    #[arg(long, value_name = "FILE", default_value = "docs/comparison.md")]
    to: PathBuf,
}

pub(crate) fn document(options: &DocumentOptions) -> Result<()> {
    let from = match &options.from {
        Some(file) => file.clone(),
        None => target()?.join("bench-report/report.json"),
    };
    read(&from)?.write_document(&options.to)
}

/// Says where two reports contradict each other: ratios that one resolves and the other excludes
#[derive(Debug, clap::Args)]
pub(crate) struct AgreeOptions {
    one: PathBuf,
    other: PathBuf,
}

pub(crate) fn agree(options: &AgreeOptions) -> Result<()> {
    let [one, other] = [&options.one, &options.other].map(|file| read(file));
    let Agreement { resolved, disagreements } = Agreement::of(&one?, &other?);
    for disagreement in &disagreements {
        println!("{disagreement}");
    }
    println!("{} of {resolved} resolved ratios are contradicted", disagreements.len());
    if disagreements.is_empty() { Ok(()) } else { Err("the two do not agree".into()) }
}

fn read(file: &Path) -> Result<Findings> {
    Findings::read(file).map_err(|error| format!("cannot read {}: {error}", file.display()).into())
}
