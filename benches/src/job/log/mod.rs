//! A write-ahead log: writers append records, and a record is acknowledged when it is on disk. All competitors commit in
//! groups: one write and one fdatasync for all records that wait.

pub(crate) mod blocking;
pub(crate) mod chain;
pub(crate) mod chainring;
pub(crate) mod raw;
pub(crate) mod tokio;

use std::fs::{File, OpenOptions};
use std::path::Path;

use super::{Job, Work, Worker};
use crate::Result;
use crate::workload::{Kind, Workload};

pub(crate) static LOG: Workload = Workload {
    name: "log",
    about: "a write-ahead log: records that wait together share one fdatasync",
    connections: 16,
    size: 200,
    kind: Kind::Alone(Job { check, pinned: false, ..Job::PLAIN }),
};

/// A record's writer and number stand in front of its filler.
pub(super) const HEAD: usize = size_of::<u64>() * 2;

/// The record that a writer appends after `worker.done` others.
pub(super) fn record(worker: &Worker, size: usize) -> Vec<u8> {
    let mut record = vec![0; size.max(HEAD)];
    fill(worker, &mut record);
    record
}

/// The same into memory that is there.
fn fill(worker: &Worker, record: &mut [u8]) {
    let (head, filler) = record.split_at_mut(HEAD);
    head[..8].copy_from_slice(&(worker.index as u64).to_le_bytes());
    head[8..].copy_from_slice(&worker.done.to_le_bytes());
    filler.fill(b'.');
}

/// An empty log.
pub(super) fn create(dir: &Path) -> std::io::Result<File> {
    OpenOptions::new().write(true).create(true).truncate(true).open(dir.join("log"))
}

/// Every writer's records are there, in its order, as many as were acknowledged.
pub(super) fn check(work: &Work, workers: &[Worker]) -> Result<()> {
    let log = std::fs::read(work.dir.join("log"))?;
    let mut found = vec![0; workers.len()];
    let records = log.chunks_exact(work.size.max(HEAD));
    if !records.remainder().is_empty() {
        return Err("the log ends in the middle of a record".into());
    }
    for record in records {
        let number = |at: usize| u64::from_le_bytes(record[at..at + 8].try_into().expect("eight bytes"));
        let next = found.get_mut(number(0) as usize).ok_or("the log has a record of nobody")?;
        if number(8) != *next {
            return Err(format!("writer {} has record {} in place of {next}", number(0), number(8)).into());
        }
        *next += 1;
    }
    match workers.iter().find(|worker| worker.done != found[worker.index]) {
        Some(lost) => {
            let (index, done) = (lost.index, lost.done);
            Err(format!("writer {index} was told of {done} records; {} are there", found[index]).into())
        }
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::pieces;
    use crate::workload::Kind;

    /// A log on which a run has acknowledged as many records as asked for, and what it did to the file afterwards.
    fn tampered(tamper: fn(&mut Vec<u8>)) -> Result<u64> {
        let Kind::Alone(job) = &LOG.kind else { panic!("the log is a job") };
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let done = pieces(&Job { check: |_, _| Ok(()), ..*job }, blocking::run, dir.path(), 3, 20, 30);
        assert_eq!(done.unwrap(), 30);
        let mut bytes = std::fs::read(&path).unwrap();
        tamper(&mut bytes);
        std::fs::write(&path, bytes).unwrap();
        let work = Work::of_pieces(dir.path(), 3, 20, 30);
        let mut workers = work.workers();
        workers.iter_mut().for_each(|worker| worker.done = 10);
        check(&work, &workers).map(|()| 30)
    }

    #[test]
    fn what_was_acknowledged_and_is_not_there_is_noticed() {
        assert_eq!(tampered(|_| ()).unwrap(), 30);
        let lost = tampered(|log| log.truncate(29 * 20)).unwrap_err().to_string();
        assert!(lost.contains("was told of 10 records; 9 are there"), "{lost}");
        let twice = tampered(|log| log.copy_within(..20, 29 * 20)).unwrap_err().to_string();
        assert!(twice.contains("in place of"), "{twice}");
        let torn = tampered(|log| log.truncate(29 * 20 + 7)).unwrap_err().to_string();
        assert!(torn.contains("in the middle"), "{torn}");
    }
}
