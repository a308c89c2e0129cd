//! The table of interfaces against the protocols themselves.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use wayland_auth::policy::{Capability, Class, built_in_class, built_in_interfaces};

#[path = "../../src/bin/wayland-auth/learn/destructors.rs"]
mod destructors;

/// Fewer than these cannot be all that the crates have; something was not found.
const MIN_FILES: usize = 95;
const MIN_GLOBALS: usize = 100;

/// Every interface that a client can only get from the registry has a row in the table.
///
/// Reads the XML of all protocol crates that the workspace depends on, found by
/// `cargo metadata`. An interface that some request or event creates is no global.
#[test]
fn every_global_of_the_protocol_crates_has_a_row() -> Result<(), String> {
    let protocols = Protocols::all()?;
    let globals = protocols.globals();
    let missing: Vec<_> = globals
        .iter()
        .filter(|(interface, _)| built_in_class(interface).is_none())
        .map(|(interface, file)| format!("{interface} ({})", file.display()))
        .collect();
    if missing.is_empty() { Ok(()) } else { Err(format!("without a row: {}", missing.join(", "))) }
}

/// The protocols of this project's own are classified on purpose, each of their globals.
#[test]
fn own_globals_have_the_rows_that_their_descriptions_promise() -> Result<(), String> {
    let mut files = Vec::new();
    find_xml(&own_protocols(), &mut files)?;
    let mut protocols = Protocols::default();
    for file in &files {
        protocols.read(file).map_err(|e| format!("{}: {e}", file.display()))?;
    }
    let globals = protocols.globals();
    let needs = |name: &str| match globals.iter().any(|(interface, _)| *interface == name) {
        true => built_in_class(name).ok_or_else(|| format!("{name} has no row")),
        false => Err(format!("{name} is no global")),
    };
    for (name, expected) in [
        ("xx_client_auth_admin_v1", Class::Capability(Capability::IDENTITY_ADMIN)),
        ("xx_client_auth_manager_v1", Class::Core),
        ("xx_client_auth_monitor_v1", Class::Capability(Capability::IDENTITY_MONITOR)),
    ] {
        if needs(name)? != expected {
            return Err(format!("{name} is in the wrong class"));
        }
    }
    Ok(())
}

/// Where this project keeps its own XML.
fn own_protocols() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../protocol")
}

/// Of every global that the table names, the tool knows by which request it is destroyed.
#[test]
fn every_destructor_of_the_protocol_crates_has_a_row() -> Result<(), String> {
    let protocols = Protocols::all()?;
    let mut compared = 0;
    for (interface, _) in built_in_interfaces().filter(|(name, _)| protocols.interfaces.contains_key(*name)) {
        let expected = protocols.destructors.get(interface).copied();
        if destructors::destructor(interface) != expected {
            return Err(format!("{interface} is destroyed by {expected:?}"));
        }
        compared += usize::from(expected.is_some());
    }
    // A row that nothing stands behind could not be told from one that is wrong.
    if compared == destructors::ROWS.len() { Ok(()) } else { Err(format!("only {compared} rows were compared")) }
}

/// The directories of the crates that carry protocols.
fn protocol_crates() -> Result<Vec<PathBuf>, String> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    // Only what this machine builds was fetched.
    let host = host()?;
    let output = Command::new(cargo)
        .args(["metadata", "--format-version", "1", "--offline", "--filter-platform", &host])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .map_err(|e| format!("cargo metadata: {e}"))?;
    if !output.status.success() {
        return Err(format!("cargo metadata: {}", String::from_utf8_lossy(&output.stderr)));
    }
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).map_err(|e| e.to_string())?;
    let packages = metadata["packages"].as_array().ok_or("cargo metadata lists no packages")?;
    let mut dirs = Vec::new();
    for package in packages {
        let (Some(name), Some(manifest)) = (package["name"].as_str(), package["manifest_path"].as_str()) else {
            return Err("cargo metadata lists a package without name or path".into());
        };
        // The scanner carries protocols that exist for its own tests only.
        let carries = name.starts_with("wayland-") || name.contains("-protocols");
        if carries && package["source"].is_string() && name != "wayland-scanner" {
            dirs.extend(Path::new(manifest).parent().map(Path::to_owned));
        }
    }
    Ok(dirs)
}

/// The triple of this machine.
fn host() -> Result<String, String> {
    let output = Command::new("rustc").arg("-vV").output().map_err(|e| format!("rustc: {e}"))?;
    let text = String::from_utf8_lossy(&output.stdout);
    text.lines()
        .find_map(|line| line.strip_prefix("host: "))
        .map(str::to_owned)
        .ok_or_else(|| "rustc names no host".into())
}

fn find_xml(dir: &Path, found: &mut Vec<PathBuf>) -> Result<(), String> {
    let error = |e: std::io::Error| format!("{}: {e}", dir.display());
    for entry in fs::read_dir(dir).map_err(error)? {
        let entry = entry.map_err(error)?;
        let path = entry.path();
        if entry.file_type().map_err(error)?.is_dir() {
            find_xml(&path, found)?;
        } else if path.extension().is_some_and(|e| e == "xml") {
            found.push(path);
        }
    }
    Ok(())
}

/// What the XML files say.
#[derive(Default)]
struct Protocols {
    files: usize,
    interfaces: BTreeMap<String, PathBuf>,
    created: BTreeSet<String>,
    /// The opcodes of the requests that destroy.
    destructors: BTreeMap<String, u16>,
}

impl Protocols {
    /// All of the protocol crates.
    fn all() -> Result<Self, String> {
        let mut files = Vec::new();
        for dir in protocol_crates()? {
            find_xml(&dir, &mut files)?;
        }
        find_xml(&own_protocols(), &mut files)?;
        let mut protocols = Self::default();
        for file in &files {
            protocols.read(file).map_err(|e| format!("{}: {e}", file.display()))?;
        }
        let globals = protocols.globals().len();
        if protocols.files < MIN_FILES || globals < MIN_GLOBALS {
            return Err(format!("only {} protocols with {globals} globals were found", protocols.files));
        }
        Ok(protocols)
    }

    fn read(&mut self, file: &Path) -> Result<(), String> {
        let text = fs::read_to_string(file).map_err(|e| e.to_string())?;
        let document = roxmltree::Document::parse(&text).map_err(|e| e.to_string())?;
        if !document.root_element().has_tag_name("protocol") {
            return Ok(());
        }
        self.files += 1;
        for node in document.descendants() {
            if node.has_tag_name("interface") {
                let name = node.attribute("name").ok_or("an interface without a name")?;
                self.interfaces.insert(name.to_owned(), file.to_owned());
                let requests = node.children().filter(|child| child.has_tag_name("request"));
                let destructor = requests.zip(0..).find(|(request, _)| request.attribute("type") == Some("destructor"));
                self.destructors.extend(destructor.map(|(_, opcode)| (name.to_owned(), opcode)));
            } else if node.has_tag_name("arg") && node.attribute("type") == Some("new_id") {
                self.created.extend(node.attribute("interface").map(str::to_owned));
            }
        }
        Ok(())
    }

    /// The interfaces that nothing creates, but for the one that is there from the start.
    fn globals(&self) -> Vec<(&str, &Path)> {
        self.interfaces
            .iter()
            .filter(|(name, _)| !self.created.contains(*name) && *name != "wl_display")
            .map(|(name, file)| (name.as_str(), file.as_path()))
            .collect()
    }
}
