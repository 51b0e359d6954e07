//! The suite that shows that a table format keeps the contract of `esker-table`.
//!
//! A format runs it in one line for each set of options that its tables may be written with; every promise becomes a
//! test of its own:
//!
//! ```ignore
//! esker_table_conformance::conformance!(plain, MyFormat, WriteOptions::default());
//! ```
//!
//! The suite asks only for what the format's [`Capabilities`](esker_table::Capabilities) declare, but for one: it writes the
//! tables that it asks about, so that the format must have `write`. A broken promise panics with the table and the question;
//! all data are generated from fixed seeds. `examples/third-party-format` in Esker's repository is a whole format under it.

mod model;
mod promises;
mod random;
mod sources;
mod subject;

pub use subject::Subject;

use esker_table::{TableFormat, WriteOptions};

/// What was written is read back, both ways, and verifies.
///
/// # Panics
/// If the format breaks the promise.
pub fn round_trip(subject: &Subject<'_>) {
    promises::round_trip::check(subject);
}

/// Entries out of order or beyond the limits are refused and leave the writer usable.
///
/// # Panics
/// If the format breaks the promise.
pub fn order_is_enforced(subject: &Subject<'_>) {
    promises::order::check(subject);
}

/// A lookup finds the newest entry that its snapshot can see.
///
/// # Panics
/// If the format breaks the promise.
pub fn lookups_see_their_snapshot(subject: &Subject<'_>) {
    promises::lookups::check(subject);
}

/// A cursor goes where the model goes.
///
/// # Panics
/// If the format breaks the promise.
pub fn cursors_follow_the_model(subject: &Subject<'_>) {
    promises::cursor::check(subject);
}

/// Range tombstones come back as given, or are refused as unsupported.
///
/// # Panics
/// If the format breaks the promise.
pub fn range_tombstones_come_back(subject: &Subject<'_>) {
    promises::range_tombstones::check(subject);
}

/// Properties say what the table holds.
///
/// # Panics
/// If the format breaks the promise.
pub fn properties_tell_the_truth(subject: &Subject<'_>) {
    promises::properties::check(subject);
}

/// A filter never denies a key that is there.
///
/// # Panics
/// If the format breaks the promise.
pub fn filters_deny_no_key(subject: &Subject<'_>) {
    promises::filter::check(subject);
}

/// Memory, map and positioned reads give the same answers.
///
/// # Panics
/// If the format breaks the promise.
pub fn sources_agree(subject: &Subject<'_>) {
    promises::sources_agree::check(subject);
}

/// A file cut at any length is told as damage or answered rightly.
///
/// # Panics
/// If the format breaks the promise.
pub fn a_cut_file_is_damage(subject: &Subject<'_>) {
    promises::damage::cuts(subject);
}

/// A file with any byte changed is told as damage or answered rightly.
///
/// # Panics
/// If the format breaks the promise.
pub fn a_changed_byte_is_damage(subject: &Subject<'_>) {
    promises::damage::flips(subject);
}

/// Arbitrary bytes are told as damage.
///
/// # Panics
/// If the format breaks the promise.
pub fn arbitrary_bytes_are_no_table(subject: &Subject<'_>) {
    promises::damage::arbitrary(subject);
}

/// A table that was never finished does not open.
///
/// # Panics
/// If the format breaks the promise.
pub fn an_unfinished_file_is_no_table(subject: &Subject<'_>) {
    promises::damage::unfinished(subject);
}

/// Another format's tables and arbitrary bytes are not taken for the format's own.
///
/// # Panics
/// If the format breaks the promise.
pub fn no_other_file_is_recognized(subject: &Subject<'_>) {
    promises::damage::foreign(subject);
}

/// Salvage, if the format can, hands on all of an intact file and of a damaged one nothing that was never written.
///
/// # Panics
/// If the format breaks the promise.
pub fn salvage_invents_nothing(subject: &Subject<'_>) {
    promises::salvage::check(subject);
}

/// A device that fails while reading is told as such and does no lasting harm.
///
/// # Panics
/// If the format breaks the promise.
pub fn a_failing_device_is_told(subject: &Subject<'_>) {
    promises::device_failures::reading(subject);
}

/// A device that is full while writing is told as such.
///
/// # Panics
/// If the format breaks the promise.
pub fn a_full_disk_is_told(subject: &Subject<'_>) {
    promises::device_failures::writing(subject);
}

/// Offsets and sizes are estimated.
///
/// # Panics
/// If the format breaks the promise.
pub fn sizes_are_estimated(subject: &Subject<'_>) {
    promises::estimates::check(subject);
}

/// Split points lie inside the table and cut it evenly.
///
/// # Panics
/// If the format breaks the promise.
pub fn split_points_cut_evenly(subject: &Subject<'_>) {
    promises::split_points::check(subject);
}

/// Equal input gives equal bytes.
///
/// # Panics
/// If the format breaks the promise.
pub fn equal_input_gives_equal_bytes(subject: &Subject<'_>) {
    promises::equal_bytes::check(subject);
}

/// Copied blocks are as good as the entries in them.
///
/// # Panics
/// If the format breaks the promise.
pub fn blocks_are_copied(subject: &Subject<'_>) {
    promises::block_copy::check(subject);
}

/// Holds the format to every promise. [`conformance!`] does the same with a test for each.
///
/// # Panics
/// If the format breaks one.
pub fn run(format: &dyn TableFormat, options: &WriteOptions) {
    let subject = Subject { format, options };
    round_trip(&subject);
    order_is_enforced(&subject);
    lookups_see_their_snapshot(&subject);
    cursors_follow_the_model(&subject);
    range_tombstones_come_back(&subject);
    properties_tell_the_truth(&subject);
    filters_deny_no_key(&subject);
    sources_agree(&subject);
    a_cut_file_is_damage(&subject);
    a_changed_byte_is_damage(&subject);
    arbitrary_bytes_are_no_table(&subject);
    an_unfinished_file_is_no_table(&subject);
    no_other_file_is_recognized(&subject);
    salvage_invents_nothing(&subject);
    a_failing_device_is_told(&subject);
    a_full_disk_is_told(&subject);
    sizes_are_estimated(&subject);
    split_points_cut_evenly(&subject);
    equal_input_gives_equal_bytes(&subject);
    blocks_are_copied(&subject);
}

/// Generates a module with a `#[test]` for each promise: `conformance!(module, format, options)`.
#[macro_export]
macro_rules! conformance {
    ($module:ident, $format:expr, $options:expr) => {
        mod $module {
            #[allow(unused_imports)]
            use super::*;
            $crate::conformance! {
                @tests $format, $options,
                round_trip
                order_is_enforced
                lookups_see_their_snapshot
                cursors_follow_the_model
                range_tombstones_come_back
                properties_tell_the_truth
                filters_deny_no_key
                sources_agree
                a_cut_file_is_damage
                a_changed_byte_is_damage
                arbitrary_bytes_are_no_table
                an_unfinished_file_is_no_table
                no_other_file_is_recognized
                salvage_invents_nothing
                a_failing_device_is_told
                a_full_disk_is_told
                sizes_are_estimated
                split_points_cut_evenly
                equal_input_gives_equal_bytes
                blocks_are_copied
            }
        }
    };
    (@tests $format:expr, $options:expr, $($promise:ident)*) => {
        $crate::conformance! { @each [$format, $options] $($promise)* }
    };
    (@each $subject:tt $($promise:ident)*) => {
        $($crate::conformance! { @test $subject $promise })*
    };
    (@test [$format:expr, $options:expr] $promise:ident) => {
        #[test]
        fn $promise() {
            $crate::$promise(&$crate::Subject { format: &$format, options: &$options });
        }
    };
}
