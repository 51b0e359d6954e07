//! The tables room.
