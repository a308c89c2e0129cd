//! What the messages of one connection say about globals.
//!
//! Looked at are `wl_display.get_registry` and `delete_id`, a registry's events and its `bind`, and what is said to and by
//! the objects that were bound. Nothing else is looked into; other objects are not known at all.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::destructors::destructor;
use super::record::Record;
use super::wire::{Arguments, Message, error};

const DISPLAY: u32 = 1;
const GET_REGISTRY: u16 = 1;
const DELETE_ID: u16 = 1;
const BIND: u16 = 0;
const GLOBAL: u16 = 0;
const GLOBAL_REMOVE: u16 = 1;
/// `wl_display.error.invalid_object`, which libwayland also sends when a global cannot be bound.
const INVALID_OBJECT: u32 = 0;
/// Kept from every application that something is kept from: it destroys registries, and then a number that was a registry's
/// can be anything. Nothing that it does is ever needed.
const NO_FIXES: &str = "wl_fixes";
/// So many objects and globals are known of a connection; real programs have some dozens.
const MAX: usize = 1 << 16;

/// Says of an interface whether its globals are kept from the application.
pub(super) type Hides = dyn Fn(&str) -> bool + Send;

/// What becomes of a message.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// It goes on.
    Pass,
    /// It is left out.
    Drop,
    /// The connection is ended, for this reason, and the client is told this.
    End { why: String, event: Option<Vec<u8>> },
}

impl Step {
    fn too_many() -> Self {
        Self::End { why: "a program made too many objects".to_owned(), event: None }
    }
}

/// What is known of one connection.
#[derive(Debug, Default)]
pub(super) struct Tracker {
    registries: HashSet<u32>,
    bound: HashMap<u32, Bound>,
    /// The interfaces of globals, by their names (which are numbers).
    globals: HashMap<u32, Arc<str>>,
}

/// An object that was bound.
#[derive(Debug)]
struct Bound {
    interface: Arc<str>,
    destructor: Option<u16>,
    /// How many requests it got, without the destructor if that is known.
    requests: u32,
}

impl Bound {
    /// Notes how it was used. If it was `deleted`, it was destroyed by the last request.
    fn note(&self, record: &mut Record, deleted: bool) {
        let last = u32::from(deleted && self.destructor.is_none());
        if self.requests > last {
            record.note(&self.interface, |seen| seen.asked = true);
        }
    }
}

impl Tracker {
    /// Looks at a request. With `hides`, nothing is bound that the application was not told of.
    pub(super) fn request(&mut self, message: Message<'_>, record: &mut Record, hides: Option<&Hides>) -> Step {
        let mut arguments = Arguments(message.arguments);
        if message.object == DISPLAY {
            if message.opcode != GET_REGISTRY {
                return Step::Pass;
            }
            let Some(id) = arguments.word() else { return Step::Pass };
            if self.registries.len() >= MAX {
                return Step::too_many();
            }
            self.registries.insert(id);
            return Step::Pass;
        }
        if self.registries.contains(&message.object) {
            return if message.opcode == BIND { self.bind(message, record, hides) } else { Step::Pass };
        }
        if let Some(bound) = self.bound.get_mut(&message.object)
            && Some(message.opcode) != bound.destructor
        {
            bound.requests = bound.requests.saturating_add(1);
        }
        Step::Pass
    }

    fn bind(&mut self, message: Message<'_>, record: &mut Record, hides: Option<&Hides>) -> Step {
        let mut arguments = Arguments(message.arguments);
        let Some(name) = arguments.word() else { return Step::Pass };
        let interface = self.globals.get(&name).cloned();
        if let Some(hides) = hides {
            // What was not announced by its number cannot be told from what is hidden.
            let shown = interface.as_ref().is_some_and(|interface| !hides(interface));
            if !shown {
                let what = interface.as_deref().unwrap_or("nothing that was announced");
                let event = error(message.object, INVALID_OBJECT, &format!("invalid global {name}"));
                let why = format!("a program bound the hidden global {name} ({what})");
                return Step::End { why, event: Some(event) };
            }
        }
        // A bind that is malformed is for the compositor to refuse; so is one of nothing.
        let (Some(_), Some(_), Some(id)) = (arguments.string(), arguments.word(), arguments.word()) else {
            return Step::Pass;
        };
        let Some(interface) = interface else { return Step::Pass };
        if self.bound.len() >= MAX {
            return Step::too_many();
        }
        record.note(&interface, |seen| seen.bound = true);
        let bound = Bound { destructor: destructor(&interface), interface, requests: 0 };
        if let Some(before) = self.bound.insert(id, bound) {
            before.note(record, true);
        }
        Step::Pass
    }

    /// Looks at an event.
    pub(super) fn event(&mut self, message: Message<'_>, record: &mut Record, hides: Option<&Hides>) -> Step {
        let mut arguments = Arguments(message.arguments);
        if message.object == DISPLAY {
            if let (DELETE_ID, Some(id)) = (message.opcode, arguments.word()) {
                // A number can be given back late, when a client that does not wait has made a registry of it. Where that
                // matters no registry can be destroyed: see `NO_FIXES`.
                if hides.is_none() {
                    self.registries.remove(&id);
                }
                if let Some(bound) = self.bound.remove(&id) {
                    bound.note(record, true);
                }
            }
            return Step::Pass;
        }
        if self.registries.contains(&message.object) {
            return self.registry_event(message, record, hides);
        }
        if let Some(bound) = self.bound.get_mut(&message.object) {
            record.note(&bound.interface, |seen| seen.told = true);
        }
        Step::Pass
    }

    fn registry_event(&mut self, message: Message<'_>, record: &mut Record, hides: Option<&Hides>) -> Step {
        let mut arguments = Arguments(message.arguments);
        let hides = |interface: &str| hides.is_some_and(|hides| interface == NO_FIXES || hides(interface));
        match (message.opcode, arguments.word()) {
            (GLOBAL, Some(name)) => {
                let Some(interface) = arguments.string() else { return Step::Drop };
                let hidden = hides(interface);
                let known = self.globals.len() < MAX || self.globals.contains_key(&name);
                let Some(interface) = record.announced(interface, hidden).filter(|_| known) else { return Step::Drop };
                self.globals.insert(name, interface);
                if hidden { Step::Drop } else { Step::Pass }
            }
            (GLOBAL_REMOVE, Some(name)) => {
                // Its number stays known: who binds it now may not have heard yet.
                let hidden = self.globals.get(&name).is_some_and(|interface| hides(interface));
                if hidden { Step::Drop } else { Step::Pass }
            }
            _ => Step::Pass,
        }
    }

    /// The connection has ended: notes what is left.
    pub(super) fn finish(&mut self, record: &mut Record) {
        for (_, bound) in self.bound.drain() {
            bound.note(record, false);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::record::Seen;
    use super::super::wire::{self, first};
    use super::*;

    const REGISTRY: u32 = 2;

    fn message(object: u32, opcode: u16, arguments: &[&[u8]]) -> Vec<u8> {
        let arguments = arguments.concat();
        let size = u32::try_from(wire::HEAD + arguments.len()).unwrap();
        [&object.to_ne_bytes()[..], &(size << 16 | u32::from(opcode)).to_ne_bytes(), &arguments].concat()
    }

    fn string(text: &str) -> Vec<u8> {
        let mut bytes = u32::try_from(text.len() + 1).unwrap().to_ne_bytes().to_vec();
        bytes.extend(text.as_bytes());
        bytes.resize(4 + (text.len() + 1).next_multiple_of(4), 0);
        bytes
    }

    /// A connection whose application must not see what is called `hidden`, or one that sees everything.
    struct Case {
        tracker: Tracker,
        record: Record,
        enforces: bool,
    }

    impl Case {
        fn new(enforces: bool) -> Self {
            let mut case = Self { tracker: Tracker::default(), record: Record::default(), enforces };
            assert_eq!(case.request(DISPLAY, GET_REGISTRY, &[&REGISTRY.to_ne_bytes()]), Step::Pass);
            case
        }

        fn hides(&self) -> Option<&'static Hides> {
            self.enforces.then_some(&|interface: &str| interface.contains("hidden"))
        }

        fn request(&mut self, object: u32, opcode: u16, arguments: &[&[u8]]) -> Step {
            let bytes = message(object, opcode, arguments);
            let hides = self.hides();
            self.tracker.request(first(&bytes).unwrap().unwrap(), &mut self.record, hides)
        }

        fn event(&mut self, object: u32, opcode: u16, arguments: &[&[u8]]) -> Step {
            let bytes = message(object, opcode, arguments);
            let hides = self.hides();
            self.tracker.event(first(&bytes).unwrap().unwrap(), &mut self.record, hides)
        }

        fn announce(&mut self, name: u32, interface: &str) -> Step {
            self.event(REGISTRY, GLOBAL, &[&name.to_ne_bytes(), &string(interface), &1_u32.to_ne_bytes()])
        }

        fn bind(&mut self, name: u32, interface: &str, id: u32) -> Step {
            let arguments = [&name.to_ne_bytes()[..], &string(interface), &1_u32.to_ne_bytes(), &id.to_ne_bytes()];
            self.request(REGISTRY, BIND, &arguments)
        }

        fn delete(&mut self, id: u32) {
            assert_eq!(self.event(DISPLAY, DELETE_ID, &[&id.to_ne_bytes()]), Step::Pass);
        }

        fn seen(mut self, interface: &str) -> Seen {
            self.tracker.finish(&mut self.record);
            self.record.interfaces().find(|(name, _)| *name == interface).unwrap().1
        }
    }

    #[test]
    fn what_is_bound_is_not_used_yet() {
        let mut case = Case::new(false);
        assert_eq!(case.announce(7, "a"), Step::Pass);
        assert_eq!(case.bind(7, "a", 3), Step::Pass);
        assert_eq!(case.seen("a"), Seen { bound: true, ..Seen::default() });
    }

    #[test]
    fn a_request_is_use_and_so_is_an_event() {
        let mut case = Case::new(false);
        for (name, interface) in [(7, "asks"), (8, "tells")] {
            case.announce(name, interface);
            case.bind(name, interface, name);
        }
        case.request(7, 4, &[]);
        case.event(8, 4, &[]);
        assert!(case.record.interfaces().all(|(_, seen)| seen.bound && !seen.asked));
        let record = {
            case.tracker.finish(&mut case.record);
            &case.record
        };
        let seen: Vec<_> = record.interfaces().map(|(name, seen)| (name, seen.asked, seen.told)).collect();
        assert_eq!(seen, [("asks", true, false), ("tells", false, true)]);
    }

    #[test]
    fn to_destroy_is_no_use() {
        // One of these has a row, and is destroyed by its third request; for the other the compositor's word is waited for.
        for (interface, destructor, told) in [("zwlr_screencopy_manager_v1", 2, false), ("xx_nobody_v1", 0, true)] {
            for uses in [0, 1] {
                let mut case = Case::new(false);
                case.announce(7, interface);
                case.bind(7, interface, 3);
                for _ in 0..uses {
                    case.request(3, 1, &[]);
                }
                case.request(3, destructor, &[]);
                if told {
                    case.delete(3);
                }
                assert_eq!(case.seen(interface).asked, uses > 0, "{interface} {uses}");
            }
        }
    }

    #[test]
    fn a_number_that_was_given_back_is_another_object() {
        let mut case = Case::new(false);
        case.announce(7, "a");
        case.bind(7, "a", 3);
        case.request(3, 0, &[]);
        case.delete(3);
        case.request(3, 1, &[]);
        case.event(3, 1, &[]);
        assert_eq!(case.seen("a"), Seen { bound: true, ..Seen::default() });
    }

    #[test]
    fn hidden_globals_are_neither_announced_nor_taken_back() {
        let mut case = Case::new(true);
        assert_eq!(case.announce(7, "hidden"), Step::Drop);
        assert_eq!(case.announce(8, "shown"), Step::Pass);
        assert_eq!(case.event(REGISTRY, GLOBAL_REMOVE, &[&7_u32.to_ne_bytes()]), Step::Drop);
        assert_eq!(case.event(REGISTRY, GLOBAL_REMOVE, &[&8_u32.to_ne_bytes()]), Step::Pass);
        assert_eq!(case.seen("hidden"), Seen { hidden: true, ..Seen::default() });
    }

    #[test]
    fn hidden_globals_cannot_be_bound_under_any_name() {
        for (name, interface) in [(7, "hidden"), (7, "shown"), (9, "shown"), (9, "hidden"), (0, "")] {
            let mut case = Case::new(true);
            case.announce(7, "hidden");
            case.announce(8, "shown");
            assert!(matches!(case.bind(name, interface, 3), Step::End { event: Some(_), .. }), "{name} {interface}");
        }
        let mut case = Case::new(true);
        case.announce(8, "shown");
        assert_eq!(case.bind(8, "shown", 3), Step::Pass);
    }

    #[test]
    fn a_number_that_names_another_global_now_is_judged_by_that() {
        let mut case = Case::new(true);
        case.announce(7, "shown");
        case.event(REGISTRY, GLOBAL_REMOVE, &[&7_u32.to_ne_bytes()]);
        case.announce(7, "hidden");
        assert!(matches!(case.bind(7, "shown", 3), Step::End { .. }));
    }

    #[test]
    fn a_registry_stays_one_where_something_is_hidden() {
        let mut case = Case::new(true);
        case.announce(7, "hidden");
        // The number was another object's before, whose end is told late; or the registry was destroyed.
        case.delete(REGISTRY);
        assert!(matches!(case.bind(7, "hidden", 3), Step::End { .. }));
        assert_eq!(case.announce(9, NO_FIXES), Step::Drop, "nothing may destroy registries");
    }

    #[test]
    fn a_registry_that_was_destroyed_is_one_no_more_where_nothing_is_hidden() {
        let mut case = Case::new(false);
        case.announce(7, "a");
        case.delete(REGISTRY);
        case.bind(7, "a", 3);
        assert!(!case.seen("a").bound);
    }

    #[test]
    fn arguments_that_are_none_are_the_compositors_to_refuse() {
        let mut case = Case::new(false);
        case.announce(7, "a");
        assert_eq!(case.request(REGISTRY, BIND, &[]), Step::Pass);
        assert_eq!(case.request(REGISTRY, BIND, &[&7_u32.to_ne_bytes(), &u32::MAX.to_ne_bytes()]), Step::Pass);
        assert_eq!(case.request(DISPLAY, GET_REGISTRY, &[]), Step::Pass);
        assert!(!case.seen("a").bound);
        // But not where something is hidden: what they would mean is not known.
        let mut case = Case::new(true);
        case.announce(7, "hidden");
        assert!(matches!(case.request(REGISTRY, BIND, &[&7_u32.to_ne_bytes()]), Step::End { .. }));
    }
}
