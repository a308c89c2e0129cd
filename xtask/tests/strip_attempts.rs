//! The attempts to get rid of a label succeed where nothing prevents them: else their failure in the demo's sandbox
//! would prove nothing.

use std::{fs, path::PathBuf, process::Command};

use serde_json::Value;

const ENGINE: &str = "user.xdg.sandbox-engine";
const APP_ID: &str = "user.app_id";

/// A labelled cgroup in our own, removed on drop.
struct Labelled(PathBuf);

impl Labelled {
    fn new() -> Self {
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
        let mount = mounts.lines().find(|line| line.contains(" - cgroup2 ")).and_then(|line| line.split(' ').nth(4));
        let own = fs::read_to_string("/proc/self/cgroup").unwrap();
        let own = own.lines().find_map(|line| line.strip_prefix("0::/")).unwrap();
        let path = PathBuf::from(mount.unwrap()).join(own).join(format!("xtask-test-{}", std::process::id()));
        fs::create_dir(&path).expect("a writable cgroup is needed: run the tests by `cargo xtask test`");
        let labelled = Self(path);
        for name in [ENGINE, APP_ID] {
            rustix::fs::setxattr(&labelled.0, name, b"org.example.E", rustix::fs::XattrFlags::empty()).unwrap();
        }
        labelled
    }

    fn xattr(&self, name: &str) -> Option<Vec<u8>> {
        let mut value = [0; 256];
        let length = rustix::fs::getxattr(&self.0, name, &mut value[..]).ok()?;
        Some(value[..length].to_vec())
    }
}

impl Drop for Labelled {
    fn drop(&mut self) {
        let _ = fs::remove_dir(&self.0);
    }
}

#[test]
fn t11_an_unconfined_program_can_shed_its_label() {
    let labelled = Labelled::new();
    let xtask = env!("CARGO_BIN_EXE_xtask");
    let mut command = Command::new(xtask);
    command.arg("__enter").arg(&labelled.0).args(["--", xtask, "__strip-attempts"]).env_remove("WAYLAND_DISPLAY");
    let output = command.output().unwrap();
    assert!(output.status.success(), "{output:?}");

    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let attempts = report["attempts"].as_array().unwrap();
    for what in
        ["remove the label", "write another app's label", "move into a new cgroup", "move out of the labelled cgroup"]
    {
        let attempt =
            attempts.iter().find(|attempt| attempt["what"].as_str().is_some_and(|text| text.starts_with(what)));
        assert_eq!(attempt.map(|attempt| &attempt["refused"]), Some(&Value::Null), "{what}: {report:#}");
    }
    assert_eq!(labelled.xattr(ENGINE), None);
    assert_eq!(labelled.xattr(APP_ID).as_deref(), Some(b"org.example.Recorder".as_slice()));
}
