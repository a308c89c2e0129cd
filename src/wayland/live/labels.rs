//! Watches on the directories whose labels say who connected clients are.
//!
//! A change of an xattr, an owner or a mode is queued within the call that makes it. One watch is on a directory, however
//! many clients are below it, and ends with the last of them.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};

use rustix::fs::inotify;

use crate::policy::ClientSerial;

/// So many directories are watched at most.
const MAX_WATCHES: usize = 4096;

#[derive(Debug)]
pub(in crate::wayland) struct Labels {
    inotify: OwnedFd,
    by_watch: BTreeMap<i32, BTreeSet<ClientSerial>>,
    by_client: BTreeMap<ClientSerial, BTreeSet<i32>>,
    /// It was said that not all are watched.
    complained: bool,
}

/// Whose directories changed.
#[derive(Debug, Default)]
pub(in crate::wayland) struct Changed {
    pub(in crate::wayland) clients: BTreeSet<ClientSerial>,
    /// What was not seen, if anything.
    pub(in crate::wayland) missed: Option<String>,
}

impl Labels {
    pub(in crate::wayland) fn new() -> io::Result<Self> {
        let inotify = inotify::init(inotify::CreateFlags::CLOEXEC | inotify::CreateFlags::NONBLOCK)?;
        Ok(Self { inotify, by_watch: BTreeMap::new(), by_client: BTreeMap::new(), complained: false })
    }

    /// Becomes readable when something changes.
    pub(in crate::wayland) fn descriptor(&self) -> io::Result<OwnedFd> {
        self.inotify.try_clone()
    }

    pub(in crate::wayland) fn knows(&self, client: ClientSerial) -> bool {
        self.by_client.contains_key(&client)
    }

    /// From now on it is seen when `directory` changes.
    pub(in crate::wayland) fn watch(&mut self, client: ClientSerial, directory: BorrowedFd<'_>) -> io::Result<()> {
        self.by_client.entry(client).or_default();
        if self.by_watch.len() >= MAX_WATCHES {
            return Err(io::Error::other(format!("{MAX_WATCHES} directories are watched already")));
        }
        let path = format!("/proc/self/fd/{}", directory.as_raw_fd());
        let watch =
            inotify::add_watch(&self.inotify, path, inotify::WatchFlags::ATTRIB | inotify::WatchFlags::ONLYDIR)?;
        self.by_watch.entry(watch).or_default().insert(client);
        self.by_client.entry(client).or_default().insert(watch);
        Ok(())
    }

    /// Whatever of it can be watched is watched.
    pub(in crate::wayland) fn is_known(&mut self, client: ClientSerial) {
        self.by_client.entry(client).or_default();
    }

    /// Whether that is to be told: once.
    pub(in crate::wayland) fn complain(&mut self) -> bool {
        !std::mem::replace(&mut self.complained, true)
    }

    /// Ends the watches of clients that are gone.
    pub(in crate::wayland) fn keep(&mut self, is_there: impl Fn(ClientSerial) -> bool) {
        let Self { inotify, by_watch, by_client, .. } = self;
        by_client.retain(|client, watches| {
            let stays = is_there(*client);
            for watch in watches.iter().filter(|_| !stays) {
                let Some(clients) = by_watch.get_mut(watch) else { continue };
                clients.remove(client);
                if clients.is_empty() {
                    by_watch.remove(watch);
                    // Where the kernel has removed it with its directory there is nothing left to remove.
                    let _ = inotify::remove_watch(&*inotify, *watch);
                }
            }
            stays
        });
    }

    /// Reads what happened.
    pub(in crate::wayland) fn read(&mut self) -> Changed {
        let mut buffer = [MaybeUninit::uninit(); 4096];
        let mut events = inotify::Reader::new(&self.inotify, &mut buffer);
        let mut changed = Changed::default();
        loop {
            match events.next() {
                Ok(event) if event.events().contains(inotify::ReadFlags::QUEUE_OVERFLOW) => {
                    // It may have been any of them: all are looked at, and nothing is missed.
                    changed.clients.extend(self.by_client.keys());
                }
                Ok(event) if event.events().contains(inotify::ReadFlags::IGNORED) => {
                    // The directory is gone, and its watch with it: the number may be given to another.
                    for client in self.by_watch.remove(&event.wd()).into_iter().flatten() {
                        if let Some(watches) = self.by_client.get_mut(&client) {
                            watches.remove(&event.wd());
                        }
                    }
                }
                // With a name it is of something inside.
                Ok(event) if event.file_name().is_none() => {
                    changed.clients.extend(self.by_watch.get(&event.wd()).into_iter().flatten());
                }
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(rustix::io::Errno::AGAIN) => return changed,
                Err(errno) => {
                    changed.missed = Some(io::Error::from(errno).to_string());
                    return changed;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File, Permissions};
    use std::os::fd::AsFd;
    use std::os::unix::fs::PermissionsExt;
    use std::path::{Path, PathBuf};

    use super::*;

    /// A directory of a test's own.
    struct Dir(PathBuf);

    impl Dir {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("wayland-auth-labels-{}-{name}", std::process::id()));
            fs::create_dir(&path).unwrap();
            Self(path)
        }
    }

    impl Drop for Dir {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    fn touch(directory: &Path) {
        fs::set_permissions(directory, Permissions::from_mode(0o700)).unwrap();
    }

    #[test]
    fn t35_when_too_much_happens_at_once_everybody_is_looked_at() {
        let dir = Dir::new("overflow");
        let mut labels = Labels::new().unwrap();
        let [one, two, three] = ["one", "two", "three"].map(|name| dir.0.join(name));
        let serials = [1, 2, 3].map(ClientSerial::new);
        for (path, serial) in [&one, &two, &three].into_iter().zip(serials) {
            fs::create_dir(path).unwrap();
            labels.watch(serial, File::open(path).unwrap().as_fd()).unwrap();
        }
        touch(&one);
        touch(&two);
        let few = labels.read();
        assert_eq!((few.clients, few.missed), (BTreeSet::from([serials[0], serials[1]]), None));

        // The same event twice in a row counts once.
        let limit = fs::read_to_string("/proc/sys/fs/inotify/max_queued_events").unwrap();
        for _ in 0..=limit.trim().parse::<usize>().unwrap() / 2 {
            touch(&one);
            touch(&two);
        }
        // There is no room for this one.
        touch(&three);
        let all = labels.read();
        assert_eq!((all.clients, all.missed), (BTreeSet::from(serials), None));
        assert!(labels.read().clients.is_empty());
    }

    #[test]
    fn what_happens_to_a_directory_is_of_all_that_are_below_it() {
        let dir = Dir::new("shared");
        let mut labels = Labels::new().unwrap();
        let serials = [1, 2].map(ClientSerial::new);
        for serial in serials {
            labels.watch(serial, File::open(&dir.0).unwrap().as_fd()).unwrap();
        }
        touch(&dir.0);
        assert_eq!(labels.read().clients, BTreeSet::from(serials));
        // One goes, the other is still watched; with the last of them the watch ends.
        labels.keep(|client| client == serials[1]);
        touch(&dir.0);
        assert_eq!(labels.read().clients, BTreeSet::from([serials[1]]));
        labels.keep(|_| false);
        touch(&dir.0);
        assert!(labels.read().clients.is_empty());
        assert!(labels.by_watch.is_empty() && labels.by_client.is_empty());
    }
}
