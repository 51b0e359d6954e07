//! The memtable room.
