//! What was found out, in the forms in which it is told: tables, `report.json`, `index.html` with its plots, and Markdown with
//! the ratios.
//!
//! [`Case`] is the one description that all are made of. Everything in it is plain data; whoever measures makes it,
//! and nothing here runs anything.

mod agree;
mod case;
mod document;
mod machine;
mod page;
mod plot;
mod table;

use std::path::Path;

use serde::{Deserialize, Serialize};

pub(crate) use agree::Agreement;
pub(crate) use case::{Case, Row};
pub(crate) use machine::Machine;
pub(crate) use table::{idle, instructions, render};

use crate::Result;

/// All that a run has found out.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Findings {
    pub(crate) machine: Machine,
    pub(crate) rounds: u32,
    pub(crate) seconds: f64,
    pub(crate) cases: Vec<Case>,
    /// Memory of idle connections.
    pub(crate) idle: Vec<Idle>,
}

/// What an idle connection costs one server.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Idle {
    pub(crate) name: String,
    /// Resident bytes of the server's process for each connection.
    pub(crate) bytes: Option<f64>,
    pub(crate) failure: Option<String>,
}

impl Findings {
    /// Writes `report.json` and `index.html` into a directory, which is made if need be.
    pub(crate) fn write(&self, dir: &Path) -> Result<()> {
        std::fs::create_dir_all(dir)?;
        self.write_json(&dir.join("report.json"))?;
        Ok(std::fs::write(dir.join("index.html"), page::render(self)?)?)
    }

    /// Reads what [`write_json`](Self::write_json) has written.
    pub(crate) fn read(file: &Path) -> Result<Self> {
        Ok(serde_json::from_reader(std::io::BufReader::new(std::fs::File::open(file)?))?)
    }

    /// Writes the ratios as Markdown.
    pub(crate) fn write_document(&self, file: &Path) -> Result<()> {
        Ok(std::fs::write(file, document::render(self))?)
    }

    pub(crate) fn write_json(&self, file: &Path) -> Result<()> {
        Ok(serde_json::to_writer_pretty(std::fs::File::create(file)?, self)?)
    }
}
