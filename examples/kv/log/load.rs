//! A store as its log says.

use std::fs::File;
use std::io::{self, BufReader};
use std::path::Path;

use super::disk::BATCH;
use super::record::{Records, is_damaged};
use crate::engine::table::find;
use crate::engine::{Call, Store, run};
use crate::protocol::{Limits, Parser, Proto, Replies};

/// Does everything that a log says, and gives where its last whole record ends and how many bytes follow that.
///
/// # Errors
/// Those of reading the file; `InvalidData` if it is damaged before its end, or a whole record is not of commands.
pub(crate) fn load(path: &Path, store: &mut Store) -> io::Result<(u64, u64)> {
    let file = File::open(path)?;
    let len = file.metadata()?.len();
    let mut records = Records::new(BufReader::with_capacity(1 << 20, file));
    let mut replies = Replies::default();
    store.is_loading = true;
    let journal = std::mem::take(&mut store.journal);
    while let Some(bytes) = records.next()? {
        let limits = Limits { args: 1 << 40, bulk: 1 << 40, command: 1 << 40 };
        let (mut parser, mut rest) = (Parser::new(limits), bytes.as_slice());
        let wrong = |what: String| {
            let text = format!("{}, before byte {}: {what}", path.display(), records.whole());
            io::Error::new(io::ErrorKind::InvalidData, text)
        };
        loop {
            let mut command = match parser.parse(&mut rest, usize::MAX) {
                Ok(Some(command)) => command,
                Ok(None) => break,
                Err(violation) => return Err(wrong(violation.to_string())),
            };
            let spec = find(command.arg(0)).filter(|spec| spec.takes(command.len()));
            let spec = spec.ok_or_else(|| wrong("no command".to_owned()))?;
            run(spec, Call { store, command: &mut command, proto: Proto::Resp2, out: &mut replies });
            // During a compaction it may be about a key that is still to come: then it fails, and no harm is done.
            replies.clear();
        }
    }
    (store.is_loading, store.journal) = (false, journal);
    if records.at() < len && is_damaged(&File::open(path)?, records.at(), BATCH.into())? {
        let (path, at, whole) = (path.display(), records.at(), records.whole());
        // To cut it would be to forget, without a word, what was acknowledged.
        let text = format!(
            "{path} is damaged at byte {at}: the record there is not what was written, and others follow it. \
             Restore the file from a copy, or give up all from there on: truncate -s {whole} {path}"
        );
        return Err(io::Error::new(io::ErrorKind::InvalidData, text));
    }
    Ok((records.whole(), len - records.whole()))
}
