//! The compaction room.
