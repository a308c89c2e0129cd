//! `wayland-auth delegate`, as root calls it, and what the user can do then.
//!
//! The user is `nobody`, since the tests' own user is in no database.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::sync::atomic::{AtomicU32, Ordering};

use wayland_auth_tests::{Context, Needs, Outcome, Test, World, cgroups, ensure, ensure_eq};

const TESTS: &[Test] = &[
    ("delegated_session_can_run_labelled_programs", Needs::Root, session_can_run),
    ("it_is_made_at_the_root_of_the_hierarchy_unless_told", Needs::Root, default_place),
    ("doing_it_again_changes_nothing", Needs::Root, again),
    ("removing_it_leaves_nothing_and_spares_what_runs", Needs::Root, remove),
    ("dry_run_only_says_what_would_be_done", Needs::Root, dry_run),
    ("only_users_in_the_database_are_given_anything", Needs::Root, users),
    ("only_the_users_and_roots_processes_are_moved", Needs::Root, processes),
    ("what_others_than_root_can_write_is_no_place", Needs::Root, places),
    ("directories_of_others_are_not_taken_over", Needs::Root, weird),
    ("where_systemd_manages_the_cgroups_it_refuses", Needs::Root, systemd),
    ("only_root_can_delegate", Needs::Nothing, not_root),
];

fn main() -> ExitCode {
    wayland_auth_tests::main(env!("CARGO_BIN_EXE_peer"), TESTS)
}

fn tool() -> Result<PathBuf, String> {
    std::env::var_os("WAYLAND_AUTH_TOOL").map(PathBuf::from).context("WAYLAND_AUTH_TOOL does not name the tool")
}

/// Functions for the scripts below; `$T` is the tool, `$B` a cgroup of root's, in `$B/start` of which the script runs.
const FUNCTIONS: &str = r#"
as_user() { setpriv --reuid nobody --regid nogroup --clear-groups -- "$@"; }
run() { as_user "$T" run --engine org.example.E --app-id org.example.A -- "$@"; }
where() { grep ^0:: /proc/self/cgroup; }
owners() { stat -c '%U %n' "$1" "$1/cgroup.procs" "$1/cgroup.subtree_control" "$1/cgroup.threads" "$1/cgroup.freeze"; }
"#;

/// What a script left.
#[derive(Debug)]
struct Done {
    out: String,
    err: String,
}

impl Done {
    /// Fails unless the script printed exactly these lines.
    fn expect(&self, lines: &[&str]) -> Outcome {
        ensure_eq!(self.out.lines().collect::<Vec<_>>(), lines, "{}", self.err);
        Ok(())
    }

    /// Fails unless it complained like this.
    fn complained(&self, of: &str) -> Outcome {
        ensure!(self.err.contains(of) && self.err.contains("to do: "), "no `{of}` in {self:?}");
        Ok(())
    }
}

/// Runs a script as root in a new cgroup of root's, whose ancestors are root's as well. In the end everything is removed.
fn as_root(world: &World, script: &str) -> Result<Done, String> {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let base = world.cgroup().with_extension(format!("delegate-{}", NEXT.fetch_add(1, Ordering::Relaxed)));
    let dir = world.new_dir()?;
    // Whatever happens: what is left in the cgroup is ended, by number, and its directories are removed.
    let all = format!(
        "B={base}; T={tool}; {FUNCTIONS}
        mkdir $B $B/start && echo 0 >$B/start/cgroup.procs && ( {script} ) >{dir}/out 2>{dir}/err </dev/null
        echo 0 >$B/../cgroup.procs
        for try in 1 2 3 4 5 6 7 8 9 10; do
            for pid in $(find $B -name cgroup.procs -exec cat {{}} +); do kill -KILL $pid; done
            find $B -depth -type d -exec rmdir {{}} + 2>/dev/null && break
            sleep 0.1
        done
        test -e $B; echo $? >{dir}/status.new; mv {dir}/status.new {dir}/status",
        base = base.display(),
        tool = tool()?.display(),
        dir = dir.display(),
    );
    world.admin()?.spawn(&["sh".into(), "-c".into(), all])?;
    let status = wait_for(&dir.join("status"))?;
    let read = |name: &str| fs::read_to_string(dir.join(name)).context(name.to_owned());
    let done = Done { out: read("out")?, err: read("err")? };
    ensure_eq!(status.trim(), "1", "{} is still there: {done:?}", base.display());
    // The directory differs from run to run.
    let base = base.to_str().context("not UTF-8")?;
    let shown = Path::new(base).strip_prefix(cgroups::mount_point()?).context("no cgroup")?;
    let replace = |text: String| text.replace(base, "$B").replace(&format!("/{}", shown.display()), "$b");
    Ok(Done { out: replace(done.out), err: replace(done.err) })
}

fn wait_for(path: &Path) -> Result<String, String> {
    for _ in 0..3000 {
        if let Ok(text) = fs::read_to_string(path) {
            return Ok(text);
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    Err(format!("{} does not appear", path.display()))
}

fn session_can_run(world: &World) -> Outcome {
    let script = r#"
        run true; echo before $?
        "$T" delegate --at $B nobody >&2; echo delegate $?
        where | sed 's,.*/\([^/]*/[^/]*/[^/]*\),\1,'
        run sh -c 'exit 7'; echo run $?
        run sleep 1000 & until pid=$(cat $B/wayland-auth/65534/session/*/payload/cgroup.procs 2>/dev/null) && test "$pid"; do :; done
        as_user "$T" show $pid | head -n 1; kill $pid; wait
        owners $B/wayland-auth/65534/session
        ls $B/wayland-auth/65534/session | grep -c wayland-auth-
    "#;
    as_root(world, script)?.expect(&[
        "before 125",
        "delegate 0",
        "wayland-auth/65534/session",
        "run 7",
        "app org.example.A of org.example.E",
        "nobody $B/wayland-auth/65534/session",
        "nobody $B/wayland-auth/65534/session/cgroup.procs",
        "nobody $B/wayland-auth/65534/session/cgroup.subtree_control",
        "nobody $B/wayland-auth/65534/session/cgroup.threads",
        "root $B/wayland-auth/65534/session/cgroup.freeze",
        "0",
    ])
}

/// A cgroup namespace, in which `$B/start` is the root of the hierarchy; with a `/run` that holds nothing.
fn at_root(before: &str, then: &str) -> String {
    format!(
        "unshare --cgroup --mount sh -c 'mount -t tmpfs none /run && {before} && mount -t tmpfs none \"$1\" && mount -t cgroup2 none \"$1\" && {then}' \
         \"$T\" \"$(dirname \"$(dirname $B)\")\" 2>&1"
    )
}

fn default_place(world: &World) -> Outcome {
    let mount_point = wayland_auth_tests::cgroups::mount_point()?;
    let script = at_root("true", "\"$0\" delegate nobody >/dev/null; echo $?; grep ^0:: /proc/self/cgroup");
    let script = script.replace("\"$(dirname \"$(dirname $B)\")\"", mount_point.to_str().context("not UTF-8")?);
    as_root(world, &script)?.expect(&["0", "0::/wayland-auth/65534/session"])
}

fn again(world: &World) -> Outcome {
    let script = r#"
        "$T" delegate --at $B 65534 >&2; echo $?
        "$T" delegate --at $B 65534; echo $?
        mkdir $B/wayland-auth/65534/own; chown nobody $B/wayland-auth/65534/own
        echo 0 >$B/wayland-auth/65534/own/cgroup.procs
        PAM_USER=nobody "$T" delegate --at $B; echo $?
        where | sed 's,.*/,,'
        echo 0 >$B/start/cgroup.procs
        chown root $B/wayland-auth/65534/session/cgroup.threads
        "$T" delegate --no-move --at $B nobody; echo $?
        where | sed 's,.*/,,'
    "#;
    let done = as_root(world, script)?;
    done.expect(&["0", "0", "0", "own", "give $B/wayland-auth/65534/session to nobody (uid 65534)", "0", "start"])?;
    ensure!(done.err.lines().count() == 6, "{done:?}");
    Ok(())
}

fn remove(world: &World) -> Outcome {
    let script = r#"
        "$T" delegate --at $B nobody >&2
        setpriv --reuid nobody sleep 1000 & slept=$!
        "$T" delegate --at $B --remove nobody; echo busy $?
        where | sed 's,.*/,,'
        kill $slept; wait $slept 2>/dev/null
        mkdir -p $B/wayland-auth/65534/session/a/b $B/wayland-auth/1
        "$T" delegate --at $B --remove nobody; echo $?
        ls -d $B/wayland-auth/*/; rmdir $B/wayland-auth/1
        "$T" delegate --at $B --remove nobody; echo $?
        "$T" delegate --at $B nobody >&2; "$T" delegate --at $B --remove nobody; echo $?
        test -e $B/wayland-auth; echo left $?
    "#;
    let done = as_root(world, script)?;
    let lines: Vec<_> = done.out.lines().filter(|line| !line.starts_with("move process ")).collect();
    let remove = "remove $B/wayland-auth/65534";
    // It was moved out by the first attempt.
    let at = lines.get(2).copied().unwrap_or_default().to_owned();
    ensure!(at.ends_with("$b") || at.contains("delegate-"), "{done:?}");
    let rest: Vec<_> = lines.iter().enumerate().filter(|(index, _)| *index != 2).map(|(_, line)| *line).collect();
    let expected = [remove, "busy 1", remove, "0", "$B/wayland-auth/1/", "0", remove, "0", "left 1"];
    ensure_eq!(rest, expected, "{done:?}");
    done.complained("end what still runs in it")
}

fn dry_run(world: &World) -> Outcome {
    let script = r#"
        "$T" delegate --dry-run --no-move --at $B nobody; echo $?
        "$T" delegate --dry-run --at $B nobody | sed -n '$s/[0-9][0-9]* from .* to/N to/p'
        ls -d $B/*/; where | sed 's,.*/,,'
    "#;
    as_root(world, script)?.expect(&[
        "would make $B/wayland-auth",
        "would make $B/wayland-auth/65534",
        "would give $B/wayland-auth/65534 to nobody (uid 65534)",
        "would make $B/wayland-auth/65534/session",
        "would give $B/wayland-auth/65534/session to nobody (uid 65534)",
        "0",
        "would move process N to $b/wayland-auth/65534/session",
        "$B/start/",
        "start",
    ])
}

fn users(world: &World) -> Outcome {
    for (user, why) in [
        ("no-such-user", "no user `no-such-user`"),
        ("4294967294", "no user"),
        ("root", "root may use every cgroup already"),
        ("0", "root may use every cgroup already"),
        ("../nobody", "no user"),
        ("\"\"", "no user"),
    ] {
        let done = as_root(world, &format!("\"$T\" delegate --at $B {user}; echo $?; ls -d $B/*/"))?;
        done.expect(&["1", "$B/start/"])?;
        done.complained(why)?;
    }
    let done = as_root(world, "unset PAM_USER; \"$T\" delegate --at $B; echo $?")?;
    done.expect(&["1"])?;
    done.complained("no user is named")
}

fn processes(world: &World) -> Outcome {
    let mut other = Command::new("sleep").arg("1000").spawn().context("sleep")?;
    let done = as_root(world, &format!("\"$T\" delegate --at $B --pid {} nobody; echo $?; ls -d $B/*/", other.id()));
    other.kill().context("kill")?;
    other.wait().context("wait")?;
    let done = done?;
    done.expect(&["1", "$B/start/"])?;
    done.complained("belongs to neither root nor nobody")?;
    // 2 is the kernel's first thread, unless this is a container.
    if fs::read(format!("/proc/{}/status", 2)).is_ok_and(|text| text.starts_with(b"Name:\tkthreadd\n")) {
        let done = as_root(world, "\"$T\" delegate --at $B --pid 2 nobody; echo $?; ls -d $B/*/")?;
        done.expect(&["1", "$B/start/"])?;
        ensure!(done.err.contains("thread of the kernel"), "{done:?}");
    }
    for bad in ["0", "1", "-1", "x", "99999999999"] {
        as_root(world, &format!("\"$T\" delegate --at $B --pid={bad} nobody; echo $?"))?.expect(&["2"])?;
    }
    let script = r#"
        as_user sleep 1000 & "$T" delegate --at $B --pid $! nobody >&2; echo $?
        sed -n 's,^0::.*/,,p' /proc/$!/cgroup; where | sed 's,.*/,,'
    "#;
    as_root(world, script)?.expect(&["0", "session", "start"])
}

fn places(world: &World) -> Outcome {
    // The tests' own cgroup is their user's; below it everything could be moved about by him.
    let ours = world.cgroup().display();
    let done = as_root(world, &format!("\"$T\" delegate --no-move --at {ours}/server nobody; echo $?"))?;
    done.expect(&["1"])?;
    done.complained("can be written to by others than root")?;
    for (at, why) in [("/tmp", "is not below"), ("relative", "is not below"), ("$B/../none", ""), ("$B/none", "")] {
        let done = as_root(world, &format!("\"$T\" delegate --no-move --at {at} nobody; echo $?"))?;
        done.expect(&["1"])?;
        ensure!(done.err.contains(why), "{at}: {done:?}");
    }
    let done = as_root(world, "chmod o+w $B; \"$T\" delegate --no-move --at $B nobody; echo $?; ls -d $B/*/")?;
    done.expect(&["1", "$B/start/"])?;
    done.complained("can be written to by others than root")
}

fn weird(world: &World) -> Outcome {
    for (made, whose) in [
        ("mkdir $B/wayland-auth; chown nobody $B/wayland-auth", "belongs to uid 65534"),
        ("mkdir $B/wayland-auth; chmod g+w $B/wayland-auth", "(mode 0775)"),
        ("mkdir -p $B/wayland-auth/65534; chown 12 $B/wayland-auth/65534", "belongs to uid 12"),
        ("mkdir -p $B/wayland-auth/65534/session; chown 12 $B/wayland-auth/65534/session", "belongs to uid 12"),
    ] {
        let script = format!("{made}; \"$T\" delegate --at $B nobody >/dev/null; echo $?; where | sed 's,.*/,,'");
        let done = as_root(world, &script)?;
        done.expect(&["1", "start"])?;
        done.complained(whose)?;
    }
    Ok(())
}

fn systemd(world: &World) -> Outcome {
    let mount_point = wayland_auth_tests::cgroups::mount_point()?;
    let script = at_root("mkdir -p /run/systemd/system", "\"$0\" delegate nobody; echo $?; ls -d \"$1\"/*/");
    let script = script.replace("\"$(dirname \"$(dirname $B)\")\"", mount_point.to_str().context("not UTF-8")?);
    let done = as_root(world, &script)?;
    ensure!(
        done.out.contains("systemd manages the cgroups here") && done.out.contains("or: name a cgroup"),
        "{done:?}"
    );
    ensure!(!done.out.contains("wayland-auth/\n"), "{done:?}");
    // In a place asked for it does as it is told.
    let script = script.replace("delegate nobody", "delegate --no-move --at \"$1\" nobody");
    let done = as_root(world, &script)?;
    ensure!(done.out.contains("\n0\n") && done.out.contains("wayland-auth/\n"), "{done:?}");
    Ok(())
}

fn not_root(_: &World) -> Outcome {
    if rustix::process::geteuid().is_root() {
        return Err("the tests run as an ordinary user".into());
    }
    let output = Command::new(tool()?).args(["delegate", "nobody"]).output().context("delegate")?;
    ensure_eq!(output.status.code(), Some(1), "{output:?}");
    ensure!(String::from_utf8_lossy(&output.stderr).contains("only root can give cgroups away"), "{output:?}");
    Ok(())
}
