//! The steps, done by the standard library.

use std::collections::BTreeMap;
use std::fs::Permissions;
use std::io::{self, Read, Seek, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use crate::attributes;
use crate::outcome::{Outcome, bytes, digest, inside, outcome, shape, sorted};
use crate::step::{Act, Step};

pub(crate) fn theirs(dir: &Path, step: &Step) -> Outcome {
    use std::fs;
    let at = |path: &PathBuf| dir.join(path);
    match step {
        Step::Write(path, len) => outcome(fs::write(at(path), bytes(*len))),
        Step::WriteAtomic(path, len) => outcome(replaced(&at(path), &bytes(*len))),
        Step::Read(path) => outcome(fs::read(at(path)).map(|bytes| digest(&bytes))),
        Step::ReadToString(path) => outcome(fs::read_to_string(at(path))),
        Step::CreateDir(path) => outcome(fs::create_dir(at(path))),
        Step::CreateDirAll(path) => outcome(fs::create_dir_all(at(path))),
        Step::RemoveFile(path) => outcome(fs::remove_file(at(path))),
        Step::RemoveDir(path) => outcome(fs::remove_dir(at(path))),
        Step::RemoveDirAll(path) => outcome(fs::remove_dir_all(at(path))),
        Step::Rename(from, to) => outcome(fs::rename(at(from), at(to))),
        Step::HardLink(from, to) => outcome(fs::hard_link(at(from), at(to))),
        Step::Symlink(target, path) => outcome(symlink(target, at(path))),
        Step::ReadLink(path) => outcome(fs::read_link(at(path))),
        Step::Canonicalize(path) => outcome(fs::canonicalize(at(path)).map(|path| inside(dir, path))),
        Step::ReadDir(path) => {
            let list = || {
                let mut names = BTreeMap::new();
                for entry in fs::read_dir(at(path))? {
                    let entry = entry?;
                    names.insert(entry.file_name(), chainring_fs::FileType::from(entry.file_type()?));
                }
                Ok(names)
            };
            outcome(list())
        }
        Step::Metadata(path) => outcome(fs::metadata(at(path)).map(|m| shape(m.len(), m.mode(), m.nlink()))),
        Step::SymlinkMetadata(path) => {
            outcome(fs::symlink_metadata(at(path)).map(|m| shape(m.len(), m.mode(), m.nlink())))
        }
        Step::Exists(path) => outcome(fs::exists(at(path))),
        Step::SetPermissions(path, mode) => {
            outcome(fs::set_permissions(at(path), Permissions::from_mode(*mode)))
        }
        Step::Copy(from, to) => outcome(fs::copy(at(from), at(to))),
        Step::GetXattr(path, name) => outcome(attributes::get(&at(path), name)),
        Step::SetXattr(path, name, len) => outcome(attributes::set(&at(path), name, &bytes(*len))),
        Step::RemoveXattr(path, name) => outcome(attributes::remove(&at(path), name)),
        Step::ListXattr(path) => outcome(attributes::list(&at(path)).map(sorted)),
        Step::Open(path, flags, acts) => {
            let opened = fs::OpenOptions::new()
                .read(flags.read)
                .write(flags.write)
                .append(flags.append)
                .truncate(flags.truncate)
                .create(flags.create)
                .create_new(flags.create_new)
                .custom_flags(flags.custom)
                .mode(flags.mode)
                .open(at(path));
            match opened {
                Err(error) => outcome(Err::<(), _>(error)),
                Ok(mut file) => {
                    Ok(format!("{:?}", acts.iter().map(|act| theirs_act(&mut file, act)).collect::<Vec<_>>()))
                        .and_then(|said| outcome(Ok(())).map(|_| said))
                }
            }
        }
    }
}

fn theirs_act(file: &mut std::fs::File, act: &Act) -> Outcome {
    let read = |result: io::Result<usize>, bytes: &[u8]| outcome(result.map(|n| (n, digest(&bytes[..n]))));
    match act {
        Act::Read(len) => {
            let mut bytes = vec![0; *len];
            read(file.read(&mut bytes), &bytes)
        }
        Act::ReadAt(len, offset) => {
            let mut bytes = vec![0; *len];
            read(file.read_at(&mut bytes, *offset), &bytes)
        }
        Act::ReadExactAt(len, offset) => {
            let mut bytes = vec![0; *len];
            outcome(file.read_exact_at(&mut bytes, *offset).map(|()| digest(&bytes)))
        }
        Act::ReadExactVectoredAt(lens, offset) => {
            let mut bytes = vec![0; lens.iter().sum()];
            outcome(file.read_exact_at(&mut bytes, *offset).map(|()| digest(&bytes)))
        }
        Act::WriteAllVectoredAt(lens, offset) => {
            let parts: Vec<Vec<u8>> = lens.iter().map(|len| bytes(*len)).collect();
            outcome(file.write_all_at(&parts.concat(), *offset))
        }
        Act::GetXattr(name) => outcome(attributes::get(&own_path(file), name)),
        Act::SetXattr(name, len) => outcome(attributes::set(&own_path(file), name, &bytes(*len))),
        Act::RemoveXattr(name) => outcome(attributes::remove(&own_path(file), name)),
        Act::ListXattr => outcome(attributes::list(&own_path(file)).map(sorted)),
        Act::ReadToEnd => {
            let mut bytes = Vec::new();
            outcome(file.read_to_end(&mut bytes).map(|n| (n, digest(&bytes))))
        }
        Act::Write(len) => outcome(file.write(&bytes(*len))),
        Act::WriteAllAt(len, offset) => outcome(file.write_all_at(&bytes(*len), *offset)),
        Act::Seek(to) => outcome(file.seek(*to)),
        Act::SetLen(len) => outcome(file.set_len(*len)),
        Act::Sync => outcome(file.sync_data()),
        Act::Len => outcome(file.metadata().map(|metadata| metadata.len())),
    }
}

/// The standard library knows nothing of attributes: an open file has a path to ask about.
fn own_path(file: &std::fs::File) -> PathBuf {
    format!("/proc/self/fd/{}", file.as_raw_fd()).into()
}

/// What an atomic replacement comes to, step by step.
fn replaced(path: &Path, contents: &[u8]) -> io::Result<()> {
    let whole = path.as_os_str().as_encoded_bytes();
    let is_dir = whole.ends_with(b"/") || whole.ends_with(b"/.");
    let name = path.file_name().filter(|_| !is_dir);
    let name = name.ok_or_else(|| io::Error::from_raw_os_error(libc::EISDIR))?;
    if name.as_encoded_bytes().contains(&0) {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let parent = path.parent().unwrap();
    std::fs::OpenOptions::new().read(true).custom_flags(libc::O_DIRECTORY).open(parent)?;
    let beside = parent.join(".beside");
    std::fs::write(&beside, contents)?;
    std::fs::rename(&beside, parent.join(name)).inspect_err(|_| std::fs::remove_file(&beside).unwrap())
}
