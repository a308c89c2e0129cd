use crate::policy::{Capability, Class, Policy, PolicyErrors, UserEvidence, WithoutKernelIdentity};

fn errors(text: &str) -> PolicyErrors {
    match Policy::parse("policy.toml", text) {
        Ok(_) => panic!("accepted: {text}"),
        Err(errors) => errors,
    }
}

/// The message and the help of the one error of `text`.
fn error(text: &str) -> (String, String) {
    let errors = errors(text);
    let all: Vec<_> = errors.iter().collect();
    assert_eq!(all.len(), 1, "{text}\n{errors}");
    (all[0].message.clone(), all[0].help.clone().unwrap_or_default())
}

fn warnings(text: &str) -> Vec<String> {
    let policy = Policy::parse("policy.toml", text).unwrap_or_else(|errors| panic!("{errors}"));
    policy
        .warnings()
        .iter()
        .map(|w| format!("{}: {} [{}]", w.line, w.message, w.help.as_deref().unwrap_or_default()))
        .collect()
}

/// A rule with this in its `match`.
fn matching(keys: &str) -> String {
    format!("[[rule]]\nmatch = {{ {keys} }}\nallow = ['screen-capture']\n")
}

#[test]
fn an_empty_file_is_the_built_in_policy() {
    let policy = Policy::parse("p", "").unwrap();
    let built_in = Policy::built_in();
    assert_eq!(policy.defaults.host.set, built_in.defaults.host.set);
    assert!(policy.warnings().is_empty() && policy.rules.is_empty());
    assert_eq!(policy.machine(), built_in.machine());
    assert_eq!(policy.trust(), built_in.trust());
}

#[test]
fn machine_and_trust_are_carried() {
    let policy =
        Policy::parse("p", "[machine]\nwithout-kernel-identity = 'as-before'\n[trust]\nuser-evidence = 'as-written'\nuids = [0, 0x3e8, 1_001]").unwrap();
    assert_eq!(policy.machine().without_kernel_identity, WithoutKernelIdentity::AsBefore);
    assert_eq!(policy.trust().user_evidence, UserEvidence::AsWritten);
    assert_eq!(policy.trust().uids, [0, 1000, 1001]);
}

#[test]
fn t33_all_errors_are_told_at_once_in_the_order_of_the_file() {
    let text = "\
[defaults]
hots = ['*']
sandboxed = ['layer_shell', 3]

[[rule]]
match = { engine = 'org.flatpak', app_id = 'a' }
allow = 'screen-capture'

[[rule]]
deny = ['core']

[trust]
user-evidence = 'as written'
";
    let errors = errors(text);
    let shown = errors.to_string();
    let expected = "\
error: unknown key `hots`
 --> policy.toml:2:1
  |
2 | hots = ['*']
  | ^^^^ did you mean `host`?

error: unknown capability `layer_shell`
 --> policy.toml:3:14
  |
3 | sandboxed = ['layer_shell', 3]
  |              ^^^^^^^^^^^^^ did you mean `layer-shell`?

error: expected a string, found an integer
 --> policy.toml:3:29
  |
3 | sandboxed = ['layer_shell', 3]
  |                             ^

error: unknown key `app_id`
 --> policy.toml:6:35
  |
6 | match = { engine = 'org.flatpak', app_id = 'a' }
  |                                   ^^^^^^ did you mean `app-id`?

error: expected an array of capabilities, found a string
 --> policy.toml:7:9
  |
7 | allow = 'screen-capture'
  |         ^^^^^^^^^^^^^^^^
  |
  = help: write [\"screen-capture\"]

error: a rule without `match`
 --> policy.toml:9:1
  |
9 | [[rule]]
  | ^^^^^^^^
  |
  = help: say whom it is about, or use [defaults]

error: unknown capability `core`
  --> policy.toml:10:9
   |
10 | deny = ['core']
   |         ^^^^^^
   |
   = help: every client sees the core globals, whatever the policy says

error: unknown value `as written`
  --> policy.toml:13:17
   |
13 | user-evidence = 'as written'
   |                 ^^^^^^^^^^^^ did you mean `as-written`?";
    assert_eq!(shown, expected, "\n{shown}");
}

#[test]
fn several_syntax_errors_are_told_at_once() {
    let errors = errors("a = \nb = 'x\n[[rule\nc = 1\n");
    assert!(errors.iter().count() >= 3, "{errors}");
}

#[test]
fn a_key_given_twice_is_an_error() {
    for text in ["[defaults]\nhost = []\nhost = ['*']", "[defaults]\nhost = []\n[defaults]\nhost = ['*']"] {
        assert!(errors(text).iter().all(|e| e.message.contains("duplicate")), "{text}");
    }
}

#[test]
fn t33_a_rule_whose_words_have_no_effect_is_an_error() {
    let rule = |keys: &str| format!("[[rule]]\nmatch = {{ engine = 'e' }}\n{keys}");
    for (keys, expected) in [
        ("until = 2027-01-01T00:00:00Z\ndeny = ['*']", "`until` without `allow` or `ask`"),
        ("when-denied = 'empty'\nallow = []", "`when-denied` without `deny` or `ask`"),
        ("until = 2027-01-01\nallow = []", "this is no moment: it takes a date, a time and an offset from UTC"),
        (
            "until = 2027-01-01T10:00:00\nallow = []",
            "this is no moment: it takes a date, a time and an offset from UTC",
        ),
        ("until = '2027-01-01T10:00:00Z'\nallow = []", "expected a date and time, found a string"),
        ("when-denied = 'hidden'\ndeny = []", "unknown value `hidden`"),
        ("when-denied = 'empty'", "a rule that does nothing"),
    ] {
        let errors = errors(&rule(keys));
        assert!(errors.iter().any(|e| e.message == expected), "{keys}: {errors}");
    }
}

#[test]
fn t33_a_match_that_would_apply_to_the_wrong_clients_is_an_error() {
    let cases = [
        ("", "an empty `match`"),
        ("app-id = 'a'", "`app-id` without `engine`"),
        ("instance-id = '1'", "`instance-id` without `engine`"),
        ("engine = 'unknown', app-id = 'a'", "`app-id` with engine = \"unknown\" never applies"),
        ("engine = 'unknown', provenance = 'user'", "`provenance` with engine = \"unknown\" never applies"),
        ("unit = 'app-x-1.scope'", "`app-x-1.scope` is a scope; only services can be matched"),
        ("unit = 'portal'", "`portal` is not the name of a service"),
        ("unit = 'portal service'", "`portal service` is not the name of a service"),
        ("engine = ''", "`` as sandbox engine is empty"),
        (
            "engine = 'e', app-id = 'a b'",
            "`a b` as app ID has a byte that an identifier may not have (0x20 at offset 1)",
        ),
        ("provenance = 'root'", "unknown value `root`"),
        ("namespaces = 'own '", "unknown value `own `"),
        ("engine = 1", "expected a string, found an integer"),
        ("engine = 'e', extra = {}", "nothing is asked for here"),
        ("engine = 'e', extra = { verified = 'yes' }", "`verified` is no xattr of a label"),
        ("extra = { 'user.x' = 'yes' }", "`extra` without `engine`"),
        ("any = []", "nothing is listed here"),
        ("not = {}", "an empty `match`"),
        ("any = [{ app-id = 'a' }, { engine = 'e' }]", "`app-id` without `engine`"),
        ("engine = 'unknown', any = [{ app-id = 'a' }]", "`app-id` with engine = \"unknown\" never applies"),
        (
            "engine = 'e', app-id = 'org.a**'",
            "`org.a**` has `**` beside other text; it stands for whole segments between dots",
        ),
        (
            "engine = 'org.*', app-id = 'a b.*'",
            "`a b.*` as app ID has a byte that an identifier may not have (0x20 at offset 1)",
        ),
        ("unit = '*'", "`*` is not the name of a service"),
        ("unit = 'app-*.scope'", "`app-*.scope` is a scope; only services can be matched"),
        (
            "not = { not = { not = { not = { not = { not = { not = { not = { engine = 'e' } } } } } } } }",
            "`match` is nested more than 8 times",
        ),
    ];
    for (keys, message) in cases {
        assert_eq!(error(&matching(keys)).0, message, "{keys}");
    }
    assert_eq!(error(&matching("unit = 'portal'")).1, "did you mean `portal.service`?");
    assert!(error(&matching("app-id = 'a'")).1.contains("engine = \"*\""));
    for keys in [
        "engine = '*', app-id = 'a'",
        "provenance = 'system'",
        "namespaces = 'own'",
        "engine = 'unknown'",
        "engine = 'org.*', app-id = '**'",
        "unit = 'xdg-desktop-portal-*.service'",
        "engine = 'e', any = [{ app-id = 'a' }, { not = { instance-id = '1' } }]",
    ] {
        assert!(Policy::parse("p", &matching(keys)).is_ok(), "{keys}");
    }
}

#[test]
fn a_rule_that_does_nothing_is_an_error() {
    assert_eq!(error("[[rule]]\nmatch = { engine = 'e' }").0, "a rule that does nothing");
    assert!(error("rule = { match = { engine = 'e' }, allow = [] }").0.starts_with("expected an array of tables"));
}

#[test]
fn an_interface_in_the_place_of_a_capability_is_explained() {
    let help = |name: &str| error(&format!("[defaults]\nsandboxed = ['{name}']")).1;
    assert_eq!(
        help("zwlr_layer_shell_v1"),
        "the interface `zwlr_layer_shell_v1` belongs to the capability `layer-shell`; alone it is `interface:zwlr_layer_shell_v1`"
    );
    assert_eq!(help("wl_compositor"), "the interface `wl_compositor` is core: every client sees it");
    assert_eq!(help("nothing-like-it"), "");
}

#[test]
fn capabilities_of_ones_own_are_checked() {
    let cases = [
        ("Mine = []", "`Mine` is not a name for a capability"),
        ("core = []", "`core` is not a name for a capability"),
        ("'*' = []", "`*` is not a name for a capability"),
        ("a = ['wl_display']", "`wl_display` belongs to every client"),
        ("a = ['wl_registry']", "`wl_registry` belongs to every client"),
        ("a = ['x-y']", "`x-y` is not the name of an interface"),
        ("a = ['']", "`` is not the name of an interface"),
        (
            "a = ['wp_security_context_manager_v1']",
            "`wp_security_context_manager_v1` cannot be moved to another capability",
        ),
        ("a = ['xx_i']\nb = ['xx_i']", "`xx_i` is in `a` already"),
        ("a = ['xx_i', 'xx_i']", "`xx_i` is in `a` already"),
        ("a = 'xx_i'", "expected an array of interfaces, found a string"),
    ];
    for (line, message) in cases {
        assert_eq!(error(&format!("[capabilities]\n{line}")).0, message);
    }
    let many: String = (0..64).map(|i| format!("c{i} = []\n")).collect();
    assert!(errors(&format!("[capabilities]\n{many}")).iter().all(|e| e.message.starts_with("there can be 64")));
}

#[test]
fn capabilities_of_ones_own_work_like_others() {
    let policy =
        Policy::parse("p", "[capabilities]\nb = ['xx_b']\na = ['xx_a', 'wp_viewporter']\nlayer-shell = ['xx_l']")
            .unwrap();
    let (a, b) = (policy.capability("a").unwrap(), policy.capability("b").unwrap());
    assert!(b < a, "numbered in the order of the file");
    assert_eq!(policy.class_of("wp_viewporter"), Class::Capability(a));
    assert_eq!(policy.class_of("xx_l"), Class::Capability(Capability::LAYER_SHELL));
    assert!(policy.defaults.host.set.contains(b), "`*` is left out and contains them too");
}

#[test]
fn user_ids_are_numbers_of_users() {
    for uids in ["['0']", "[-1]", "[4294967295]", "[4294967296]", "[1.0]", "1000"] {
        error(&format!("[trust]\nuids = {uids}"));
    }
    for uid in ["'0'", "-1", "4294967295", "4294967296", "1.0", "[]", "['0']", "[0, -1]", "[[0]]", "{}"] {
        error(&matching(&format!("engine = 'e', uid = {uid}")));
    }
    let rules = |uid: &str| Policy::parse("p", &matching(&format!("uid = {uid}"))).unwrap().rules;
    assert!(rules("1000")[0].says_the_same(&rules("[0x3e8, 1_000]")[0]));
    assert!(!rules("1000")[0].says_the_same(&rules("[1000, 1001]")[0]));
}

#[test]
fn a_policy_that_is_too_large_is_not_read() {
    let text = format!("# {}\n", "x".repeat(super::MAX_SIZE));
    assert!(error(&text).0.starts_with("a policy may have 1048576 bytes"));
}

#[test]
fn hostile_text_is_survived() {
    for text in [
        "\0",
        "\u{feff}",
        "a = \"\\u0000\"",
        "[[[[",
        "match = {{{{",
        "\r",
        "[defaults]\r\nhost = [\r\n'x'\r\n]",
        "'\x1b[31m' = 1",
    ] {
        let shown = match Policy::parse("p\x1b\n", text) {
            Ok(_) => continue,
            Err(errors) => errors.to_string(),
        };
        assert!(!shown.contains(|c: char| c.is_control() && c != '\n'), "{shown:?}");
    }
    let deep = format!("a = {}{}", "[".repeat(100_000), "]".repeat(100_000));
    assert!(Policy::parse("p", &deep).is_err());
}

#[test]
fn t22_hiding_security_context_from_the_host_is_a_warning() {
    let w = warnings("[defaults]\nhost = ['layer-shell']");
    assert!(w.len() == 1 && w[0].starts_with("2: programs on the host are not given `security-context`"), "{w:?}");
    let w = warnings("[[rule]]\nmatch = { not = { engine = '*' } }\ndeny = ['*']");
    assert!(w.len() == 1 && w[0].starts_with("1: this rule hides `security-context`"), "{w:?}");
    assert_eq!(warnings("[[rule]]\nmatch = { engine = '*' }\ndeny = ['*']"), [""; 0]);
}

#[test]
fn a_rule_that_gives_nothing_is_a_warning() {
    let host = "[defaults]\nhost = ['security-context', 'layer-shell']\n";
    let w = warnings(&format!("{host}{}", matching("unit = 'a.service'")));
    assert_eq!(w, ["3: this rule gives nothing [[defaults] host does not have `screen-capture`]"]);
    let w = warnings(&format!("{host}{}", matching("engine = 'e'")));
    assert!(w.len() == 1 && w[0].contains("to a label that the user's own processes could have written"), "{w:?}");
    assert_eq!(
        warnings(&format!("{host}[trust]\nuser-evidence = 'as-written'\n{}", matching("unit = 'a.service'"))),
        [""; 0]
    );
}

#[test]
fn t34_a_name_that_never_has_an_effect_is_a_warning() {
    let w = warnings(
        "[defaults]\nsandboxed = ['security-context']\n[defaults.internal]\nx = ['security-context', 'identity-admin']",
    );
    assert_eq!(w.len(), 2, "{w:?}");
    assert!(w.iter().all(|w| w.contains("`security-context` is never given to clients of this kind")), "{w:?}");
    assert_eq!(warnings("[[rule]]\nmatch = { engine = 'e' }\nallow = ['identity-admin']").len(), 2);
    assert_eq!(warnings("[defaults]\nsandboxed = ['*']\n[defaults.internal]\nx = ['*']"), [""; 0]);
}

#[test]
fn a_default_that_gives_less_than_it_says_is_a_warning() {
    let w = warnings("[defaults]\nsandboxed = ['output-info']\nunidentified = ['output-info', 'layer-shell']");
    assert_eq!(
        w,
        ["3: [defaults] unidentified gives less than it says, or evading identification would pay \
          [`layer-shell`: [defaults] unidentified names it, but [defaults] sandboxed does not have it\n\
          `output-info`: [defaults] unidentified names it, but [defaults] namespaced does not have it]"]
    );
}

#[test]
fn t34_a_misspelt_interface_is_a_warning_and_a_new_version_is_none() {
    let w = warnings("[capabilities]\na = ['zwlr_layer_shel_v1', 'zwlr_layer_shell_v2', 'xx_something_else_v1']");
    assert!(w.len() == 1 && w[0].contains("did you mean `zwlr_layer_shell_v1`?"), "{w:?}");
}
