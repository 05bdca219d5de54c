//! libFuzzer's view of a target of `inference_container::fuzzing`, the one that `UNSPSC_FUZZ_TARGET` names. Built by
//! `scripts/fuzz` alone, as it needs instrumented code; in all other builds it is empty.

#![cfg_attr(fuzzing, no_main)]
// The macro's function is one that C calls.
#![cfg_attr(fuzzing, allow(unsafe_code))]

#[cfg(fuzzing)]
mod fuzzer {
    use std::sync::LazyLock;

    use inference_container::fuzzing::{TARGETS, Target};

    static TARGET: LazyLock<Target> = LazyLock::new(|| {
        let wanted = std::env::var("UNSPSC_FUZZ_TARGET").unwrap_or_default();
        let found = TARGETS.iter().find(|(name, _)| *name == wanted);
        found.unwrap_or_else(|| panic!("there is no target {wanted:?}")).1
    });

    libfuzzer_sys::fuzz_target!(|bytes: &[u8]| TARGET(bytes));
}

#[cfg(not(fuzzing))]
fn main() {}
