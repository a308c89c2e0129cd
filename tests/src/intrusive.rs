//! What peers do with threads, namespaces and other peers' sockets.

use std::error::Error;
use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::fd::{FromRawFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;

use rustix::mount::{MountFlags, mount};

use crate::cgroups::set_xattr;
use crate::expect::{APP_ID, ENGINE};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// Moves this thread alone into a threaded cgroup.
///
/// # Errors
///
/// If the kernel refuses.
pub fn enter_with_this_thread(dir: &str) -> Result<()> {
    let tid = rustix::thread::gettid().as_raw_nonzero();
    std::fs::write(format!("{dir}/cgroup.threads"), tid.to_string()).map_err(|e| format!("{dir}: {e}").into())
}

/// As root of a container with a cgroup namespace of its own: hides the host's cgroupfs, mounts one for itself at `dir`,
/// writes another application's label wherever it may, and moves into a cgroup that it made and labelled.
///
/// # Errors
///
/// If one of that is refused: then the container may not write, and nothing is shown.
pub fn container(dir: &str) -> Result<()> {
    mount("none", "/sys/fs/cgroup", "tmpfs", MountFlags::empty(), None)?;
    mount("none", dir, "cgroup2", MountFlags::empty(), None)?;
    let evil = format!("{dir}/evil");
    std::fs::create_dir(&evil)?;
    for place in [dir, &evil] {
        set_xattr(Path::new(place), ENGINE, b"org.example.Engine")?;
        set_xattr(Path::new(place), APP_ID, b"org.example.Recorder")?;
    }
    Ok(std::fs::write(format!("{evil}/cgroup.procs"), "0")?)
}

/// Passes on what one client says to the socket `to`, and back. Prints `ready` when it listens at `at`.
///
/// # Errors
///
/// If it cannot listen or connect.
pub fn proxy(value: &str) -> Result<()> {
    let (at, to) = value.split_once(',').ok_or("proxy=AT,TO")?;
    let listener = UnixListener::bind(at)?;
    println!("ready");
    let (client, _) = listener.accept()?;
    let server = UnixStream::connect(to)?;
    let back = std::thread::spawn({
        let (from, to) = (server.try_clone()?, client.try_clone()?);
        move || copy(from, to)
    });
    copy(client, server);
    back.join().map_err(|_| "the way back failed".into())
}

fn copy(mut from: UnixStream, mut to: UnixStream) {
    let mut buffer = [0; 4096];
    while let Ok(len @ 1..) = from.read(&mut buffer) {
        if to.write_all(&buffer[..len]).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Both);
}

/// Takes the connected socket of the process `pid`, which keeps it too.
///
/// # Errors
///
/// If it has none, or the kernel does not give it.
///
/// # References
///
/// * [pidfd_getfd(2)](https://man7.org/linux/man-pages/man2/pidfd_getfd.2.html), Linux 5.6
pub fn steal(pid: &str) -> Result<UnixStream> {
    let number: i32 = pid.parse()?;
    let is_socket = |link: &Path| link.to_str().is_some_and(|link| link.starts_with("socket:"));
    let fds = std::fs::read_dir(format!("/proc/{number}/fd"))?.flatten();
    let mut sockets = fds.filter(|entry| std::fs::read_link(entry.path()).is_ok_and(|link| is_socket(&link)));
    let socket = sockets.next().ok_or("it has no socket")?.file_name();
    let fd: i32 = socket.to_str().ok_or("no number")?.parse()?;
    let pid = rustix::process::Pid::from_raw(number).ok_or("no pid")?;
    let pidfd = rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty())?;
    use std::os::fd::AsRawFd;
    // SAFETY: numbers only; the kernel answers with a new descriptor or with -1.
    let raw = unsafe { libc::syscall(libc::SYS_pidfd_getfd, pidfd.as_raw_fd(), fd, 0) };
    if raw < 0 {
        return Err(std::io::Error::last_os_error().into());
    }
    // SAFETY: the kernel has just made this descriptor for us; nobody else knows of it.
    Ok(unsafe { OwnedFd::from_raw_fd(i32::try_from(raw)?) }.into())
}
