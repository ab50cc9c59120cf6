//! `include/sharecell.h` says what `src/capi` exports: it is generated here, and has to be what is committed.
//! `make header` (or `SHARECELL_BLESS=1`) writes it.

use std::path::Path;

fn generate(root: &Path) -> String {
    let config = cbindgen::Config::from_file(root.join("cbindgen.toml")).expect("cbindgen.toml");
    // It follows the `mod` lines of this file, so that their order is the header's.
    let builder = cbindgen::Builder::new().with_config(config).with_src(root.join("src/capi/mod.rs"));
    let mut text = Vec::new();
    builder.generate().expect("cbindgen could not read src/capi").write(&mut text);
    String::from_utf8(text).unwrap()
}

/// What the header has to define: cbindgen leaves out, without a word, what it cannot evaluate.
fn constants(root: &Path) -> Vec<String> {
    let files = std::fs::read_dir(root.join("src/capi")).expect("src/capi");
    let text: String = files.map(|file| std::fs::read_to_string(file.unwrap().path()).unwrap()).collect();
    let names = text.split("pub const SHC_").skip(1).map(|rest| rest.split(':').next().unwrap());
    names.map(|name| format!("SHC_{name}")).collect()
}

#[test]
fn header_is_what_capi_exports() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let path = root.join("include/sharecell.h");
    let generated = generate(root);
    assert!(generated.contains("shc_status shc_"), "cbindgen found no function in src/capi");
    for name in constants(root) {
        assert!(
            generated.contains(&format!("#define {name} ")),
            "cbindgen cannot evaluate {name}: write a literal"
        );
    }
    if std::env::var_os("SHARECELL_BLESS").is_some() {
        std::fs::write(&path, generated).unwrap();
        return;
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    let mut lines = committed.lines().zip(generated.lines()).zip(1..);
    if let Some(((old, new), number)) = lines.find(|((old, new), _)| old != new) {
        panic!("include/sharecell.h:{number} is not what src/capi says: run `make header`\n- {old}\n+ {new}");
    }
    assert!(
        committed == generated,
        "include/sharecell.h is longer or shorter than src/capi says: run `make header`"
    );
}
