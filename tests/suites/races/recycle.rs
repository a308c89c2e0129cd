//! A pid that is used again: by the application that the attacker wants to be taken for.
//!
//! In a pid namespace of its own, so that pids can be chosen. A process of the cgroup `evil` connects, leaves the
//! socket to a child, exits and is reaped; its pid is given to a process of the cgroup `good`. Who believes the pid that
//! the socket still tells takes the connection for good's.

use std::fs::File;
use std::io::Write;
use std::os::fd::AsFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::sync::atomic::{AtomicBool, Ordering};

use wayland_auth::identity::{Resolver, Tier, Trust};
use wayland_auth::peer::Credentials;
use wayland_auth_tests::cgroups::mount_point;
use wayland_auth_tests::expect::{APP_ID, ENGINE, resolvers};
use wayland_auth_tests::offspring::{Address, Life, Offspring};
use wayland_auth_tests::release::rounds;
use wayland_auth_tests::{Context, Outcome, World, ensure, ensure_eq};

use crate::hop::{A, B, labelled, tier_name};
use crate::tally::{GONE, Race, Tally, word};

/// Tells this program that it is the one inside the pid namespace.
pub(crate) const INSIDE: &str = "--inside-pid-namespace";

/// How often a pid is used again before the look-up.
const ROUNDS: u64 = 4_000;
/// How often during it, on each of two tiers: ten thousand in all.
const RACES: u64 = 3_000;

const EVIL: &str = A;
const GOOD: &str = B;

pub(crate) fn pid_used_again_is_not_taken_for_its_new_process(world: &World) -> Outcome {
    let (evil, good) = (labelled(world, "A")?, labelled(world, "B")?);
    let dir = world.new_dir()?;
    let output = Command::new("unshare")
        .args(["-Urpf", "--mount-proc"])
        .arg(std::env::current_exe().context("this program")?)
        .arg(INSIDE)
        .args([evil.path(), good.path(), &dir])
        .output()
        .context("unshare")?;
    print!("{}", String::from_utf8_lossy(&output.stdout));
    ensure!(output.status.success(), "{}: {}", output.status, String::from_utf8_lossy(&output.stderr));
    Ok(())
}

/// What the program does inside the namespace.
pub(crate) fn inside(args: &[PathBuf]) -> ExitCode {
    let [evil, good, dir] = args else {
        eprintln!("{INSIDE} EVIL GOOD DIR");
        return ExitCode::FAILURE;
    };
    match Scene::new(evil, good, dir).and_then(|scene| scene.before().and_then(|()| scene.during())) {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("{e}");
            ExitCode::FAILURE
        }
    }
}

struct Scene {
    listener: UnixListener,
    address: Address,
    evil: File,
    good: File,
    cgroup2: PathBuf,
    resolvers: Vec<(Tier, Resolver)>,
}

/// A connected process of `evil` that exits when it is told to.
struct Evil {
    process: Offspring,
    stream: UnixStream,
    go: std::io::PipeWriter,
}

impl Scene {
    fn new(evil: &Path, good: &Path, dir: &Path) -> Result<Self, String> {
        ensure_eq!(std::process::id(), 1, "not alone in a pid namespace");
        let socket = dir.join("socket");
        Ok(Self {
            listener: UnixListener::bind(&socket).context("bind")?,
            address: Address::new(&socket).context("address")?,
            evil: File::open(evil).context("evil")?,
            good: File::open(good).context("good")?,
            cgroup2: mount_point()?,
            resolvers: resolvers()?,
        })
    }

    fn connect(&self) -> Result<Evil, String> {
        let (wait, go) = std::io::pipe().context("pipe")?;
        let life = Life::ConnectAndLeave(&self.address, Some(wait.as_fd()));
        let process = Offspring::new(life, Some(self.evil.as_fd()), None).context("clone3 into evil")?;
        let (stream, _) = self.listener.accept().context("accept")?;
        Ok(Evil { process, stream, go })
    }

    /// Lets the process of `evil` die, and one of `good` have its pid.
    fn recycle(&self, process: Offspring, mut go: std::io::PipeWriter) -> Result<Offspring, String> {
        let pid = process.pid();
        go.write_all(b"g").context("go")?;
        ensure!(process.wait().context("wait")?, "the process of evil failed");
        let good = Offspring::new(Life::Wait, Some(self.good.as_fd()), Some(pid)).context("clone3 with set_tid")?;
        ensure_eq!(good.pid(), pid);
        Ok(good)
    }

    /// Who believes the pid.
    fn naive(&self, stream: &UnixStream) -> Result<String, String> {
        let pid = Credentials::of(stream).pid.context("no pid")?;
        let cgroup = std::fs::read_to_string(format!("/proc/{pid}/cgroup")).context("cgroup")?;
        let path = cgroup.lines().find_map(|line| line.strip_prefix("0::/")).context("no path")?;
        let dir = self.cgroup2.join(path);
        let read = |name: &str| {
            let mut value = vec![0; 256];
            let len = rustix::fs::getxattr(&dir, name, &mut value).context(name)?;
            value.truncate(len);
            String::from_utf8(value).context(name)
        };
        Ok(format!("{}/{}/-", read(ENGINE)?, read(APP_ID)?))
    }

    /// The pid is used again between the connection and the look-up.
    fn before(&self) -> Outcome {
        let mut tallies: Vec<Tally> = self.resolvers.iter().map(|_| Tally::default()).collect();
        let rounds = rounds(ROUNDS);
        for _ in 0..rounds {
            let Evil { process, stream, go } = self.connect()?;
            for (_, resolver) in &self.resolvers {
                // The control: alive, it is who it is.
                ensure_eq!(word(&resolver.identify(&stream, &Trust::default()).identity), EVIL);
            }
            let good = self.recycle(process, go)?;
            ensure_eq!(self.naive(&stream)?, GOOD, "the pid does not fool anybody, so nothing is shown");
            for ((_, resolver), tally) in self.resolvers.iter().zip(&mut tallies) {
                tally.add(&resolver.identify(&stream, &Trust::default()));
            }
            finish(&stream, good)?;
        }
        println!("pid used again before the look-up: a reader of the pid fooled {rounds} of {rounds} times");
        for ((tier, _), tally) in self.resolvers.iter().zip(&tallies) {
            println!("pid used again before the look-up, {}: {tally}", tier_name(*tier));
            ensure_eq!(tally.of(GONE), rounds, "{tally}");
        }
        Ok(())
    }

    /// The pid is used again while somebody looks and looks.
    fn during(&self) -> Outcome {
        for (tier, resolver) in &self.resolvers {
            let mut tally = Tally::default();
            let (mut fooled, mut races) = (0, 0);
            let race = Race::new(RACES);
            while race.goes_on(races, || tally.has_all(&[EVIL, GONE])) {
                races += 1;
                let Evil { process, stream, go } = self.connect()?;
                let done = AtomicBool::new(false);
                let good = std::thread::scope(|scope| {
                    let (stream, tally, done) = (&stream, &mut tally, &done);
                    scope.spawn(move || {
                        while !done.load(Ordering::SeqCst) {
                            tally.add(&resolver.identify(stream, &Trust::default()));
                        }
                    });
                    let good = self.recycle(process, go);
                    done.store(true, Ordering::SeqCst);
                    good
                })?;
                fooled += u64::from(self.naive(&stream)? == GOOD);
                finish(&stream, good)?;
            }
            println!("pid used again during the look-up, {}: {tally}; by pid {fooled} of {races}", tier_name(*tier));
            tally.expect_only(&[EVIL])?;
            ensure!(tally.of(GONE) > 0, "nobody looked while it died, so nothing is shown");
            ensure_eq!(fooled, races);
        }
        Ok(())
    }
}

/// Ends the process of `good` and the child of `evil`'s that holds the socket, and reaps both: we are everybody's parent.
fn finish(stream: &UnixStream, good: Offspring) -> Outcome {
    good.kill().context("kill")?;
    stream.shutdown(std::net::Shutdown::Both).context("shutdown")?;
    rustix::process::wait(rustix::process::WaitOptions::empty()).context("the holder").map(drop)
}
