//! A compositor as far as it identifies, which can be started in unusual places.
//!
//! `place CONTROL SOCKET POLICY [OPTION...]` listens on SOCKET. It writes one line of JSON for each client to the socket
//! CONTROL, and each line that it reads there is a JSON array: a program that it starts, where it is itself.
//!
//! Options: `lower` looks up as an older kernel makes it, `old-kernel` has a kernel without `SO_PEERPIDFD`, and
//! `reference=PID` takes that process' namespaces for the host's.

use std::error::Error;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::process::{Command, ExitCode, Stdio};

use serde_json::json;
use wayland_auth::peer::Peer;
use wayland_auth::{Authenticator, Policy};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("place: {e}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let mut next = |what: &str| arguments.next().ok_or(format!("no {what}"));
    let (control, socket, policy) = (next("control")?, next("socket")?, next("policy")?);
    let mut control = UnixStream::connect(control)?;
    let policy = Policy::parse("policy", &policy).map_err(|e| e.to_string())?;
    let mut builder = Authenticator::builder().policy(policy);
    for option in arguments {
        builder = match (option.as_str(), option.strip_prefix("reference=")) {
            ("lower", _) => builder.without_pidfd_info(),
            ("old-kernel", _) => {
                forget_peer_pidfd()?;
                builder
            }
            (_, Some(pid)) => builder.host_reference(Peer::of_pid(pid.parse()?)?.into_pidfd()),
            _ => return Err(format!("no such option: {option}").into()),
        };
    }
    let authenticator = builder.build()?;
    let listener = UnixListener::bind(&socket)?;
    std::fs::set_permissions(&socket, std::os::unix::fs::PermissionsExt::from_mode(0o777))?;
    let support = authenticator.support();
    writeln!(control, "{}", json!({"can-identify": support.can_identify(), "apart": support.apart}))?;
    let commands = control.try_clone()?;
    std::thread::spawn(move || carry_out(commands));
    loop {
        let (stream, _) = listener.accept()?;
        let auth = authenticator.identify(&stream);
        let rights = auth.verdict().describe(&authenticator.policy());
        let allowed: Vec<String> = rights.into_iter().filter(|r| r.1).map(|r| r.0).collect();
        let (identity, shown) = (auth.identity(), auth.identity().to_string());
        let namespaces = &auth.evidence().namespaces;
        let line = json!({"identity": identity, "shown": shown, "namespaces": namespaces, "allowed": allowed});
        writeln!(control, "{line}")?;
        // Only now may the peer go.
        drop(stream);
    }
}

/// Starts what is asked for, and ends with the one who asks.
fn carry_out(commands: UnixStream) {
    for line in BufReader::new(commands).lines().map_while(std::result::Result::ok) {
        let argv: Vec<String> = serde_json::from_str(&line).unwrap_or_default();
        let Some((program, arguments)) = argv.split_first() else { continue };
        let started = Command::new(program).args(arguments).stdin(Stdio::null()).spawn();
        if let Err(e) = started.and_then(|mut child| child.wait()) {
            eprintln!("place: {program}: {e}");
        }
    }
    std::process::exit(0);
}

/// Lets `getsockopt(SO_PEERPIDFD)` fail as on a kernel before Linux 6.5, for good.
fn forget_peer_pidfd() -> Result<()> {
    const OPTION: u32 = std::mem::offset_of!(libc::seccomp_data, args) as u32 + 2 * 8;
    const LOW: u32 = if cfg!(target_endian = "little") { 0 } else { 4 };
    let load = |k| libc::sock_filter { code: (libc::BPF_LD | libc::BPF_W | libc::BPF_ABS) as u16, jt: 0, jf: 0, k };
    let skip_unless =
        |k, jf| libc::sock_filter { code: (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16, jt: 0, jf, k };
    let answer = |k| libc::sock_filter { code: (libc::BPF_RET | libc::BPF_K) as u16, jt: 0, jf: 0, k };
    let mut filter = [
        load(std::mem::offset_of!(libc::seccomp_data, nr) as u32),
        skip_unless(libc::SYS_getsockopt as u32, 3),
        load(OPTION + LOW),
        skip_unless(libc::SO_PEERPIDFD as u32, 1),
        answer(libc::SECCOMP_RET_ERRNO | libc::ENOPROTOOPT as u32),
        answer(libc::SECCOMP_RET_ALLOW),
    ];
    let program = libc::sock_fprog { len: filter.len() as u16, filter: filter.as_mut_ptr() };
    rustix::thread::set_no_new_privs(true)?;
    // SAFETY: `program` points to `filter`, which has the length that it says; both live through the call, and the kernel
    // copies them.
    let rc = unsafe { libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const program) };
    if rc == 0 { Ok(()) } else { Err(std::io::Error::last_os_error().into()) }
}
