//! Where io_uring is forbidden or short of something: an error that names the cause and the remedy.
//!
//! Each case runs in a child process, this binary again, which gives up its privileges and then meets the
//! obstacle.

use std::error::Error;
use std::fs::File;
use std::num::NonZeroUsize;
use std::os::unix::fs::MetadataExt;
use std::process::Command;
use std::{env, io, process, ptr};

use chainring_runtime::op::nop::nop;
use chainring_runtime::{Builder, Capability, Runtime, cores};

const CASE: &str = "CHAINRING_TEST_CASE";

/// Runs `case` in a child process and gives what it printed behind its mark.
fn in_child(case: &str) -> String {
    let output = Command::new(env::current_exe().unwrap())
        .args(["--exact", "the_child_of_another_test", "--nocapture"])
        .env(CASE, case)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let result =
        text.lines().find_map(|line| line.split_once("RESULT ")).map(|(_, result)| result.to_owned());
    result.unwrap_or_else(|| panic!("{case}: {text}\n{}", String::from_utf8_lossy(&output.stderr)))
}

#[test]
fn the_child_of_another_test() {
    let Ok(case) = env::var(CASE) else { return };
    if case == "sysctl" {
        hide_sysctl_behind("2\n");
    }
    become_nobody();
    match case.as_str() {
        "seccomp" | "sysctl" => forbid(libc::SYS_io_uring_setup, libc::EPERM),
        "hidden" => forbid(libc::SYS_io_uring_setup, libc::ENOSYS),
        "register" => forbid(libc::SYS_io_uring_register, libc::EPERM),
        "memlock" => limit(libc::RLIMIT_MEMLOCK, 0),
        "64 cores" => limit(libc::RLIMIT_MEMLOCK, 8 << 20),
        "nofile" | "last descriptor" => limit(libc::RLIMIT_NOFILE, 64),
        _ => unreachable!("no such case"),
    }
    let mut files = Vec::new();
    if case == "nofile" || case == "last descriptor" {
        files.extend(std::iter::from_fn(|| File::open("/dev/null").ok()));
        if case == "last descriptor" {
            // The bell still fits, the ring no more.
            files.pop();
        }
    }
    if case == "64 cores" {
        let result = cores(NonZeroUsize::new(64).unwrap()).pinned(false).run(|_| nop());
        println!("RESULT {:?}", result.map(|all| all.into_iter().filter(Result::is_ok).count()));
        return;
    }
    let error = Runtime::new().unwrap_err();
    drop(files);
    // As text, by parts, and as an error that others wrap.
    assert!(error.to_string().contains(error.remedy()));
    let errno = error.source().map(ToString::to_string);
    let text = io::Error::from(error).to_string();
    println!("RESULT {text} | {errno:?}");
}

/// A user of our own, so that the memory that other processes have locked is not counted.
fn become_nobody() {
    // SAFETY: calls without pointers. glibc applies them to every thread.
    unsafe {
        if libc::getuid() == 0 {
            let id = 1_000_000 + process::id();
            assert_eq!(libc::setgid(id), 0);
            assert_eq!(libc::setuid(id), 0);
        }
        assert_ne!(libc::geteuid(), 0);
    }
}

fn limit(resource: u32, to: u64) {
    let limits = libc::rlimit { rlim_cur: to, rlim_max: to };
    // SAFETY: a local variable of the type that the call reads.
    assert_eq!(unsafe { libc::setrlimit(resource, &limits) }, 0, "{}", io::Error::last_os_error());
}

/// Makes a system call of this thread fail with `errno`.
fn forbid(call: i64, errno: i32) {
    const LOAD: u16 = (libc::BPF_LD | libc::BPF_W | libc::BPF_ABS) as u16;
    const JUMP_IF_EQUAL: u16 = (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16;
    const RETURN: u16 = (libc::BPF_RET | libc::BPF_K) as u16;
    let step = |code, jt, jf, k| libc::sock_filter { code, jt, jf, k };
    let mut filter = [
        step(LOAD, 0, 0, 0),
        step(JUMP_IF_EQUAL, 0, 1, call as u32),
        step(RETURN, 0, 0, libc::SECCOMP_RET_ERRNO | errno as u32),
        step(RETURN, 0, 0, libc::SECCOMP_RET_ALLOW),
    ];
    let program = libc::sock_fprog { len: filter.len() as u16, filter: filter.as_mut_ptr() };
    // SAFETY: the program and its filter live over the calls, which copy them.
    unsafe {
        assert_eq!(libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
        assert_eq!(libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const program), 0);
    }
}

/// Lets this thread read another value of the sysctl than the system's, if it is privileged to.
fn hide_sysctl_behind(value: &str) {
    const SYSCTL: &std::ffi::CStr = c"/proc/sys/kernel/io_uring_disabled";
    let file = env::temp_dir().join(format!("chainring-sysctl-{}", process::id()));
    std::fs::write(&file, value).unwrap();
    let path = std::ffi::CString::new(file.to_str().unwrap()).unwrap();
    let none = ptr::null();
    // SAFETY: strings that end with a zero and live over the calls.
    let hidden = unsafe {
        libc::unshare(libc::CLONE_NEWNS) == 0
            && libc::mount(none, c"/".as_ptr(), none, libc::MS_REC | libc::MS_PRIVATE, ptr::null()) == 0
            && libc::mount(path.as_ptr(), SYSCTL.as_ptr(), none, libc::MS_BIND, ptr::null()) == 0
    };
    std::fs::remove_file(&file).unwrap();
    assert!(hidden || !is_root(), "{}", io::Error::last_os_error());
}

fn is_root() -> bool {
    File::open("/proc/self/status").and_then(|file| file.metadata()).unwrap().uid() == 0
}

fn assert_says(result: &str, words: &[&str]) {
    for word in words {
        assert!(result.contains(word), "{word:?} is not in: {result}");
    }
}

#[test]
fn io_uring_forbidden_by_seccomp_is_said_with_the_profile_to_change() {
    assert_says(
        &in_child("seccomp"),
        &["forbidden", "seccomp", "remedy: allow io_uring_setup", "os error 1"],
    );
    assert_says(&in_child("register"), &["forbidden", "seccomp", "io_uring_register"]);
}

#[test]
fn io_uring_hidden_by_seccomp_looks_like_an_old_kernel_and_both_are_said() {
    assert_says(&in_child("hidden"), &["has no io_uring", "seccomp", "remedy: run Linux 6.1", "os error 38"]);
}

#[test]
fn io_uring_disabled_by_the_sysctl_is_said_with_its_value() {
    let result = in_child("sysctl");
    let words: &[&str] = if is_root() {
        &["sysctl kernel.io_uring_disabled = 2", "remedy: set kernel.io_uring_disabled to 0"]
    } else {
        // Without the privilege to hide the real value there is only the error.
        &["forbidden"]
    };
    assert_says(&result, words);
}

#[test]
fn no_locked_memory_is_said_with_the_limit() {
    assert_says(&in_child("memlock"), &["RLIMIT_MEMLOCK = 0 bytes", "remedy: raise the limit (ulimit -l"]);
}

#[test]
fn no_descriptor_left_is_said_with_the_limit() {
    for case in ["nofile", "last descriptor"] {
        assert_says(&in_child(case), &["no file descriptor", "RLIMIT_NOFILE", "ulimit -n", "os error 24"]);
    }
}

#[test]
fn sixty_four_cores_start_under_eight_mebibytes_of_locked_memory() {
    assert_eq!(in_child("64 cores"), "Ok(64)");
}

#[test]
fn a_runtime_works_without_each_of_the_capabilities() {
    for &capability in Capability::ALL {
        let runtime = Builder::new().mask(capability).build().unwrap();
        assert!(!runtime.handle().capabilities().has(capability));
        runtime.block_on(async {
            chainring_runtime::spawn(nop()).await.unwrap().unwrap();
            chainring_runtime::time::sleep(std::time::Duration::from_millis(1)).await;
        });
    }
}
