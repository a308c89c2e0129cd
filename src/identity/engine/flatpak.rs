//! Flatpak: `/.flatpak-info` in the sandbox, confirmed by what flatpak keeps outside.
//!
//! Any sandbox can have a file of that name, and say anything in it. It names an application only if
//! `$XDG_RUNTIME_DIR/.flatpak/INSTANCE/bwrapinfo.json`, which bubblewrap wrote when flatpak made the sandbox, has the
//! mount and pid namespaces of the peer itself, and the sandbox's first process is still in them (numbers of namespaces
//! are used again). Any unconfined program of the user can write there too; so can he who makes his own namespaces
//! until their numbers fit, if that first process is dead and its pid is his again. What it says is therefore the user's.

use std::os::fd::AsFd;
use std::path::Path;

use super::keyfile::{KeyFile, MAX_LEN};
use super::{Answer, Finding, Ids, Process, Unknown};
use crate::identity::evidence::EngineStanding;
use crate::identity::ids::{AppId, InstanceId};
use crate::sys::{self, NamespaceKind, ReadLimit};

/// Looks at `/.flatpak-info`.
pub(super) fn look(process: &Process<'_>) -> Answer<Finding> {
    let bytes = match process.root().read(".flatpak-info", MAX_LEN) {
        Ok(None) => return Answer::NotMine,
        Ok(Some(bytes)) => bytes,
        Err(why) => return Answer::Error(why),
    };
    let claim = |ids: Ids, why: &str| Finding { ids, standing: EngineStanding::Claim(why.to_owned()) };
    let Some(ids) = read(&bytes) else {
        return Answer::Match(claim(Ids::default(), "it names nobody"));
    };
    match confirm(process, &ids) {
        Ok(None) => Answer::Match(Finding { ids, standing: EngineStanding::CrossChecked }),
        Ok(Some(why)) => Answer::Match(claim(ids, why)),
        Err(stop @ Unknown::Resources) => Answer::Error(stop),
        Err(_) => Answer::Match(claim(ids, "what flatpak knows of it cannot be read")),
    }
}

/// The application (or the runtime, where only that runs) and the instance.
fn read(bytes: &[u8]) -> Option<Ids> {
    let file = KeyFile::parse(bytes)?;
    let name = match file.get("Application", "name").ok()? {
        Some(name) => name,
        None => file.get("Runtime", "name").ok()??,
    };
    let instance = file.get("Instance", "instance-id").ok()??;
    // It becomes part of a path.
    let numeric = instance.bytes().all(|b| b.is_ascii_digit()) && instance.len() <= 20;
    let instance_id = InstanceId::new(instance).ok().filter(|_| numeric)?;
    Some(Ids { app_id: Some(AppId::new(name).ok()?), instance_id: Some(instance_id) })
}

/// What a `.flatpak-info` names.
#[cfg(feature = "fuzzing")]
pub(crate) fn named(bytes: &[u8]) -> Option<(Option<AppId>, Option<InstanceId>)> {
    read(bytes).map(|ids| (ids.app_id, ids.instance_id))
}

/// What bubblewrap's record says: the first process, the mount and the pid namespace.
#[cfg(feature = "fuzzing")]
pub(crate) fn record(bytes: &[u8]) -> Option<(u32, u64, u64)> {
    Record::parse(bytes).map(|record| (record.first, record.mounts, record.pids))
}

/// Says why flatpak's own record does not confirm the instance; `None` if it does.
fn confirm(process: &Process<'_>, ids: &Ids) -> Result<Option<&'static str>, Unknown> {
    let Some(instance) = &ids.instance_id else { return Ok(Some("it names no instance")) };
    let Some(runtime_dir) = process.runtime_dir() else { return Ok(Some("XDG_RUNTIME_DIR is not set")) };
    let Some([_, mounts, pids]) = process.namespaces else {
        return Ok(Some("its namespaces are not known by their numbers"));
    };
    let record = match read_record(runtime_dir, instance, process.surroundings.uid)? {
        Ok(record) => record,
        Err(why) => return Ok(Some(why)),
    };
    let Some(record) = Record::parse(&record) else { return Ok(Some("flatpak's record cannot be parsed")) };
    if (record.mounts, record.pids) != (mounts.inode, pids.inode) {
        return Ok(Some("the instance has other namespaces"));
    }
    // The namespaces have these numbers now; that they are the instance's is what its first process shows.
    let first = match process.procfs.pin(record.first) {
        Ok(first) => first,
        Err(e) if e.meaning() == sys::Meaning::Gone => return Ok(Some("the instance has ended")),
        Err(e) => return Err(e.into()),
    };
    let in_them = sys::pinned_namespace(first.as_fd(), NamespaceKind::Mount.file())? == mounts
        && sys::pinned_namespace(first.as_fd(), NamespaceKind::Pid.file())? == pids;
    Ok((!in_them).then_some("the instance has ended"))
}

/// The bytes of flatpak's record of an instance, or why there are none.
fn read_record(runtime_dir: &Path, instance: &InstanceId, uid: u32) -> Result<Result<Vec<u8>, &'static str>, Unknown> {
    let dir = sys::open_dir(runtime_dir)?;
    let path = format!(".flatpak/{}/bwrapinfo.json", instance.as_str());
    let file = match sys::open_file_beneath(dir.as_fd(), path.as_bytes()) {
        Ok(file) => file,
        Err(e) if e.meaning() == sys::Meaning::Gone => return Ok(Err("flatpak knows no such instance")),
        Err(e) => return Err(e.into()),
    };
    let status = sys::file_status(file.as_fd())?;
    if !status.is_regular || (status.uid != uid && status.uid != 0) {
        return Ok(Err("flatpak's record of the instance is not a file of the compositor's user"));
    }
    Ok(Ok(sys::read_all(file.as_fd(), ReadLimit(MAX_LEN))?))
}

/// What bubblewrap says of a sandbox that it made.
#[derive(Debug, PartialEq, Eq)]
struct Record {
    first: u32,
    mounts: u64,
    pids: u64,
}

impl Record {
    /// Reads `{"name": number, ...}` and nothing else.
    fn parse(bytes: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(bytes).ok()?.trim();
        let members = text.strip_prefix('{')?.strip_suffix('}')?;
        let mut values: [Option<u64>; 3] = [None; 3];
        for member in members.split(',') {
            let (name, value) = member.split_once(':')?;
            let name = name.trim().strip_prefix('"')?.strip_suffix('"')?;
            let value = value.trim();
            if name.contains(['"', '\\']) || value.is_empty() || !value.bytes().all(|b| b.is_ascii_digit()) {
                return None;
            }
            let names = ["child-pid", "mnt-namespace", "pid-namespace"];
            if let Some(index) = names.iter().position(|n| *n == name)
                && values[index].replace(value.parse().ok()?).is_some()
            {
                return None;
            }
        }
        Some(Self { first: u32::try_from(values[0]?).ok()?, mounts: values[1]?, pids: values[2]? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(text: &str) -> Option<(String, String)> {
        let ids = read(text.as_bytes())?;
        Some((ids.app_id?.as_str().to_owned(), ids.instance_id?.as_str().to_owned()))
    }

    #[test]
    fn flatpak_info_names_the_application_or_the_runtime() {
        let is = |a: &str| Some((a.to_owned(), "12".to_owned()));
        let rest = "[Instance]\ninstance-id=12\nsandbox=true\n[Context]\nshared=network;\n";
        assert_eq!(names(&format!("[Application]\nname=org.a.B\nruntime=x/y/z\n{rest}")), is("org.a.B"));
        assert_eq!(names(&format!("[Runtime]\nname=org.r.Platform\n{rest}")), is("org.r.Platform"));
        assert_eq!(names(&format!("[Application]\nname=org.a.B\n[Runtime]\nname=org.r.P\n{rest}")), is("org.a.B"));
    }

    #[test]
    fn t25_flatpak_info_that_is_not_in_order_names_nobody() {
        let app = "[Application]\nname=org.a.B\n";
        for bad in [
            String::new(),
            app.to_owned(),
            "[Instance]\ninstance-id=12\n".into(),
            format!("{app}[Instance]\ninstance-id=..\n"),
            format!("{app}[Instance]\ninstance-id=1/2\n"),
            format!("{app}[Instance]\ninstance-id=\n"),
            format!("{app}[Instance]\ninstance-id={}\n", "1".repeat(21)),
            format!("{app}[Instance]\ninstance-id=1\ninstance-id=2\n"),
            format!("{app}name=org.a.C\n[Instance]\ninstance-id=1\n"),
            "[Application]\nname=a b\n[Instance]\ninstance-id=1\n".into(),
            "[Application]\nname=org.a.B\0\n[Instance]\ninstance-id=1\n".into(),
        ] {
            assert_eq!(names(&bad), None, "{bad:?}");
        }
    }

    #[test]
    fn the_record_of_bubblewrap_is_read_strictly() {
        let good =
            b"{\n    \"child-pid\": 7,\n    \"mnt-namespace\": 4026532178,\n    \"pid-namespace\": 4026532181\n}\n";
        assert_eq!(Record::parse(good), Some(Record { first: 7, mounts: 4_026_532_178, pids: 4_026_532_181 }));
        for bad in [
            "",
            "{}",
            "{\"child-pid\": 7, \"mnt-namespace\": 1}",
            "{\"child-pid\": 7, \"mnt-namespace\": 1, \"pid-namespace\": 2",
            "{\"child-pid\": 7, \"mnt-namespace\": 1, \"pid-namespace\": 2, \"pid-namespace\": 3}",
            "{\"child-pid\": 7, \"mnt-namespace\": -1, \"pid-namespace\": 2}",
            "{\"child-pid\": 7, \"mnt-namespace\": \"1\", \"pid-namespace\": 2}",
            "{\"child-pid\": 99999999999, \"mnt-namespace\": 1, \"pid-namespace\": 2}",
            "{\"x\": {\"child-pid\": 7, \"mnt-namespace\": 1, \"pid-namespace\": 2}}",
            "[1]",
        ] {
            assert_eq!(Record::parse(bad.as_bytes()), None, "{bad}");
        }
    }
}
