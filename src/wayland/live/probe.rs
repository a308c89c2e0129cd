//! Clients of our own that learn the numbers of the globals, and who sees which.
//!
//! A registry event names a global by its number, which no backend tells for sure. So there are eight clients at the other
//! ends of socket pairs, who never ask for anything but the registry. Each sees another half of the capabilities: a global
//! of one capability is shown to exactly four of them, which tell its capability like the digits of a number. One that all
//! eight see has no filter. Any other pattern is that of a filter that asks for several capabilities at once: it says nothing
//! of any of them alone.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::Arc;

use wayland_server::DisplayHandle;
use wayland_server::backend::{ClientData, ClientId, Handle, WeakHandle};

use crate::policy::{Capability, CapabilitySet, Interfaces};
use crate::wayland::ClientAuth;

/// So many clients.
const PROBES: usize = 8;

/// So many of them see a global with a filter. There are 70 patterns of four in eight.
const SEEN_BY: u32 = 4;

/// Longer than any event of a registry: its only text is the name of an interface.
const LONGEST_EVENT: usize = 4096;

const DISPLAY: u32 = 1;
const REGISTRY: u32 = 2;
const CALLBACK: u32 = 3;

/// The pattern of a capability: which probes see it, one bit for each.
fn pattern(capability: Capability) -> u8 {
    (0..=u8::MAX).filter(|bits| bits.count_ones() == SEEN_BY).nth(capability.index()).unwrap_or(0)
}

/// The capability with this pattern.
fn capability_of(pattern: u8) -> Option<Capability> {
    let index = (0..pattern).filter(|bits| bits.count_ones() == SEEN_BY).count();
    Capability::from_index(index).filter(|_| pattern.count_ones() == SEEN_BY)
}

/// What the probe with this number sees.
fn seen_by(probe: usize) -> CapabilitySet {
    CapabilitySet::of((0..Capability::MAX).filter_map(Capability::from_index).filter(|c| pattern(*c) >> probe & 1 == 1))
}

/// The data of a probe that the compositor did not make for us.
#[derive(Debug)]
pub(in crate::wayland) struct ProbeData {
    pub(in crate::wayland) auth: ClientAuth,
}

impl ClientData for ProbeData {}

/// Makes the client data of a probe.
pub(in crate::wayland) type MakeData = Box<dyn Fn(ClientAuth) -> Arc<dyn ClientData> + Send + Sync>;

/// A global that has a filter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Global {
    pub(super) name: u32,
    pub(super) interface: Box<str>,
    pub(super) version: u32,
    pub(super) capability: Capability,
}

/// All probes of one display.
pub(super) struct Probes {
    display: WeakHandle,
    make_data: MakeData,
    interfaces: Arc<Interfaces>,
    probes: Vec<Option<Probe>>,
}

/// What the probes know.
pub(super) enum Known {
    /// The display is gone.
    NoDisplay,
    /// The server has not answered all of them yet.
    NotYet,
    /// Everything.
    All {
        /// The way to the display.
        handle: DisplayHandle,
        /// The globals that have a filter.
        globals: Vec<Global>,
        /// The numbers of globals that went since this was asked before.
        gone: Vec<u32>,
    },
}

impl Probes {
    /// Connects them. The globals may be made before or after.
    pub(super) fn new(handle: &Handle, make_data: MakeData, interfaces: &Arc<Interfaces>) -> io::Result<Self> {
        let mut probes =
            Self { display: handle.downgrade(), make_data, interfaces: Arc::clone(interfaces), probes: Vec::new() };
        for number in 0..PROBES {
            let probe = Probe::new(handle, number, &probes.make_data, interfaces)?;
            probes.probes.push(Some(probe));
        }
        Ok(probes)
    }

    /// Reads what the server told them.
    pub(super) fn ask(&mut self) -> Known {
        let Some(mut handle) = self.display.upgrade() else { return Known::NoDisplay };
        let mut gone = Vec::new();
        let mut all = true;
        for (number, place) in self.probes.iter_mut().enumerate() {
            if let Some(probe) = place
                && let Err(error) = probe.read(&mut handle, &mut gone)
            {
                // It was disconnected, because too much was not read, say.
                tracing::warn!(%error, "a client that watches the globals is gone; another takes its place");
                *place = None;
            }
            if place.is_none() {
                match Probe::new(&handle, number, &self.make_data, &self.interfaces) {
                    Ok(probe) => *place = Some(probe),
                    Err(error) => tracing::warn!(%error, "the globals cannot be watched"),
                }
            }
            all &= place.as_ref().is_some_and(|probe| probe.is_ready);
        }
        if !all {
            return Known::NotYet;
        }
        Known::All { handle: DisplayHandle::from(handle), globals: self.globals(), gone }
    }

    fn globals(&self) -> Vec<Global> {
        let mut patterns: BTreeMap<(u32, &str, u32), u8> = BTreeMap::new();
        for (number, probe) in self.probes.iter().enumerate() {
            for (name, (interface, version)) in probe.iter().flat_map(|probe| &probe.globals) {
                *patterns.entry((*name, interface.as_ref(), *version)).or_default() |= 1 << number;
            }
        }
        patterns
            .into_iter()
            .filter_map(|((name, interface, version), pattern)| {
                Some(Global { name, interface: interface.into(), version, capability: capability_of(pattern)? })
            })
            .collect()
    }

    /// Gives the server something to do, so that it clears away a client that was killed.
    pub(super) fn nudge(&mut self) {
        for probe in self.probes.iter_mut().flatten().filter(|probe| probe.is_ready && !probe.is_nudged).take(1) {
            probe.is_nudged = probe.request(0, CALLBACK).is_ok();
        }
    }
}

struct Probe {
    client: ClientId,
    stream: UnixStream,
    input: Vec<u8>,
    /// It was told of all globals that there were.
    is_ready: bool,
    /// It asked for an answer once more.
    is_nudged: bool,
    globals: BTreeMap<u32, (Box<str>, u32)>,
}

impl Probe {
    fn new(handle: &Handle, number: usize, make_data: &MakeData, interfaces: &Arc<Interfaces>) -> io::Result<Self> {
        let (ours, theirs) = UnixStream::pair()?;
        ours.set_nonblocking(true)?;
        theirs.set_nonblocking(true)?;
        let auth = ClientAuth::probe(seen_by(number), Arc::clone(interfaces));
        let client = DisplayHandle::from(handle.clone()).insert_client(theirs, make_data(auth))?.id();
        let mut probe = Self {
            client,
            stream: ours,
            input: Vec::new(),
            is_ready: false,
            is_nudged: false,
            globals: BTreeMap::new(),
        };
        probe.request(1, REGISTRY)?;
        probe.request(0, CALLBACK)?;
        Ok(probe)
    }

    /// `wl_display.get_registry` is 1, `wl_display.sync` is 0.
    fn request(&mut self, opcode: u32, new_id: u32) -> io::Result<()> {
        let words = [DISPLAY, 12 << 16 | opcode, new_id];
        self.stream.write_all(&words.map(u32::to_ne_bytes).concat())
    }

    fn read(&mut self, handle: &mut Handle, gone: &mut Vec<u32>) -> io::Result<()> {
        loop {
            handle.flush(Some(self.client.clone()))?;
            let mut chunk = [0; LONGEST_EVENT];
            match self.stream.read(&mut chunk) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(n) => {
                    self.input.extend_from_slice(chunk.get(..n).unwrap_or_default());
                    self.parse(gone)?;
                }
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
    }

    fn parse(&mut self, gone: &mut Vec<u32>) -> io::Result<()> {
        let input = std::mem::take(&mut self.input);
        let mut rest = input.as_slice();
        while let (Some(object), Some(head)) = (word(rest, 0), word(rest, 4)) {
            let size = (head >> 16) as usize;
            if !(8..=LONGEST_EVENT).contains(&size) {
                return Err(io::ErrorKind::InvalidData.into());
            }
            let Some((event, after)) = rest.split_at_checked(size) else { break };
            rest = after;
            self.event(object, head & 0xffff, &event[8..], gone).ok_or(io::ErrorKind::InvalidData)?;
        }
        self.input = rest.to_vec();
        Ok(())
    }

    /// `None` if the server said what it should not.
    fn event(&mut self, object: u32, opcode: u32, body: &[u8], gone: &mut Vec<u32>) -> Option<()> {
        match (object, opcode) {
            (REGISTRY, 0) => {
                let length = (word(body, 4)? as usize).checked_sub(1)?;
                let interface = std::str::from_utf8(body.get(8..)?.get(..length)?).ok()?;
                let version = word(body, body.len().checked_sub(4)?)?;
                self.globals.insert(word(body, 0)?, (interface.into(), version));
            }
            (REGISTRY, 1) => {
                let name = word(body, 0)?;
                self.globals.remove(&name);
                gone.push(name);
            }
            (CALLBACK, 0) => self.is_ready = true,
            // The callback's number is free again.
            (DISPLAY, 1) => self.is_nudged = false,
            _ => return None,
        }
        Some(())
    }
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(*bytes.get(at..)?.first_chunk()?))
}

impl std::fmt::Debug for Probes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Probes({})", self.probes.iter().flatten().count())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_capability_has_a_pattern_of_its_own() {
        for capability in (0..Capability::MAX).filter_map(Capability::from_index) {
            assert_eq!(pattern(capability).count_ones(), SEEN_BY);
            assert_eq!(capability_of(pattern(capability)), Some(capability));
            let seen = (0..PROBES).filter(|probe| seen_by(*probe).contains(capability)).fold(0, |p, n| p | 1 << n);
            assert_eq!(pattern(capability), seen);
        }
    }

    #[test]
    fn what_asks_for_several_capabilities_at_once_is_none_of_them() {
        let all: Vec<u8> = (0..Capability::MAX).filter_map(Capability::from_index).map(pattern).collect();
        for a in &all {
            for b in all.iter().filter(|b| *b != a) {
                assert_eq!(capability_of(a | b), None);
                assert_eq!(capability_of(a & b), None);
            }
        }
        assert_eq!(capability_of(u8::MAX), None);
        assert_eq!(capability_of(0), None);
    }
}
