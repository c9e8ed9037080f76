//! The steps, done by this crate.

use std::collections::BTreeMap;
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use chainring_fs as fs;

use crate::outcome::{Outcome, bytes, digest, inside, outcome, shape, sorted};
use crate::step::{Act, Step};

pub(crate) async fn ours(dir: &Path, step: &Step) -> Outcome {
    let at = |path: &PathBuf| dir.join(path);
    match step {
        Step::Write(path, len) => outcome(fs::write(at(path), bytes(*len)).await.0),
        Step::WriteAtomic(path, len) => outcome(fs::write_atomic(at(path), bytes(*len)).await.0),
        Step::Read(path) => outcome(fs::read(at(path)).await.map(|bytes| digest(&bytes))),
        Step::ReadToString(path) => outcome(fs::read_to_string(at(path)).await),
        Step::CreateDir(path) => outcome(fs::create_dir(at(path)).await),
        Step::CreateDirAll(path) => outcome(fs::create_dir_all(at(path)).await),
        Step::RemoveFile(path) => outcome(fs::remove_file(at(path)).await),
        Step::RemoveDir(path) => outcome(fs::remove_dir(at(path)).await),
        Step::RemoveDirAll(path) => outcome(fs::remove_dir_all(at(path)).await),
        Step::Rename(from, to) => outcome(fs::rename(at(from), at(to)).await),
        Step::HardLink(from, to) => outcome(fs::hard_link(at(from), at(to)).await),
        Step::Symlink(target, path) => outcome(fs::symlink(target, at(path)).await),
        Step::ReadLink(path) => outcome(fs::read_link(at(path)).await),
        Step::Canonicalize(path) => outcome(fs::canonicalize(at(path)).await.map(|path| inside(dir, path))),
        Step::ReadDir(path) => {
            let list = async {
                let mut list = fs::read_dir(at(path)).await?;
                let mut names = BTreeMap::new();
                while let Some(entry) = list.next_entry().await? {
                    assert_eq!(entry.path(), at(path).join(entry.file_name()));
                    assert_eq!(entry.metadata().await?.file_type(), entry.file_type()?);
                    names.insert(entry.file_name().to_owned(), entry.file_type()?);
                }
                Ok(names)
            };
            outcome(list.await)
        }
        Step::Metadata(path) => {
            outcome(fs::metadata(at(path)).await.map(|m| shape(m.len(), m.mode(), m.nlink())))
        }
        Step::SymlinkMetadata(path) => {
            outcome(fs::symlink_metadata(at(path)).await.map(|m| shape(m.len(), m.mode(), m.nlink())))
        }
        Step::Exists(path) => outcome(fs::exists(at(path)).await),
        Step::SetPermissions(path, mode) => {
            outcome(fs::set_permissions(at(path), Permissions::from_mode(*mode)).await)
        }
        Step::Copy(from, to) => outcome(fs::copy(at(from), at(to)).await),
        Step::GetXattr(path, name) => outcome(fs::get_xattr(at(path), name).await),
        Step::SetXattr(path, name, len) => outcome(fs::set_xattr(at(path), name, bytes(*len)).await.0),
        Step::RemoveXattr(path, name) => outcome(fs::remove_xattr(at(path), name).await),
        Step::ListXattr(path) => outcome(fs::list_xattr(at(path)).await.map(sorted)),
        Step::Open(path, flags, acts) => {
            let options = fs::OpenOptions::new()
                .read(flags.read)
                .write(flags.write)
                .append(flags.append)
                .truncate(flags.truncate)
                .create(flags.create)
                .create_new(flags.create_new)
                .custom_flags(flags.custom)
                .mode(flags.mode);
            match options.open(at(path)).await {
                Err(error) => outcome(Err::<(), _>(error)),
                Ok(mut file) => {
                    let mut said = Vec::new();
                    for act in acts {
                        said.push(ours_act(&mut file, act).await);
                    }
                    outcome(file.close().await.map(|()| said))
                }
            }
        }
    }
}

async fn ours_act(file: &mut fs::File, act: &Act) -> Outcome {
    match act {
        Act::Read(len) => {
            let (result, bytes) = file.read(Vec::with_capacity(*len)).await;
            outcome(result.map(|n| (n, digest(&bytes))))
        }
        Act::ReadAt(len, offset) => {
            let (result, bytes) = file.read_at(Vec::with_capacity(*len), *offset).await;
            outcome(result.map(|n| (n, digest(&bytes))))
        }
        Act::ReadExactAt(len, offset) => {
            let (result, bytes) = file.read_exact_at(Vec::with_capacity(*len), *offset).await;
            outcome(result.map(|()| digest(&bytes)))
        }
        Act::ReadExactVectoredAt(lens, offset) => {
            let rooms: Vec<Vec<u8>> = lens.iter().map(|len| Vec::with_capacity(*len)).collect();
            let (result, parts) = file.read_exact_vectored_at(rooms, *offset).await;
            outcome(result.map(|()| digest(&parts.concat())))
        }
        Act::WriteAllVectoredAt(lens, offset) => {
            let parts: Vec<Vec<u8>> = lens.iter().map(|len| bytes(*len)).collect();
            outcome(file.write_all_vectored_at(parts, *offset).await.0)
        }
        Act::GetXattr(name) => outcome(file.get_xattr(name).await),
        Act::SetXattr(name, len) => outcome(file.set_xattr(name, bytes(*len)).await.0),
        Act::RemoveXattr(name) => outcome(file.remove_xattr(name).await),
        Act::ListXattr => outcome(file.list_xattr().await.map(sorted)),
        Act::ReadToEnd => {
            let (result, bytes) = file.read_to_end(Vec::new()).await;
            outcome(result.map(|n| (n, digest(&bytes))))
        }
        Act::Write(len) => outcome(file.write(bytes(*len)).await.0),
        Act::WriteAllAt(len, offset) => outcome(file.write_all_at(bytes(*len), *offset).await.0),
        Act::Seek(to) => outcome(file.seek(*to)),
        Act::SetLen(len) => outcome(file.set_len(*len).await),
        Act::Sync => outcome(file.sync_data().await),
        Act::Len => outcome(file.metadata().await.map(|metadata| metadata.len())),
    }
}
