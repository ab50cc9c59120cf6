//! Compiles the part that is in C.

fn main() {
    println!("cargo::rerun-if-changed=fast_paths.c");
    println!("cargo::rerun-if-changed=../../include/sharecell.h");
    cc::Build::new()
        .file("fast_paths.c")
        .include("../../include")
        .std("c99")
        .opt_level(2)
        .compile("fast_paths");
}
