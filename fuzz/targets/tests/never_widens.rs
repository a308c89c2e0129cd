//! "Never more" over 200,000 random clients of random policies.

use std::sync::atomic::{AtomicUsize, Ordering};

use wayland_auth_fuzz_targets::check_one_policy;
use wayland_auth_fuzz_targets::source::Source;

const POLICIES: usize = 4_000;
const CLIENTS: usize = 50;

/// 50 clients of each of 4,000 policies. Of each client it is asked whether it gains by a further label inside or
/// outside, by hiding a fact, by not being identified, by stripping its label, by labelling itself, or by a security
/// context; and whether it has more than the policy's documentation says.
#[test]
fn t04_t10_t12_t15_t18_t42_200000_random_clients_never_get_more() {
    let start = match std::env::var("WAYLAND_AUTH_FUZZ_SEED") {
        Ok(text) => text.parse::<u64>().expect("WAYLAND_AUTH_FUZZ_SEED is a number").max(1),
        Err(_) => 0x9e37_79b9_7f4a_7c15,
    };
    println!("WAYLAND_AUTH_FUZZ_SEED={start}: {} clients", POLICIES * CLIENTS);
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                loop {
                    let policy = next.fetch_add(1, Ordering::Relaxed);
                    if policy >= POLICIES {
                        return;
                    }
                    // Numbers that are far apart make sequences that have nothing to do with each other.
                    let seed = start.wrapping_add((policy as u64).wrapping_mul(0xd1b5_4a32_d192_ed03)).max(1);
                    check_one_policy(&mut Source::Seed(seed), CLIENTS);
                }
            });
        }
    });
}
