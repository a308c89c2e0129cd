//! What the user sees at the end.

use super::{
    audit::Identity,
    clients::{Globals, Outcome, Strip},
    peers::Peer,
};
use crate::table;

/// One peer and what came of it.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub(crate) peer: &'static Peer,
    pub(crate) globals: Globals,
    pub(crate) grim: Outcome,
    pub(crate) watch: Outcome,
    pub(crate) wtype: Outcome,
    pub(crate) strip: Option<Strip>,
}

impl Row {
    /// Whom the compositor took each of its programs for.
    pub(crate) fn identities(&self) -> impl Iterator<Item = (&'static str, &[Identity])> {
        let always = [
            ("the list of globals", &self.globals.identities),
            ("grim", &self.grim.identities),
            ("wl-paste --watch", &self.watch.identities),
            ("wtype", &self.wtype.identities),
        ];
        let strip = self.strip.iter().map(|strip| ("the program that tried to strip its label", &strip.identities));
        always.into_iter().chain(strip).map(|(name, identities)| (name, identities.as_slice()))
    }

    fn identity_cell(&self) -> String {
        let mut seen: Vec<String> = Vec::new();
        for identity in self.identities().flat_map(|(_, identities)| identities) {
            let text = identity.to_string();
            if !seen.contains(&text) {
                seen.push(text);
            }
        }
        if seen.is_empty() { "never connected".into() } else { seen.join(" / ") }
    }

    fn strip_cell(&self) -> String {
        match self.strip.as_ref().map(|strip| &strip.report) {
            None => "-".into(),
            Some(Err(why)) => format!("?? {why}"),
            Some(Ok(report)) => {
                let refused = report.attempts.iter().filter(|attempt| attempt.refused.is_some()).count();
                match (refused, report.attempts.len()) {
                    (refused, all) if refused == all => format!("all {all} refused"),
                    (refused, all) => format!("{} of {all} SUCCEEDED", all - refused),
                }
            }
        }
    }
}

/// The table.
pub(crate) fn table(rows: &[Row]) -> String {
    let head = [
        "peer",
        "whom the compositor took it for",
        "globals shown",
        "grim (captures the screen)",
        "wl-paste --watch (reads the clipboard)",
        "wtype (types keys)",
        "tries to shed its label",
    ];
    let cells = rows.iter().map(|row| {
        let globals = match &row.globals.names {
            Ok(names) => names.len().to_string(),
            Err(why) => format!("?? {why}"),
        };
        vec![
            row.peer.name.to_owned(),
            row.identity_cell(),
            globals,
            row.grim.answer.to_string(),
            row.watch.answer.to_string(),
            row.wtype.answer.to_string(),
            row.strip_cell(),
        ]
    });
    let lines: Vec<Vec<String>> = [head.map(str::to_owned).to_vec()].into_iter().chain(cells).collect();
    table::draw(&lines, &[19, 27, 7, 11, 16, 11, 11])
}

/// What the table means, and why it is so.
pub(crate) fn legend(rows: &[Row]) -> String {
    let mut text = String::from(
        "All five use the same socket, and none says who it is: the compositor asks the kernel. \"refused\" means \
         that the client was never shown the protocol, and said so.\nWhy:\n",
    );
    for row in rows {
        text.push_str(&format!("  {}: {}.\n", row.peer.name, row.peer.why));
    }
    text = text.lines().map(|line| table::wrap(line, 112).join("\n      ") + "\n").collect();
    text + &attempts(rows)
}

/// What was tried against the labels. Peers to whom the same happened share a list.
fn attempts(rows: &[Row]) -> String {
    let mut lists: Vec<(Vec<&str>, String)> = Vec::new();
    for row in rows {
        let Some(Ok(report)) = row.strip.as_ref().map(|strip| &strip.report) else { continue };
        let list: String = report
            .attempts
            .iter()
            .map(|attempt| {
                let refused = attempt.refused.as_deref().map_or("IT COULD".into(), |why| format!("refused: {why}"));
                format!("  {:<56} {refused}\n", attempt.what)
            })
            .collect();
        match lists.iter_mut().find(|(_, known)| *known == list) {
            Some((names, _)) => names.push(row.peer.name),
            None => lists.push((vec![row.peer.name], list)),
        }
    }
    let lists =
        lists.iter().map(|(names, list)| format!("What these tried from inside ({}):\n{list}", names.join("; ")));
    lists.collect()
}
