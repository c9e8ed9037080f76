//! The copy of one file.

use std::cell::RefCell;
use std::io;
use std::ops::Range;
use std::path::Path;

use chainring::fs::{File, Metadata, OpenOptions};
use futures::StreamExt;

use crate::{Job, Reflink, attributes, extents, verify};

/// A target that goes unless its copy is finished: with an error, or with the whole program.
struct Unfinished<'p>(Option<&'p Path>);

impl Drop for Unfinished<'_> {
    fn drop(&mut self) {
        if let Some(path) = self.0 {
            let _ = std::fs::remove_file(path);
        }
    }
}

/// Opens what is to be copied, if it is (still) a regular file.
pub(crate) async fn open(source: &Path) -> io::Result<(File, Metadata)> {
    // Should it have become a pipe, nobody waits for its other end.
    let options = OpenOptions::new().read(true).custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK);
    let file = options.open(source).await?;
    let metadata = file.metadata().await?;
    if metadata.is_file() { Ok((file, metadata)) } else { Err(io::Error::other("is no longer a file")) }
}

/// Copies an open file, with its attributes.
pub(crate) async fn copy(job: &Job, mut source: File, from: &Metadata, path: &Path) -> io::Result<()> {
    let (target, fresh) = create(job, path, from).await?;
    let mut unfinished = Unfinished(fresh.then_some(path));
    if !shared(job, &source, &target, from.len()).await? {
        contents(job, &mut source, &target, from).await?;
    }
    attributes::keep(&source, &target, from, job.root).await?;
    if job.args.verify {
        verify::compare(job, &source, &target, from.len()).await?;
    }
    unfinished.0 = None;
    target.close().await
}

/// Opens the target, empty, and says whether it is new. An old one keeps its other names.
async fn create(job: &Job, path: &Path, from: &Metadata) -> io::Result<(File, bool)> {
    // Nobody else's before it has the permissions that it is to have.
    let options = OpenOptions::new().read(job.args.verify).write(true).mode(0o600);
    match options.clone().create_new(true).open(path).await {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        created => return Ok((created?, true)),
    }
    let file = match options.custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK).open(path).await {
        Err(error) if error.raw_os_error() == Some(libc::ELOOP) => {
            return Err(io::Error::other("a symbolic link is in its place, which is not written through"));
        }
        file => file?,
    };
    let old = file.metadata().await?;
    if !old.is_file() {
        return Err(io::Error::other("something that is not a file is in its place"));
    }
    if (old.dev(), old.ino()) == (from.dev(), from.ino()) {
        return Err(io::Error::other("source and target are the same file"));
    }
    file.set_len(0).await?;
    Ok((file, false))
}

/// Lets the target share the blocks of the source, if that is wanted and can be.
async fn shared(job: &Job, source: &File, target: &File, len: u64) -> io::Result<bool> {
    if job.args.reflink == Reflink::Never
        || (job.args.reflink == Reflink::Auto && !job.can_share.get())
        || len == 0
    {
        return Ok(false);
    }
    match source.clone_to(target).await {
        Ok(()) => {
            job.report.progress(len);
            Ok(true)
        }
        Err(error) if job.args.reflink == Reflink::Auto => {
            // The others are hardly on another file system; if they are, they are copied.
            let never = [libc::EOPNOTSUPP, libc::EXDEV, libc::ENOTTY, libc::ENOSYS];
            if error.raw_os_error().is_some_and(|errno| never.contains(&errno)) {
                job.can_share.set(false);
            }
            Ok(false)
        }
        Err(error) => Err(io::Error::new(error.kind(), format!("its blocks cannot be shared: {error}"))),
    }
}

/// Copies the data, and leaves the holes out.
async fn contents(job: &Job, source: &mut File, target: &File, from: &Metadata) -> io::Result<()> {
    let (len, sparse) = (from.len(), extents::is_sparse(from));
    let mut at = 0;
    while let Some(data) =
        if sparse { extents::next(source, at, len)? } else { (at < len).then_some(at..len) }
    {
        job.report.progress(data.start - at);
        let end = if job.args.in_kernel && job.can_in_kernel.get() {
            in_kernel(job, source, target, data.clone()).await?
        } else {
            through_ring(job, source, target, data.clone()).await?
        };
        if end < data.end {
            return Err(io::Error::other(format!(
                "has become shorter while it was copied: {end} of {len} bytes"
            )));
        }
        at = data.end;
    }
    if at < len {
        // It ends with a hole.
        job.report.progress(len - at);
        target.set_len(len).await?;
    }
    Ok(())
}

/// Reads and writes a piece of data, several chunks of each in flight. Gives where it ended.
async fn through_ring(job: &Job, source: &File, target: &File, data: Range<u64>) -> io::Result<u64> {
    let (depth, block) = (job.args.depth.get(), job.block(data.end - data.start));
    // Buffers go round.
    let free = RefCell::new(Vec::new());
    let make = || Ok(free.borrow_mut().pop().unwrap_or_else(|| Vec::with_capacity(block)));
    let mut blocks = source.stream_range(data.clone(), depth, make);
    let mut writer = target.writer(data.start, depth);
    while let Some(block) = blocks.next().await.transpose()? {
        let len = block.len() as u64;
        if let Some(mut written) = writer.write(block).await? {
            written.clear();
            free.borrow_mut().push(written);
        }
        job.report.progress(len);
    }
    writer.finish().await
}

/// Lets the kernel copy a piece of data; through the ring, if it cannot.
async fn in_kernel(job: &Job, source: &File, target: &File, data: Range<u64>) -> io::Result<u64> {
    match source.copy_range(data.clone(), target, data.start).await {
        Ok(copied) => {
            job.report.progress(copied);
            Ok(data.start + copied)
        }
        Err(error) if matches!(error.raw_os_error(), Some(libc::EXDEV | libc::EOPNOTSUPP | libc::EINVAL)) => {
            job.can_in_kernel.set(false);
            through_ring(job, source, target, data).await
        }
        Err(error) => Err(error),
    }
}
