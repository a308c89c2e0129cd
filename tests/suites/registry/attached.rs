//! Filters that know only the compositor's own client data.

use wayland_auth_tests::server::{State, Typed};
use wayland_auth_tests::wire::REGISTRY;
use wayland_auth_tests::{Outcome, World, ensure_eq};
use wayland_protocols::ext::idle_notify::v1::server::ext_idle_notifier_v1::ExtIdleNotifierV1;

use crate::live::{CAPTURE, HOUR, Stage, captures, narrow, removals};

/// With the compositor's own data in the library's clients, such a filter says of them what it says of others; without it,
/// the library does not learn of the global, and nobody is told that it went.
pub(crate) fn filters_of_the_compositors_own_are_learnt(world: &World) -> Outcome {
    for is_known in [false, true] {
        let mut stage = Stage::unattached(world, HOUR)?;
        stage.server.run(|handle| handle.create_global::<State, ExtIdleNotifierV1, Typed>(1, Typed(CAPTURE)))?;
        if is_known {
            let (authenticator, make_data) = (stage.authenticator.clone(), stage.server.make_data());
            stage
                .server
                .run(move |handle| authenticator.attach_with(handle, make_data).map_err(|e| e.to_string()))??;
            // What was asked before is answered when the next job is done.
            stage.server.run(|_| ())?;
        } else {
            stage.attach()?;
        }
        let mut recorder = stage.client(world, Some("org.example.Recorder"))?;
        let mut bystander = stage.client(world, Some("org.example.Game"))?;
        let mut told = captures(&recorder.client);
        let idle = recorder.client.globals().iter().filter(|g| g.interface == "ext_idle_notifier_v1").cloned();
        told.extend(idle.filter(|_| is_known));
        ensure_eq!(told.len(), if is_known { 3 } else { 2 });
        stage.set(&narrow())?;
        ensure_eq!(recorder.client.unasked()?, removals(REGISTRY, &told)?, "{is_known}");
        ensure_eq!(bystander.client.unasked()?, [0_u8; 0]);
    }
    Ok(())
}
