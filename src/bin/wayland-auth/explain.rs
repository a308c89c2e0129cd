//! `explain`: what a policy gives to somebody, why, and what would change it.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use serde_json::json;
use wayland_auth::identity::{
    AppId, AppIdentity, Comparison, HostIdentity, InstanceId, InternalTag, InvalidId, Namespaces, Provenance, Reason,
    SandboxEngine, UnitName,
};
use wayland_auth::policy::{Capability, CapabilitySet, RuleMatch, Standing};
use wayland_auth::{Identity, Policy, Verdict};

use crate::failure::{FAILED, Failure, UNANSWERED};
use crate::{live, output};

/// Explain what a policy gives to an application, why, and what would change it
///
/// With --global, only the verdict on that interface (or capability), and the exit status is 0 if it is given and 1 if not.
/// It is 2 if there is no answer: the policy is refused, or a name is none.
#[derive(Debug, Args)]
pub(crate) struct ExplainArgs {
    /// The policy
    #[arg(long, value_name = "FILE", required_unless_present = "client")]
    policy: Option<PathBuf>,
    /// A client of this session's compositor, by its number in `clients`: the compositor's own policy decides
    #[arg(
        long,
        value_name = "N",
        conflicts_with_all = ["policy", "engine", "app_id", "instance_id", "system", "unit", "host", "unidentified", "internal"]
    )]
    client: Option<u64>,
    #[command(flatten)]
    who: Who,
    /// The interface of a global, or a capability
    #[arg(long, value_name = "NAME")]
    global: Option<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Whom it is about.
#[derive(Debug, Args)]
struct Who {
    /// The sandbox engine of an application; `unknown` is one that only its namespaces show
    #[arg(long, value_name = "ENGINE", required_unless_present_any = ["host", "unidentified", "internal", "client"])]
    engine: Option<String>,
    /// Its app ID
    #[arg(long, value_name = "ID", requires = "engine")]
    app_id: Option<String>,
    /// Its instance ID
    #[arg(long, value_name = "ID", requires = "engine")]
    instance_id: Option<String>,
    /// Its label was written where only root can write
    #[arg(long, requires = "engine")]
    system: bool,
    /// The systemd unit
    #[arg(long, value_name = "NAME.service")]
    unit: Option<String>,
    /// The user ID; without it, it is not known, and whatever it is has to allow something
    #[arg(long, value_name = "UID")]
    uid: Option<u32>,
    /// A program outside any sandbox
    #[arg(long, conflicts_with_all = ["engine", "unidentified", "internal"])]
    host: bool,
    /// A client that could not be identified
    #[arg(long, conflicts_with_all = ["engine", "internal", "unit", "uid"])]
    unidentified: bool,
    /// The other end of a socket pair that the compositor made
    #[arg(long, value_name = "TAG", conflicts_with_all = ["engine", "unit", "uid"])]
    internal: Option<String>,
}

impl Who {
    fn identity(&self) -> Result<Identity, Failure> {
        let unit = match &self.unit {
            Some(name) => Some(UnitName::new(name).ok_or_else(|| {
                let message = format!("`{name}` is not the name of a unit");
                Failure::new(UNANSWERED, message).remedy("write the whole name, such as `a.service`")
            })?),
            None => None,
        };
        if let Some(tag) = &self.internal {
            return Ok(Identity::Internal(InternalTag::new(tag.clone())));
        }
        let Some(engine) = &self.engine else {
            let mut host = HostIdentity::default();
            host.unit = unit;
            host.uid = self.uid;
            return Ok(if self.host { Identity::Host(host) } else { Identity::unidentified(Reason::NotAsked) });
        };
        let mut app = AppIdentity::unknown(Namespaces {
            user: Comparison::Different,
            mount: Comparison::Different,
            pid: Comparison::Different,
        });
        app.unit = unit;
        app.uid = self.uid;
        if engine != "unknown" {
            app.engine = Some(id("sandbox engine", engine, |s| SandboxEngine::new(s))?);
            app.namespaces = None;
        } else if self.app_id.is_some() || self.instance_id.is_some() || self.system {
            let message = "where the engine is unknown there is no label";
            return Err(Failure::new(UNANSWERED, message).remedy("leave out --app-id, --instance-id and --system"));
        }
        app.app_id = self.app_id.as_deref().map(|text| id("app ID", text, |s| AppId::new(s))).transpose()?;
        app.instance_id =
            self.instance_id.as_deref().map(|text| id("instance ID", text, |s| InstanceId::new(s))).transpose()?;
        app.provenance = if self.system { Provenance::System } else { Provenance::User };
        Ok(Identity::App(app))
    }
}

fn id<T>(what: &str, text: &str, new: impl FnOnce(&str) -> Result<T, InvalidId>) -> Result<T, Failure> {
    new(text).map_err(|why| Failure::new(UNANSWERED, format!("`{text}` as {what} {why}")))
}

/// Carries out `explain`.
pub(crate) fn explain(args: &ExplainArgs) -> Result<ExitCode, Failure> {
    if let Some(serial) = args.client {
        return live::explain_client(serial, args.global.as_deref(), args.json);
    }
    let file = args.policy.as_ref().ok_or_else(|| Failure::new(UNANSWERED, "there is no policy to explain by"))?;
    let policy = Policy::from_path(file).map_err(|e| Failure::new(UNANSWERED, "the policy is refused").because(e))?;
    let identity = args.who.identity()?;
    let verdict = policy.evaluate(&identity);
    let answer = Answer { policy: &policy, rules: policy.rules_for(&identity), identity: &identity, verdict: &verdict };
    match &args.global {
        Some(word) => answer.about(word, args.json),
        None => {
            answer.about_everything(args.json);
            Ok(ExitCode::SUCCESS)
        }
    }
}

struct Answer<'a> {
    policy: &'a Policy,
    identity: &'a Identity,
    rules: Vec<RuleMatch>,
    verdict: &'a Verdict,
}

impl Answer<'_> {
    /// The verdict on one thing.
    fn about(&self, word: &str, json: bool) -> Result<ExitCode, Failure> {
        let Some(capability) = self.policy.needed_for(word) else {
            let what = "every client sees it, whatever the policy says";
            match json {
                true => {
                    output::print_json(&json!({"global": word, "capability": null, "allowed": true, "because": what}))
                }
                false => output::print(format_args!("{word}: {what}")),
            }
            return Ok(ExitCode::SUCCESS);
        };
        if json {
            let mut value = self.one(capability);
            value["global"] = word.into();
            output::print_json(&value);
        } else {
            let mut text = format!("{}\n", self.identity);
            self.write_rules(&mut text);
            self.write_one(&mut text, word, capability);
            output::print(text);
        }
        Ok(if self.verdict.allows(capability) { ExitCode::SUCCESS } else { ExitCode::from(FAILED) })
    }

    /// The verdict on every capability.
    fn about_everything(&self, json: bool) {
        if json {
            output::print_json(&json!({
                "identity": self.identity.to_string(),
                "rules": self.rules.iter().map(|rule| self.rule(rule)).collect::<Vec<_>>(),
                "capabilities": self.policy.capabilities().map(|c| self.one(c)).collect::<Vec<_>>(),
            }));
            return;
        }
        let mut text = format!("{}\n", self.identity);
        self.write_rules(&mut text);
        // What few policies have is only mentioned where it is there.
        for (standing, always) in
            [(Standing::Allowed, true), (Standing::Ask, false), (Standing::Empty, false), (Standing::Denied, true)]
        {
            let those: Vec<_> = self.policy.capabilities().filter(|c| self.verdict.standing(*c) == standing).collect();
            if those.is_empty() && !always {
                continue;
            }
            let _ = writeln!(text, "{}:", standing.as_str());
            for capability in &those {
                let name = self.policy.capability_name(*capability);
                let _ = writeln!(text, "  {name:<27} {}", self.verdict.reason(*capability));
            }
            if those.is_empty() {
                text.push_str("  nothing\n");
            }
        }
        output::print(text);
    }

    fn write_rules(&self, text: &mut String) {
        if self.rules.is_empty() {
            text.push_str("no rule is about it\n");
        }
        for rule in &self.rules {
            let verb = if rule.certain { "applies" } else { "may apply; a fact is missing" };
            let whom = rule.label.as_ref().map_or_else(String::new, |label| format!(" to {label}, inside"));
            let _ = write!(text, "the rule at {} {verb}{whom}", rule.at);
            if let Some(allow) = rule.allow {
                let _ = write!(text, "; allows {}", self.names(allow));
            }
            if !rule.ask.is_empty() {
                let _ = write!(text, "; asks for {}", self.names(rule.ask));
            }
            if !rule.deny.is_empty() {
                let _ = write!(text, "; denies {}", self.names(rule.deny));
            }
            text.push('\n');
        }
    }

    fn write_one(&self, text: &mut String, word: &str, capability: Capability) {
        let name = self.policy.capability_name(capability);
        let verdict = self.verdict.standing(capability).as_str();
        let needs = if word == name { String::new() } else { format!(" (needs {name})") };
        let _ = writeln!(text, "{word}{needs}: {verdict}: {}", self.verdict.reason(capability));
        if let Some(remedy) = self.policy.remedy(self.identity, self.verdict, capability) {
            let _ = writeln!(text, "what would change it: {}", remedy.replace('\n', "\n  "));
        }
    }

    fn one(&self, capability: Capability) -> serde_json::Value {
        json!({
            "capability": self.policy.capability_name(capability),
            "allowed": self.verdict.allows(capability),
            "standing": self.verdict.standing(capability).as_str(),
            "because": self.verdict.reason(capability).to_string(),
            "remedy": self.policy.remedy(self.identity, self.verdict, capability),
        })
    }

    fn rule(&self, rule: &RuleMatch) -> serde_json::Value {
        json!({
            "at": rule.at.to_string(),
            "label": rule.label,
            "certain": rule.certain,
            "allow": rule.allow.map(|set| self.listed(set)),
            "ask": self.listed(rule.ask),
            "deny": self.listed(rule.deny),
        })
    }

    fn listed(&self, set: CapabilitySet) -> Vec<&str> {
        self.policy.capabilities().filter(|c| set.contains(*c)).map(|c| self.policy.capability_name(c)).collect()
    }

    fn names(&self, set: CapabilitySet) -> String {
        let names = self.listed(set);
        let all = self.policy.capabilities().count();
        match names.len() {
            0 => "nothing".to_owned(),
            n if n == all => "everything".to_owned(),
            n if n > 8 => format!("{n} of {all} capabilities"),
            _ => names.join(", "),
        }
    }
}
