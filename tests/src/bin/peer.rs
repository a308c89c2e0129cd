//! The program that plays the clients: it takes its arguments as steps, one after the other.

use std::error::Error;
use std::io::Read;
use std::os::fd::OwnedFd;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode, Stdio};

use serde_json::json;
use wayland_auth_tests::wire::{Answer, Client};
use wayland_auth_tests::{fuse, hostile, intrusive};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

fn main() -> ExitCode {
    match steps(std::env::args().skip(1).collect()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("peer: {e}");
            ExitCode::FAILURE
        }
    }
}

fn steps(steps: Vec<String>) -> Result<()> {
    let mut socket: Option<UnixStream> = None;
    let mut client: Option<Client> = None;
    let mut rest = steps.iter();
    while let Some(step) = rest.next() {
        let (name, value) = step.split_once('=').unwrap_or((step, ""));
        match name {
            // Move into a cgroup.
            "join" => std::fs::write(format!("{value}/cgroup.procs"), "0").map_err(|e| format!("{value}: {e}"))?,
            // Be a process that may not be ptraced, as password managers are.
            "undumpable" => {
                rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable)?;
            }
            "connect" => socket = Some(UnixStream::connect(value).map_err(|e| format!("{value}: {e}"))?),
            // Leave the socket to a child, who holds it or takes the steps that follow, and go.
            "leave" => {
                let socket = OwnedFd::from(socket.take().ok_or("no socket to leave")?);
                let mut steps: Vec<&str> = rest.map(String::as_str).collect();
                if steps.is_empty() {
                    steps.push("hold");
                }
                Command::new(std::env::current_exe()?)
                    .arg("from-stdin")
                    .args(steps)
                    .stdin(Stdio::from(socket))
                    .spawn()?;
                return Ok(());
            }
            "from-stdin" => {
                let fd = rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stdin(), 3)?;
                socket = Some(UnixStream::from(fd));
            }
            // Wait until the other side closes.
            "hold" => wait_for_the_end(socket.take().ok_or("no socket to hold")?)?,
            // Wait until the other side says a byte.
            "wait" => socket.as_mut().ok_or("no socket to wait on")?.read_exact(&mut [0])?,
            // Go on in another thread while the first one dies.
            "leaderless" => return leaderless(rest.cloned().collect()),
            // Connect again and again until the other side stops listening.
            "storm" => storm(value),
            // Take the steps that follow in another thread, which is in a threaded cgroup of its own.
            "thread-in" => return thread_in(value.to_owned(), rest.cloned().collect()),
            "container" => intrusive::container(value)?,
            "proxy" => intrusive::proxy(value)?,
            "steal" => socket = Some(intrusive::steal(value)?),
            // Connect to an abstract address.
            "connect-abstract" => {
                let address = std::os::unix::net::SocketAddr::from_abstract_name(value)?;
                socket = Some(UnixStream::connect_addr(&address)?);
            }
            // Move between two cgroups until killed.
            "hop" => hop(value)?,
            "remake" => hostile::remake(value)?,
            "relabel" => hostile::relabel(value)?,
            "exits" => hostile::exits(value)?,
            "flood" => hostile::flood(value)?,
            "burst" => hostile::burst(value)?,
            // Say who the process with this pid is, seen from here.
            "who" => println!("{}", who(value.parse()?)?),
            // Live in a root directory whose file system never answers, as this user, and connect from there.
            "fuse-root" => socket = Some(fuse::live_in_a_silent_root(value)?),
            // Give the socket to another process, or be that process.
            "send" => hostile::send(socket.as_ref().ok_or("no socket to send")?, value)?,
            "receive" => socket = Some(hostile::receive(value)?),
            // Become another program, with the socket as its standard input.
            "become" => {
                let socket = socket.take().ok_or("no socket to keep")?;
                return Err(Command::new(value).stdin(Stdio::from(OwnedFd::from(socket))).exec().into());
            }
            // Speak Wayland, and print the answer.
            "say" => {
                let client = match &mut client {
                    Some(client) => client,
                    none => none.insert(Client::new(socket.take().ok_or("no socket")?)?),
                };
                println!("{}", say(client, value)?);
            }
            _ => return Err(format!("no such step: {step}").into()),
        }
    }
    Ok(())
}

fn who(pid: u32) -> Result<serde_json::Value> {
    use wayland_auth::identity::{Resolver, Trust};
    Ok(serde_json::to_value(Resolver::builder().build()?.identify_process(pid, &Trust::default())?)?)
}

fn wait_for_the_end(mut socket: UnixStream) -> Result<()> {
    let mut buffer = [0; 4096];
    loop {
        match socket.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(_) => {}
            Err(e) if e.kind() == std::io::ErrorKind::ConnectionReset => return Ok(()),
            Err(e) => return Err(e.into()),
        }
    }
}

fn thread_in(dir: String, rest: Vec<String>) -> Result<()> {
    let thread = std::thread::spawn(move || {
        let result = intrusive::enter_with_this_thread(&dir).and_then(|()| steps(rest));
        result.map_err(|e| e.to_string())
    });
    Ok(thread.join().map_err(|_| "the thread panicked")??)
}

fn leaderless(rest: Vec<String>) -> Result<()> {
    std::thread::Builder::new().spawn(move || {
        // The other side must not look before the first thread is dead.
        while !std::fs::read_to_string("/proc/self/status").is_ok_and(|s| s.contains("State:\tZ")) {
            std::thread::yield_now();
        }
        let code = if let Err(e) = steps(rest) {
            eprintln!("peer: {e}");
            1
        } else {
            0
        };
        std::process::exit(code);
    })?;
    // SAFETY: ends this thread alone, and nothing of it is used afterwards: its stack is left as it is.
    unsafe { libc::syscall(libc::SYS_exit, 0) };
    Ok(())
}

fn storm(socket: &str) {
    while UnixStream::connect(socket).is_ok() {}
}

fn hop(value: &str) -> Result<()> {
    let (a, b) = value.split_once(',').ok_or("hop=DIR,DIR")?;
    loop {
        for dir in [a, b] {
            std::fs::write(format!("{dir}/cgroup.procs"), "0")?;
        }
    }
}

fn say(client: &mut Client, what: &str) -> Result<serde_json::Value> {
    let words: Vec<&str> = what.split(' ').collect();
    Ok(match words[..] {
        ["globals"] => {
            let globals: Vec<_> = client.globals().iter().map(|g| json!([g.name, g.interface, g.version])).collect();
            json!({"globals": globals, "removed": client.removed(), "received": client.received()})
        }
        ["bind", name, interface, version] => {
            let answer = client.bind(name.parse()?, interface, version.parse()?)?;
            with_events(&answer, client.events())
        }
        ["capture", output, screencopy] => {
            let answer = client.capture(output.parse()?, screencopy.parse()?)?;
            with_events(&answer, client.events())
        }
        ["sync"] => show(&client.sync()?),
        _ => return Err(format!("there is no way to say `{what}`").into()),
    })
}

fn with_events(answer: &Answer, events: usize) -> serde_json::Value {
    let mut shown = show(answer);
    shown["events"] = events.into();
    shown
}

fn show(answer: &Answer) -> serde_json::Value {
    match answer {
        Answer::Done => json!({"answer": "done"}),
        Answer::Error(object, code, message) => {
            json!({"answer": "error", "object": object, "code": code, "message": message})
        }
        Answer::Closed => json!({"answer": "closed"}),
    }
}
