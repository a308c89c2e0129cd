//! Lists of clients.

use wayland_auth::protocol::client::xx_client_auth_clients_v1::XxClientAuthClientsV1;
use wayland_auth::protocol::client::xx_client_auth_monitor_v1::XxClientAuthMonitorV1;
use wayland_auth_tests::{Context, Outcome, World, ensure, ensure_eq};

use super::client::{Client, Ours};
use super::stage::Stage;

const POLICY: &str = r#"
[defaults]
host = ["*", "identity-monitor"]
sandboxed = ["output-info"]

[[rule]]
match = { engine = "org.example.Engine", app-id = "org.example.Recorder" }
allow = ["screen-capture"]
"#;

fn list(client: &Client) -> Result<XxClientAuthClientsV1, String> {
    Ok(client.bind::<XxClientAuthMonitorV1>()?.get_clients(&client.queue.handle(), Ours))
}

fn read(client: &mut Client, list: &XxClientAuthClientsV1) -> Result<Vec<String>, String> {
    client.read(list, XxClientAuthClientsV1::read)
}

/// The serials in a list, with the lines of each.
fn entries(said: &[String]) -> Vec<(u64, &[String])> {
    let starts: Vec<_> = (0..said.len()).filter(|at| said[*at].starts_with("Client {")).collect();
    let ends = starts.iter().skip(1).copied().chain([said.len()]);
    starts.iter().zip(ends).map(|(start, end)| (serial(&said[*start]), &said[*start..end])).collect()
}

fn serial(line: &str) -> u64 {
    let word = line.split("serial_lo: ").nth(1).and_then(|rest| rest.split([',', ' ']).next());
    word.and_then(|word| word.parse().ok()).unwrap_or_default()
}

pub(crate) fn who_is_there_and_why(world: &World) -> Outcome {
    let stage = Stage::new(world, POLICY)?;
    let (_recorder, auth) = stage.app("org.example.Recorder")?;
    let mut host = stage.host()?;
    let list = list(&host)?;
    let said = read(&mut host, &list)?;
    let entries = entries(&said);
    ensure_eq!(entries.len(), 2, "{said:#?}");
    let (serial, lines) = entries[0];
    ensure_eq!(serial, auth.serial().get());
    ensure_eq!(
        lines[0],
        format!(
            "Client {{ serial_hi: 0, serial_lo: {serial}, kind: Value(App), engine: Some(\"org.example.Engine\"), \
             app_id: Some(\"org.example.Recorder\"), instance_id: None, provenance: Value(User), \
             description: \"app org.example.Recorder of org.example.Engine\" }}"
        )
    );
    ensure!(lines[1].starts_with("Evidence { line: \"connected as: uid "), "{lines:#?}");
    ensure!(lines.iter().any(|line| line.contains("user.app_id=org.example.Recorder")), "{lines:#?}");
    let because = "Capability { name: \"screen-capture\", standing: Value(Allowed), \
                   reason: \"the rule at test.toml:6 allows it\" }";
    ensure!(lines.iter().any(|line| line == because), "{lines:#?}");
    ensure!(entries[1].1[0].contains("kind: Value(Host)"), "{said:#?}");
    Ok(())
}

pub(crate) fn who_comes_changes_and_goes(world: &World) -> Outcome {
    let stage = Stage::new(world, POLICY)?;
    let mut host = stage.host()?;
    let list = list(&host)?;
    ensure_eq!(entries(&read(&mut host, &list)?).len(), 1);
    // Asked when there is nothing to tell, it answers when there is.
    list.read();
    host.roundtrip()?;
    ensure_eq!(host.said(&list), [""; 0]);
    let (recorder, auth) = stage.app("org.example.Recorder")?;
    stage.dispatch()?;
    host.roundtrip()?;
    let said = host.said(&list);
    ensure_eq!(entries(&said).iter().map(|e| e.0).collect::<Vec<_>>(), [auth.serial().get()]);
    ensure_eq!(said.last().map(String::as_str), Some("Done { more: 0 }"));
    // What changes while nobody asks is told as it is in the end, once.
    stage.set_policy(&POLICY.replace("\"screen-capture\"", "\"layer-shell\""))?;
    stage.set_policy(&POLICY.replace("\"screen-capture\"", "\"gamma-control\""))?;
    host.roundtrip()?;
    ensure_eq!(host.said(&list), [""; 0], "told without being asked");
    let said = read(&mut host, &list)?;
    let entry = entries(&said);
    let (_, lines) = entry.iter().find(|e| e.0 == auth.serial().get()).context("not told of the change")?;
    let stands = |name: &str, how: &str| {
        let start = format!("Capability {{ name: {name:?}, standing: Value({how})");
        lines.iter().filter(|line| line.starts_with(&start)).count()
    };
    ensure_eq!((stands("gamma-control", "Allowed"), stands("layer-shell", "Denied")), (1, 1), "{lines:#?}");
    // Gone, and told so once.
    let serial = auth.serial().get();
    drop((recorder, auth));
    stage.wait_for_clients(1)?;
    stage.dispatch()?;
    ensure_eq!(
        read(&mut host, &list)?,
        [format!("Gone {{ serial_hi: 0, serial_lo: {serial} }}"), "Done { more: 0 }".into()]
    );
    // Who came and went in between is not told of, or told of as gone.
    drop(stage.app("org.example.Game")?);
    stage.wait_for_clients(1)?;
    stage.dispatch()?;
    list.read();
    host.roundtrip()?;
    ensure_eq!(host.said(&list), [""; 0]);
    Ok(())
}

pub(crate) fn long_lists_in_batches(world: &World) -> Outcome {
    const CLIENTS: usize = 300;
    let stage = Stage::new(world, POLICY)?;
    let auths: Vec<_> = (0..CLIENTS).map(|_| stage.authenticator.internal("many")).collect();
    let mut host = stage.host()?;
    let list = list(&host)?;
    // It asks, and reads nothing for a while: what it asked for has room in its socket.
    list.read();
    host.queue.flush().context("flush")?;
    for _ in 0..10 {
        stage.dispatch()?;
        stage.host()?.roundtrip()?;
    }
    host.roundtrip()?;
    let mut said = host.said(&list);
    ensure_eq!(said.last().map(String::as_str), Some("Done { more: 1 }"));
    said.extend(read(&mut host, &list)?);
    ensure!(said.iter().filter(|event| event.starts_with("Done")).count() > 5, "not in batches");
    let entries = entries(&said);
    ensure!(entries.len() > CLIENTS, "only {} clients", entries.len());
    for auth in &auths {
        let (_, lines) = entries.iter().find(|e| e.0 == auth.serial().get()).context("a client is missing")?;
        ensure_eq!(lines.iter().filter(|line| line.starts_with("Capability")).count(), 30);
    }
    Ok(())
}

pub(crate) fn lost_capability_finishes(world: &World) -> Outcome {
    let stage = Stage::new(world, POLICY)?;
    let mut host = stage.host()?;
    let (idle, list) = (list(&host)?, list(&host)?);
    read(&mut host, &list)?;
    list.read();
    host.roundtrip()?;
    stage.set_policy(&POLICY.replace(", \"identity-monitor\"", ""))?;
    let (_recorder, _auth) = stage.app("org.example.Recorder")?;
    stage.dispatch()?;
    host.roundtrip()?;
    for list in [&list, &idle] {
        ensure_eq!(host.said(list), ["Finished"]);
        // The object stays as it is, and says nothing more.
        list.read();
        host.roundtrip()?;
        ensure_eq!(host.said(list), [""; 0]);
    }
    ensure!(!host.sees("xx_client_auth_monitor_v1"), "the global is still there");
    Ok(())
}

pub(crate) fn nobody_sees_it_who_may_not(world: &World) -> Outcome {
    let stage = Stage::new(world, POLICY)?;
    ensure!(stage.host()?.sees("xx_client_auth_monitor_v1"), "the host does not see it");
    let cgroup = world.new_cgroup()?;
    cgroup.label(&[("user.app_id", "a b")])?;
    let nobody = stage.client(&[&cgroup.join()])?.0;
    let shell = stage.client_as(stage.authenticator.internal("shell"))?;
    for client in [stage.app("org.example.Recorder")?.0, nobody, shell] {
        ensure!(client.sees("xx_client_auth_manager_v1"), "not even the open global");
        ensure!(!client.sees("xx_client_auth_monitor_v1"), "the monitor is seen");
        ensure!(!client.sees("xx_client_auth_admin_v1"), "the admin is seen");
    }
    Ok(())
}
