//! `esker bench`: workloads over a store, each checking what it reads.
//!
//! | part | what it is |
//! |---|---|
//! | [`record`] | keys and values: a value can be checked against its key alone |
//! | [`choice`] | which record an operation takes: uniform, zipfian, latest, permutation |
//! | [`process`] | memory and processor time of this process, sampled |
//! | `presence` | which records must be there |
//! | `workload` | the workloads by name, and what one thread of each does |
//! | `run` | threads, time and the report |

pub mod choice;
pub(crate) mod presence;
pub mod process;
pub mod record;
pub(crate) mod run;
pub(crate) mod workload;
