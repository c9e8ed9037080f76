//! Files on their way to the disk, as the kernel's page cache tells.

mod common;

use std::os::fd::{AsFd, AsRawFd};

use chainring_fs::File;
use common::{errno, run};

const MIB: u64 = 1 << 20;

/// The pages of a range that wait to be written or are being written (cachestat(2), Linux 6.5); `None` on kernels that
/// do not tell.
fn unwritten(file: &File, offset: u64, len: u64) -> Option<u64> {
    const CACHESTAT: libc::c_long = 451;
    let range = [offset, len];
    // Cached, dirty, under write-back, evicted, recently evicted.
    let mut pages = [0u64; 5];
    // SAFETY: `struct cachestat_range` of two integers and `struct cachestat` of five, both of this frame.
    let result = unsafe {
        libc::syscall(CACHESTAT, file.as_fd().as_raw_fd(), range.as_ptr(), pages.as_mut_ptr(), 0u32)
    };
    (result == 0).then(|| pages[1] + pages[2])
}

#[test]
fn a_range_is_written_back_and_then_the_rest_of_the_file() {
    run(async |dir| {
        let file = File::create_new(dir.join("f")).await.unwrap();
        file.write_all_at(vec![7; 4 * MIB as usize], 0).await.0.unwrap();
        file.write_back(0, MIB).await.unwrap();
        assert!(unwritten(&file, 0, MIB).is_none_or(|pages| pages == 0));
        file.start_write_back(MIB, 0).await.unwrap();
        // What was begun is waited for, also where nothing is left to begin.
        file.write_back(0, 0).await.unwrap();
        assert!(unwritten(&file, 0, 4 * MIB).is_none_or(|pages| pages == 0));
    });
}

#[test]
fn what_has_no_pages_of_a_disk_refuses_to_be_written_back() {
    run(async |dir| {
        let null = File::open("/dev/null").await.unwrap();
        assert_eq!(errno(&null.start_write_back(0, 0).await), Some(libc::ESPIPE));
        let file = File::create_new(dir.join("f")).await.unwrap();
        for (offset, len) in [(1 << 63, 0), (u64::MAX, 1), (i64::MAX as u64, 4096)] {
            assert_eq!(errno(&file.write_back(offset, len).await), Some(libc::EINVAL), "{offset}, {len}");
        }
    });
}
