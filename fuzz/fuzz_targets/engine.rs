#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| wayland_auth_fuzz_targets::target("engine")(data));
