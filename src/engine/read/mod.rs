//! The read room.
