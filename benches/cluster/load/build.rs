//! Makes the Rust types of Esker's protocol, and of the part of etcd's that is asked.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let of_esker = "../../../src/server/proto";
    println!("cargo:rerun-if-changed=proto/etcd.proto");
    println!("cargo:rerun-if-changed={of_esker}/esker.proto");
    let files = protox::compile(["etcd.proto", "esker.proto"], ["proto", of_esker])?;
    tonic_prost_build::configure().bytes(".").build_server(false).compile_fds(files)?;
    Ok(())
}
