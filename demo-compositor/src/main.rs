//! The program `demo-compositor`: see the library of the same name.

use std::process::ExitCode;

fn main() -> ExitCode {
    demo_compositor::main_with(|_, _| ())
}
