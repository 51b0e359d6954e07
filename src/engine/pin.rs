//! [`Pinned`]: a value that many read without a lock and few replace.
