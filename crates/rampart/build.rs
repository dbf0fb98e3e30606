//! How the program of an image is linked: smaller, by what only LLD does, which Rust brings for this platform.

use std::env;

#[expect(
    clippy::disallowed_methods,
    reason = "by the environment Cargo says to a build script what it builds"
)]
fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let is = |name: &str, value: &str| env::var(name).is_ok_and(|found| found == value);
    // Of all profiles only `image` says this.
    let is_image = is("OPT_LEVEL", "z");
    let has_lld = is("CARGO_CFG_TARGET_ARCH", "x86_64")
        && is("CARGO_CFG_TARGET_OS", "linux")
        && is("CARGO_CFG_TARGET_ENV", "gnu");
    if is_image && has_lld {
        // One of several functions that are the same, and relocations in a hundredth of the room (read by glibc from 2.36 on).
        println!("cargo::rustc-link-arg-bins=-Wl,--icf=all");
        println!("cargo::rustc-link-arg-bins=-Wl,-z,pack-relative-relocs");
    }
}
