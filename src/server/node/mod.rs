//! A running node: the state machine of `esker_cluster` with a task, a store, timers and connections.
//!
//! ```text
//!   NodeHandle ──requests──┐                       ┌── answers ──► callers
//!   rpc::peer ───frames────┤► Inbox ──► Driver ────┤── frames ───► Transport ──► peers
//!   the engine ──durable───┤           owns Node   └── operations ► Store, within the driver
//!   Transport ──lost/found─┘
//! ```
//! Only the driver touches the [`Node`](esker_cluster::Node). It never waits for a peer and never for a device, but for the
//! reads and the rare synced writes of [`Store::execute`](esker_cluster::store::Store::execute).

mod answers;
mod driver;
mod handle;
mod identity;
mod inbox;
mod notices;
mod traffic;
mod transport;
mod undurable;
mod view;

pub(crate) use answers::Answers;
pub use driver::{StartError, Started, start};
pub use handle::{FrameFault, NodeHandle};
pub(crate) use identity::wall_millis;
pub use identity::{Opened, open};
pub use traffic::{Traffic, TrafficCounts};
pub(crate) use transport::FRAME_MAX;
pub use view::View;
