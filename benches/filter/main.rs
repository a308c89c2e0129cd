//! What a filter costs each time a global is shown: next to nothing, and no memory.
//!
//! Two displays in this process have the same globals and the same client; those of one ask [`allow`], those of the other
//! nobody. A registry round trip on each, in turn, shows what asking costs.

#[path = "../common/mod.rs"]
mod common;
mod counting;

use std::hint::black_box;
use std::os::unix::net::UnixStream;
use std::process::ExitCode;
use std::sync::Arc;

use common::stats::{Series, timed};
use common::table::{self, Row};
use common::{Context, ROUNDS, wire};
use counting::{Counting, allocations};
use wayland_auth::{Authenticator, Capability, ClientAuth, Policy, allow, impl_client_auth};
use wayland_server::backend::ClientData;
use wayland_server::protocol::wl_output::{self, WlOutput};
use wayland_server::{Client, DataInit, Dispatch, Display, DisplayHandle, GlobalDispatch, New, Resource};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const GLOBALS: usize = 60;

/// Registry round trips in one round.
const ROUND_TRIPS: u32 = 100;

/// Calls of a filter in one round.
const CALLS: u32 = 10_000;

fn main() -> ExitCode {
    common::exit_code(run())
}

fn run() -> Result<(), String> {
    let policy = Policy::parse("policy.toml", "[defaults.internal]\nbench = [\"*\"]\n").context("policy")?;
    let authenticator = Authenticator::builder().policy(policy).build().context("authenticator")?;
    let auth = authenticator.internal("bench");
    if !auth.allows(Capability::SCREEN_CAPTURE) {
        return Err("the client may not do what it is allowed".to_owned());
    }
    let mut filtered = Server::<Filtered>::new(auth.clone())?;
    let mut open = Server::<Open>::new(auth)?;
    count_allocations(&filtered.client)?;

    let (mut with, mut without) = (Samples::default(), Samples::default());
    // The first round only warms up.
    for round in 0..=ROUNDS {
        if round % 2 == 0 {
            with.add(round, filtered.round_trips());
            without.add(round, open.round_trips());
        } else {
            without.add(round, open.round_trips());
            with.add(round, filtered.round_trips());
        }
    }
    let (with, without) = (with.series(), without.series());
    println!("\nwl_registry and sync with {GLOBALS} globals, {ROUNDS} interleaved rounds of {ROUND_TRIPS}");
    for (what, [single, rounds]) in [("filtered", &with), ("unfiltered", &without)] {
        println!("  {what:10}  one by one {}, by rounds {}", table::Value::from(single), table::Value::from(rounds));
    }
    // Both readings of the target: how far single round trips differ anyway, and how far the medians of whole rounds do,
    // which is the less the longer a round is.
    let names = ["against the IQR of single ones", "against the IQR of the rounds"];
    let rows: Vec<_> = (0..2)
        .map(|i| Row {
            name: format!("asking for {GLOBALS} globals, {}", names[i]),
            ours: (with[i].median() - without[i].median()).into(),
            floor: without[i].iqr().into(),
            target: 1.0,
        })
        .collect();
    table::print("Filter", "difference of medians", "IQR of the unfiltered", &rows);
    let direct = direct(&filtered.client);
    println!("  one call of a filter by itself: {}", table::Value::from(&direct));
    Ok(())
}

/// Counts what 10,000 calls allocate: nothing.
fn count_allocations(client: &Client) -> Result<(), String> {
    let control = allocations(|| drop(black_box(vec![1_u8])));
    let filter = allow::<ClientState>(Capability::SCREEN_CAPTURE);
    let mut seen = 0;
    let count = allocations(|| seen = (0..CALLS).filter(|_| black_box(&filter)(black_box(client))).count());
    println!("allocations: {count} in {seen} calls of a filter; {control} for a vector, as a control");
    match (control, seen, count) {
        (1, seen, 0) if seen == CALLS as usize => Ok(()),
        (1, _, 0) => Err("the filter hides what the client may see".to_owned()),
        (1, _, _) => Err("the filter allocates".to_owned()),
        _ => Err("the allocator does not count".to_owned()),
    }
}

/// The times of all round trips, and the median of each round.
#[derive(Default)]
struct Samples {
    single: Vec<f64>,
    rounds: Vec<f64>,
}

impl Samples {
    fn add(&mut self, round: usize, times: Vec<f64>) {
        if round > 0 {
            self.single.extend_from_slice(&times);
            self.rounds.push(Series::new(times).median());
        }
    }

    fn series(self) -> [Series; 2] {
        [Series::new(self.single), Series::new(self.rounds)]
    }
}

/// The time of one call of a filter.
fn direct(client: &Client) -> Series {
    let filter = allow::<ClientState>(Capability::SCREEN_CAPTURE);
    let round = || timed(CALLS, || _ = black_box(black_box(&filter)(black_box(client))));
    Series::new((0..ROUNDS).map(|_| round().as_nanos() as f64 / f64::from(CALLS)).collect())
}

struct ClientState {
    auth: ClientAuth,
}

impl ClientData for ClientState {}
impl_client_auth!(ClientState, auth);

/// The data of a global that asks.
struct Filtered(Box<dyn Fn(&Client) -> bool + Send + Sync>);

/// The data of one that does not. As large, so that the two differ in nothing else.
struct Open(#[allow(dead_code, reason = "stands for the filter")] Box<dyn Fn(&Client) -> bool + Send + Sync>);

trait GlobalData: Send + Sync + 'static {
    fn new(filter: Box<dyn Fn(&Client) -> bool + Send + Sync>) -> Self;
}

impl GlobalData for Filtered {
    fn new(filter: Box<dyn Fn(&Client) -> bool + Send + Sync>) -> Self {
        Self(filter)
    }
}

impl GlobalData for Open {
    fn new(filter: Box<dyn Fn(&Client) -> bool + Send + Sync>) -> Self {
        Self(filter)
    }
}

struct State;

impl GlobalDispatch<WlOutput, Filtered> for State {
    fn bind(
        _: &mut Self,
        _: &DisplayHandle,
        _: &Client,
        new: New<WlOutput>,
        _: &Filtered,
        init: &mut DataInit<'_, Self>,
    ) {
        init.init(new, ());
    }

    fn can_view(client: Client, Filtered(filter): &Filtered) -> bool {
        filter(&client)
    }
}

impl GlobalDispatch<WlOutput, Open> for State {
    fn bind(_: &mut Self, _: &DisplayHandle, _: &Client, new: New<WlOutput>, _: &Open, init: &mut DataInit<'_, Self>) {
        init.init(new, ());
    }
}

impl Dispatch<WlOutput, ()> for State {
    fn request(
        _: &mut Self,
        _: &Client,
        _: &WlOutput,
        _: wl_output::Request,
        (): &(),
        _: &DisplayHandle,
        _: &mut DataInit<'_, Self>,
    ) {
    }
}

/// A display with its globals and one client.
struct Server<D> {
    display: Display<State>,
    client: Client,
    stream: UnixStream,
    auth: ClientAuth,
    buffer: Vec<u8>,
    data: std::marker::PhantomData<D>,
}

impl<D: GlobalData> Server<D>
where
    State: GlobalDispatch<WlOutput, D>,
{
    fn new(auth: ClientAuth) -> Result<Self, String> {
        let display = Display::<State>::new().context("display")?;
        let handle = display.handle();
        for _ in 0..GLOBALS {
            let filter = allow::<ClientState>(Capability::SCREEN_CAPTURE);
            handle.create_global::<State, WlOutput, D>(WlOutput::interface().version, D::new(Box::new(filter)));
        }
        let (stream, client) = connect(&handle, &auth)?;
        Ok(Self { display, client, stream, auth, buffer: Vec::new(), data: std::marker::PhantomData })
    }

    /// The times of some registries of a new client. (A registry stays until its client goes.)
    fn round_trips(&mut self) -> Vec<f64> {
        let (stream, client) = connect(&self.display.handle(), &self.auth).expect("another client");
        (self.stream, self.client) = (stream, client);
        (1..=ROUND_TRIPS).map(|i| timed(1, || self.round_trip(2 * i)).as_nanos() as f64).collect()
    }

    fn round_trip(&mut self, registry: u32) {
        wire::ask(&self.stream, registry, registry + 1).expect("requests");
        self.display.dispatch_clients(&mut State).expect("dispatch");
        self.display.flush_clients().expect("flush");
        let globals = wire::answer(&self.stream, registry + 1, &mut self.buffer).expect("events");
        assert_eq!(globals, GLOBALS, "the client does not see everything");
    }
}

fn connect(handle: &DisplayHandle, auth: &ClientAuth) -> Result<(UnixStream, Client), String> {
    let (ours, theirs) = UnixStream::pair().context("socket pair")?;
    let client =
        handle.clone().insert_client(theirs, Arc::new(ClientState { auth: auth.clone() })).context("client")?;
    Ok((ours, client))
}
