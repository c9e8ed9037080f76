//! Extended attributes: values of every length, names of every kind, on paths and open files alike.

mod common;

use std::io::ErrorKind;
use std::path::Path;

use chainring_fs::{self as fs, File};
use chainring_runtime::Handle;
use common::{errno, run};

/// Names that the directory's file system takes: not every tmpfs has those of users.
async fn namespace(dir: &Path) -> Option<&'static str> {
    let file = File::create(dir.join("try")).await.unwrap();
    for space in ["user.", "trusted."] {
        if file.set_xattr(format!("{space}try"), "").await.0.is_ok() {
            return Some(space);
        }
    }
    println!("no extended attributes here");
    None
}

#[test]
fn a_value_of_any_length_comes_back_by_path_and_by_file() {
    run(async |dir| {
        let Some(space) = namespace(dir).await else { return };
        let (path, name) = (dir.join("f"), format!("{space}name"));
        let file = File::create(&path).await.unwrap();
        assert_eq!(file.get_xattr(&name).await.unwrap(), None);
        assert_eq!(fs::get_xattr(&path, &name).await.unwrap(), None);
        for len in [0, 1, 255, 256, 257, 3000] {
            let value: Vec<u8> = (0..len).map(|i| i as u8).collect();
            let (result, value) = file.set_xattr(&name, value).await;
            result.unwrap();
            assert_eq!(fs::get_xattr(&path, &name).await.unwrap().as_ref(), Some(&value));
            fs::set_xattr(&path, &name, b"another".as_slice()).await.0.unwrap();
            assert_eq!(file.get_xattr(&name).await.unwrap().unwrap(), b"another");
            let (result, value) = fs::set_xattr(&path, &name, value).await;
            result.unwrap();
            assert_eq!(file.get_xattr(&name).await.unwrap(), Some(value));
        }
    });
}

#[test]
fn attributes_are_listed_and_removed() {
    run(async |dir| {
        let Some(space) = namespace(dir).await else { return };
        let path = dir.join("f");
        let file = File::create(&path).await.unwrap();
        assert!(
            file.list_xattr().await.unwrap().iter().all(|name| !name.to_str().unwrap().starts_with(space))
        );
        let names: Vec<String> = (0..10).map(|i| format!("{space}{i}")).collect();
        for name in &names {
            file.set_xattr(name, "value").await.0.unwrap();
        }
        for list in [file.list_xattr().await.unwrap(), fs::list_xattr(&path).await.unwrap()] {
            let mut list: Vec<_> = list.into_iter().map(|name| name.into_string().unwrap()).collect();
            list.retain(|name| name.starts_with(space));
            list.sort();
            assert_eq!(list, names);
        }
        file.remove_xattr(&names[0]).await.unwrap();
        fs::remove_xattr(&path, &names[1]).await.unwrap();
        assert_eq!(errno(&file.remove_xattr(&names[0]).await), Some(libc::ENODATA));
        assert_eq!(errno(&fs::remove_xattr(&path, &names[1]).await), Some(libc::ENODATA));
        assert_eq!(file.get_xattr(&names[0]).await.unwrap(), None);
        assert_eq!(file.get_xattr(&names[2]).await.unwrap().unwrap(), b"value");
    });
}

#[test]
fn names_and_paths_that_cannot_be_are_refused() {
    run(async |dir| {
        let file = File::create(dir.join("f")).await.unwrap();
        assert_eq!(file.get_xattr("user.a\0b").await.unwrap_err().kind(), ErrorKind::InvalidInput);
        let (result, value) = file.set_xattr("user.a\0b", "kept".to_owned()).await;
        assert_eq!((result.unwrap_err().kind(), &value[..]), (ErrorKind::InvalidInput, "kept"));
        assert_eq!(fs::list_xattr("a\0b").await.unwrap_err().kind(), ErrorKind::InvalidInput);
        assert_eq!(errno(&fs::get_xattr(dir.join("none"), "user.a").await), Some(libc::ENOENT));
        assert_eq!(errno(&fs::set_xattr(dir.join("none"), "user.a", "").await.0), Some(libc::ENOENT));
        assert_eq!(errno(&fs::list_xattr(dir.join("none")).await), Some(libc::ENOENT));
        assert_eq!(errno(&fs::remove_xattr(dir.join("none"), "user.a").await), Some(libc::ENOENT));
        assert_eq!(errno(&file.get_xattr("nowhere.a").await), Some(libc::EOPNOTSUPP));
    });
}

#[test]
fn an_error_while_the_length_is_asked_for_is_told() {
    run(async |dir| {
        let Some(space) = namespace(dir).await else { return };
        let (file, name) = (File::create(dir.join("f")).await.unwrap(), format!("{space}name"));
        file.set_xattr(&name, vec![1; 1000]).await.0.unwrap();
        let core = Handle::current();
        for errno_of_the_first in [libc::EIO, libc::ERANGE] {
            core.injector().fail("fgetxattr", errno_of_the_first, 1);
            core.injector().fail("fgetxattr", libc::EIO, 1);
            assert_eq!(errno(&file.get_xattr(&name).await), Some(libc::EIO));
            core.injector().clear();
        }
        // Gone in between.
        core.injector().fail("fgetxattr", libc::ERANGE, 1);
        core.injector().fail("fgetxattr", libc::ENODATA, 1);
        assert_eq!(file.get_xattr(&name).await.unwrap(), None);
        assert_eq!(file.get_xattr(&name).await.unwrap().unwrap(), [1; 1000]);
    });
}
