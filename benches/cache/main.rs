//! What a cache of the label walk could save at best: the figures behind the decision in ARCHITECTURE.md.
//!
//! A cache would be one entry per directory, kept right by draining inotify watches on all of them before it is used.
//! The least that a warm walk then takes is one read of an empty queue and one look-up per directory. Held against the
//! walk as it is, by the same bare system calls, and against a whole `identify` and a whole connection.

#[path = "../common/mod.rs"]
mod common;
#[allow(dead_code, reason = "another bench uses the rest")]
#[path = "../identify/raw.rs"]
mod raw;
mod serve;

use std::collections::HashMap;
use std::ffi::{CStr, CString};
use std::fs;
use std::hint::black_box;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use common::stats::{Series, interleave, timed};
use common::table::time;
use common::world::{self, Peer, World};
use common::{Context, ROUNDS};
use rustix::fs::{XattrFlags, inotify};
use rustix::io::Errno;
use wayland_auth::identity::{Resolver, Trust};

/// Look-ups in one round.
const ITERATIONS: u32 = 100;

/// How many directories lie between the root and a peer.
const DEPTHS: [usize; 3] = [3, 6, 10];

/// The label that the labelled ones have, one directory above the peer.
const LABEL: [(&CStr, &str); 3] = [
    (c"user.xdg.sandbox-engine", "org.flatpak"),
    (c"user.app_id", "org.example.Application"),
    (c"user.xdg.instance-id", "1234567890"),
];

fn main() -> ExitCode {
    if let Some(code) = world::play_peer() {
        return code;
    }
    common::exit_code(run())
}

fn run() -> Result<(), String> {
    let world = World::new()?;
    let resolver = Resolver::builder().build().context("resolver")?;
    println!("medians of {ROUNDS} interleaved rounds of {ITERATIONS}; a share is of identify in the same rounds");
    println!("  peer                  the walk   path and walk     warm, least    saved: walk   saved: both");
    let mut best = Vec::new();
    for depth in DEPTHS {
        for labelled in [false, true] {
            let case = Case::new(&world, depth, labelled)?;
            best.push((case.name(), case.measure(&resolver)?));
        }
    }
    let (_, leaf) = world.session("connection")?;
    let (connection, identify) = serve::connections(&world, &leaf)?;
    let share = identify.median() / connection.median();
    println!("\na whole connection (connect, accept, identify, registry, sync): {}", time(connection.median()));
    println!("identify takes {} of it: {:.0} %", time(identify.median()), 100.0 * share);
    for (name, [walk, both]) in best {
        println!(
            "  {name:14}  saved at best {:.0} %, with the path {:.0} %",
            100.0 * share * walk,
            100.0 * share * both
        );
    }
    println!();
    flood(&world)
}

/// A peer, and its directories.
struct Case {
    depth: usize,
    labelled: bool,
    socket: std::os::unix::net::UnixStream,
    procfs: OwnedFd,
    cgroups: OwnedFd,
    proc_cgroup: CString,
    path: CString,
    leaf: OwnedFd,
    queue: OwnedFd,
    cache: HashMap<u64, Entry>,
    first: u64,
    _peer: Peer,
}

/// What the cache would have of one directory.
struct Entry {
    parent: u64,
    label: Option<Box<[u8]>>,
}

impl Case {
    fn new(world: &World, depth: usize, labelled: bool) -> Result<Self, String> {
        let (mount, own) = (world::cgroup_mount()?, world::cgroup_path("self")?);
        let name = format!("{depth}-{}", if labelled { "labelled" } else { "host" });
        let mut leaf = world.cgroup().join(&name);
        let above = own.split('/').filter(|part| !part.is_empty()).count() + 2;
        for level in above..depth.max(above) {
            leaf.push(format!("directory-{level}.slice"));
        }
        fs::create_dir_all(&leaf).context(leaf.display())?;
        if labelled {
            let app = leaf.parent().context("no parent")?;
            for (name, value) in LABEL {
                rustix::fs::setxattr(app, name, value.as_bytes(), XattrFlags::empty()).context(app.display())?;
            }
        }
        let (listener, path) = world.listen(&name)?;
        let mut peer = Peer::start(&leaf, &[])?;
        let socket = peer.hold(&listener, &path)?;
        let pid = wayland_auth::peer::Credentials::of(&socket).pid.context("no pid")?;
        let queue = inotify::init(inotify::CreateFlags::NONBLOCK | inotify::CreateFlags::CLOEXEC).context("inotify")?;
        let mut cache = HashMap::new();
        let relative = leaf.strip_prefix(&mount).context("mount")?.to_owned();
        let first = inode(&leaf)?;
        let mut dir = relative.as_path();
        let mut count = 0;
        while !dir.as_os_str().is_empty() {
            let (whole, up) = (mount.join(dir), dir.parent().context("no parent")?);
            inotify::add_watch(&queue, &whole, inotify::WatchFlags::ATTRIB).context(whole.display())?;
            let has_label = labelled && count == 1;
            let label = has_label.then(|| LABEL.iter().flat_map(|(_, value)| value.bytes()).collect());
            cache.insert(inode(&whole)?, Entry { parent: inode(&mount.join(up))?, label });
            dir = up;
            count += 1;
        }
        let open = |path: &Path| fs::File::open(path).context(path.display()).map(OwnedFd::from);
        Ok(Self {
            depth: count,
            labelled,
            socket,
            procfs: open(Path::new("/proc"))?,
            cgroups: open(&mount)?,
            proc_cgroup: CString::new(format!("{pid}/cgroup")).context("pid")?,
            path: CString::new(relative.to_string_lossy().into_owned()).context("path")?,
            leaf: open(&leaf)?,
            queue,
            cache,
            first,
            _peer: peer,
        })
    }

    fn name(&self) -> String {
        format!("{} {}", if self.labelled { "labelled" } else { "host" }, self.depth)
    }

    /// Prints a line; gives which share of identify could be saved at best: by the walk alone, and with the path.
    fn measure(&self, resolver: &Resolver) -> Result<[f64; 2], String> {
        let trust = Trust::default();
        let mut buffers = raw::Buffers::new();
        // How much of identify something takes, in the same rounds.
        let share = |f: &mut dyn FnMut()| {
            let [whole, part] = interleave(
                ROUNDS,
                ITERATIONS,
                |n| timed(n, || drop(black_box(resolver.identify(black_box(&self.socket), &trust)))),
                |n| timed(n, &mut *f),
            );
            (part.median() / whole.median(), part.median())
        };
        let walk = share(&mut || self.walk(self.leaf.as_raw_fd(), &mut buffers));
        let path_and_walk = share(&mut || {
            let leaf = self.open(&mut buffers);
            self.walk(leaf, &mut buffers);
            raw::close(leaf);
        });
        let mut found = 0;
        let warm = share(&mut || found += self.warm());
        if (found > 0) != self.labelled {
            return Err("the cache does not have what it should".to_owned());
        }
        let shown = |(share, ns): (f64, f64)| format!("{} {:>3.0} %", time(ns), 100.0 * share);
        let saved = [walk.0 - warm.0, path_and_walk.0 - warm.0];
        println!(
            "  {:14}  {:>14}  {:>14}  {:>14}  {:>12.0} %  {:>12.0} %",
            self.name(),
            shown(walk),
            shown(path_and_walk),
            shown(warm),
            100.0 * saved[0],
            100.0 * saved[1],
        );
        Ok(saved)
    }

    /// From the pid to the verified directory. A cache by the cgroup's ID would save this too.
    fn open(&self, buffers: &mut raw::Buffers) -> RawFd {
        let file = raw::open_file(self.procfs.as_raw_fd(), &self.proc_cgroup);
        raw::pread(file, &mut buffers.text[..]);
        raw::close(file);
        let leaf = raw::open_beneath(self.cgroups.as_raw_fd(), &self.path);
        raw::handle(leaf);
        leaf
    }

    /// The walk and what a label costs beside it, as the look-up does it.
    fn walk(&self, leaf: RawFd, buffers: &mut raw::Buffers) {
        let mut dir = leaf;
        let mut passing = None;
        let mut label = None;
        for level in 0..self.depth {
            if level > 0 {
                dir = raw::open_parent(dir);
                if let Some(below) = passing.replace(dir) {
                    raw::close(below);
                }
            }
            raw::list_xattrs(dir, &mut buffers.names[..]);
            if self.labelled && level == 1 {
                LABEL.iter().for_each(|(name, _)| raw::get_xattr(dir, name, &mut buffers.value[..]));
                raw::stat(dir);
                label = passing.take();
            }
        }
        if let Some(last) = passing {
            raw::close(last);
        }
        if let Some(label) = label {
            raw::handle(label);
            raw::list_xattrs(label, &mut buffers.names[..]);
            LABEL.iter().for_each(|(name, _)| raw::get_xattr(label, name, &mut buffers.value[..]));
            raw::close(label);
        }
    }

    /// The least that a cache takes: nothing has changed, and here is what was known.
    fn warm(&self) -> usize {
        let mut buffer = [MaybeUninit::<u8>::uninit(); 4096];
        let nothing = rustix::io::read(&self.queue, &mut buffer);
        assert_eq!(nothing.err(), Some(Errno::AGAIN), "something changed");
        let (mut id, mut found) = (self.first, 0);
        while let Some(entry) = black_box(&self.cache).get(&id) {
            found += entry.label.as_ref().map_or(0, |label| label.len());
            id = entry.parent;
        }
        found
    }
}

/// The ID of a cgroup, on a 64-bit kernel.
fn inode(path: &Path) -> Result<u64, String> {
    use std::os::unix::fs::MetadataExt;
    fs::metadata(path).context(path.display()).map(|metadata| metadata.ino())
}

/// What a client can do to such a queue: fill it, by writing to directories of its own.
fn flood(world: &World) -> Result<(), String> {
    let number = |name: &str| fs::read_to_string(Path::new("/proc/sys/fs/inotify").join(name));
    let number = |name: &str| number(name).context(name)?.trim().parse::<usize>().context(name.to_owned());
    let longest = number("max_queued_events")?;
    println!("a user may have {} watches; a queue holds {longest} events", number("max_user_watches")?);
    let dirs: Vec<PathBuf> = ["flood-1", "flood-2"].iter().map(|name| world.cgroup().join(name)).collect();
    let queue = inotify::init(inotify::CreateFlags::NONBLOCK).context("inotify")?;
    for dir in &dirs {
        fs::create_dir(dir).context(dir.display())?;
        inotify::add_watch(&queue, dir, inotify::WatchFlags::ATTRIB).context(dir.display())?;
    }
    let (mut fill, mut drain) = (Vec::new(), Vec::new());
    for _ in 0..10 {
        let start = Instant::now();
        // Two in turn: the same event twice in a row is queued once.
        for n in 0..longest {
            let dir = &dirs[n % 2];
            rustix::fs::setxattr(dir, c"user.flood", b"1", XattrFlags::empty()).context(dir.display())?;
        }
        fill.push(start.elapsed().as_nanos() as f64);
        let mut buffer = [MaybeUninit::<u8>::uninit(); 4096];
        let start = Instant::now();
        while rustix::io::read(&queue, &mut buffer).is_ok() {}
        drain.push(start.elapsed().as_nanos() as f64);
    }
    let (fill, drain) = (Series::new(fill).median(), Series::new(drain).median());
    println!(
        "a process fills it in {}; to drain it takes {}, which a connection would wait for",
        time(fill),
        time(drain)
    );
    Ok(())
}
