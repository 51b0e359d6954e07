//! What the tests of the whole store share: operations and the model that they are held against, the bodies of the
//! fuzz targets, and the generator behind both.

pub mod bare;
pub mod bytes;
pub mod collected;
pub mod counting;
pub mod fuzz;
pub mod held;
pub mod hooks;
pub mod model;
pub mod op;
pub mod run;
pub mod settings;
pub mod shrink;
