//! Looking peers up on both tiers, and saying what the answer should be.

use wayland_auth::identity::{Evidence, Identity, Provenance, Resolver, Tier, Trust};

use crate::release::{PIDFD_INFO, claims};
use crate::{Connection, Context, Outcome, ensure, ensure_eq};

/// The xattr that names the sandbox engine.
pub const ENGINE: &str = "user.xdg.sandbox-engine";
/// The xattr that names the application.
pub const APP_ID: &str = "user.app_id";
/// The xattr that names the instance.
pub const INSTANCE_ID: &str = "user.xdg.instance-id";

/// Engine, app ID, provenance.
pub type Named<'a> = (Option<&'a str>, Option<&'a str>, Provenance);

/// A sandbox that only its namespaces show.
pub const UNKNOWN: Named<'_> = (None, None, Provenance::User);

/// The resolver of a new kernel and that of an old one: whatever holds for one must hold for the other. On a kernel that
/// claims to be older than Linux 6.13 there is only that of an old one.
///
/// # Errors
///
/// If the machine offers less than its version claims, or than the tests need.
pub fn resolvers() -> Result<Vec<(Tier, Resolver)>, String> {
    let new = Resolver::builder().build().context("resolver")?;
    ensure!(new.support().can_identify(), "this machine can identify nobody:\n{}", new.support());
    let old = Resolver::builder().without_pidfd_info().build().context("resolver")?;
    if !claims(PIDFD_INFO)? && !new.support().pidfd_info {
        return Ok(vec![(Tier::ProcPath, old)]);
    }
    ensure!(new.support().pidfd_info, "a kernel of this version has PIDFD_GET_INFO, this one has not");
    Ok(vec![(Tier::CgroupId, new), (Tier::ProcPath, old)])
}

/// Looks a peer up on both tiers and wants the same answer.
///
/// # Errors
///
/// If the tiers disagree.
pub fn identify(connection: &Connection) -> Result<Identity, String> {
    identify_trusting(connection, &Trust::default())
}

/// The same, with other users' word counting too.
///
/// # Errors
///
/// If the tiers disagree.
pub fn identify_trusting(connection: &Connection, trust: &Trust) -> Result<Identity, String> {
    let mut answers = Vec::new();
    for (tier, resolver) in resolvers()? {
        let identified = resolver.identify(&connection.stream, trust);
        if identified.identity.is_identified() {
            ensure_eq!(identified.evidence.tier, Some(tier));
        }
        answers.push(identified.identity);
    }
    for other in &answers[1..] {
        ensure_eq!(other, &answers[0], "the tiers disagree");
    }
    Ok(answers.swap_remove(0))
}

/// What the answer rests on.
///
/// # Errors
///
/// If there can be none here.
pub fn evidence(connection: &Connection) -> Result<Evidence, String> {
    Ok(resolvers()?[0].1.identify(&connection.stream, &Trust::default()).evidence)
}

/// Wants nobody, for the reason with this code.
///
/// # Errors
///
/// If it is somebody, or for another reason.
pub fn expect_unidentified(identity: &Identity, code: &str) -> Outcome {
    match identity {
        Identity::Unidentified(u) if u.reason.code() == code => Ok(()),
        other => Err(format!("expected unidentified ({code}), got {other:?}")),
    }
}

/// Wants this application.
///
/// # Errors
///
/// If it is another, or none.
pub fn expect_app(identity: &Identity, expected: Named<'_>) -> Outcome {
    let Identity::App(app) = identity else { return Err(format!("expected an app, got {identity:?}")) };
    let got = (app.engine.as_ref().map(|e| e.as_str()), app.app_id.as_ref().map(|a| a.as_str()), app.provenance);
    ensure_eq!(got, expected);
    Ok(())
}

/// Wants the host, with this claim.
///
/// # Errors
///
/// If it is anybody else, or claims something else.
pub fn expect_host(identity: &Identity, claim: Option<&str>) -> Outcome {
    let Identity::Host(host) = identity else { return Err(format!("expected the host, got {identity:?}")) };
    ensure_eq!(host.claim.as_ref().map(|c| c.as_str()), claim);
    Ok(())
}
