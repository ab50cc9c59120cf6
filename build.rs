//! Names the shared library as C programs link it.
fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    // Before 1.0 the ABI may change with each minor version, so the soname carries both numbers.
    let minor = std::env::var("CARGO_PKG_VERSION_MINOR").unwrap_or_default();
    let major = std::env::var("CARGO_PKG_VERSION_MAJOR").unwrap_or_default();
    println!("cargo:rustc-cdylib-link-arg=-Wl,-soname,libsharecell.so.{major}.{minor}");
}
