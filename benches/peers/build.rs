//! Tells the program with which versions of the stores it is built, as the lock file has them.

use std::error::Error;
use std::fs;

/// The crates whose versions are told: as `VERSION_`, and the name in capitals.
const CRATES: [&str; 7] = ["esker", "fjall", "heed", "librocksdb-sys", "lmdb-master-sys", "redb", "rocksdb"];

const LOCK: &str = "../../Cargo.lock";

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed={LOCK}");
    let lock = fs::read_to_string(LOCK)?;
    for name in CRATES {
        let version = version(&lock, name).ok_or_else(|| format!("{LOCK} has no {name}"))?;
        println!("cargo:rustc-env=VERSION_{}={version}", name.to_uppercase().replace('-', "_"));
    }
    Ok(())
}

/// The version of a crate in a lock file, where the line with it follows the one with its name.
fn version<'a>(lock: &'a str, name: &str) -> Option<&'a str> {
    let mut lines = lock.lines();
    let named = format!("name = \"{name}\"");
    lines.find(|line| *line == named)?;
    lines.next()?.strip_prefix("version = \"")?.strip_suffix('"')
}
