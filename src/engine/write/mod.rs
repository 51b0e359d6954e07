//! The write room.
