//! What each kind of client becomes in a place, told by what it is in the usual one.

use wayland_auth_tests::kinds::{KINDS, Kind};
use wayland_auth_tests::{Context, Outcome, World, ensure, ensure_eq};

use super::place::{Place, Taken};

const UNKNOWN: (&str, &[&str]) = ("app in a sandbox of an unknown engine", &["output-info"]);
const NOBODY: (&str, &[&str]) = ("unidentified", &[]);
const HOST: (&str, &[&str]) = ("host", &["*"]);

/// What becomes of the kinds of clients. `None` is: what they are where the compositor is one of the session's programs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Outcomes {
    /// The host.
    host: Option<(&'static str, &'static [&'static str])>,
    /// Apps that only their namespaces show.
    namespaced: Option<(&'static str, &'static [&'static str])>,
    /// Apps with a label.
    labelled: Option<(&'static str, &'static [&'static str])>,
    /// Those who are nobody.
    nobody: Option<(&'static str, &'static [&'static str])>,
    /// The reason for which they all are nobody.
    reason: Option<&'static str>,
    /// The user to whom those who are somebody belong, if it is not the compositor's own.
    user: Option<u32>,
}

impl Outcomes {
    /// As everywhere.
    pub(crate) const USUAL: Self =
        Self { host: None, namespaced: None, labelled: None, nobody: None, reason: None, user: None };

    /// As everywhere, for a compositor of another user.
    pub(crate) const fn of_user(uid: u32) -> Self {
        Self { user: Some(uid), ..Self::USUAL }
    }

    /// The session's programs live in other namespaces than the compositor: they look sandboxed.
    pub(crate) const SESSION_IS_NAMESPACED: Self = Self { host: Some(UNKNOWN), ..Self::USUAL };

    /// The session's namespaces may not even be asked for. Labels do not need them.
    pub(crate) const SESSION_IS_NOBODY: Self = Self { host: Some(NOBODY), namespaced: Some(NOBODY), ..Self::USUAL };

    /// Nobody can be told from anybody, and the policy says to go on as before.
    pub(crate) const EVERYBODY_IS_HOST: Self =
        Self { host: Some(HOST), namespaced: Some(HOST), labelled: Some(HOST), nobody: Some(HOST), ..Self::USUAL };

    /// Nobody is identified, for this reason.
    pub(crate) const fn nobody(reason: &'static str) -> Self {
        Self {
            host: Some(NOBODY),
            namespaced: Some(NOBODY),
            labelled: Some(NOBODY),
            nobody: Some(NOBODY),
            reason: Some(reason),
            user: None,
        }
    }

    fn of(&self, kind: &Kind) -> (&'static str, &'static [&'static str]) {
        let usual = (kind.identity, kind.capabilities);
        let place = match usual.0 {
            "unidentified" => self.nobody,
            text if text.starts_with("host") => self.host,
            text if text == UNKNOWN.0 => self.namespaced,
            _ => self.labelled,
        };
        place.unwrap_or(usual)
    }
}

/// Lets a client of every kind connect from outside the place.
pub(crate) fn expect_all(world: &World, place: &mut Place<'_>, outcomes: &Outcomes) -> Outcome {
    let mut seen = 0;
    // Those that root must make, and those that must be gone before they are looked at, are shown elsewhere.
    for kind in KINDS.iter().filter(|kind| !kind.needs_root && !kind.reaps()) {
        let setup = (kind.setup)(world)?;
        let mut taken = place.outside(&setup).context(kind.name)?;
        let (identity, capabilities) = outcomes.of(kind);
        if let Some(uid) = outcomes.user.filter(|_| identity != NOBODY.0) {
            let whose = format!(", of uid {uid}");
            ensure_eq!(taken.shown.matches(&whose).count(), 1, "{}: {}", kind.name, taken.shown);
            taken.shown = taken.shown.replace(&whose, "");
        }
        expect_one(&taken, identity, capabilities).context(kind.name)?;
        // Who is nobody everywhere may be so for a reason of his own.
        if let Some(reason) = outcomes.reason.filter(|_| kind.identity != NOBODY.0) {
            ensure_eq!(taken.reason(), Some(reason), "{}: {}", kind.name, taken.shown);
        }
        seen += 1;
    }
    ensure!(seen >= 12, "only {seen} kinds of clients");
    Ok(())
}

/// Wants a client to be this, and to have just these capabilities; `*` is all that the host has.
pub(crate) fn expect_one(taken: &Taken, identity: &str, capabilities: &[&str]) -> Outcome {
    ensure!(taken.shown.starts_with(identity), "got: {}, expected: {identity}", taken.shown);
    if capabilities == ["*"] {
        // All but the two that `*` never gives.
        ensure!(taken.allowed.len() > 20, "few rights for the host: {:?}", taken.allowed);
        ensure!(taken.allowed.iter().any(|c| c == "screen-capture"), "{:?}", taken.allowed);
    } else {
        let sorted = |mut names: Vec<String>| {
            names.sort_unstable();
            names
        };
        let wanted = capabilities.iter().map(|&name| name.to_owned()).collect();
        ensure_eq!(sorted(taken.allowed.clone()), sorted(wanted), "{}", taken.shown);
    }
    Ok(())
}
