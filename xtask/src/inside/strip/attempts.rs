//! The attempts.

use std::{
    env, fs, io,
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    process,
};

use rustix::{
    fs::{StatVfsMountFlags, XattrFlags, getxattr, removexattr, setxattr, statfs, statvfs},
    io::Errno,
    mount::{FsMountFlags, FsOpenFlags, MountAttrFlags, MountFlags, fsconfig_create, fsmount, fsopen, mount_remount},
    process::{geteuid, getuid},
    thread::UnshareFlags,
};

use super::{Attempt, cgroupfs::View};

const ENGINE: &str = "user.xdg.sandbox-engine";
const APP_ID: &str = "user.app_id";
const CGROUP2_MAGIC: u64 = 0x6367_7270;

/// Everything that leaves our namespaces as they are.
pub(super) fn all(view: &View) -> Vec<Attempt> {
    vec![
        on_cgroups("remove the label from its cgroup", &view.own, |path| Ok(removexattr(path, ENGINE)?)),
        on_cgroups("write another app's label over it", &view.own, overwrite),
        on_cgroups("move into a new cgroup without a label", &view.own, |path| into_new_cgroup(path, view)),
        on_cgroups("move out of the labelled cgroup", view.outside(), enter),
        on_cgroups("make the cgroup tree writable", &view.mount_points, |path| {
            // Where it is writable already there is nothing to change, and nothing is changed.
            let read_only = statvfs(path)?.f_flag.contains(StatVfsMountFlags::RDONLY);
            if read_only { Ok(mount_remount(path, MountFlags::BIND, "")?) } else { Ok(()) }
        }),
        attempt("mount the cgroup tree", mount()),
        attempt("find an inherited descriptor of a cgroup", inherited()),
        attempt("have systemd start a program outside", systemd()),
    ]
}

/// A user namespace of our own, and in it a cgroup tree of our own.
///
/// This comes last: it changes the process.
pub(super) fn in_new_namespaces() -> Attempt {
    let flags = UnshareFlags::NEWUSER | UnshareFlags::NEWNS | UnshareFlags::NEWCGROUP;
    let result = unshare(flags).map_err(|errno| match errno {
        // What the kernel says where the number of user namespaces is limited to none.
        Errno::NOSPC => io::Error::other("no further user namespace is allowed"),
        errno => errno.into(),
    });
    attempt("mount the cgroup tree in a new user namespace", result.and_then(|()| mount()))
}

/// Mounts cgroup2, without a place in the tree of files, so that it is gone with us.
fn mount() -> io::Result<()> {
    let context = fsopen("cgroup2", FsOpenFlags::FSOPEN_CLOEXEC)?;
    fsconfig_create(&context)?;
    fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, MountAttrFlags::empty())?;
    Ok(())
}

/// Writes a label. One that was not there before is removed again.
fn overwrite(cgroup: &Path) -> io::Result<()> {
    let had_one = getxattr(cgroup, APP_ID, &mut [0; 256][..]).is_ok();
    setxattr(cgroup, APP_ID, b"org.example.Recorder", XattrFlags::empty())?;
    if had_one { Ok(()) } else { Ok(removexattr(cgroup, APP_ID)?) }
}

/// Moves this process.
fn enter(cgroup: &Path) -> io::Result<()> {
    // 0 is whoever writes it.
    fs::write(cgroup.join("cgroup.procs"), "0")
}

/// Moves this process into a new cgroup. If that is possible, it is undone: the cgroup would outlive us.
fn into_new_cgroup(parent: &Path, view: &View) -> io::Result<()> {
    let path = parent.join(format!("strip-attempt-{}", process::id()));
    fs::create_dir(&path)?;
    let moved = enter(&path);
    let back = view.own.first().map_or(Ok(()), |own| enter(own));
    fs::remove_dir(&path)?;
    moved.and(back)
}

#[allow(unsafe_code, reason = "the one call here that rustix marks unsafe")]
fn unshare(flags: UnshareFlags) -> Result<(), Errno> {
    // SAFETY: what makes it unsafe is `UnshareFlags::FILES`, which would separate this thread's table of descriptors
    // from what other threads believe; the only caller does not give it, and there are no other threads.
    unsafe { rustix::thread::unshare_unsafe(flags) }
}

/// Tries the same on several directories: one success is enough.
fn on_cgroups(what: &str, paths: &[PathBuf], try_on: impl Fn(&Path) -> io::Result<()>) -> Attempt {
    let mut refused = Err(io::Error::new(io::ErrorKind::NotFound, "no cgroup is in sight"));
    for (index, path) in paths.iter().enumerate() {
        match try_on(path) {
            Ok(()) => return Attempt { what: format!("{what} ({})", path.display()), refused: None },
            Err(error) if index == 0 => refused = Err(error),
            Err(_) => {}
        }
    }
    attempt(what, refused)
}

fn attempt(what: &str, result: io::Result<()>) -> Attempt {
    Attempt { what: what.to_owned(), refused: result.err().map(|error| told(&error)) }
}

/// The error without its number, which nobody reads.
fn told(error: &io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or_default().to_owned()
}

/// Success is a descriptor of a cgroup among those that we were born with.
fn inherited() -> io::Result<()> {
    for entry in fs::read_dir("/proc/self/fd")? {
        let path = entry?.path();
        if statfs(&path).is_ok_and(|fs| u64::try_from(fs.f_type) == Ok(CGROUP2_MAGIC)) {
            return Ok(());
        }
    }
    Err(io::Error::new(io::ErrorKind::NotFound, "there is none"))
}

/// Success is a connection to the systemd that could start a program for us in another cgroup.
fn systemd() -> io::Result<()> {
    let user = PathBuf::from(format!("/run/user/{}", getuid().as_raw()));
    let mut sockets = vec![user.join("systemd/private"), user.join("bus")];
    if let Some(directory) = env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from) {
        sockets.extend([directory.join("systemd/private"), directory.join("bus")]);
    }
    if getuid().is_root() || geteuid().is_root() {
        sockets.push("/run/systemd/private".into());
    }
    let mut refused = io::Error::from(io::ErrorKind::NotFound);
    for socket in sockets {
        match UnixStream::connect(&socket) {
            Ok(_) => return Ok(()),
            // Somebody forbids it: this tells more than that something is not there.
            Err(error) if error.kind() != io::ErrorKind::NotFound => refused = error,
            Err(_) => {}
        }
    }
    if refused.kind() == io::ErrorKind::NotFound {
        refused = io::Error::new(io::ErrorKind::NotFound, "it sees no socket of systemd");
    }
    Err(refused)
}
