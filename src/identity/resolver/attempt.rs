//! One look-up: attempts until the process held still, then the conclusion.

use std::ffi::CStr;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::rc::Rc;

use super::process::{pid_and_cgroup, pid_in_fdinfo};
use super::{Parts, Resolver, Trust};
use crate::cgroup::{self, Cgroup, CgroupError, CgroupId, MAX_ATTEMPTS, Miss, Walk};
use crate::identity::engine;
use crate::identity::evidence::{
    CgroupEvidence, EngineEvidence, EngineSource, Evidence, LabelEvidence, NamespaceEvidence, Tier,
};
use crate::identity::ids::{AppId, MAX_LEN};
use crate::identity::label::{Label, Malformed, RawLabel, RawValue, Statement};
use crate::identity::namespaces::{Comparison, Namespaces, Unknown};
use crate::identity::{AppIdentity, ClaimSource, HostIdentity, Identity, NestedLabel, Provenance, Reason, UnitName};
use crate::sys::{self, Meaning, Ownership, SysError, XattrRead};

/// The most that the names of a directory's xattrs take up before they are asked for one by one.
const NAMES_LEN: usize = 4096;

/// What one attempt found.
struct Found {
    cgroup: Cgroup,
    /// The directories that say anything, innermost first.
    labels: Vec<Labelled>,
    /// How they compare, or why that is not known.
    namespaces: Result<NamespaceEvidence, String>,
    /// What engines left in the process.
    engines: Vec<EngineEvidence>,
    /// The unit it runs in, and whether the compositor runs in it too.
    unit: Option<(UnitName, bool)>,
}

/// A directory that says something.
struct Labelled {
    /// Its directory, by [`Cgroup::dir_at`].
    above: Option<Rc<OwnedFd>>,
    path: Vec<u8>,
    /// Its xattrs.
    raw: Option<RawLabel>,
    /// What its name says.
    named: Option<Label>,
    owner: u32,
    /// Whether only root can write here and in everything above.
    closed: bool,
    /// Whether the compositor is in here too.
    shared: bool,
}

/// What the path of a cgroup says.
struct OnPath {
    /// A host process' claim.
    claim: Option<AppId>,
    /// Sandboxes, outermost first.
    said: Vec<(Label, Provenance)>,
}

/// Why an attempt did not come to an end.
pub(super) enum Stop {
    /// Worth another attempt; this is the reason if none is left.
    Again(Reason),
    /// Final.
    Final(Reason),
}

impl Stop {
    #[cfg(feature = "wayland")]
    fn reason(self) -> Reason {
        match self {
            Self::Again(reason) | Self::Final(reason) => reason,
        }
    }
}

impl From<Miss> for Stop {
    fn from(miss: Miss) -> Self {
        match miss {
            Miss::Moved => Self::Again(Reason::Moved),
            Miss::Gone => Self::Again(Reason::Cgroup(CgroupError::Removed)),
            Miss::Outside => Self::Final(Reason::OutsideCgroupNamespace),
            Miss::Cgroup(e) => Self::Final(Reason::Cgroup(e)),
            Miss::Sys(e) => Self::Final(reason_of(e)),
        }
    }
}

impl From<Unknown> for Stop {
    fn from(unknown: Unknown) -> Self {
        Self::Final(match unknown {
            Unknown::Gone => Reason::PeerGone,
            Unknown::Resources => Reason::Resources,
            Unknown::Unreadable(why) | Unknown::Withheld(why) => Reason::NamespacesUnknown(why),
        })
    }
}

impl From<SysError> for Stop {
    fn from(e: SysError) -> Self {
        Miss::from(e).into()
    }
}

fn reason_of(e: SysError) -> Reason {
    match e.meaning() {
        Meaning::Reaped => Reason::PeerGone,
        Meaning::Foreign => Reason::ForeignPidNamespace,
        Meaning::Resources => Reason::Resources,
        Meaning::Denied => Reason::Cgroup(CgroupError::Denied(e.call.name())),
        Meaning::Gone => Reason::Cgroup(CgroupError::Removed),
        Meaning::Unsupported | Meaning::Unavailable | Meaning::Fault => {
            Reason::Fault { call: e.call.name(), message: e.message() }
        }
    }
}

/// The unit that a cgroup is in, and whether the compositor is in it too.
fn unit_of(parts: &Parts, cgroup: &Cgroup) -> Option<(UnitName, bool)> {
    UnitName::with_dir(&cgroup.path).map(|(unit, dir)| {
        let alone = parts.own_path.as_ref().is_some_and(|own| !is_at_or_below(own, dir));
        (unit, !alone)
    })
}

impl Resolver {
    /// Looks the process of `pidfd` up; `by_hand` if nobody connected.
    pub(super) fn look_up(
        &self,
        pidfd: BorrowedFd<'_>,
        evidence: &mut Evidence,
        trust: &Trust,
        by_hand: bool,
    ) -> Identity {
        let Some(parts) = &self.parts else {
            return Identity::unidentified(Reason::KernelUnsupported);
        };
        let mut last = Reason::Moved;
        for attempt in 0..MAX_ATTEMPTS {
            evidence.retries = attempt;
            let result = match self.tier {
                Tier::CgroupId => self.attempt_by_id(parts, pidfd, evidence, by_hand),
                Tier::ProcPath => self.attempt_by_path(parts, pidfd, evidence, by_hand),
            };
            match result {
                Ok(found) => {
                    evidence.tier = Some(self.tier);
                    return self.conclude(found, evidence, trust);
                }
                Err(Stop::Again(reason)) => last = reason,
                Err(Stop::Final(reason)) => return Identity::unidentified(reason),
            }
        }
        Identity::unidentified(last)
    }

    /// Linux 6.13 and later: the kernel gives the ID of the cgroup before and after.
    ///
    /// A socket pair that this process made names this process as the peer, whoever holds the other end. The pid
    /// decides: it is that of a live process, in our own pid namespace, so it is ours exactly if the process is.
    fn attempt_by_id(
        &self,
        parts: &Parts,
        pidfd: BorrowedFd<'_>,
        evidence: &Evidence,
        by_hand: bool,
    ) -> Result<Found, Stop> {
        let (pid, id) = pid_and_cgroup(pidfd)?;
        if pid == std::process::id() && !by_hand {
            return Err(Stop::Final(Reason::OwnSocket));
        }
        let cgroup = parts.cgroups.open_verified(&parts.procfs, pid, id)?;
        let still_there = || -> Result<(), Stop> {
            let (_, after) = pid_and_cgroup(pidfd)?;
            if after == id { Ok(()) } else { Err(Stop::Again(Reason::Moved)) }
        };
        let found = self.read(parts, pidfd, pid, cgroup, evidence, &still_there)?;
        still_there()?;
        Ok(found)
    }

    /// Linux 6.5 to 6.12: the path in `/proc` is the same before and after, names the same directory before and after,
    /// and the pidfd was not reaped, so that the pid was this process' all the time.
    ///
    /// This is enough because cgroups are not renamed: a path that a live process is in names one
    /// directory for as long as it stays.
    fn attempt_by_path(
        &self,
        parts: &Parts,
        pidfd: BorrowedFd<'_>,
        evidence: &Evidence,
        by_hand: bool,
    ) -> Result<Found, Stop> {
        let pid = pid_in_fdinfo(&parts.procfs, pidfd)?;
        // Both numbers are those of this `/proc`, which may be of another pid namespace than we are.
        if pid == parts.procfs.own_pid()? && !by_hand {
            return Err(Stop::Final(Reason::OwnSocket));
        }
        let file = cgroup::open_proc_cgroup(&parts.procfs, pid)?;
        let path = cgroup::read_path(&file)?;
        // No ID is there to tell a removed cgroup, or one whose path was cut, from another that has the
        // name that is shown.
        if path.ends_with(b" (deleted)") || path.len() >= cgroup::PATH_CUT {
            return Err(Stop::Again(Reason::Cgroup(CgroupError::NoPath)));
        }
        let cgroup = parts.cgroups.open_path(path.clone())?;
        let id = cgroup.id;
        let still_there = || -> Result<(), Stop> {
            let path_after = cgroup::read_path(&file)?;
            let same = path_after == path && parts.cgroups.open_path(path_after)?.id == id;
            if same { Ok(()) } else { Err(Stop::Again(Reason::Moved)) }
        };
        still_there()?;
        let found = self.read(parts, pidfd, pid, cgroup, evidence, &still_there)?;
        still_there()?;
        if sys::alive(pidfd)? { Ok(found) } else { Err(Stop::Final(Reason::PeerGone)) }
    }

    /// What lies between the two looks: the labels on the way up, and the namespaces.
    ///
    /// A process can be away while the labels are read and back for the second look, and a label can be another meanwhile.
    /// So there is one more look between the two readings of a label: what is read both times was there while the process
    /// was, unless the process went and came back twice and the label changed with it each time. The kernel counts
    /// neither moves nor changes, so that there is no proof of more.
    fn read(
        &self,
        parts: &Parts,
        pidfd: BorrowedFd<'_>,
        pid: u32,
        cgroup: Cgroup,
        evidence: &Evidence,
        still_there: &dyn Fn() -> Result<(), Stop>,
    ) -> Result<Found, Stop> {
        let labels = self.read_labels(parts, &cgroup, evidence)?;
        let (namespaces, engines) = self.read_process(parts, pidfd, pid)?;
        if !labels.is_empty() {
            still_there()?;
        }
        self.read_again(&cgroup, &labels)?;
        let unit = unit_of(parts, &cgroup);
        Ok(Found { cgroup, labels, namespaces, engines, unit })
    }

    /// The directories on the way up that say anything, innermost first.
    fn read_labels(&self, parts: &Parts, cgroup: &Cgroup, evidence: &Evidence) -> Result<Vec<Labelled>, Stop> {
        let mut labels: Vec<Labelled> = Vec::new();
        let peer_is_root = evidence.credentials.uid == Some(0);
        let may_be_closed = self.support.initial_user_namespace && evidence.credentials.uid.is_some() && !peer_is_root;
        {
            let mut walk = cgroup.walk();
            while let Some(labelled) = self.next_label(&mut walk, &mut labels, may_be_closed)? {
                labels.push(labelled);
            }
        }
        if !labels.is_empty() {
            if labels.iter().any(|l| l.closed) && !is_closed(parts.cgroups.root())?.1 {
                labels.iter_mut().for_each(|l| l.closed = false);
            }
            self.mark_shared(parts, cgroup, &mut labels)?;
        }
        Ok(labels)
    }

    /// Whether they still say the same.
    fn read_again(&self, cgroup: &Cgroup, labels: &[Labelled]) -> Result<(), Stop> {
        for label in labels {
            if self.read_label(cgroup.dir_at(label.above.as_ref()))? != label.raw {
                let path = escaped(&label.path);
                return Err(Stop::Again(Reason::MalformedLabel(path, Malformed::Changing)));
            }
        }
        Ok(())
    }

    /// Who a client with this evidence would be by what its directories say now; `None` if they are gone.
    ///
    /// Where its process is now, and whether it lives, is not looked at. `each` is called with the directories from the
    /// innermost to the outermost before any label is read; the first that it refuses ends it.
    ///
    /// # Errors
    ///
    /// Why that cannot be told.
    #[cfg(feature = "wayland")]
    pub(crate) fn look_again(
        &self,
        evidence: &Evidence,
        trust: &Trust,
        each: &mut dyn FnMut(BorrowedFd<'_>) -> std::io::Result<()>,
    ) -> Result<Option<Identity>, String> {
        let (Some(parts), Some(before)) = (&self.parts, &evidence.cgroup) else { return Ok(None) };
        let cgroup = match parts.cgroups.open_path(before.raw_path.to_vec()) {
            Ok(cgroup) if cgroup.id == before.id => cgroup,
            // It was removed, and perhaps another has its name.
            Ok(_) | Err(Miss::Gone) => return Ok(None),
            Err(miss) => return Err(Stop::from(miss).reason().to_string()),
        };
        {
            let mut walk = cgroup.walk();
            loop {
                match walk.step() {
                    Ok(Some(dir)) => each(dir).map_err(|e| e.to_string())?,
                    Ok(None) => break,
                    Err(miss) => return Err(Stop::from(miss).reason().to_string()),
                }
            }
        }
        let mut last = Reason::Moved;
        for _ in 0..MAX_ATTEMPTS {
            let labels = self.read_labels(parts, &cgroup, evidence);
            match labels.and_then(|labels| self.read_again(&cgroup, &labels).map(|()| labels)) {
                Ok(labels) => {
                    let namespaces = evidence.namespaces.clone().ok_or_else(|| "they were not known".to_owned());
                    let unit = unit_of(parts, &cgroup);
                    let engines = evidence.engines.iter().filter(|e| e.source != EngineSource::SecurityLabel);
                    let engines = engines.cloned().collect();
                    let mut evidence = evidence.clone();
                    let found = Found { cgroup, labels, namespaces, engines, unit };
                    return Ok(Some(self.conclude(found, &mut evidence, trust)));
                }
                Err(Stop::Again(reason)) => last = reason,
                Err(Stop::Final(Reason::Resources)) => return Err("out of file descriptors or memory".to_owned()),
                Err(Stop::Final(reason)) => return Ok(Some(Identity::unidentified(reason))),
            }
        }
        Ok(Some(Identity::unidentified(last)))
    }

    /// What the process itself shows: its namespaces and, if they are not ours, what engines left in them.
    fn read_process(
        &self,
        parts: &Parts,
        pidfd: BorrowedFd<'_>,
        pid: u32,
    ) -> Result<(Result<NamespaceEvidence, String>, Vec<EngineEvidence>), Stop> {
        let compared = parts.reference.compare(&parts.procfs, pidfd, pid, self.support.pidfd_namespaces);
        let look = |ids, mounts_only| {
            engine::of_process(&parts.procfs, pid, ids, mounts_only, &parts.surroundings).map_err(Stop::from)
        };
        Ok(match compared {
            Ok(compared) => {
                // With another reference for the host, ours are not those that are compared with.
                let ours = compared.evidence.compared.mount == Comparison::Same
                    || compared.ids.is_some_and(|[_, mounts, _]| mounts == parts.surroundings.own_mounts);
                let engines = if ours { Vec::new() } else { look(compared.ids, false)? };
                (Ok(compared.evidence), engines)
            }
            Err(Unknown::Withheld(why)) => (Err(why), look(None, true)?),
            Err(Unknown::Unreadable(why)) => {
                let engines = engine::unread_process(&why);
                (Err(why), engines)
            }
            Err(stop @ (Unknown::Gone | Unknown::Resources)) => return Err(stop.into()),
        })
    }

    /// Goes up to the next directory that says anything, and sees on the way who else can write.
    fn next_label(
        &self,
        walk: &mut Walk<'_>,
        below: &mut [Labelled],
        may_be_closed: bool,
    ) -> Result<Option<Labelled>, Stop> {
        loop {
            if walk.step()?.is_none() {
                return Ok(None);
            }
            let dir = walk.dir();
            let raw = self.read_label(dir)?;
            let named = engine::of_directory(walk.path());
            // Who can write here matters to what is said here, and to those below that only root could write so far.
            if raw.is_none() && named.is_none() && below.iter().all(|l| !l.closed) {
                continue;
            }
            let (ownership, closed) = if may_be_closed { is_closed(dir)? } else { (sys::ownership(dir)?, false) };
            if !closed {
                below.iter_mut().for_each(|l| l.closed = false);
            }
            if raw.is_some() || named.is_some() {
                let (above, path) = (walk.keep(), walk.path().to_vec());
                return Ok(Some(Labelled { above, path, raw, named, owner: ownership.uid, closed, shared: false }));
            }
        }
    }

    /// Finds out which of the directories hold the compositor too.
    fn mark_shared(&self, parts: &Parts, cgroup: &Cgroup, labels: &mut [Labelled]) -> Result<(), Stop> {
        let own = match parts.own.ids(&parts.cgroups, &parts.procfs) {
            Ok(own) => own,
            // We are above all that we can see: nothing that we see holds us.
            Err(Miss::Outside) => return Ok(()),
            // A label that is ours too would be taken for the peer's own, and a rule may give that more than the host has.
            Err(miss) => return Err(miss.into()),
        };
        for label in labels {
            let id = match &label.above {
                Some(dir) => CgroupId(sys::handle_id(dir.as_fd())?),
                None => cgroup.id,
            };
            label.shared = own.contains(&id);
        }
        Ok(())
    }

    /// Reads what a directory says under our names; `None` if it has none of them.
    ///
    /// One call tells that there are none, as in almost every directory.
    fn read_label(&self, dir: BorrowedFd<'_>) -> Result<Option<RawLabel>, SysError> {
        let mut buffer = [MaybeUninit::uninit(); NAMES_LEN];
        let listed = match sys::list_xattrs(dir, &mut buffer)? {
            XattrRead::Bytes([]) | XattrRead::Absent => return Ok(None),
            XattrRead::Bytes(names) => Some(names),
            // Too many names to list: ask for each of ours.
            XattrRead::TooLong => None,
        };
        let is_listed = |name: &CStr| match listed {
            Some(names) => names.split(|&b| b == 0).any(|n| n == name.to_bytes()),
            None => true,
        };
        let mut raw = RawLabel::default();
        for name in &self.c_names {
            let value = if is_listed(name) { read_value(dir, name)? } else { RawValue::Absent };
            if listed.is_some() && is_listed(name) && value == RawValue::Absent {
                // It was there a moment ago: somebody is changing the label.
                return Err(SysError::new(sys::Call::GetXattr, rustix::io::Errno::NODATA));
            }
            raw.values.push(value);
        }
        Ok((!raw.is_empty()).then_some(raw))
    }

    /// Decides, from evidence that hangs together.
    fn conclude(&self, found: Found, evidence: &mut Evidence, trust: &Trust) -> Identity {
        evidence.cgroup = Some(CgroupEvidence {
            id: found.cgroup.id,
            path: escaped(&found.cgroup.path),
            raw_path: found.cgroup.path.as_slice().into(),
        });
        evidence.labels = found.labels.iter().rev().map(|l| self.show(l)).collect();
        evidence.namespaces = found.namespaces.as_ref().ok().cloned();
        // What the socket said is there already.
        evidence.engines.retain(|engine| engine.source == EngineSource::SecurityLabel);
        evidence.engines.extend(found.engines);

        let OnPath { claim, mut said } = match self.read_path(&found.labels, evidence, trust) {
            Ok(on_path) => on_path,
            Err(reason) => return Identity::unidentified(reason),
        };
        let uid = evidence.credentials.uid;
        let outermost_is_roots = said.first().is_some_and(|(_, p)| *p == Provenance::System);
        if !self.is_one_of_us(uid, trust) && !outermost_is_roots {
            return Identity::unidentified(Reason::ForeignUid(uid));
        }
        add_what_engines_left(&mut said, &evidence.engines);

        let compared = found.namespaces.as_ref().ok().map(|e| e.compared);
        let by_unit = found.unit.as_ref().filter(|(_, shared)| !shared).and_then(|(unit, _)| unit.app_id());
        let unit = found.unit.map(|(unit, _)| unit);
        let mut said = said.into_iter();
        if let Some((outer, provenance)) = said.next() {
            return Identity::App(AppIdentity {
                engine: Some(outer.engine),
                app_id: outer.app_id,
                instance_id: outer.instance_id,
                extra: outer.extra,
                provenance,
                namespaces: compared,
                unit,
                uid,
                nested: said.map(nested).collect(),
            });
        }
        let claim = claim.map(|app_id| (app_id, ClaimSource::Xattr));
        let claim = claim.or_else(|| by_unit.map(|app_id| (app_id, ClaimSource::UnitName)));
        let (claim, claim_source) = claim.unzip();
        let host = HostIdentity { claim, claim_source, unit, uid };
        match found.namespaces {
            Ok(e) => without_a_name(e.compared, &evidence.engines, host),
            Err(why) => Identity::unidentified(Reason::NamespacesUnknown(why)),
        }
    }

    /// What the labels and names on the path say.
    fn read_path(&self, labels: &[Labelled], evidence: &Evidence, trust: &Trust) -> Result<OnPath, Reason> {
        let mut on_path = OnPath { claim: None, said: Vec::new() };
        for labelled in labels.iter().rev().filter(|l| !l.shared) {
            let statement = match &labelled.raw {
                Some(raw) => {
                    raw.parse(&self.names).map_err(|why| Reason::MalformedLabel(escaped(&labelled.path), why))?
                }
                None => Statement::Nothing,
            };
            if !self.may_label(labelled.owner, evidence.credentials.uid, trust) {
                let path = escaped(&labelled.path);
                return Err(Reason::ForeignLabelOwner { path, owner: labelled.owner });
            }
            match statement {
                Statement::Nothing => {}
                Statement::Claim(app_id) => on_path.claim = on_path.claim.or(Some(app_id)),
                Statement::Sandbox(label) => on_path.said.push((label, labelled.provenance())),
            }
            if let Some(named) = &labelled.named
                && !on_path.said.iter().any(|(label, _)| named.repeats(label))
            {
                on_path.said.push((named.clone(), labelled.provenance()));
            }
        }
        Ok(on_path)
    }

    /// Whether a peer's user is the compositor's own, or one that is trusted like him.
    pub(crate) fn is_one_of_us(&self, uid: Option<u32>, trust: &Trust) -> bool {
        uid.is_some_and(|uid| uid == self.uid || trust.uids.contains(&uid))
    }

    /// Whether who a peer is rests on nobody but users who are trusted now.
    #[cfg(feature = "wayland")]
    pub(crate) fn trusts(&self, identity: &Identity, evidence: &Evidence, trust: &Trust) -> bool {
        let uid = evidence.credentials.uid;
        let is_roots = match identity {
            Identity::App(app) => app.engine.is_some() && app.provenance == Provenance::System,
            Identity::Host(_) => false,
            // These rest on nobody's word.
            Identity::Internal(_) | Identity::Unidentified(_) => return true,
        };
        (is_roots || self.is_one_of_us(uid, trust))
            && evidence.labels.iter().filter(|l| !l.shared).all(|l| self.may_label(l.owner, uid, trust))
    }

    /// Whether the owner of a directory has a say over this peer.
    fn may_label(&self, owner: u32, peer: Option<u32>, trust: &Trust) -> bool {
        owner == 0 || owner == self.uid || peer == Some(owner) || trust.uids.contains(&owner)
    }

    fn show(&self, labelled: &Labelled) -> LabelEvidence {
        let values = labelled.raw.iter().flat_map(|raw| raw.values.iter().enumerate());
        let xattrs = values.filter_map(|(index, value)| {
            let value = match value {
                RawValue::Absent => return None,
                RawValue::Bytes(bytes) => escaped(bytes),
                RawValue::TooLong => format!("(more than {MAX_LEN} bytes)"),
            };
            Some((self.names.get(index)?.to_owned(), value))
        });
        LabelEvidence {
            path: escaped(&labelled.path),
            owner: labelled.owner,
            provenance: labelled.provenance(),
            xattrs: xattrs.collect(),
            named: labelled.named.as_ref().map(Label::to_string),
            shared: labelled.shared,
        }
    }
}

impl Labelled {
    fn provenance(&self) -> Provenance {
        if self.closed { Provenance::System } else { Provenance::User }
    }
}

/// Adds what engines left in the process, behind what the path says, unless it says the same.
///
/// What holds by itself can be an identity. What does not only takes, from an identity that is there: without one, the
/// process has least as it is.
fn add_what_engines_left(said: &mut Vec<(Label, Provenance)>, engines: &[EngineEvidence]) {
    let mut add = |label: Option<Label>, only_beside_others: bool| {
        if let Some(label) = label
            && !(only_beside_others && said.is_empty())
            && !said.iter().any(|(other, _)| label.repeats(other))
        {
            said.push((label, Provenance::User));
        }
    };
    engines.iter().for_each(|engine| add(engine.statement(), false));
    engines.iter().for_each(|engine| add(engine.doubt(), true));
}

/// Who a process is that nothing names: `host` if it shares all namespaces, and nothing is left unread.
fn without_a_name(namespaces: Namespaces, engines: &[EngineEvidence], host: HostIdentity) -> Identity {
    if !namespaces.all_same() {
        return Identity::App(AppIdentity { unit: host.unit, uid: host.uid, ..AppIdentity::unknown(namespaces) });
    }
    match engines.iter().find_map(EngineEvidence::error) {
        Some((engine, why)) => Identity::unidentified(Reason::EngineEvidence(engine.clone(), why.to_owned())),
        None => Identity::Host(host),
    }
}

/// Whether a path is `dir` or lies in it.
fn is_at_or_below(path: &[u8], dir: &[u8]) -> bool {
    path.strip_prefix(dir).is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/"))
}

fn nested((label, provenance): (Label, Provenance)) -> NestedLabel {
    let Label { engine, app_id, instance_id, extra } = label;
    NestedLabel { engine, app_id, instance_id, extra, provenance }
}

/// Who owns a directory, and whether root alone can label it and move processes into it.
fn is_closed(dir: BorrowedFd<'_>) -> Result<(Ownership, bool), SysError> {
    let ownership = sys::ownership(dir)?;
    let closed =
        ownership.is_closed_to_all_but_root() && sys::ownership_at(dir, c"cgroup.procs")?.is_closed_to_all_but_root();
    Ok((ownership, closed))
}

/// Reads one value. One byte more than the longest valid value tells what is too long.
fn read_value(dir: BorrowedFd<'_>, name: &CStr) -> Result<RawValue, SysError> {
    let mut buffer = [MaybeUninit::uninit(); MAX_LEN + 1];
    Ok(match sys::get_xattr(dir, name, &mut buffer)? {
        XattrRead::Bytes(bytes) => RawValue::Bytes(bytes.to_vec()),
        XattrRead::Absent => RawValue::Absent,
        XattrRead::TooLong => RawValue::TooLong,
    })
}

/// Bytes from outside as they can be shown: one line, no control characters, nothing that turns the text round.
pub(crate) fn escaped(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            if c.is_ascii_graphic() || c == ' ' { text.push(c) } else { text.extend(c.escape_unicode()) }
        }
        for byte in chunk.invalid() {
            text.push_str(&format!("\\x{byte:02x}"));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::evidence::EngineStanding;

    fn security(standing: EngineStanding) -> EngineEvidence {
        let engine = crate::identity::SandboxEngine::new("io.snapcraft").unwrap();
        EngineEvidence { engine, source: EngineSource::SecurityLabel, app_id: None, instance_id: None, standing }
    }

    #[test]
    fn t18_evidence_that_could_not_be_read_is_never_the_host() {
        let unread = [security(EngineStanding::Error("x".into()))];
        let ignored = [security(EngineStanding::Shared)];
        let different = Namespaces { mount: Comparison::Different, ..Namespaces::SHARED };
        let host = || HostIdentity::default();
        let unread_here = without_a_name(Namespaces::SHARED, &unread, host());
        assert!(matches!(unread_here, Identity::Unidentified(u) if u.reason.code() == "engine-evidence"));
        assert!(matches!(without_a_name(different, &unread, host()), Identity::App(app) if app.engine.is_none()));
        assert!(matches!(without_a_name(Namespaces::SHARED, &ignored, host()), Identity::Host(_)));
        assert!(matches!(without_a_name(Namespaces::SHARED, &[], host()), Identity::Host(_)));
    }

    #[test]
    fn t18_what_could_not_be_read_takes_beside_what_could_unless_it_is_the_same_engines() {
        let label = |engine: &str| Label {
            engine: crate::identity::SandboxEngine::new(engine).unwrap(),
            app_id: Some(AppId::new("a").unwrap()),
            instance_id: None,
            extra: Vec::new(),
        };
        let unread = [security(EngineStanding::Error("x".into()))];
        for (engine, expected) in [("org.example.E", 2), ("io.snapcraft", 1)] {
            let mut said = vec![(label(engine), Provenance::User)];
            add_what_engines_left(&mut said, &unread);
            assert_eq!(said.len(), expected, "{engine}");
        }
        let mut said = Vec::new();
        add_what_engines_left(&mut said, &unread);
        assert_eq!(said, [], "an error named somebody");
        // What holds by itself is the user's, whatever it stands beside.
        add_what_engines_left(&mut said, &[security(EngineStanding::Match)]);
        assert_eq!(said.iter().map(|(_, provenance)| *provenance).collect::<Vec<_>>(), [Provenance::User]);
    }

    #[test]
    fn a_path_is_in_a_directory_by_whole_names() {
        assert!(is_at_or_below(b"/a/b", b"/a") && is_at_or_below(b"/a", b"/a"));
        assert!(!is_at_or_below(b"/ab", b"/a") && !is_at_or_below(b"/", b"/a"));
    }

    #[test]
    fn t26_text_from_outside_stays_on_its_line() {
        assert_eq!(escaped(b"/app.slice/a b"), "/app.slice/a b");
        assert_eq!(escaped(b"a\n\x1b[1m"), "a\\u{a}\\u{1b}[1m");
        assert_eq!(escaped("\u{202e}x".as_bytes()), "\\u{202e}x");
        assert_eq!(escaped(b"\xff\0"), "\\xff\\u{0}");
    }
}
