//! How identities are shown.

use wayland_auth_tests::expect::{APP_ID, ENGINE, evidence, identify};
use wayland_auth_tests::{Context, Outcome, Peers, World, ensure, ensure_eq};

/// What any program can write of itself is never shown like what was proven.
pub(crate) fn claims_are_shown_as_claims(world: &World) -> Outcome {
    let peers = Peers::new(world)?;
    let claimed = world.new_cgroup()?;
    claimed.label(&[(APP_ID, "org.example.Bank")])?;
    let shown = identify(&peers.connect(&[&claimed.join()])?)?.to_string();
    ensure!(shown.starts_with("host (") && shown.contains("claims to be org.example.Bank"), "{shown}");
    // What a sandbox says of itself further inside comes after who it is.
    let outer = world.new_cgroup()?;
    outer.label_app("org.example.Game")?;
    let inner = outer.child("inner")?;
    inner.label_app("org.example.Bank")?;
    let connection = peers.connect(&[&inner.join()])?;
    let shown = identify(&connection)?.to_string();
    ensure_eq!(shown, "app org.example.Game of org.example.Engine, inside it org.example.Bank of org.example.Engine");
    // The engine is named with the app, and the evidence says who could have written each label.
    let evidence = evidence(&connection)?.to_string();
    ensure_eq!(evidence.matches("(the user could write it)").count(), 2, "{evidence}");
    // Letters that look like others are no letters.
    for forged in ["org.ex\u{430}mple.Bank", "org.example.B\u{202e}knaB", "org.example.Bank\u{200b}"] {
        let cgroup = world.new_cgroup()?;
        cgroup.label(&[(ENGINE, "org.example.Engine"), (APP_ID, forged)])?;
        let shown = identify(&peers.connect(&[&cgroup.join()])?)?.to_string();
        ensure!(shown.starts_with("unidentified") && shown.is_ascii(), "{forged:?}: {shown}");
    }
    // A process may call itself what it likes: its name is nowhere.
    let named = world.new_dir()?.join("host (claims to be org.example.Bank)");
    std::fs::copy(world.peer(), &named).context("copy")?;
    let step = peers.connect_step();
    let mut child =
        std::process::Command::new(&named).args([&outer.join(), &step, &"hold".to_owned()]).spawn().context("peer")?;
    let stream = peers.accept(Some(&mut child))?;
    for (_, resolver) in wayland_auth_tests::expect::resolvers()? {
        let identified = resolver.identify(&stream, &wayland_auth::identity::Trust::default());
        ensure_eq!(identified.identity.to_string(), "app org.example.Game of org.example.Engine");
        ensure!(!identified.evidence.to_string().contains("claims to be"), "{}", identified.evidence);
    }
    drop(stream);
    child.wait().context("wait").map(drop)
}
