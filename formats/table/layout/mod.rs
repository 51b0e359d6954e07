//! Parts that formats of Esker's own lay their tables from: frames, a section table, pages of lines, what was verified.
//!
//! A format may use them or not: the contract asks for none of them. A table that does ends like this, whatever lies before:
//!
//! ```text
//!   ... │ range tombstones │ properties │ section table │ footer
//!         └────────── each in a frame with its checksum ─┘   64 bytes, see `footer`
//! ```
//!
//! | part | what it is |
//! |---|---|
//! | [`stored`] | the frame of a block: compression and checksum |
//! | [`sections`] | where each part of a table lies |
//! | [`lines`] | cache lines in pages that are verified one at a time |
//! | [`tombstones`] | a table's range tombstones as bytes |
//! | [`verified`] | which blocks have had their checksum verified |
//! | [`entries`] | what a writer holds entries against, and counts of them |
//! | [`output`] | a file that is written from the front to the back |
//! | [`tail`] | the end of a file, which opening reads first |
//! | [`readahead`] | what a cursor asks of the device before it needs it |
//! | [`gap`] | zeros between blocks, so that pages begin with one |
//! | [`cuts`] | choosing keys that cut a table evenly |

pub mod cuts;
pub mod entries;
pub mod gap;
pub mod lines;
pub mod output;
pub mod readahead;
pub mod sections;
pub mod stored;
pub mod tail;
pub mod tombstones;
pub mod verified;
