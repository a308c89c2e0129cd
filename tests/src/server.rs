//! The smallest compositor: globals without any function, each behind the library's filter.

use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, mpsc};

use rustix::event::{PollFd, PollFlags, poll};
use wayland_auth::policy::Class;
use wayland_auth::{Authenticator, Capability, ClientAuth, allow, impl_client_auth};
use wayland_server::backend::{ClientData, ClientId, DisconnectReason};
use wayland_server::{Client, DataInit, Dispatch, Display, DisplayHandle, GlobalDispatch, New, Resource};

use crate::Context;

/// A compositor that runs in a thread of its own.
#[derive(Debug)]
pub struct Server {
    /// Clients are made by the thread that serves them: libwayland is not made for several.
    jobs: mpsc::Sender<Job>,
    authenticator: Authenticator,
    seen: Arc<Seen>,
    stop: Arc<AtomicBool>,
    wake: UnixStream,
    thread: Option<std::thread::JoinHandle<()>>,
}

/// What the server's thread is to do.
type Job = Box<dyn FnOnce(&mut DisplayHandle) -> std::io::Result<()> + Send>;

/// What happened in a server.
#[derive(Debug, Default)]
pub struct Seen {
    binds: Mutex<Vec<String>>,
    disconnects: Mutex<Vec<String>>,
}

impl Seen {
    /// The interfaces of which objects were created by binding a global.
    #[must_use]
    pub fn binds(&self) -> Vec<String> {
        self.binds.lock().map(|b| b.clone()).unwrap_or_default()
    }

    /// The binds for which clients were killed, by the reason that the server gave.
    #[must_use]
    pub fn refused_binds(&self) -> Vec<String> {
        self.disconnects.lock().map(|b| b.clone()).unwrap_or_default()
    }
}

/// The compositor's state.
#[derive(Debug)]
pub struct State {
    seen: Arc<Seen>,
}

/// The compositor's client data.
#[derive(Debug)]
pub struct ClientState {
    auth: ClientAuth,
    seen: Arc<Seen>,
}

impl_client_auth!(ClientState, auth);

impl ClientData for ClientState {
    fn disconnected(&self, _: ClientId, reason: DisconnectReason) {
        if let Some(refused) = wayland_auth::RefusedBind::of(&reason)
            && let Ok(mut disconnects) = self.seen.disconnects.lock()
        {
            disconnects.push(refused.interface);
        }
    }
}

/// Client data of another kind, as Xwayland's is.
#[derive(Debug)]
pub struct ForeignClientState;

impl ClientData for ForeignClientState {}

/// How a global is filtered.
#[derive(Clone, Copy, Debug)]
pub struct Filter(Class);

impl<I: Resource + 'static> GlobalDispatch<I, Filter> for State {
    fn bind(
        state: &mut Self,
        _: &DisplayHandle,
        _: &Client,
        resource: New<I>,
        _: &Filter,
        data_init: &mut DataInit<'_, Self>,
    ) {
        if let Ok(mut binds) = state.seen.binds.lock() {
            binds.push(I::interface().name.to_owned());
        }
        data_init.init(resource, ());
    }

    fn can_view(client: Client, filter: &Filter) -> bool {
        match filter.0 {
            Class::Core => true,
            Class::Capability(capability) => allow::<ClientState>(capability)(&client),
            _ => false,
        }
    }
}

/// A filter that asks for two capabilities at once, as no compositor should.
#[derive(Clone, Copy, Debug)]
#[allow(clippy::exhaustive_structs, reason = "only the tests use it")]
pub struct Both(pub Capability, pub Capability);

impl<I: Resource + 'static> GlobalDispatch<I, Both> for State {
    fn bind(_: &mut Self, _: &DisplayHandle, _: &Client, new: New<I>, _: &Both, data_init: &mut DataInit<'_, Self>) {
        data_init.init(new, ());
    }

    fn can_view(client: Client, both: &Both) -> bool {
        allow::<ClientState>(both.0)(&client) && allow::<ClientState>(both.1)(&client)
    }
}

/// A filter that takes every client's data for the compositor's own type, as filters do that know nothing of this library.
#[derive(Clone, Copy, Debug)]
#[allow(clippy::exhaustive_structs, reason = "only the tests use it")]
pub struct Typed(pub Capability);

impl<I: Resource + 'static> GlobalDispatch<I, Typed> for State {
    fn bind(_: &mut Self, _: &DisplayHandle, _: &Client, new: New<I>, _: &Typed, data_init: &mut DataInit<'_, Self>) {
        data_init.init(new, ());
    }

    fn can_view(client: Client, capability: &Typed) -> bool {
        client.get_data::<ClientState>().is_some_and(|data| data.auth.sees(capability.0))
    }
}

impl<I: Resource + 'static> Dispatch<I, ()> for State {
    fn request(_: &mut Self, _: &Client, _: &I, _: I::Request, (): &(), _: &DisplayHandle, _: &mut DataInit<'_, Self>) {
    }
}

/// Makes the globals of a server.
pub type MakeGlobals = fn(&DisplayHandle, &dyn Fn(&str) -> Filter);

impl Server {
    /// Starts it with these globals, filtered by what the authenticator's policy says of their interfaces.
    ///
    /// # Errors
    ///
    /// If it cannot be started.
    pub fn start(authenticator: Authenticator, globals: MakeGlobals) -> Result<Self, String> {
        let display = Display::<State>::new().context("display")?;
        let handle = display.handle();
        let policy = authenticator.policy();
        globals(&handle, &|interface| Filter(policy.class_of(interface)));
        let seen = Arc::new(Seen::default());
        let stop = Arc::new(AtomicBool::new(false));
        let (wake, woken) = UnixStream::pair().context("pair")?;
        let (jobs, given) = mpsc::channel();
        let thread = std::thread::Builder::new().spawn({
            let (state, stop) = (State { seen: Arc::clone(&seen) }, Arc::clone(&stop));
            move || serve(display, state, &stop, &woken, &given)
        });
        let thread = Some(thread.context("thread")?);
        Ok(Self { jobs, authenticator, seen, stop, wake, thread })
    }

    /// What happened so far.
    #[must_use]
    pub fn seen(&self) -> &Seen {
        &self.seen
    }

    /// Takes a connection as a compositor does: identifies it, then makes the client.
    ///
    /// # Errors
    ///
    /// If the client cannot be made.
    pub fn insert(&self, stream: UnixStream) -> Result<ClientAuth, String> {
        let auth = self.authenticator.identify(&stream);
        self.insert_as(stream, auth)
    }

    /// Makes a client that is already identified.
    ///
    /// # Errors
    ///
    /// If the client cannot be made.
    pub fn insert_as(&self, stream: UnixStream, auth: ClientAuth) -> Result<ClientAuth, String> {
        let data = ClientState { auth: auth.clone(), seen: Arc::clone(&self.seen) };
        self.insert_with(stream, Arc::new(data))?;
        Ok(auth)
    }

    /// Makes a client whose data is not what the filters expect.
    ///
    /// # Errors
    ///
    /// If the client cannot be made.
    pub fn insert_foreign(&self, stream: UnixStream) -> Result<(), String> {
        self.insert_with(stream, Arc::new(ForeignClientState))
    }

    /// Makes the data of clients that are this.
    pub fn make_data(&self) -> impl Fn(ClientAuth) -> Arc<dyn ClientData> + Send + Sync + 'static {
        let seen = Arc::clone(&self.seen);
        move |auth| Arc::new(ClientState { auth, seen: Arc::clone(&seen) })
    }

    fn insert_with(&self, stream: UnixStream, data: Arc<dyn ClientData>) -> Result<(), String> {
        self.send(Box::new(move |handle| handle.insert_client(stream, data).map(drop)))
    }

    /// Does something in the thread of the server, and waits until it is done and told to the clients.
    ///
    /// # Errors
    ///
    /// If the server is gone.
    pub fn run<T: Send + 'static>(&self, job: impl FnOnce(&DisplayHandle) -> T + Send + 'static) -> Result<T, String> {
        let (answer, answered) = mpsc::channel();
        self.send(Box::new(move |handle| {
            let _ = answer.send(job(handle));
            Ok(())
        }))?;
        let answer = answered.recv().context("the server is gone")?;
        // The next job comes after the flush.
        let (flushed, was_flushed) = mpsc::channel();
        self.send(Box::new(move |_| {
            let _ = flushed.send(());
            Ok(())
        }))?;
        was_flushed.recv().context("the server is gone")?;
        Ok(answer)
    }

    /// The filter of a global with this interface.
    #[must_use]
    pub fn filter(&self, interface: &str) -> Filter {
        Filter(self.authenticator.policy().class_of(interface))
    }

    fn send(&self, job: Job) -> Result<(), String> {
        self.jobs.send(job).context("the server is gone")?;
        self.wake()
    }

    fn wake(&self) -> Result<(), String> {
        use std::io::Write;
        (&self.wake).write_all(b"!").context("wake")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let _ = self.wake();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn serve(
    mut display: Display<State>,
    mut state: State,
    stop: &AtomicBool,
    woken: &UnixStream,
    given: &mpsc::Receiver<Job>,
) {
    let _ = woken.set_nonblocking(true);
    while !stop.load(Ordering::Relaxed) {
        let Ok(fd) = display.as_fd().try_clone_to_owned() else { return };
        let mut fds = [PollFd::new(&fd, PollFlags::IN), PollFd::new(woken, PollFlags::IN)];
        if poll(&mut fds, None).is_err() {
            continue;
        }
        let mut drain = [0; 64];
        while std::io::Read::read(&mut &*woken, &mut drain).is_ok_and(|n| n > 0) {}
        // One who waits for a job knows that clients were served before the next one.
        let jobs: Vec<Job> = given.try_iter().collect();
        for job in jobs {
            if job(&mut display.handle()).is_err() || display.flush_clients().is_err() {
                return;
            }
        }
        if display.dispatch_clients(&mut state).is_err() || display.flush_clients().is_err() {
            return;
        }
    }
}
