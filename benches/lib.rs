//! What the benches share: workloads and stores.
