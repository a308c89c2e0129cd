//! Paths made to look like others: a resolver that believed them would be fooled.

use std::process::ExitCode;

use wayland_auth::identity::{Identity, Provenance, Tier, Trust};
use wayland_auth_tests::expect::{ENGINE, expect_app, expect_host, expect_unidentified, identify, resolvers};
use wayland_auth_tests::{Connection, Context, Needs, Outcome, Peers, Test, World, ensure};

const TESTS: &[Test] = &[
    ("t09_path_that_looks_deleted_is_not_trusted", Needs::Nothing, path_that_looks_deleted_is_not_trusted),
    ("t09_path_cut_by_the_kernel_is_not_trusted", Needs::Nothing, path_cut_by_the_kernel_is_not_trusted),
    ("t30_peer_too_deep_is_unidentified", Needs::Nothing, peer_too_deep_is_unidentified),
];

fn main() -> ExitCode {
    wayland_auth_tests::main(env!("CARGO_BIN_EXE_peer"), TESTS)
}

/// A path resolver would take the directory named `X (deleted)` for the removed cgroup X.
fn path_that_looks_deleted_is_not_trusted(world: &World) -> Outcome {
    let peers = Peers::new(world)?;
    // A zombie does not keep its cgroup: it can be removed under it.
    let victim = world.new_cgroup()?;
    let mut connection = peers.connect(&[&victim.join()])?;
    let path = victim.path().to_owned();
    let forged = wayland_auth_tests::TestCgroup::exactly(
        path.with_file_name(format!("{} (deleted)", path.file_name().and_then(|n| n.to_str()).context("no name")?)),
    )?;
    forged.label_app("org.example.Forged")?;
    // The live peer is itself, beside the forgery.
    expect_host(&identify(&connection)?, None)?;
    let pid = connection.pid().context("no pid")?;
    let _ = connection.stream.shutdown(std::net::Shutdown::Both);
    while !std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|s| s.contains(") Z ")) {
        std::thread::yield_now();
    }
    std::fs::remove_dir(&path).context("the zombie's cgroup")?;
    let shown = std::fs::read_to_string(format!("/proc/{pid}/cgroup")).context("cgroup")?;
    ensure!(shown.contains(" (deleted)"), "the forgery does not apply: {shown}");
    let identity = identify_zombie(&connection)?;
    ensure!(!identity.is_identified(), "the forged label was read: {identity:?}");
    // The control: a live cgroup may have that name.
    let honest = peers.connect(&[&forged.join()])?;
    for (tier, resolver) in resolvers()? {
        let identity = resolver.identify(&honest.stream, &Trust::default()).identity;
        match tier {
            // Without an ID it cannot be told from the forgery.
            Tier::ProcPath => expect_unidentified(&identity, "cgroup")?,
            _ => expect_app(&identity, (Some("org.example.Engine"), Some("org.example.Forged"), Provenance::User))?,
        }
    }
    drop(honest);
    connection.reap()
}

/// Which reason it is depends on the tier here; that there is one is what counts.
fn identify_zombie(connection: &Connection) -> Result<Identity, String> {
    let mut last = None;
    for (_, resolver) in resolvers()? {
        let identity = resolver.identify(&connection.stream, &Trust::default()).identity;
        ensure!(!identity.is_identified(), "a zombie was identified: {identity:?}");
        last = Some(identity);
    }
    last.context("no resolver")
}

/// `/proc/PID/cgroup` is cut at 4095 characters; a directory with the cut name can be made.
fn path_cut_by_the_kernel_is_not_trusted(world: &World) -> Outcome {
    let peers = Peers::new(world)?;
    let prefix = std::fs::read_to_string("/proc/self/cgroup").context("cgroup")?;
    let prefix = prefix.lines().find_map(|l| l.strip_prefix("0::")).context("no unified hierarchy")?;
    let base = prefix.strip_suffix("/server").context("not in server")?.len();
    // Directories of 250 characters down to just below 4095, then one whose name is cut.
    let top = world.new_cgroup()?;
    let mut made = vec![top.path().to_owned()];
    let mut length = base + 1 + top.path().file_name().context("no name")?.len();
    while length + 251 < 4095 - 40 {
        let next = made.last().context("none")?.join("d".repeat(250));
        std::fs::create_dir(&next).context("mkdir")?;
        made.push(next);
        length += 251;
    }
    let cut = 4095 - length - 1;
    let parent = made.last().context("none")?.clone();
    let (long, forged) = (parent.join("e".repeat(cut + 60)), parent.join("e".repeat(cut)));
    // Names beyond PATH_MAX are reached relative to their parent.
    let result = (|| {
        let parent_fd = open_chain(top.path(), &made)?;
        for name in [&long, &forged] {
            let name = name.file_name().context("no name")?;
            rustix::fs::mkdirat(&parent_fd, name, rustix::fs::Mode::RWXU).context("mkdirat")?;
        }
        let fd_path = |name: &std::path::Path| {
            use std::os::fd::AsRawFd;
            format!(
                "/proc/self/fd/{}/{}",
                parent_fd.as_raw_fd(),
                name.file_name().and_then(|n| n.to_str()).unwrap_or("")
            )
        };
        let forged_path = fd_path(&forged);
        wayland_auth_tests::cgroups::set_xattr(std::path::Path::new(&forged_path), ENGINE, b"org.example.Forged")?;
        let connection = peers.connect(&[])?;
        let pid = connection.pid().context("no pid")?;
        std::fs::write(format!("{}/cgroup.procs", fd_path(&long)), pid.to_string()).context("move")?;
        let shown = std::fs::read_to_string(format!("/proc/{pid}/cgroup")).context("cgroup")?;
        ensure!(shown.trim_end().ends_with(&"e".repeat(cut)), "the forgery does not apply");
        for (tier, resolver) in resolvers()? {
            let identity = resolver.identify(&connection.stream, &Trust::default()).identity;
            ensure!(!identity.is_identified(), "the forged label was read on {tier:?}: {identity:?}");
        }
        Ok(())
    })();
    let parent_fd = open_chain(top.path(), &made)?;
    for name in [&long, &forged] {
        let name = name.file_name().context("no name")?;
        while let Err(e) = rustix::fs::unlinkat(&parent_fd, name, rustix::fs::AtFlags::REMOVEDIR) {
            if e == rustix::io::Errno::NOENT {
                break;
            }
            std::thread::yield_now();
        }
    }
    for dir in made.iter().skip(1).rev() {
        std::fs::remove_dir(dir).context("rmdir")?;
    }
    result
}

fn open_chain(top: &std::path::Path, made: &[std::path::PathBuf]) -> Result<std::os::fd::OwnedFd, String> {
    use rustix::fs::{Mode, OFlags};
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let mut fd = rustix::fs::open(top, flags, Mode::empty()).context("open")?;
    for dir in made.iter().skip(1) {
        fd = rustix::fs::openat(&fd, dir.file_name().context("no name")?, flags, Mode::empty()).context("openat")?;
    }
    Ok(fd)
}

fn peer_too_deep_is_unidentified(world: &World) -> Outcome {
    let peers = Peers::new(world)?;
    let top = world.new_cgroup()?;
    let mut made = vec![top.path().to_owned()];
    let depth = world.cgroup().components().count();
    let result = (|| {
        for level in depth..1000 {
            let next = made.last().context("none")?.join("d");
            std::fs::create_dir(&next).context("mkdir")?;
            made.push(next);
            // Just too deep, and as deep as anybody goes.
            if level != 140 && level != 999 {
                continue;
            }
            let deepest = made.last().context("none")?;
            let connection = peers.connect(&[&format!("join={}", deepest.display())])?;
            expect_unidentified(&identify(&connection)?, "cgroup").context(format!("{level} deep"))?;
        }
        Ok(())
    })();
    wayland_auth_tests::cgroups::remove_tree(top.path())?;
    let _ = top.leak();
    result
}
