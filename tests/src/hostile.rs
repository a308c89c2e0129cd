//! What peers do that want to be taken for somebody else, or to wear the compositor out.

use std::error::Error;
use std::io::{IoSlice, IoSliceMut, Read, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags,
    recvmsg, sendmsg,
};

use crate::cgroups::set_xattr;
use crate::expect::{APP_ID, ENGINE};
use crate::offspring::{Address, Life, Offspring};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// Hops between two cgroups, of which the first is removed and made again each time: once with the label of an
/// application that never runs in it, then with the right one. Ends only on an error.
///
/// # Errors
///
/// If a cgroup cannot be made or entered.
pub fn remake(value: &str) -> Result<()> {
    let (a, b) = value.split_once(',').ok_or("remake=DIR,DIR")?;
    let join = |dir: &str| std::fs::write(format!("{dir}/cgroup.procs"), "0");
    let label = |which: &str| -> Result<()> {
        set_xattr(Path::new(a), ENGINE, format!("org.example.Engine{which}").as_bytes())?;
        Ok(set_xattr(Path::new(a), APP_ID, format!("org.example.App{which}").as_bytes())?)
    };
    loop {
        join(b)?;
        for which in ["Never", "A"] {
            std::fs::remove_dir(a)?;
            std::fs::create_dir(a)?;
            label(which)?;
        }
        join(a)?;
    }
}

/// Hops between one inside a labelled cgroup and another, and for as long as it is away gives the labelled one the
/// label of an application that never runs in it. Ends only on an error.
///
/// # Errors
///
/// If a cgroup cannot be labelled or entered.
pub fn relabel(value: &str) -> Result<()> {
    /// About as long as a look-up takes: many begin on one side of a move and end on the other.
    const STAY: Duration = Duration::from_millis(2);
    let [a, inside, b] = value.split(',').collect::<Vec<_>>()[..] else { return Err("relabel=DIR,INSIDE,DIR".into()) };
    let join = |dir: &str| std::fs::write(format!("{dir}/cgroup.procs"), "0");
    let stay = || {
        let start = Instant::now();
        while start.elapsed() < STAY {
            std::thread::yield_now();
        }
    };
    let label = |which: &str| -> Result<()> {
        // What lies between is no whole label.
        rustix::fs::removexattr(a, ENGINE)?;
        set_xattr(Path::new(a), APP_ID, format!("org.example.App{which}").as_bytes())?;
        Ok(set_xattr(Path::new(a), ENGINE, format!("org.example.Engine{which}").as_bytes())?)
    };
    loop {
        join(b)?;
        label("Never")?;
        stay();
        label("A")?;
        join(inside)?;
        stay();
    }
}

/// Makes processes that connect and die, until nobody listens.
///
/// # Errors
///
/// If no process can be made.
pub fn exits(socket: &str) -> Result<()> {
    let address = Address::new(Path::new(socket))?;
    loop {
        for life in [Life::ConnectAndExit(&address), Life::ConnectAndLeave(&address, None)] {
            if !Offspring::new(life, None, None)?.wait()? {
                return Ok(());
            }
        }
    }
}

/// Gives a socket to the process that listens at `to`.
///
/// # Errors
///
/// If that fails.
pub fn send(socket: &UnixStream, to: &str) -> Result<()> {
    let to = UnixStream::connect(to)?;
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    let sockets = [socket.as_fd()];
    control.push(SendAncillaryMessage::ScmRights(&sockets));
    sendmsg(&to, &[IoSlice::new(b"s")], &mut control, SendFlags::NOSIGNAL)?;
    Ok(())
}

/// Takes the socket that somebody gives at `at`, and says a byte through it. Prints `ready` when it listens.
///
/// # Errors
///
/// If that fails.
pub fn receive(at: &str) -> Result<UnixStream> {
    let listener = UnixListener::bind(at)?;
    println!("ready");
    let (from, _) = listener.accept()?;
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    recvmsg(&from, &mut [IoSliceMut::new(&mut [0])], &mut control, RecvFlags::CMSG_CLOEXEC)?;
    let fds = control.drain().filter_map(|message| match message {
        RecvAncillaryMessage::ScmRights(fds) => Some(fds),
        _ => None,
    });
    let fd: OwnedFd = fds.flatten().next().ok_or("no socket came")?;
    let mut socket = UnixStream::from(fd);
    socket.write_all(b"r")?;
    Ok(socket)
}

/// Connects so many times and holds all the connections. Prints `connected`; then, for each line on standard input, how
/// many of them the server closed; at its end, lets go.
///
/// # Errors
///
/// If it cannot connect.
pub fn flood(value: &str) -> Result<()> {
    let (socket, count) = value.split_once(',').ok_or("flood=SOCKET,COUNT")?;
    let count: usize = count.parse()?;
    let mut connections = (0..count).map(|_| UnixStream::connect(socket)).collect::<std::io::Result<Vec<_>>>()?;
    connections.iter().try_for_each(|connection| connection.set_nonblocking(true))?;
    println!("connected");
    for line in std::io::stdin().lines() {
        line?;
        // The end of the stream, not an error: nothing was lost on the way.
        let closed = connections.iter_mut().filter_map(|connection| connection.read(&mut [0]).ok()).filter(|&n| n == 0);
        println!("{}", closed.count());
    }
    Ok(())
}

/// Connects so many times, and closes each connection at once.
///
/// # Errors
///
/// If it cannot connect.
pub fn burst(value: &str) -> Result<()> {
    let (socket, count) = value.split_once(',').ok_or("burst=SOCKET,COUNT")?;
    for _ in 0..count.parse()? {
        UnixStream::connect(socket)?;
    }
    Ok(())
}
