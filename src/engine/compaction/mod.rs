//! Flush and compaction: what is merged when ([`picker`]), what of it survives ([`collapse`]), where the output is cut
//! ([`split`]), and how writers are paced meanwhile ([`limiter`]).

pub(crate) mod collapse;
pub(crate) mod limiter;
pub(crate) mod picker;
pub(crate) mod split;
