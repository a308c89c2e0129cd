//! Containers: podman, docker, LXC, and what is registered with systemd-machined, by the names of their cgroups.
//!
//! They name the container, and no application.

use super::{Answer, Ids, unescape};
use crate::identity::ids::InstanceId;

/// `libpod-<64 hex>.scope` (systemd), `libpod-<64 hex>` (cgroupfs) and `libpod-payload-<64 hex>` (split). What podman runs
/// beside the container (`libpod-conmon-...`) is not inside it.
pub(super) fn podman(name: &str) -> Answer<Ids> {
    let rest = name.strip_prefix("libpod-");
    let id = rest.map(|rest| rest.strip_prefix("payload-").unwrap_or(rest));
    hex(id.map(|id| id.strip_suffix(".scope").unwrap_or(id)))
}

/// `docker-<64 hex>.scope`.
pub(super) fn docker(name: &str) -> Answer<Ids> {
    hex(name.strip_prefix("docker-").and_then(|rest| rest.strip_suffix(".scope")))
}

/// `lxc.payload.<name>`. The monitor (`lxc.monitor.<name>`) is not inside.
pub(super) fn lxc(name: &str) -> Answer<Ids> {
    container(name.strip_prefix("lxc.payload."))
}

/// `machine-<name>.scope` and `systemd-nspawn@<name>.service`.
pub(super) fn machine(name: &str) -> Answer<Ids> {
    let scope = name.strip_prefix("machine-").and_then(|rest| rest.strip_suffix(".scope"));
    container(scope.or_else(|| name.strip_prefix("systemd-nspawn@").and_then(|rest| rest.strip_suffix(".service"))))
}

fn hex(id: Option<&str>) -> Answer<Ids> {
    match id {
        Some(id) if id.len() == 64 && id.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b)) => {
            Answer::Match(Ids { app_id: None, instance_id: InstanceId::new(id).ok() })
        }
        _ => Answer::NotMine,
    }
}

/// The name is the container's; one that is no identifier leaves the engine alone.
fn container(name: Option<&str>) -> Answer<Ids> {
    match name {
        None | Some("") => Answer::NotMine,
        Some(name) => {
            let instance_id = unescape(name).and_then(|name| InstanceId::new(name).ok());
            Answer::Match(Ids { app_id: None, instance_id })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn instance(answer: Answer<Ids>) -> Option<Option<String>> {
        match answer {
            Answer::Match(ids) => {
                assert_eq!(ids.app_id, None, "a container has no application's ID");
                Some(ids.instance_id.map(|id| id.as_str().to_owned()))
            }
            _ => None,
        }
    }

    #[test]
    fn containers_are_known_by_their_whole_id() {
        let id = "0f".repeat(32);
        let is = Some(Some(id.clone()));
        assert_eq!(instance(podman(&format!("libpod-{id}.scope"))), is);
        assert_eq!(instance(podman(&format!("libpod-{id}"))), is);
        assert_eq!(instance(podman(&format!("libpod-payload-{id}"))), is);
        assert_eq!(instance(docker(&format!("docker-{id}.scope"))), is);
        for other in [
            format!("libpod-conmon-{id}.scope"),
            format!("libpod-{}.scope", &id[1..]),
            format!("libpod-{id}0.scope"),
            format!("libpod-{}.scope", id.to_uppercase()),
            format!("docker-{id}"),
            "libpod-.scope".into(),
            "docker-.scope".into(),
            "docker.service".into(),
        ] {
            assert_eq!((instance(podman(&other)), instance(docker(&other))), (None, None), "{other}");
        }
    }

    #[test]
    fn machines_are_known_by_their_name() {
        let is = |name: &str| Some(Some(name.to_owned()));
        assert_eq!(instance(lxc("lxc.payload.web")), is("web"));
        assert_eq!(instance(machine("machine-fedora\\x2d40.scope")), is("fedora-40"));
        assert_eq!(instance(machine("systemd-nspawn@deb.service")), is("deb"));
        // It is a machine's all the same.
        assert_eq!(instance(machine("machine-a\\x20b.scope")), Some(None));
        assert_eq!(instance(machine("machine-a\\q.scope")), Some(None));
        for other in ["lxc.monitor.web", "lxc.payload.", "machine.slice", "machine-.scope", "systemd-machined.service"]
        {
            assert_eq!((instance(lxc(other)), instance(machine(other))), (None, None), "{other}");
        }
    }
}
