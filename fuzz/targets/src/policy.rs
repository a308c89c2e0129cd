//! Policies: any text is refused with places that are right, or it is a policy that answers (T33, T34).

use wayland_auth::fuzzing::{self, App};
use wayland_auth::identity::{
    AppId, Comparison, Identity, InternalTag, Namespaces, Provenance, Reason, SandboxEngine, UnitName,
};
use wayland_auth::policy::{Diagnostic, Policy, PolicyErrors, Severity};

/// The text of a policy.
pub(super) fn run(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    match Policy::parse("policy.toml", text) {
        Ok(policy) => {
            answers(&policy);
            policy.warnings().iter().for_each(|warning| shown(text, warning, Severity::Warning));
            // A remark changes nothing.
            let again = Policy::parse("policy.toml", &format!("{text}\n# a remark\n"));
            let again = again.unwrap_or_else(|errors| panic!("{text:?}\n{errors}"));
            for identity in clients() {
                assert_eq!(policy.evaluate(&identity), again.evaluate(&identity), "{text:?}");
            }
        }
        Err(errors) => refused(text, &errors),
    }
}

fn refused(text: &str, errors: &PolicyErrors) {
    assert!(errors.iter().count() > 0, "{text:?} was refused without a reason");
    let mut last = (0, 0);
    for error in errors.iter() {
        shown(text, error, Severity::Error);
        assert!(last <= (error.line, error.column), "{text:?}: not in the order of the file\n{errors}");
        last = (error.line, error.column);
        points_at_what_it_names(text, error);
    }
    let whole = errors.to_string();
    assert!(whole.lines().all(super::is_harmless), "{whole:?}");
}

/// The place is in the text, and what is shown of it is harmless.
fn shown(text: &str, diagnostic: &Diagnostic, severity: Severity) {
    assert_eq!(diagnostic.severity, severity);
    let line = text.split('\n').nth(diagnostic.line.wrapping_sub(1));
    let line = line.unwrap_or_else(|| panic!("line {} of {text:?}: {diagnostic}", diagnostic.line));
    let columns = line.chars().count() + 1;
    assert!((1..=columns).contains(&diagnostic.column), "column {} of {line:?}", diagnostic.column);
    let place = format!("policy.toml:{}:{}", diagnostic.line, diagnostic.column);
    let rendered = diagnostic.to_string();
    assert!(rendered.lines().any(|line| line.trim_end().ends_with(&place)), "{place} is not in {rendered:?}");
    assert!(rendered.lines().all(super::is_harmless), "{rendered:?}");
}

/// An unknown name stands where the error points.
fn points_at_what_it_names(text: &str, error: &Diagnostic) {
    let kinds = ["unknown key `", "unknown capability `", "unknown value `"];
    let Some(name) = kinds.iter().find_map(|kind| error.message.strip_prefix(kind)?.strip_suffix('`')) else { return };
    // What had to be changed in order to be shown does not stand there as it is.
    if text.contains(['\\', '\r'])
        || name.contains(['…', '\u{fffd}'])
        || name.contains(|c| matches!(c, '\u{2400}'..='\u{2421}'))
    {
        return;
    }
    let line_start: usize = text.split_inclusive('\n').take(error.line - 1).map(str::len).sum();
    let behind: String = text[line_start..].chars().skip(error.column - 1).collect();
    let quotes = ["", "\"", "'", "\"\"\"", "\"\"\"\n", "'''", "'''\n"];
    let stands_there = quotes.iter().any(|quote| behind.strip_prefix(quote).is_some_and(|rest| rest.starts_with(name)));
    assert!(stands_there, "{name:?} is not at {}:{} of {text:?}", error.line, error.column);
}

fn answers(policy: &Policy) {
    for identity in clients() {
        let verdict = policy.evaluate(&identity);
        for capability in policy.capabilities() {
            let because = verdict.reason(capability).to_string();
            assert!(super::is_harmless(&because) && !because.contains('\n'), "{because:?}");
            assert_eq!(verdict.allows(capability), verdict.allowed().contains(capability));
            assert!(!policy.capability_name(capability).is_empty());
            assert_eq!(policy.capability(policy.capability_name(capability)), Some(capability));
        }
        assert_eq!(verdict.describe(policy).len(), policy.capabilities().count());
    }
    assert_eq!(policy.class_of("wl_registry"), policy.class_of("wl_display"));
}

/// One of each kind.
fn clients() -> Vec<Identity> {
    let engine = SandboxEngine::new("org.flatpak").ok();
    let app = App {
        engine,
        app_id: AppId::new("org.example.App").ok(),
        instance_id: None,
        provenance: Provenance::User,
        namespaces: None,
        unit: UnitName::new("a.service"),
        uid: Some(1000),
        nested: Vec::new(),
    };
    let own = Namespaces { user: Comparison::Different, mount: Comparison::NotCompared, pid: Comparison::Same };
    let unlabelled = App { engine: None, app_id: None, namespaces: Some(own), ..app.clone() };
    let system = App { provenance: Provenance::System, app_id: None, ..app.clone() };
    vec![
        fuzzing::app(app),
        fuzzing::app(unlabelled),
        fuzzing::app(system),
        fuzzing::host(None, UnitName::new("a.service"), None),
        Identity::Internal(InternalTag::new("xwayland")),
        Identity::unidentified(Reason::Moved),
    ]
}
