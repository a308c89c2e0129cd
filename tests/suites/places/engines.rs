//! Programs of engines that need a named user, or root: firejail, systemd-nspawn.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use serde_json::{Value, json};
use wayland_auth_tests::harness::program;
use wayland_auth_tests::kinds::{POLICY, Setup, wrapped};
use wayland_auth_tests::{Context, Outcome, TestCgroup, World, ensure_eq};

use super::HOST;
use super::outcomes::expect_one;
use super::place::{Place, Start};

const FIREJAIL: &str = "io.github.netblue30.firejail";

/// A rule for whatever firejail runs.
const RULE: &str = r#"
[[rule]]
match = { engine = "io.github.netblue30.firejail" }
allow = ["screen-capture", "output-info"]
"#;

/// firejail wants its user to have a name; the one that the tests run as may have none. Then `daemon` runs both sides.
fn named_user(world: &World) -> Result<Vec<String>, String> {
    let users = fs::read_to_string("/etc/passwd").context("/etc/passwd")?;
    let uids: Vec<u32> = users.lines().filter_map(|line| line.split(':').nth(2)?.parse().ok()).collect();
    if uids.contains(&world.uid()) {
        return Ok(Vec::new());
    }
    let other = users.lines().find_map(|line| line.strip_prefix("daemon:")?.split(':').nth(1)?.parse::<u32>().ok());
    let uid = other.context("no user `daemon`")?;
    let words = ["setpriv", &format!("--reuid={uid}"), &format!("--regid={uid}"), "--clear-groups", "--inh-caps=-all"];
    Ok(words.map(str::to_owned).to_vec())
}

pub(crate) fn firejail(world: &World) -> Outcome {
    program("firejail")?;
    let user = named_user(world)?;
    let wrapper: Vec<&str> = user.iter().map(String::as_str).collect();
    let policy = format!("{POLICY}{RULE}");
    for options in [&[][..], &["lower"]] {
        let by_root = !wrapper.is_empty();
        let start =
            Start { wrapper: &wrapper, policy: &policy, options, by_root, open_to_all: true, ..Start::default() };
        let mut place = Place::start(world, &start)?;
        expect_one(&place.inside(&HOST)?, "host", &["*"])?;
        let name = format!("--name=wayland-auth-{}", std::process::id());
        let jailed = place.inside(&wrapped(&["firejail", "--quiet", "--noprofile", &name]))?;
        expect_one(&jailed, &format!("app without an ID of {FIREJAIL}"), &["screen-capture", "output-info"])?;
        ensure_eq!(jailed.identity["app-id"], Value::Null);
        // Without a name and a profile it leaves no file: then its namespaces alone tell.
        let bare = place.inside(&wrapped(&["firejail", "--quiet", "--noprofile"]))?;
        expect_one(&bare, "app in a sandbox of an unknown engine", &["output-info"])?;
    }
    Ok(())
}

/// A container of systemd's, with the whole system in it but its own namespaces; its root is root.
pub(crate) fn nspawn(world: &World) -> Outcome {
    program("systemd-nspawn")?;
    let start = Start { policy: POLICY, by_root: true, open_to_all: true, ..Start::default() };
    let mut place = Place::start(world, &start)?;
    expect_one(&place.of_root(&HOST)?, "host", &["*"])?;
    let dir = place.dir().display().to_string();
    // Each has a tree of its own: the one before may be busy for a moment longer.
    let container = |cgroup: &TestCgroup| -> Result<Setup, String> {
        let root = world.new_dir()?;
        make_root(&root)?;
        let root = root.display().to_string();
        let enter = ["sh", "-c", "echo 0 >\"$0/cgroup.procs\" && exec \"$@\"", &cgroup.path().display().to_string()]
            .map(str::to_owned);
        let nspawn = ["systemd-nspawn", "--quiet", "--register=no", "--keep-unit", "--as-pid2", "--console=pipe"];
        let binds = ["/usr", "/bin", "/lib", "/lib64"].iter().filter(|path| Path::new(path).exists());
        let peer = world.peer().parent().map(|dir| dir.display().to_string()).unwrap_or_default();
        let binds = binds.map(|path| format!("--bind-ro={path}")).chain([format!("--bind-ro={peer}")]);
        let socket = format!("--bind={dir}");
        let line = enter.into_iter().chain(nspawn.map(str::to_owned)).chain(["-D".to_owned(), root, socket]);
        Ok(Setup { wrapper: line.chain(binds).collect(), ..Setup::default() })
    };
    let plain = world.new_cgroup()?;
    let taken = place.of_root(&container(&plain)?)?;
    expect_one(&taken, "app in a sandbox of an unknown engine", &["output-info"])?;
    // As machined places it.
    let machine = world.new_cgroup()?;
    let scope = machine.child("machine-org.example.Tree.scope")?;
    world.admin()?.own(scope.path(), 0, 0, 0o755)?;
    let taken = place.of_root(&container(&scope)?)?;
    expect_one(&taken, "app without an ID of io.systemd.machine", &["output-info"])?;
    ensure_eq!(taken.identity["instance-id"], json!("org.example.Tree"));
    Ok(())
}

/// The tree that the container starts from: mount points, and nothing in them.
fn make_root(root: &Path) -> Outcome {
    fs::set_permissions(root, PermissionsExt::from_mode(0o755)).context(root.display())?;
    for dir in ["usr", "etc", "proc", "sys", "dev", "tmp", "run", "var", "root"] {
        fs::create_dir(root.join(dir)).context(dir)?;
    }
    for name in ["bin", "lib", "lib64"] {
        let host = Path::new("/").join(name);
        match fs::read_link(&host) {
            Ok(target) => std::os::unix::fs::symlink(target, root.join(name)).context(name)?,
            Err(_) if host.exists() => fs::create_dir(root.join(name)).context(name)?,
            Err(_) => {}
        }
    }
    fs::write(root.join("etc/os-release"), "ID=wayland-auth-tests\n").context("os-release")
}
