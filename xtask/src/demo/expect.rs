//! Whether everything came out as it must.

use super::{
    audit::Identity,
    clients::Answer,
    peers::{Expected, PRIVILEGED, Peer},
    report::Row,
    stage::ENGINE,
};

/// What is not as expected, a line each.
pub(crate) fn mismatches(rows: &[Row]) -> Vec<String> {
    let mut wrong = Vec::new();
    let core = rows.first().and_then(|row| row.globals.names.as_ref().ok()).map(|names| without_privileged(names));
    for row in rows {
        let mut complain = |what: String| wrong.push(format!("{}: {what}", row.peer.name));
        for (client, identities) in row.identities() {
            if identities.is_empty() {
                complain(format!("the compositor never heard of {client}"));
            }
            for identity in identities.iter().filter(|identity| !is_expected(row.peer, identity)) {
                complain(format!("{client} was identified as {identity}, expected {}", row.peer.identity));
            }
        }
        match &row.globals.names {
            Err(why) => complain(format!("its globals could not be listed: {why}")),
            Ok(names) => globals(row.peer, names, core.as_deref(), &mut complain),
        }
        let sees = |interface| if row.peer.must_see(interface) { Answer::Works } else { Answer::Refused };
        for (client, answer, expected) in [
            ("grim", &row.grim.answer, sees("zwlr_screencopy_manager_v1")),
            ("wl-paste --watch", &row.watch.answer, sees("zwlr_data_control_manager_v1")),
            ("wtype", &row.wtype.answer, sees("zwp_virtual_keyboard_manager_v1")),
        ] {
            if *answer != expected {
                complain(format!("{client}: {answer}, expected: {expected}"));
            }
        }
        match row.strip.as_ref().map(|strip| &strip.report) {
            None => {}
            Some(Err(why)) => complain(format!("the attempts to get rid of the label could not be made: {why}")),
            Some(Ok(report)) => {
                for attempt in report.attempts.iter().filter(|attempt| attempt.refused.is_none()) {
                    complain(format!("it could {}", attempt.what));
                }
                if report.attempts.is_empty() {
                    complain("it tried nothing".into());
                }
                if row.globals.names.as_ref() != Ok(&report.globals) {
                    complain("after its attempts it saw other globals".into());
                }
            }
        }
    }
    wrong
}

fn without_privileged(names: &[String]) -> Vec<&str> {
    names.iter().map(String::as_str).filter(|name| !PRIVILEGED.contains(name)).collect()
}

fn globals(peer: &Peer, names: &[String], core: Option<&[&str]>, complain: &mut impl FnMut(String)) {
    for interface in PRIVILEGED {
        match (names.iter().any(|name| name == interface), peer.must_see(interface)) {
            (true, false) => complain(format!("it was shown {interface}")),
            (false, true) => complain(format!("{interface} was hidden from it")),
            _ => {}
        }
    }
    if core.is_some_and(|core| core != without_privileged(names)) {
        complain("the globals that are open to all differ from the host's".into());
    }
}

fn is_expected(peer: &Peer, identity: &Identity) -> bool {
    match (&peer.identity, identity) {
        (Expected::Host, Identity::Host) => true,
        (Expected::App(expected), Identity::App { engine: Some(engine), app_id: Some(app_id) }) => {
            engine == ENGINE && app_id == expected
        }
        (Expected::UnknownEngine, Identity::App { engine: None, app_id: None }) => true,
        (Expected::Unidentified(expected), Identity::Unidentified { code, .. }) => code == expected,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::super::{clients, peers::PEERS};
    use super::*;
    use crate::inside;

    type Spoil = fn(&mut Row);

    /// A run in which all is well.
    fn rows() -> Vec<Row> {
        PEERS.iter().map(row).collect()
    }

    fn row(peer: &'static Peer) -> Row {
        let identity = match peer.identity {
            Expected::Host => Identity::Host,
            Expected::App(app_id) => Identity::App { engine: Some(ENGINE.into()), app_id: Some(app_id.into()) },
            Expected::UnknownEngine => Identity::App { engine: None, app_id: None },
            Expected::Unidentified(code) => Identity::Unidentified { code: code.into(), message: String::new() },
        };
        let identities = vec![identity];
        let names: Vec<String> = peer.sees.iter().copied().chain(["wl_shm"]).map(Into::into).collect();
        let outcome = |interface| {
            let answer = if peer.must_see(interface) { Answer::Works } else { Answer::Refused };
            clients::Outcome { answer, identities: identities.clone(), picture: None }
        };
        let attempts = serde_json::json!({"attempts": [{"what": "w", "refused": "r"}], "globals": names}).to_string();
        let report = inside::Report::from_json(&attempts).ok_or_else(String::new);
        Row {
            peer,
            grim: outcome("zwlr_screencopy_manager_v1"),
            watch: outcome("zwlr_data_control_manager_v1"),
            wtype: outcome("zwp_virtual_keyboard_manager_v1"),
            strip: peer.strips().then(|| clients::Strip { report, identities: identities.clone() }),
            globals: clients::Globals { names: Ok(names), identities },
        }
    }

    #[test]
    fn a_good_run_is_good() {
        assert_eq!(mismatches(&rows()), [""; 0]);
    }

    #[test]
    fn each_cell_that_is_wrong_is_told() {
        let spoil: [(Spoil, &str); 9] = [
            (|row| row.grim.answer = Answer::Works, "grim: works"),
            (|row| row.watch.answer = Answer::Odd("x".into()), "wl-paste --watch: ?? x"),
            (|row| row.wtype.answer = Answer::Works, "wtype: works"),
            (|row| row.wtype.identities = vec![Identity::Host], "wtype was identified as host"),
            (|row| row.grim.identities.clear(), "never heard of grim"),
            (
                |row| row.globals.names = Ok(vec!["wl_shm".into(), "zwlr_layer_shell_v1".into()]),
                "it was shown zwlr_layer",
            ),
            (|row| row.globals.names = Ok(vec![]), "differ from the host's"),
            (|row| row.globals.names = Err("x".into()), "could not be listed: x"),
            (
                |row| {
                    if let Some(Ok(report)) = row.strip.as_mut().map(|strip| strip.report.as_mut()) {
                        report.attempts[0].refused = None;
                    }
                },
                "it could w",
            ),
        ];
        for (spoil, told) in spoil {
            let mut rows = rows();
            spoil(&mut rows[2]);
            let wrong = mismatches(&rows);
            assert!(wrong.iter().any(|line| line.contains(told)), "{told}: {wrong:?}");
            assert!(wrong.iter().all(|line| line.starts_with(rows[2].peer.name)), "{wrong:?}");
        }
    }

    #[test]
    fn a_hidden_global_that_should_be_seen_is_told() {
        let mut rows = rows();
        rows[1].globals.names = Ok(vec!["wl_shm".into()]);
        assert!(mismatches(&rows)[0].contains("zwlr_screencopy_manager_v1 was hidden"));
    }
}
