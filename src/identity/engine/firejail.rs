//! Firejail: it moves no cgroup and leaves nothing in the sandbox; outside, root's files name the process that started it.
//!
//! firejail makes a pid namespace, so the first ancestor that is not in one is its own process, and the files that it
//! writes as root in `/run/firejail` carry that one's pid. They name no application.

use std::ffi::CString;
use std::os::fd::AsFd;
use std::path::Path;

use super::{Answer, Finding, Ids, Process, Unknown};
use crate::identity::evidence::EngineStanding;
use crate::kernel::{field, pid_levels};
use crate::sys::{self, Meaning, ReadLimit};

const RUN: &str = "/run/firejail";

/// How far up the starter is looked for.
const MAX_ANCESTORS: usize = 64;

/// A process may end, and leave its children to another, while we look.
const MAX_ATTEMPTS: usize = 3;

/// The most that is read of a `status`.
const STATUS: ReadLimit = ReadLimit(64 * 1024);

/// Looks for the process that started the sandbox, and for its files.
pub(super) fn look(process: &Process<'_>) -> Answer<Finding> {
    match is_inside(process) {
        Ok(true) => Answer::Match(Finding { ids: Ids::default(), standing: EngineStanding::Match }),
        Ok(false) => Answer::NotMine,
        Err(why) => Answer::Error(why),
    }
}

fn is_inside(process: &Process<'_>) -> Result<bool, Unknown> {
    let run = match sys::open_dir(Path::new(RUN)) {
        Ok(run) => run,
        Err(e) if e.meaning() == Meaning::Gone => return Ok(false),
        Err(e) => return Err(e.into()),
    };
    if !sys::ownership(run.as_fd())?.is_closed_to_all_but_root() {
        return Ok(false);
    }
    let Some(starter) = starter(process)? else { return Ok(false) };
    for dir in ["name", "profile"] {
        let is_roots = |path: &str| -> Result<bool, Unknown> {
            let Ok(path) = CString::new(path) else { return Ok(false) };
            match sys::ownership_at(run.as_fd(), &path) {
                Ok(ownership) => Ok(ownership.is_closed_to_all_but_root()),
                Err(e) if e.meaning() == Meaning::Gone => Ok(false),
                Err(e) => Err(e.into()),
            }
        };
        if is_roots(dir)? && is_roots(&format!("{dir}/{starter}"))? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The first process above that is in the pid namespace of our `/proc`; `None` if the process is itself, or has none.
fn starter(process: &Process<'_>) -> Result<Option<u32>, Unknown> {
    let mut last = Unknown::Gone;
    for _ in 0..MAX_ATTEMPTS {
        match climb(process) {
            // The process itself is looked at again by the caller; here only one above it can be gone.
            Err(Unknown::Gone) => last = Unknown::Unreadable("the processes above it do not hold still".to_owned()),
            other => return other,
        }
    }
    Err(last)
}

fn climb(process: &Process<'_>) -> Result<Option<u32>, Unknown> {
    let unreadable = || Unknown::Unreadable("status does not tell the parent".to_owned());
    let mut status = sys::read_pinned(process.dir, "status", STATUS)?;
    let mut pid = None;
    for _ in 0..MAX_ANCESTORS {
        if pid_levels(&status).ok_or_else(unreadable)? == 1 {
            return Ok(pid);
        }
        let parent: u32 = field(&status, "PPid").and_then(|pid| pid.parse().ok()).ok_or_else(unreadable)?;
        if parent == 0 {
            return Ok(None);
        }
        status = process.procfs.read(&format!("{parent}/status"), STATUS)?;
        pid = Some(parent);
    }
    Ok(None)
}
