//! Tells the binary which commit and compiler it was built from, so that every result can say so.

use std::path::Path;
use std::process::Command;

/// What the binary is built from; changes in any of it may change the answer to "is this tree modified?".
const SOURCES: &[&str] = &["broker", "loadgen", "scenarios", "Cargo.toml", "Cargo.lock"];

fn main() {
    // Asked at run time: a target directory shared by two checkouts may hold the other one's build script.
    let manifest = std::env::var("CARGO_MANIFEST_DIR").expect("cargo sets it for build scripts");
    let root = Path::new(&manifest).join("..");
    for source in SOURCES {
        rerun_if_changed(&root.join(source));
    }
    // The log of HEAD grows with each commit, checkout and reset.
    rerun_if_changed(&root.join(".git/logs/HEAD"));
    let git = |arguments: &[&str]| {
        let output = Command::new("git")
            .arg("-C")
            .arg(&root)
            .args(arguments)
            .output()
            .ok()?;
        output
            .status
            .success()
            .then(|| String::from_utf8_lossy(&output.stdout).trim().to_string())
    };
    let commit = git(&["rev-parse", "HEAD"]).unwrap_or_else(|| "unknown".into());
    let status = [
        ["status", "--porcelain", "--untracked-files=no", "--"].as_slice(),
        SOURCES,
    ]
    .concat();
    let modified = git(&status).is_some_and(|changes| !changes.is_empty());
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let version = Command::new(rustc).arg("--version").output();
    let version = version.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_string());
    println!("cargo:rustc-env=LOADGEN_COMMIT={commit}");
    println!("cargo:rustc-env=LOADGEN_MODIFIED={modified}");
    println!(
        "cargo:rustc-env=LOADGEN_RUSTC={}",
        version.unwrap_or_else(|_| "unknown".into())
    );
    let variable = |name: &str| std::env::var(name).unwrap_or_else(|_| "unknown".into());
    println!("cargo:rustc-env=LOADGEN_PROFILE={}", variable("PROFILE"));
    println!("cargo:rustc-env=LOADGEN_TARGET={}", variable("TARGET"));
}

/// Naming a path that does not exist would rebuild each time.
fn rerun_if_changed(path: &Path) {
    if path.exists() {
        println!("cargo:rerun-if-changed={}", path.display());
    }
}
