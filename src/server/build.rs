//! Makes the Rust types of `proto/esker.proto`, without `protoc`.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo:rerun-if-changed=proto/esker.proto");
    let files = protox::compile(["esker.proto"], ["proto"])?;
    // Keys, values and frames stay parts of what was received.
    tonic_prost_build::configure().bytes(".").compile_fds(files)?;
    Ok(())
}
