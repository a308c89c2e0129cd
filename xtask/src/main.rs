//! Set-up, demonstration, tests and benches of the workspace.
fn main() {}
