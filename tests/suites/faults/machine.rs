//! What fails at the start, and what the machine's inability is taken for.

use wayland_auth::fault::{self, Answer, Extent, Fault};
use wayland_auth::identity::{Reason, ResolverError};
use wayland_auth::kernel::Support;
use wayland_auth::{Authenticator, Identity, Resolver, SandboxContext};
use wayland_auth_tests::{Context, Outcome, World, ensure, ensure_eq};

use crate::matrix::{faults, open_descriptors};
use crate::peers;
use crate::policies;
use crate::table::{HELD_OUT, SHORTAGE};

/// `[machine] without-kernel-identity = "as-before"` is for a machine that can identify nobody. No client can bring
/// that about for himself.
pub(crate) fn failure_for_one_client(world: &World) -> Outcome {
    let (mut cases, mut unsupported) = (0, 0);
    for lower in [false, true] {
        let builder = Authenticator::builder().policy(policies::as_before()?);
        let builder = if lower { builder.without_pidfd_info() } else { builder };
        let authenticator = builder.build().context("authenticator")?;
        ensure!(authenticator.support().can_identify(), "this machine can identify nobody");
        let host = peers::connect(world, "host", "host", Default::default())?;
        let creator = authenticator.identify(&host.connection.stream);
        let context = SandboxContext::new(creator)
            .engine(Some("org.example.Engine".into()))
            .app_id(Some("org.example.Recorder".into()));
        for peer in peers::ordinary(world)? {
            let stream = &peer.connection.stream;
            for sandboxed in [false, true] {
                let look = || match sandboxed {
                    false => authenticator.identify(stream),
                    true => authenticator.identify_sandboxed(stream, &context),
                };
                drop(look());
                let (truth, trace) = fault::run(None, look);
                for fault in faults(&trace.calls)?.into_iter().filter(|fault| fault.extent != Extent::SameCall) {
                    if HELD_OUT.contains(&(trace.calls[fault.at], fault.answer)) {
                        continue;
                    }
                    let (auth, _) = fault::run(Some(fault), look);
                    let gained = auth.allowed().difference(truth.allowed());
                    let what = format!("{} became {} by {fault:?}", peer.name, auth.identity());
                    ensure!(gained.is_empty(), "{what}, and gained {gained:?}");
                    if let Identity::Unidentified(u) = auth.identity() {
                        unsupported += usize::from(u.reason == Reason::KernelUnsupported);
                    }
                    cases += 1;
                }
            }
        }
    }
    println!("{cases} look-ups with a fault, {unsupported} of them as if the kernel could not");
    ensure!(cases > 1000 && unsupported > 0, "{cases} cases, {unsupported} unsupported: nothing is shown");
    Ok(())
}

/// The calls that making a resolver makes.
fn calls_at_the_start() -> Result<(Resolver, Vec<&'static str>), String> {
    let (resolver, trace) = fault::run(None, || Resolver::builder().build());
    Ok((resolver.context("resolver")?, trace.calls))
}

/// What is short now may be there in a moment: no resolver is made that goes by it for ever.
pub(crate) fn shortage_at_the_start(_: &World) -> Outcome {
    let (truth, calls) = calls_at_the_start()?;
    let mut refused = 0;
    let mut cases = 0;
    for (at, &call) in calls.iter().enumerate() {
        for (&errno, extent) in SHORTAGE.iter().flat_map(|errno| [(errno, Extent::Once), (errno, Extent::Everything)]) {
            let fault = Fault { at, extent, answer: Answer::Errno(errno) };
            let before = open_descriptors()?;
            let (built, trace) = fault::run(Some(fault), || Resolver::builder().build());
            ensure!(trace.injected > 0, "nothing failed: {fault:?}");
            match built {
                Err(ResolverError::Resources { .. }) => refused += 1,
                Err(e) => return Err(format!("{} {fault:?}: {e}, {e:?}", call)),
                // Only a short cut may be missing, never an answer.
                Ok(resolver) => {
                    ensure_eq!(resolver.support(), truth.support(), "{} {fault:?}", call);
                    ensure_eq!(call, "pidfd_open", "{fault:?} went unnoticed");
                }
            }
            let support = fault::run(Some(fault), Support::probe).0;
            if let Ok(support) = support {
                ensure_eq!(&support, truth.support(), "{} {fault:?}", call);
            }
            ensure_eq!(open_descriptors()?, before, "descriptors are left: {} {fault:?}", call);
            cases += 1;
        }
    }
    println!("{cases} shortages at {} calls, {refused} refused", calls.len());
    ensure!(refused > 100, "only {refused} of {cases}");
    Ok(())
}

/// Whatever fails at the start, what is found is an error, or no more than the machine has.
pub(crate) fn failure_at_the_start(world: &World) -> Outcome {
    let (truth, calls) = calls_at_the_start()?;
    let truth = truth.support().clone();
    let game = peers::ordinary(world)?;
    let policies = policies::all()?;
    let trust = wayland_auth::identity::Trust::default();
    let plain = Resolver::builder().build().context("resolver")?;
    let allowed = |resolver: &Resolver, stream: &std::os::unix::net::UnixStream| -> Vec<_> {
        let identity = resolver.identify(stream, &trust).identity;
        policies.iter().map(|(_, policy)| policy.evaluate(&identity).allowed()).collect()
    };
    let most: Vec<_> = game.iter().map(|peer| allowed(&plain, &peer.connection.stream)).collect();
    let (mut cases, mut errors, mut unable) = (0, 0, 0);
    for fault in faults(&calls)? {
        cases += 1;
        let (built, _) = fault::run(Some(fault), || Resolver::builder().build());
        let Ok(resolver) = built else {
            errors += 1;
            continue;
        };
        let support = resolver.support();
        let claims = |now: bool, then: bool| !now || then;
        ensure!(
            claims(support.peer_pidfd, truth.peer_pidfd)
                && claims(support.pidfd_info, truth.pidfd_info)
                && claims(support.procfs, truth.procfs)
                && claims(support.initial_user_namespace, truth.initial_user_namespace)
                && claims(support.can_identify(), truth.can_identify()),
            "{} {fault:?}: {support}",
            calls[fault.at]
        );
        unable += usize::from(!support.can_identify());
        if fault.extent == Extent::Once {
            for (peer, most) in game.iter().zip(&most) {
                for (now, most) in allowed(&resolver, &peer.connection.stream).into_iter().zip(most) {
                    let gained = now.difference(*most);
                    ensure!(gained.is_empty(), "{} gained {gained:?}: {} {fault:?}", peer.name, calls[fault.at]);
                }
            }
        }
    }
    println!(
        "{cases} faults at {} calls at the start: {errors} errors, {unable} machines that can identify nobody",
        calls.len()
    );
    ensure!(errors > 0 && unable > 0 && cases > 500, "nothing is shown");
    Ok(())
}
