//! What a file has beside its contents: owner, permissions, times, extended attributes.

use std::fs::{FileTimes, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt, fchown};
use std::path::Path;

use chainring::fs::{self, File, Metadata};

/// Whether files can be given away: the effective user is root.
pub(crate) fn am_root() -> bool {
    std::fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0)
}

/// Gives an open file or directory the attributes of another.
pub(crate) async fn keep(source: &File, target: &File, from: &Metadata, root: bool) -> io::Result<()> {
    // The owner first, because a change takes capabilities (an extended attribute) and set-user-ID bits away; the times last,
    // because everything else touches them.
    if root {
        own(target, from).await?;
    }
    extended(source, target).await?;
    let mode = from.mode() & 0o7777;
    let times = FileTimes::new().set_accessed(from.accessed()?).set_modified(from.modified()?);
    let target = target.try_clone()?.into_std()?;
    // In one visit to the blocking pool, since io_uring has no opcode for either of them.
    let both = chainring::spawn_blocking(move || {
        target.set_permissions(Permissions::from_mode(mode))?;
        target.set_times(times)
    });
    both.await.map_err(io::Error::other)?
}

/// Gives an open file away, unless it is that owner's already: that would be a visit to the blocking pool.
async fn own(target: &File, from: &Metadata) -> io::Result<()> {
    let (old, user, group) = (target.metadata().await?, from.uid(), from.gid());
    if (old.uid(), old.gid()) == (user, group) {
        return Ok(());
    }
    let target = target.try_clone()?.into_std()?;
    let given = chainring::spawn_blocking(move || fchown(&target, Some(user), Some(group)));
    given.await.map_err(io::Error::other)?
}

/// The attributes of a symbolic link, which cannot be opened. It has no permissions of its own.
pub(crate) async fn keep_of_link(target: &Path, from: &Metadata, root: bool) -> io::Result<()> {
    if root {
        fs::set_symlink_owner(target, Some(from.uid()), Some(from.gid())).await?;
    }
    fs::set_symlink_times(target, from.accessed()?, from.modified()?).await
}

/// Extended attributes, access control lists among them.
async fn extended(source: &File, target: &File) -> io::Result<()> {
    let names = match source.list_xattr().await {
        Err(error) if error.raw_os_error() == Some(libc::EOPNOTSUPP) => return Ok(()),
        names => names?,
    };
    for name in names {
        let value = match source.get_xattr(&name).await {
            Ok(Some(value)) => value,
            Ok(None) => continue,
            // Listed for everybody, and told to few.
            Err(error) if is_denied(&error) => continue,
            Err(error) => return Err(error),
        };
        match target.set_xattr(&name, value).await.0 {
            // What is not the user's own is the system's to give: to root, or on the same kind of file system.
            Err(error) if !name.as_encoded_bytes().starts_with(b"user.") && is_denied(&error) => {}
            set => set?,
        }
    }
    Ok(())
}

fn is_denied(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EPERM | libc::EACCES | libc::EOPNOTSUPP))
}
