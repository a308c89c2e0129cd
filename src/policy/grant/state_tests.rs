use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::*;
use crate::policy::PolicyError;

const NOW: SystemTime = SystemTime::UNIX_EPOCH;

/// A directory of our own, removed at the end.
struct Dir(PathBuf);

impl Dir {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("wayland-auth-grants-{}-{name}", std::process::id()));
        fs::create_dir(&path).unwrap();
        Self(path)
    }

    fn file(&self) -> PathBuf {
        self.0.join("state/grants.toml")
    }

    fn write(&self, text: &str) -> PathBuf {
        let path = self.file();
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
        path
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn new(app_id: &str, answer: Answer, lifetime: Lifetime) -> NewGrant {
    NewGrant {
        grantee: Grantee {
            engine: SandboxEngine::new("org.flatpak").unwrap(),
            app_id: AppId::new(app_id).unwrap(),
            instance_id: None,
        },
        capability: "screen-capture".into(),
        answer,
        lifetime,
        expires: None,
    }
}

fn open(path: &Path) -> Result<(StateFile, Grants), StateError> {
    let mut grants = Grants::default();
    StateFile::open(path, &mut grants, NOW).map(|file| (file, grants))
}

fn told(grants: &Grants) -> Vec<String> {
    grants.list().map(|grant| format!("{} {} {:?}", grant.grantee, grant.answer, grant.expires)).collect()
}

#[test]
fn what_holds_for_good_is_there_again_and_nothing_else_is() {
    let dir = Dir::new("again");
    let (mut file, mut grants) = open(&dir.file()).unwrap();
    assert!(grants.is_empty());
    grants.insert(new("a.b", Answer::Allow, Lifetime::Always)).unwrap();
    grants.insert(new("a.c", Answer::Allow, Lifetime::Session)).unwrap();
    grants.insert(new("a.d", Answer::Allow, Lifetime::Connection(ClientSerial::new(1)))).unwrap();
    let mut last = new("a.e", Answer::Deny, Lifetime::Always);
    last.grantee.instance_id = Some(InstanceId::new("17").unwrap());
    last.expires = Some(NOW + Duration::from_millis(5_999));
    grants.insert(last).unwrap();
    file.save(&grants).unwrap();
    file.save(&grants).unwrap();

    let (_, again) = open(&dir.file()).unwrap();
    let expected = format!("a.e of org.flatpak, instance 17 deny {:?}", Some(NOW + Duration::from_secs(5)));
    assert_eq!(told(&again), ["a.b of org.flatpak allow None".to_owned(), expected]);
    assert_eq!(fs::metadata(dir.file()).unwrap().permissions().mode() & 0o7777, 0o600);
    let left: Vec<_> = fs::read_dir(dir.file().parent().unwrap()).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(left, ["grants.toml"]);
    // What has ended meanwhile is not there again.
    let mut later = Grants::default();
    StateFile::open(dir.file(), &mut later, NOW + Duration::from_secs(6)).unwrap();
    assert_eq!(told(&later).len(), 1);
}

#[test]
fn t32_a_file_that_says_anything_else_grants_nothing_and_stays_what_it_is() {
    let dir = Dir::new("broken");
    let whole = "[[grant]]\nengine = 'e'\napp-id = 'a'\ncapability = 'screen-capture'\nanswer = 'allow'\n";
    assert_eq!(open(&dir.write(whole)).unwrap().1.list().count(), 1);
    let broken = [
        "[[grant]",
        "x = 1",
        "grant = 1",
        "grant = [1]",
        &whole.replace("answer = 'allow'\n", ""),
        &whole.replace("engine = 'e'\n", ""),
        &whole.replace("'allow'", "'Allow'"),
        &whole.replace("'a'", "'a b'"),
        &whole.replace("'a'", "''"),
        &whole.replace("'a'", "7"),
        &whole.replace("'screen-capture'", "'*'"),
        &whole.replace("'screen-capture'", "'identity-admin'"),
        &whole.replace("answer", "pid = 7\nanswer"),
        &whole.replace("answer", "expires = -1\nanswer"),
        &whole.replace("answer", "expires = '2030-01-01'\nanswer"),
        &format!("{whole}{}", whole.replace("allow", "deny")),
    ];
    for text in broken {
        let text = format!("{whole}{}", text.replace("'e'", "'f'"));
        let error = open(&dir.write(&text)).unwrap_err().to_string();
        assert!(error.contains("grants.toml:"), "{text}\n{error}");
        assert_eq!(fs::read_to_string(dir.file()).unwrap(), text);
    }
}

#[test]
fn t32_a_file_that_others_can_write_grants_nothing() {
    let dir = Dir::new("writable");
    let path = dir.write("");
    fs::set_permissions(&path, Permissions::from_mode(0o620)).unwrap();
    assert!(matches!(open(&path), Err(StateError::Refused(PolicyError::Writable { .. }))));
    fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
    let (mut file, grants) = open(&path).unwrap();
    fs::set_permissions(&path, Permissions::from_mode(0o602)).unwrap();
    assert!(matches!(file.save(&grants), Err(StateError::Refused(PolicyError::Writable { .. }))));
}

#[test]
fn t32_what_somebody_else_wrote_meanwhile_is_not_written_over() {
    let dir = Dir::new("changed");
    let (mut file, mut grants) = open(&dir.write("")).unwrap();
    dir.write("# mine\n");
    grants.insert(new("a.b", Answer::Allow, Lifetime::Always)).unwrap();
    assert!(matches!(file.save(&grants), Err(StateError::Changed { .. })));
    assert_eq!(fs::read_to_string(dir.file()).unwrap(), "# mine\n");
    fs::remove_file(dir.file()).unwrap();
    file.save(&grants).unwrap();
    assert_eq!(told(&open(&dir.file()).unwrap().1).len(), 1);
}

#[test]
fn t32_a_link_in_the_place_of_the_new_file_is_not_followed() {
    let dir = Dir::new("link");
    let (mut file, mut grants) = open(&dir.write("")).unwrap();
    let (victim, temporary) = (dir.0.join("victim"), dir.file().with_file_name(".grants.toml.new"));
    fs::write(&victim, "precious").unwrap();
    symlink(&victim, &temporary).unwrap();
    grants.insert(new("a.b", Answer::Allow, Lifetime::Always)).unwrap();
    file.save(&grants).unwrap();
    assert_eq!(fs::read_to_string(victim).unwrap(), "precious");
    assert!(fs::symlink_metadata(dir.file()).unwrap().is_file());
}

#[test]
fn what_cannot_be_written_leaves_the_old_file_and_no_other() {
    let dir = Dir::new("unwritable");
    let (mut file, mut grants) = open(&dir.write("")).unwrap();
    // A directory stands where the new file would be written: this fails for root too.
    let temporary = dir.file().with_file_name(".grants.toml.new");
    fs::create_dir(&temporary).unwrap();
    grants.insert(new("a.b", Answer::Allow, Lifetime::Always)).unwrap();
    assert!(matches!(file.save(&grants), Err(StateError::Write { .. })));
    assert_eq!(fs::read_to_string(dir.file()).unwrap(), "");
}

#[test]
fn errors_are_told_all_at_once_with_their_lines() {
    let dir = Dir::new("errors");
    let path = dir.write("[[grant]]\nengine = 'e'\napp-id = 'a b'\ncapability = 'screen-capture'\nanser = 'allow'\n");
    let error = open(&path).unwrap_err().to_string();
    assert!(error.contains(":3:") && error.contains("did you mean `answer`?") && error.contains("missing"), "{error}");
}
