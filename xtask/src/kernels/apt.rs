//! Debian's kernels, by apt, beside the machine's own apt.
//!
//! apt works on directories of our own: lists, cache and sources. The sources are the machine's own mirrors with further
//! suites, so that nothing is asked of anybody whom the machine does not ask anyway. Nothing is installed; the image is
//! taken out of its package.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, SystemTime},
};

use crate::{
    cli,
    error::{Context, Error},
    kernels::rungs::Rung,
    packages,
    process::{Said, capture},
    signals::Signals,
};

/// The suites that have the kernels: on the mirror of the distribution, and on that of its security updates.
const SUITES: &str = "trixie trixie-backports bookworm-backports";
const SECURITY_SUITES: &str = "bookworm-security trixie-security";

/// The machine's own keys; those of a later release are not on every machine.
const KEYRINGS: &[&str] =
    &["/usr/share/keyrings/debian-archive-keyring.gpg", "/usr/share/keyrings/debian-archive-keyring.pgp"];

/// From this age on the lists are fetched again.
const OLD: Duration = Duration::from_secs(24 * 60 * 60);
/// The longest that apt may take.
const PATIENCE: Duration = Duration::from_secs(15 * 60);

/// A kernel and where its image is.
pub(super) type Kernel = (Rung, PathBuf);

/// The kernels' images, and what is to be said of those that there are none of.
///
/// # Errors
///
/// [`Error::Interrupted`], or if apt is not there or fails.
pub(super) fn kernels(signals: &Signals, cache: &Path, rungs: &[Rung]) -> Result<(Vec<Kernel>, Vec<String>), Error> {
    for program in ["apt-get", "apt-cache", "dpkg-deb"] {
        if !packages::in_path(program) {
            return Err(Error::failed(format!("the kernels are Debian's, and `{program}` is not here"))
                .remedy("run this on Debian, or in a container of it (no privileges are needed)"));
        }
    }
    let apt = Apt::new(signals, cache)?;
    let names = apt.names(signals)?;
    let (mut found, mut missing) = (Vec::new(), Vec::new());
    for rung in rungs {
        match newest(&names, rung) {
            Some(package) => found.push((*rung, apt.image(signals, package)?)),
            None => missing.push(format!("{}: Debian's {SUITES} {SECURITY_SUITES} have no such kernel", rung.name)),
        }
    }
    Ok((found, missing))
}

/// An apt of our own.
struct Apt {
    dir: PathBuf,
}

impl Apt {
    /// Makes its directories and fetches the lists, if they are not there or old.
    fn new(signals: &Signals, cache: &Path) -> Result<Self, Error> {
        let dir = cache.join("apt");
        for sub in ["state/lists/partial", "cache/archives/partial", "sources", "preferences", "download"] {
            fs::create_dir_all(dir.join(sub)).or_fail(|| format!("cannot make `{}/{sub}`", dir.display()))?;
        }
        let apt = Self { dir };
        let sources = sources(&machine(signals)?)?;
        let file = apt.dir.join("sources/kernels.sources");
        let fetched = apt.dir.join("fetched");
        let recent = fetched
            .metadata()
            .and_then(|file| file.modified())
            .is_ok_and(|then| SystemTime::now().duration_since(then).is_ok_and(|age| age < OLD));
        if recent && fs::read_to_string(&file).is_ok_and(|old| old == sources) {
            return Ok(apt);
        }
        fs::write(&file, sources).or_fail(|| format!("cannot write `{}`", file.display()))?;
        cli::progress(format!("apt-get update, for {SUITES} {SECURITY_SUITES}"));
        apt.run(signals, "apt-get", &["update"])?;
        fs::write(&fetched, "").or_fail(|| format!("cannot write `{}`", fetched.display()))?;
        Ok(apt)
    }

    fn run(&self, signals: &Signals, program: &str, arguments: &[&str]) -> Result<Said, Error> {
        let at = |sub: &str| self.dir.join(sub).display().to_string();
        let mut command = Command::new(program);
        for option in [
            format!("Dir::State={}", at("state")),
            "Dir::State::status=/dev/null".into(),
            format!("Dir::Cache={}", at("cache")),
            "Dir::Etc::SourceList=/dev/null".into(),
            format!("Dir::Etc::SourceParts={}", at("sources")),
            "Dir::Etc::Preferences=/dev/null".into(),
            format!("Dir::Etc::PreferencesParts={}", at("preferences")),
            "Acquire::Languages=none".into(),
            // The directories are ours, whoever we are.
            "APT::Sandbox::User=".into(),
            "APT::Update::Post-Invoke-Success=".into(),
            "APT::Update::Error-Mode=any".into(),
        ] {
            command.args(["-o", &option]);
        }
        command.args(arguments).current_dir(self.dir.join("download"));
        finished(signals, &mut command)
    }

    /// The names of all packages with kernels.
    fn names(&self, signals: &Signals) -> Result<Vec<String>, Error> {
        let said = self.run(signals, "apt-cache", &["pkgnames", "linux-"])?;
        Ok(String::from_utf8_lossy(&said.stdout).lines().map(str::to_owned).collect())
    }

    /// The image of a package, downloaded if it is not there yet.
    fn image(&self, signals: &Signals, package: &str) -> Result<PathBuf, Error> {
        let image = self.dir.with_file_name(format!("vmlinuz-{package}"));
        if image.is_file() {
            return Ok(image);
        }
        let download = self.dir.join("download");
        let fresh = || {
            let _ = fs::remove_dir_all(&download);
            fs::create_dir_all(&download).or_fail(|| format!("cannot make `{}`", download.display()))
        };
        fresh()?;
        cli::progress(format!("apt-get download {package}"));
        self.run(signals, "apt-get", &["download", package])?;
        let deb = only_file(&download, "deb")?;
        let tar = download.join("files.tar");
        let file = fs::File::create(&tar).or_fail(|| format!("cannot make `{}`", tar.display()))?;
        let mut unpack = Command::new("dpkg-deb");
        unpack.arg("--fsys-tarfile").arg(&deb).stdin(Stdio::null()).stdout(file);
        let (end, _) = crate::process::Process::spawn(&mut unpack)?.wait_for_end(signals)?;
        if !end.success() {
            return Err(Error::failed(format!("`dpkg-deb --fsys-tarfile {}` failed ({end})", deb.display())));
        }
        let mut extract = Command::new("tar");
        extract.arg("-xOf").arg(&tar).args(["--wildcards", "*/vmlinuz*"]);
        let said = finished(signals, &mut extract)?;
        if said.stdout.is_empty() {
            return Err(Error::failed(format!("no kernel in `{}`", deb.display())));
        }
        let part = image.with_extension("part");
        fs::write(&part, said.stdout)
            .and_then(|()| fs::rename(&part, &image))
            .or_fail(|| format!("cannot write `{}`", image.display()))?;
        fresh()?;
        Ok(image)
    }
}

/// Runs a command to its end, which must be a good one.
fn finished(signals: &Signals, command: &mut Command) -> Result<Said, Error> {
    let shown = command.get_program().display().to_string();
    let (end, said) = capture(signals, command.stdin(Stdio::null()).env("LC_ALL", "C"), PATIENCE, |_| false)?;
    if end.success() {
        return Ok(said);
    }
    let errors = String::from_utf8_lossy(&said.stderr);
    Err(Error::failed(format!("`{shown}` failed ({end})")).because(errors.trim()).remedy(
        "this command needs a mirror of Debian among the machine's apt sources, with the suites of several releases",
    ))
}

/// The repositories that the machine itself uses: address and suite, as apt understands its sources.
fn machine(signals: &Signals) -> Result<Vec<(String, String)>, Error> {
    let mut command = Command::new("apt-get");
    command.args(["indextargets", "--format", "$(REPO_URI) $(RELEASE)", "Created-By: Packages"]);
    let said = finished(signals, &mut command)?;
    let text = String::from_utf8_lossy(&said.stdout);
    Ok(text.lines().filter_map(|line| line.split_once(' ')).map(|(a, b)| (a.to_owned(), b.to_owned())).collect())
}

/// Sources for the kernels, from the machine's own.
///
/// The mirror of the distribution is that of a suite that also has a security suite; a third party's has none.
fn sources(machine: &[(String, String)]) -> Result<String, Error> {
    let security = machine.iter().find_map(|(uri, suite)| Some((uri, suite.strip_suffix("-security")?)));
    let main = security.and_then(|(_, name)| machine.iter().find(|(_, suite)| suite == name));
    let (Some((security, _)), Some((main, _))) = (security, main) else {
        return Err(Error::failed("the machine's apt sources name no mirror of Debian with its security updates")
            .remedy("run this on Debian, or in a container of it, with both in /etc/apt"));
    };
    let keys: Vec<&str> = KEYRINGS.iter().copied().filter(|file| Path::new(file).is_file()).collect();
    let signed = if keys.is_empty() { String::new() } else { format!("Signed-By: {}\n", keys.join(" ")) };
    let stanza =
        |uri: &str, suites: &str| format!("Types: deb\nURIs: {uri}\nSuites: {suites}\nComponents: main\n{signed}");
    Ok(format!("{}\n{}", stanza(main, SUITES), stanza(security, SECURITY_SUITES)))
}

/// The newest package with an image of this version, for virtual machines. From 6.19 on the image is in a package of its
/// own, and the one that it used to be in has none.
fn newest<'a>(names: &'a [String], rung: &Rung) -> Option<&'a str> {
    let numbers = |rest: &str| -> Vec<u64> {
        rest.split(|c: char| !c.is_ascii_digit()).filter_map(|number| number.parse().ok()).collect()
    };
    let of = |kind: &str| {
        let candidates = names.iter().filter_map(|name| {
            let rest = name.strip_prefix(kind)?.strip_suffix("-cloud-amd64")?;
            // `6.1` is not `6.12`, and a name without a third number is that of another package.
            rest.strip_prefix(rung.name)?.strip_prefix('.')?;
            Some((numbers(rest), name.as_str()))
        });
        candidates.max().map(|(_, name)| name)
    };
    of("linux-binary-").or_else(|| of("linux-image-"))
}

fn only_file(dir: &Path, extension: &str) -> Result<PathBuf, Error> {
    let entries = fs::read_dir(dir).or_fail(|| format!("cannot read `{}`", dir.display()))?;
    let mut found =
        entries.flatten().map(|entry| entry.path()).filter(|p| p.extension().is_some_and(|e| e == extension));
    match (found.next(), found.next()) {
        (Some(file), None) => Ok(file),
        _ => Err(Error::failed(format!("not exactly one .{extension} in `{}`", dir.display()))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::rungs::RUNGS;

    fn rung(name: &str) -> &'static Rung {
        RUNGS.iter().find(|rung| rung.name == name).unwrap()
    }

    #[test]
    fn the_newest_package_of_a_version_is_taken() {
        let names: Vec<String> = [
            "linux-image-6.1.0-9-cloud-amd64",
            "linux-image-6.1.0-56-cloud-amd64",
            "linux-image-6.1.0-56-cloud-amd64-dbg",
            "linux-image-6.12-cloud-amd64",
            "linux-image-6.12.96+deb13-cloud-amd64",
            "linux-image-6.12.107+deb12-cloud-amd64",
            "linux-image-6.12.107+deb13-cloud-amd64",
            "linux-image-6.12.117+deb13-amd64",
            "linux-image-7.3.4+deb13-cloud-amd64",
            "linux-binary-7.3.4+deb13-cloud-amd64",
        ]
        .map(str::to_owned)
        .to_vec();
        assert_eq!(newest(&names, rung("6.1")), Some("linux-image-6.1.0-56-cloud-amd64"));
        assert_eq!(newest(&names, rung("6.12")), Some("linux-image-6.12.107+deb13-cloud-amd64"));
        assert_eq!(newest(&names, rung("7.3")), Some("linux-binary-7.3.4+deb13-cloud-amd64"));
        assert_eq!(newest(&names, rung("7.0")), None);
    }

    #[test]
    fn sources_are_the_machines_own_mirrors() {
        let of = |pairs: &[(&str, &str)]| {
            sources(&pairs.iter().map(|&(a, b)| (a.to_owned(), b.to_owned())).collect::<Vec<_>>())
        };
        let third = ("https://third.example/apt/", "stable");
        let text = of(&[
            third,
            ("http://mirror.example/debian/", "bookworm"),
            ("http://mirror.example/debian/", "bookworm-updates"),
            ("http://mirror.example/security/", "bookworm-security"),
        ])
        .unwrap();
        assert!(text.contains("URIs: http://mirror.example/debian/\nSuites: trixie "), "{text}");
        assert!(text.contains("URIs: http://mirror.example/security/\nSuites: bookworm-security "), "{text}");
        assert!(!text.contains("third"), "{text}");
        assert!(of(&[third]).is_err());
    }
}
