//! Compiles the Boost peers if Boost.Interprocess is there; else says why not, and the benches list them as absent.

fn main() {
    println!("cargo::rustc-check-cfg=cfg(boost)");
    println!("cargo::rerun-if-changed=boost/peers.cpp");
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=CXX");
    let built = cc::Build::new()
        .cpp(true)
        .std("c++17")
        .opt_level(3)
        .define("BOOST_DATE_TIME_NO_LIB", None)
        .file("boost/peers.cpp")
        .cargo_warnings(false)
        .try_compile("boost_peers");
    match built {
        Ok(()) => println!("cargo::rustc-cfg=boost"),
        Err(e) => println!("cargo::rustc-env=BOOST_ABSENT={}", e.to_string().lines().next().unwrap_or("")),
    }
    println!("cargo::rustc-link-lib=rt");
}
