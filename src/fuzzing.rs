//! The inside, opened to the fuzz targets. No part of the interface: it changes without notice.

use std::path::PathBuf;

use crate::cgroup::{self, mount};
use crate::identity::label::{Malformed, RawLabel, RawValue, Statement, XattrNames};
use crate::identity::{
    AppId, AppIdentity, EngineEvidence, Evidence, HostIdentity, Identity, InstanceId, Namespaces, NestedLabel,
    Provenance, Reason, SandboxEngine, UnitName, engine, namespaces, resolver,
};
use crate::policy::{Policy, Verdict};
use crate::wayland::{ClientAuth, SandboxContext, authenticator};

/// One xattr of a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(clippy::exhaustive_enums, reason = "made by the fuzz targets")]
pub enum Value {
    /// It is not there.
    Absent,
    /// Its bytes.
    Bytes(Vec<u8>),
    /// It is longer than any valid one.
    TooLong,
}

/// What a directory states.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(clippy::exhaustive_enums, reason = "read by the fuzz targets")]
pub enum Stated {
    /// Nothing.
    Nothing,
    /// A host application's claim.
    Claim(AppId),
    /// A sandbox.
    Sandbox(NestedLabel),
}

/// Reads the xattrs of one directory, in the order of [`XattrNames`].
///
/// # Errors
///
/// [`Malformed`], as the look-up has it.
pub fn label(values: &[Value], names: &XattrNames) -> Result<Stated, Malformed> {
    let raw = values.iter().map(|value| match value {
        Value::Absent => RawValue::Absent,
        Value::Bytes(bytes) => RawValue::Bytes(bytes.clone()),
        Value::TooLong => RawValue::TooLong,
    });
    Ok(match (RawLabel { values: raw.collect() }).parse(names)? {
        Statement::Nothing => Stated::Nothing,
        Statement::Claim(app_id) => Stated::Claim(app_id),
        Statement::Sandbox(label) => Stated::Sandbox(NestedLabel {
            engine: label.engine,
            app_id: label.app_id,
            instance_id: label.instance_id,
            extra: label.extra,
            provenance: Provenance::User,
        }),
    })
}

/// Bytes from outside as they are shown.
#[must_use]
pub fn escaped(bytes: &[u8]) -> String {
    resolver::attempt::escaped(bytes)
}

/// The path in a `/proc/PID/cgroup` and its depth, if the look-up would open it.
#[must_use]
pub fn cgroup_path(text: &[u8]) -> Option<(Vec<u8>, usize)> {
    let path = cgroup::parse_proc_cgroup(text).ok()?;
    let depth = cgroup::depth_of(&path).ok()?;
    Some((path, depth))
}

/// The mount points of whole cgroup2 hierarchies in a `mountinfo`.
#[must_use]
pub fn mount_points(mountinfo: &[u8]) -> Vec<PathBuf> {
    mount::mount_points(mountinfo).collect()
}

/// A field of `mountinfo` without its escapes.
#[must_use]
pub fn unescape(field: &[u8]) -> Vec<u8> {
    mount::unescape(field)
}

/// Whether a `mountinfo` has a mount with this ID.
#[must_use]
pub fn has_mount(mountinfo: &[u8], id: u64) -> bool {
    crate::kernel::has_mount(mountinfo, id)
}

/// Whether a `uid_map` is that of the initial user namespace.
#[must_use]
pub fn is_identity_map(uid_map: &[u8]) -> bool {
    namespaces::is_identity_map(uid_map)
}

/// How many pids a `/proc/PID/status` tells.
#[must_use]
pub fn pid_levels(status: &[u8]) -> Option<usize> {
    crate::kernel::pid_levels(status)
}

/// Whether a `/proc/PID/status` tells of a dead process.
#[must_use]
pub fn is_dead(status: &[u8]) -> bool {
    namespaces::is_dead(status)
}

/// The effective uid in a `/proc/PID/status`.
#[must_use]
pub fn effective_uid(status: &[u8]) -> Option<u32> {
    resolver::process::effective_uid(status)
}

/// The pid in a pidfd's `fdinfo`.
///
/// # Errors
///
/// The reason why there is none.
pub fn pid_in_fdinfo(text: &[u8]) -> Result<u32, Reason> {
    resolver::process::parse_fdinfo(text)
}

/// What an engine names: an application, an instance.
pub type Named = (Option<AppId>, Option<InstanceId>);

/// What a `.flatpak-info` names.
#[must_use]
pub fn flatpak_info(bytes: &[u8]) -> Option<Named> {
    engine::flatpak::named(bytes)
}

/// What bubblewrap's record of a sandbox says: its first process, its mount and its pid namespace.
#[must_use]
pub fn bwrap_record(bytes: &[u8]) -> Option<(u32, u64, u64)> {
    engine::flatpak::record(bytes)
}

/// What a `.linyaps` names.
#[must_use]
pub fn linyaps_info(bytes: &[u8]) -> Named {
    engine::linyaps::named(bytes)
}

/// What the name of a cgroup says: an engine, and what it names.
#[must_use]
pub fn engine_of_cgroup(path: &[u8]) -> Option<NestedLabel> {
    let label = engine::of_directory(path)?;
    Some(nested(label.engine, label.app_id, label.instance_id, Provenance::User))
}

/// What a label of a security module says, beside that of the compositor.
#[must_use]
pub fn security_label(raw: &[u8], ours: &[u8]) -> Vec<EngineEvidence> {
    engine::of_security_label(raw, ours)
}

/// A systemd name without its escapes.
#[must_use]
pub fn unescape_unit(text: &str) -> Option<String> {
    engine::unescape(text)
}

/// What an application is made of.
#[derive(Clone, Debug)]
#[allow(missing_docs, clippy::exhaustive_structs, reason = "made by the fuzz targets; as in `AppIdentity`")]
pub struct App {
    pub engine: Option<SandboxEngine>,
    pub app_id: Option<AppId>,
    pub instance_id: Option<InstanceId>,
    pub provenance: Provenance,
    pub namespaces: Option<Namespaces>,
    pub unit: Option<UnitName>,
    pub uid: Option<u32>,
    pub nested: Vec<NestedLabel>,
}

/// An application.
#[must_use]
pub fn app(app: App) -> Identity {
    let App { engine, app_id, instance_id, provenance, namespaces, unit, uid, nested } = app;
    Identity::App(AppIdentity {
        engine,
        app_id,
        instance_id,
        extra: Vec::new(),
        provenance,
        namespaces,
        unit,
        uid,
        nested,
    })
}

/// A label inside another.
#[must_use]
pub fn nested(
    engine: SandboxEngine,
    app_id: Option<AppId>,
    instance_id: Option<InstanceId>,
    provenance: Provenance,
) -> NestedLabel {
    NestedLabel { engine, app_id, instance_id, extra: Vec::new(), provenance }
}

/// A host process.
#[must_use]
pub fn host(claim: Option<AppId>, unit: Option<UnitName>, uid: Option<u32>) -> Identity {
    Identity::Host(HostIdentity { claim, unit, uid, ..HostIdentity::default() })
}

/// The rights of a client of a security context, of whom the kernel says `by_kernel`.
#[must_use]
pub fn sandboxed(policy: &Policy, by_kernel: Identity, context: &SandboxContext) -> (Identity, Verdict) {
    authenticator::decide_sandboxed(policy, by_kernel, &Evidence::default(), context, &context.creator.verdict())
}

/// What a compositor keeps of a client with this identity.
#[must_use]
pub fn client_auth(policy: &Policy, identity: Identity) -> ClientAuth {
    let verdict = policy.evaluate(&identity);
    ClientAuth::new(identity, Evidence::default(), verdict)
}
