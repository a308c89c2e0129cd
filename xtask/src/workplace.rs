//! Where cargo runs tests and benches: in a cgroup of its own, with temporary files of its own.
//!
//! Tests make cgroups, directories and processes that are none of cargo's children. When they are interrupted, all of
//! that goes with the workplace.

use std::process::Command;

use crate::{
    cargo,
    cgroup::{self, Stage},
    error::Error,
    scratch::Scratch,
};

/// A place for cargo. What is first in here is removed first.
#[derive(Debug)]
pub(crate) struct Workplace {
    cgroup: Stage,
    scratch: Scratch,
}

impl Workplace {
    /// Makes it.
    ///
    /// # Errors
    ///
    /// If the cgroup or the directory cannot be created.
    pub(crate) fn new() -> Result<Self, Error> {
        let scratch = Scratch::new("wayland-auth-test")?;
        // The tests that root starts run as somebody else.
        scratch.open_to_all()?;
        Ok(Self { cgroup: Stage::new("wayland-auth-test")?, scratch })
    }

    /// A cargo that runs there.
    pub(crate) fn cargo(&self, arguments: &[&str]) -> Command {
        let mut command = cargo::command(cgroup::enter(self.cgroup.path()), arguments);
        command.env("TMPDIR", self.scratch.path());
        command
    }
}
