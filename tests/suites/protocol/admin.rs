//! Grants by the protocol.

use std::os::fd::RawFd;

use wayland_auth::Capability;
use wayland_auth::protocol::client::xx_client_auth_admin_v1::{Answer, Disposition, Lifetime, XxClientAuthAdminV1};
use wayland_auth::protocol::client::xx_client_auth_grants_v1::XxClientAuthGrantsV1;
use wayland_auth::protocol::client::xx_client_auth_result_v1::XxClientAuthResultV1;
use wayland_auth_tests::{Context, Outcome, World, ensure, ensure_eq};
use wayland_client::Proxy;
use wayland_client::backend::ObjectId;
use wayland_client::backend::protocol::{Argument, Message};
use wayland_client::backend::smallvec::SmallVec;

use super::client::{Client, Ours};
use super::stage::Stage;

/// The host may administrate, and applications may do nothing.
pub(crate) const POLICY: &str = r#"
[defaults]
host = ["*", "identity-monitor", "identity-admin"]

[[rule]]
match = { engine = "org.example.Engine", app-id = "org.example.Asking" }
allow = []
ask = ["screen-capture"]
"#;

fn grant(host: &mut Client, admin: &XxClientAuthAdminV1, serial: u64, lifetime: Lifetime) -> Result<String, String> {
    let (hi, lo) = ((serial >> 32) as u32, serial as u32);
    let name = "screen-capture".to_owned();
    let result = admin.grant_client(hi, lo, name, Answer::Allow, lifetime, 60, &host.queue.handle(), Ours);
    host.roundtrip()?;
    let said = host.said(&result);
    result.destroy();
    ensure_eq!(said.len(), 1, "{said:?}");
    Ok(said[0].clone())
}

pub(crate) fn made_listed_and_revoked(world: &World) -> Outcome {
    let stage = Stage::new(world, POLICY)?;
    let (_app, auth) = stage.app("org.example.Game")?;
    let (_twin, twin) = stage.app("org.example.Game")?;
    let mut host = stage.host()?;
    let admin: XxClientAuthAdminV1 = host.bind()?;
    let list = admin.get_grants(&host.queue.handle(), Ours);
    ensure_eq!(host.read(&list, XxClientAuthGrantsV1::read)?, ["Done { more: 0 }"]);
    let serial = auth.serial().get();

    ensure_eq!(grant(&mut host, &admin, serial, Lifetime::Connection)?, "Granted { id_hi: 0, id_lo: 1 }");
    // For this connection alone, not for another of the same application.
    ensure!(auth.allows(Capability::SCREEN_CAPTURE) && !twin.allows(Capability::SCREEN_CAPTURE), "not for it alone");
    ensure_eq!(grant(&mut host, &admin, serial, Lifetime::Session)?, "Granted { id_hi: 0, id_lo: 2 }");
    ensure!(twin.allows(Capability::SCREEN_CAPTURE), "not for the application");
    let said = host.read(&list, XxClientAuthGrantsV1::read)?;
    ensure_eq!(said.len(), 3, "{said:#?}");
    let start = "Grant { id_hi: 0, id_lo: 1, engine: \"org.example.Engine\", app_id: \"org.example.Game\", \
                 instance_id: None, capability: \"screen-capture\", answer: Value(Allow), \
                 lifetime: Value(Connection), serial_hi: 0, ";
    ensure!(said[0].starts_with(&format!("{start}serial_lo: {serial}, expires_hi: 0, expires_lo: 1")), "{said:#?}");
    ensure!(said[1].contains("lifetime: Value(Session), serial_hi: 0, serial_lo: 0,"), "{said:#?}");

    for id in [1, 2] {
        let result = admin.revoke(0, id, Disposition::Keep, &host.queue.handle(), Ours);
        host.roundtrip()?;
        ensure_eq!(host.said(&result), ["Revoked"]);
        let again = admin.revoke(0, id, Disposition::Keep, &host.queue.handle(), Ours);
        host.roundtrip()?;
        ensure!(host.said(&again)[0].starts_with("Failed { reason: Value(NoSuchGrant)"), "revoked twice");
    }
    ensure!(!auth.allows(Capability::SCREEN_CAPTURE), "still allowed");
    let gone = |id: u32| format!("Gone {{ id_hi: 0, id_lo: {id} }}");
    ensure_eq!(host.read(&list, XxClientAuthGrantsV1::read)?, [gone(1), gone(2), "Done { more: 0 }".into()]);
    Ok(())
}

pub(crate) fn lost_capability(world: &World) -> Outcome {
    let stage = Stage::new(world, POLICY)?;
    let (_app, auth) = stage.app("org.example.Game")?;
    let mut host = stage.host()?;
    let admin: XxClientAuthAdminV1 = host.bind()?;
    let list = admin.get_grants(&host.queue.handle(), Ours);
    let serial = auth.serial().get();
    ensure!(grant(&mut host, &admin, serial, Lifetime::Session)?.starts_with("Granted"), "the control");
    stage.set_policy(&POLICY.replace(", \"identity-admin\"", ""))?;
    host.roundtrip()?;
    ensure_eq!(host.said(&list), ["Finished"]);
    // What it bound is there still, and does nothing.
    ensure!(
        grant(&mut host, &admin, serial, Lifetime::Always)?.starts_with("Failed { reason: Value(NotPermitted)"),
        "it grants on"
    );
    let result = admin.revoke(0, 1, Disposition::Disconnect, &host.queue.handle(), Ours);
    host.roundtrip()?;
    ensure!(host.said(&result)[0].starts_with("Failed { reason: Value(NotPermitted)"), "it revokes on");
    ensure_eq!(stage.authenticator.grants().len(), 1);
    Ok(())
}

pub(crate) fn invalid_values(world: &World) -> Outcome {
    let stage = Stage::new(world, POLICY)?;
    let (_app, auth) = stage.app("org.example.Game")?;
    // The control, and then values that no enum has: the generated code takes them as they are.
    for (answer, lifetime, disposition, lives) in
        [(1, 1, 0, true), (7, 1, 0, false), (1, 9, 0, false), (1, 1, 5, false)]
    {
        let mut host = stage.host()?;
        let admin: XxClientAuthAdminV1 = host.bind()?;
        let serial = auth.serial().get() as u32;
        send(&host, &admin, 1, &[0, serial], Some("screen-capture"), &[answer, lifetime, 0])?;
        send(&host, &admin, 3, &[0, 1], None, &[disposition])?;
        ensure_eq!(host.roundtrip().is_ok(), lives, "{answer} {lifetime} {disposition}");
    }
    // The last one's grant was made, and nothing was revoked by a request that is none.
    ensure_eq!(stage.authenticator.grants().len(), 1);
    Ok(())
}

/// Sends a request of the admin that makes a result, with these arguments.
fn send(
    host: &Client,
    admin: &XxClientAuthAdminV1,
    opcode: u16,
    before: &[u32],
    text: Option<&str>,
    after: &[u32],
) -> Outcome {
    let backend = admin.backend().upgrade().context("no connection")?;
    let uint = |value: &u32| Argument::Uint(*value);
    let mut args: SmallVec<[Argument<ObjectId, RawFd>; 4]> = SmallVec::new();
    args.push(Argument::NewId(ObjectId::null()));
    args.extend(before.iter().map(uint));
    if let Some(text) = text {
        args.push(Argument::Str(Some(Box::new(std::ffi::CString::new(text).context("text")?))));
    }
    args.extend(after.iter().map(uint));
    let message = Message { sender_id: admin.id(), opcode, args };
    let data = host.queue.handle().make_data::<XxClientAuthResultV1, _>(Ours);
    let child = Some((XxClientAuthResultV1::interface(), 1));
    backend.send_request(message, Some(data), child).context("send").map(drop)
}
