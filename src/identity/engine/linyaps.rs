//! Linyaps: `/.linyaps` in the sandbox.
//!
//! Nothing outside the sandbox confirms it, so it is shown as a claim and names nobody by itself.

use super::keyfile::{KeyFile, MAX_LEN};
use super::{Answer, Finding, Ids, Process};
use crate::identity::evidence::EngineStanding;
use crate::identity::ids::{AppId, InstanceId};

/// Looks at `/.linyaps`.
pub(super) fn look(process: &Process<'_>) -> Answer<Finding> {
    match process.root().read(".linyaps", MAX_LEN) {
        Ok(None) => Answer::NotMine,
        Ok(Some(bytes)) => Answer::Match(read(&bytes)),
        Err(why) => Answer::Error(why),
    }
}

fn read(bytes: &[u8]) -> Finding {
    let named = KeyFile::parse(bytes).and_then(|file| {
        let app_id = AppId::new(file.get("Application", "Id").ok()??).ok()?;
        let instance_id = InstanceId::new(file.get("Instance", "Id").ok()??).ok()?;
        Some(Ids { app_id: Some(app_id), instance_id: Some(instance_id) })
    });
    let why = if named.is_some() { "nothing outside the sandbox confirms it" } else { "it names nobody" };
    Finding { ids: named.unwrap_or_default(), standing: EngineStanding::Claim(why.to_owned()) }
}

/// What a `.linyaps` names.
#[cfg(feature = "fuzzing")]
pub(crate) fn named(bytes: &[u8]) -> (Option<AppId>, Option<InstanceId>) {
    let ids = read(bytes).ids;
    (ids.app_id, ids.instance_id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn linyaps_is_a_claim_whatever_it_says() {
        let finding = read(b"[Application]\nId=org.deepin.calculator\n\n[Instance]\nId=5f3a\n");
        assert_eq!(finding.ids.app_id.unwrap().as_str(), "org.deepin.calculator");
        assert_eq!(finding.ids.instance_id.unwrap().as_str(), "5f3a");
        assert!(matches!(finding.standing, EngineStanding::Claim(_)));
        for nobody in [&b""[..], b"[Application]\nId=a b\n[Instance]\nId=1\n", b"[Application]\nId=a\n", b"\0"] {
            let finding = read(nobody);
            assert_eq!(finding.ids, Ids::default(), "{nobody:?}");
            assert!(matches!(finding.standing, EngineStanding::Claim(_)));
        }
    }
}
