//! From the options to the end.

use std::{
    ffi::{OsStr, OsString},
    io::{self, Write},
    os::unix::ffi::OsStrExt,
};

use smithay::reexports::{
    calloop::{EventLoop, Interest, LoopHandle, Mode, PostAction, RegistrationToken, generic::Generic},
    wayland_server::{Display, DisplayHandle, ListeningSocket},
};
use wayland_auth::{
    Authenticator, ClientAuth, Policy,
    audit::{Audit, Rate, Sink},
    source::AuthenticatedSocket,
};

use crate::{
    asking,
    cli::{BackendChoice, Options, OutputSize},
    client_auth,
    error::StartError,
    policy,
    reload::Watch,
    render::{Backend, Headless},
    runtime_dir, signals,
    state::State,
    state_file,
};

/// So many failures of the event loop in a row are no accident.
const TOO_MANY_FAILURES: u32 = 100;

/// Runs the compositor until a signal, its command or its window ends it, and gives the status to end with.
///
/// With the winit backend it must be called on the main thread: winit panics on any other.
///
/// # Errors
///
/// If it cannot start. The socket is gone then too.
pub fn run(options: Options) -> Result<u8, StartError> {
    run_with(options, |_, _| ())
}

/// The same, with more globals: see [`main_with`](crate::main_with).
///
/// # Errors
///
/// If it cannot start. The socket is gone then too.
pub fn run_with(options: Options, globals: impl FnOnce(&DisplayHandle, &Policy)) -> Result<u8, StartError> {
    let policy = policy::load(options.policy.as_deref())?;
    let files = policy.files().clone();
    let held = asking::held_by(&policy);
    let authenticator =
        Authenticator::builder().policy(policy).holds(held).build().map_err(StartError::Authenticator)?;
    for line in authenticator.support().to_string().lines() {
        tracing::info!("{line}");
    }
    state_file::take_up(&authenticator, &options)?;
    let audit = match options.audit {
        Some(path) => match Sink::append_to(&path) {
            Ok(sink) => Audit::with_rate(&authenticator, sink, Rate::burst(options.audit_burst)),
            Err(source) => return Err(StartError::Audit { path, source }),
        },
        None => Audit::off(),
    };

    let mut event_loop = EventLoop::<State>::try_new().map_err(StartError::EventLoop)?;
    let handle = event_loop.handle();
    signals::listen(&handle)?;
    let socket = runtime_dir::listen(options.socket.as_deref())?;
    let name = socket.socket_name().unwrap_or_default().to_owned();
    let backend = open_backend(options.backend, options.size, &handle)?;

    let display = Display::<State>::new()
        .map_err(|error| StartError::Os { what: "make a Wayland display", source: io::Error::other(error) })?;
    globals(&display.handle(), &authenticator.policy());
    let identifier = if options.without_identification { None } else { Some(authenticator) };
    let mut state = State::new(display.handle(), handle.clone(), backend, identifier.clone(), audit)?;
    if let Some(authenticator) = &identifier {
        let asker = asking::start(authenticator, &handle)?;
        client_auth::serve(&display.handle(), authenticator, &asker, &handle)?;
        state.asker = Some(asker);
    }
    if let Some(path) = &options.policy {
        state.policy_watch = Some(Watch::start(path, &files, &handle)?);
    }
    serve(display, &handle)?;
    let socket = accept(socket, identifier, &handle)?;
    state.queue_redraw();

    announce(&name);
    state.run_command(&options.command, &name)?;
    let status = dispatch(&mut event_loop, &mut state);
    // The socket goes with its source, whoever else may still refer to the loop.
    handle.remove(socket);
    // Clients that are there still may keep the log from being dropped.
    state.audit.close();
    status
}

/// Opens the backend that was asked for, and handles its events.
fn open_backend(
    choice: BackendChoice,
    size: OutputSize,
    handle: &LoopHandle<'static, State>,
) -> Result<Backend, StartError> {
    match choice {
        BackendChoice::Headless => headless(size),
        BackendChoice::Winit => nested(size, handle),
        BackendChoice::Auto if is_in_a_session() => nested(size, handle).or_else(|error| {
            tracing::warn!("{}: drawing headless instead", error.report());
            headless(size)
        }),
        BackendChoice::Auto => headless(size),
    }
}

/// Whether there is a session to open a window in: winit's own rule.
fn is_in_a_session() -> bool {
    let is_set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    ["WAYLAND_DISPLAY", "WAYLAND_SOCKET", "DISPLAY"].into_iter().any(is_set)
}

fn headless(size: OutputSize) -> Result<Backend, StartError> {
    match Headless::new(size) {
        Ok(headless) => Ok(Backend::Headless(Box::new(headless))),
        Err(error) => Err(StartError::Backend { name: "headless", source: error.into() }),
    }
}

#[cfg(feature = "winit")]
fn nested(size: OutputSize, handle: &LoopHandle<'static, State>) -> Result<Backend, StartError> {
    use crate::render::{Nested, listen_to_window};

    let (nested, events) =
        Nested::new(size).map_err(|error| StartError::Backend { name: "winit", source: error.into() })?;
    listen_to_window(handle, events)?;
    Ok(Backend::Nested(Box::new(nested)))
}

#[cfg(not(feature = "winit"))]
fn nested(_size: OutputSize, _handle: &LoopHandle<'static, State>) -> Result<Backend, StartError> {
    Err(StartError::NoWinit)
}

/// Handles the requests of all clients.
fn serve(mut display: Display<State>, handle: &LoopHandle<'static, State>) -> Result<(), StartError> {
    let failed = |source| StartError::Os { what: "watch the clients", source };
    let readiness = display.backend().poll_fd().try_clone_to_owned().map_err(failed)?;
    handle.insert_source(Generic::new(readiness, Interest::READ, Mode::Level), move |_, _, state| {
        // A client's own error ends that client; this is about all of them, and the next call may do better.
        if let Err(error) = display.dispatch_clients(state) {
            tracing::error!(%error, "requests were not handled");
        }
        Ok(PostAction::Continue)
    })?;
    Ok(())
}

/// Accepts connections, each of which is identified before it becomes a client.
fn accept(
    socket: ListeningSocket,
    authenticator: Option<Authenticator>,
    handle: &LoopHandle<'static, State>,
) -> Result<RegistrationToken, StartError> {
    match authenticator {
        Some(authenticator) => {
            let source = AuthenticatedSocket::new(authenticator, socket);
            Ok(handle.insert_source(source, |(stream, auth), (), state| state.add_client(stream, auth))?)
        }
        None => {
            // Whatever the log's filter says.
            eprintln!(
                "demo-compositor: warning: --without-identification: NO CLIENT IS IDENTIFIED, for measuring only"
            );
            let source = Generic::new(socket, Interest::READ, Mode::Level);
            Ok(handle.insert_source(source, |_, socket, state| {
                while let Some(stream) = socket.accept()? {
                    state.add_client(stream, ClientAuth::default());
                }
                Ok(PostAction::Continue)
            })?)
        }
    }
}

/// Tells whoever started the compositor that it accepts clients.
fn announce(name: &OsStr) {
    let mut line = OsString::from("WAYLAND_DISPLAY=");
    line.push(name);
    line.push("\n");
    let mut stdout = io::stdout().lock();
    if let Err(error) = stdout.write_all(line.as_bytes()).and_then(|()| stdout.flush()) {
        tracing::warn!(%error, "the name of the socket was not printed");
    }
    tracing::info!(socket = %name.display(), "accepting clients");
}

/// Handles events until it is time to end.
fn dispatch(event_loop: &mut EventLoop<'static, State>, state: &mut State) -> Result<u8, StartError> {
    let mut failures = 0;
    while !state.stopped {
        match event_loop.dispatch(None, state) {
            Ok(()) => failures = 0,
            Err(error) if failures < TOO_MANY_FAILURES => {
                failures += 1;
                tracing::error!(%error, "an event was not handled");
            }
            Err(error) => return Err(StartError::EventLoop(error)),
        }
        if let Err(error) = state.display.flush_clients() {
            tracing::debug!(%error, "events were not sent");
        }
    }
    Ok(state.exit_status.unwrap_or(0))
}
