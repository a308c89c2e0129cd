//! The smallest compositor, in a thread of its own: the event source, the display, and a look at every answer.

use std::collections::HashMap;
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use calloop::generic::Generic;
use calloop::{EventLoop, Interest, LoopSignal, Mode, PostAction};
use rustix::fs::{Dir, OFlags};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use wayland_auth::source::AuthenticatedSocket;
use wayland_auth::{Authenticator, ClientAuth, Identity, Policy, impl_client_auth};
use wayland_auth_tests::Context;
use wayland_server::backend::{ClientData, ClientId, DisconnectReason};
use wayland_server::{Display, DisplayHandle};

use crate::Scene;
use crate::peer::{Peer, Who};

/// How long anything may take that is not measured.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// The clients that there should be, by the pid that the kernel recorded when they connected.
#[derive(Clone, Debug, Default)]
pub(crate) struct Expected(HashMap<u32, Who>);

impl Expected {
    pub(crate) fn new<'p>(peers: impl IntoIterator<Item = (&'p Peer, Who)>) -> Self {
        Self(peers.into_iter().map(|(peer, who)| (peer.pid(), who)).collect())
    }

    /// Who this client is, if it was identified as exactly that.
    pub(crate) fn right(&self, auth: &ClientAuth) -> Option<&Who> {
        let who = self.0.get(&auth.evidence().credentials.pid?)?;
        let right = match (who, auth.identity()) {
            (Who::Host, Identity::Host(host)) => host.claim.is_none(),
            (Who::App(app, nested), Identity::App(identity)) => {
                let inside: Vec<_> = identity.nested.iter().map(|inner| inner.app_id.as_ref()).collect();
                identity.engine.as_ref().is_some_and(|engine| engine.as_str() == "org.example.Engine")
                    && identity.app_id.as_ref().is_some_and(|id| id.as_str() == app)
                    && match nested {
                        None => inside.is_empty(),
                        Some(nested) => inside.len() == 1 && inside[0].is_some_and(|id| id.as_str() == nested),
                    }
            }
            _ => false,
        };
        right.then_some(who)
    }
}

/// What happened so far.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    pub(crate) served: AtomicU64,
    pub(crate) gone: AtomicU64,
    pub(crate) wrong: AtomicU64,
    first_wrong: Mutex<Option<String>>,
}

impl Seen {
    /// How many clients there are now.
    pub(crate) fn open(&self) -> u64 {
        self.served.load(Relaxed) - self.gone.load(Relaxed)
    }

    /// The first wrong answer.
    pub(crate) fn first_wrong(&self) -> String {
        self.first_wrong.lock().unwrap_or_else(PoisonError::into_inner).clone().unwrap_or_default()
    }
}

#[derive(Debug)]
struct ClientState {
    auth: ClientAuth,
    seen: Arc<Seen>,
}

impl_client_auth!(ClientState, auth);

impl ClientData for ClientState {
    fn disconnected(&self, _: ClientId, _: DisconnectReason) {
        self.seen.gone.fetch_add(1, Relaxed);
    }
}

struct State {
    display: DisplayHandle,
    seen: Arc<Seen>,
    expected: Expected,
}

/// The compositor. It ends when this is dropped.
#[derive(Debug)]
pub(crate) struct Compositor {
    pub(crate) seen: Arc<Seen>,
    signal: LoopSignal,
    thread: Option<JoinHandle<Result<(), String>>>,
}

impl Compositor {
    pub(crate) fn start(listener: UnixListener, policy: &str, expected: Expected) -> Result<Self, String> {
        let policy = Policy::parse("policy.toml", policy).context("policy")?;
        let authenticator = Authenticator::builder().policy(policy).build().context("authenticator")?;
        let seen = Arc::new(Seen::default());
        let (tell, told) = std::sync::mpsc::channel();
        let thread = std::thread::Builder::new().spawn({
            let seen = Arc::clone(&seen);
            move || {
                let mut events = EventLoop::try_new().context("event loop")?;
                tell.send(events.get_signal()).context("signal")?;
                serve(&mut events, listener, authenticator, seen, expected)
            }
        });
        let thread = thread.context("thread")?;
        let signal = told.recv().context("the compositor did not start")?;
        Ok(Self { seen, signal, thread: Some(thread) })
    }

    /// Waits until this holds.
    pub(crate) fn wait_until(
        &self,
        what: &str,
        mut done: impl FnMut(&Seen) -> Result<bool, String>,
    ) -> Result<(), String> {
        let deadline = Instant::now() + PATIENCE;
        while !done(&self.seen)? {
            if self.thread.as_ref().is_none_or(JoinHandle::is_finished) {
                return Err(format!("the compositor has ended, before {what}"));
            }
            if Instant::now() > deadline {
                return Err(format!("waited too long until {what}: {:?}", self.seen));
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    }
}

impl Drop for Compositor {
    fn drop(&mut self) {
        self.signal.stop();
        self.signal.wakeup();
        if let Some(Ok(Err(e))) = self.thread.take().map(JoinHandle::join) {
            eprintln!("the compositor: {e}");
        }
    }
}

fn serve(
    events: &mut EventLoop<'static, State>,
    listener: UnixListener,
    authenticator: Authenticator,
    seen: Arc<Seen>,
    expected: Expected,
) -> Result<(), String> {
    let display = Display::<State>::new().context("display")?;
    let mut state = State { display: display.handle(), seen, expected };
    let source = AuthenticatedSocket::from_listener(authenticator, listener).context("source")?;
    let source = events.handle().insert_source(source, |(stream, auth), (), state| {
        state.seen.served.fetch_add(1, Relaxed);
        if state.expected.right(&auth).is_none() && state.seen.wrong.fetch_add(1, Relaxed) == 0 {
            let wrong = format!("{}: {}", auth.identity(), auth.evidence().credentials.pid.unwrap_or(0));
            *state.seen.first_wrong.lock().unwrap_or_else(PoisonError::into_inner) = Some(wrong);
        }
        let data = Arc::new(ClientState { auth, seen: Arc::clone(&state.seen) });
        if state.display.insert_client(stream, data).is_err() {
            state.seen.gone.fetch_add(1, Relaxed);
        }
    });
    source.map_err(|e| e.error).context("source")?;
    let display = Generic::new(display, Interest::READ, Mode::Level);
    let inserted = events.handle().insert_source(display, |_, display, state| {
        // SAFETY: the display is neither dropped nor replaced.
        unsafe { display.get_mut() }.dispatch_clients(state)?;
        Ok(PostAction::Continue)
    });
    inserted.map_err(|e| e.error).context("display")?;
    let flush = |state: &mut State| drop(state.display.flush_clients());
    events.run(None, &mut state, flush).context("event loop")
}

/// A socket of the part, and where it is.
pub(crate) fn listen(scene: &Scene) -> Result<(UnixListener, PathBuf), String> {
    let path = scene.dir.join("socket");
    UnixListener::bind(&path).context(path.display()).map(|listener| (listener, path))
}

/// Counts the descriptors of this process, even when there are none left.
pub(crate) struct Descriptors(Dir);

impl Descriptors {
    pub(crate) fn new() -> Result<Self, String> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let fd = rustix::fs::open("/proc/self/fd", flags, rustix::fs::Mode::empty()).context("/proc/self/fd")?;
        Ok(Self(Dir::new(fd).context("/proc/self/fd")?))
    }

    /// The listing's own is counted too, and so are the two dots: they do not change.
    pub(crate) fn count(&mut self) -> Result<u64, String> {
        self.0.rewind();
        let mut count = 0;
        while let Some(entry) = self.0.read() {
            entry.context("/proc/self/fd")?;
            count += 1;
        }
        Ok(count - 2)
    }
}

/// Limits the descriptors of this process.
pub(crate) fn set_limit(limit: u64) -> Result<(), String> {
    let maximum = getrlimit(Resource::Nofile).maximum;
    setrlimit(Resource::Nofile, Rlimit { current: Some(limit), maximum }).context("setrlimit")
}

/// The clients of a part, of three kinds.
pub(crate) fn mixed(scene: &Scene, socket: &std::path::Path) -> Result<(Vec<Peer>, Expected), String> {
    let kinds = [
        Who::Host,
        Who::App("org.example.One".to_owned(), None),
        Who::App("org.example.Two".to_owned(), None),
        Who::App("org.example.Outer".to_owned(), Some("org.example.Inner".to_owned())),
    ];
    let peers = kinds.iter().map(|who| Peer::start(who, &scene.cgroup, socket)).collect::<Result<Vec<_>, _>>()?;
    let expected = Expected::new(peers.iter().zip(kinds));
    Ok((peers, expected))
}
