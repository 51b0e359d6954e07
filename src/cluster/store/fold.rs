//! [`PrevFold`]: keeps the oldest `prev` where a newer record shadows an older one.

use super::record::{self, HeadRecord};
use esker::{Fold, Folded, Shadow, Slice};

/// The name under which the fold is recorded with every keyspace of records.
pub const PREV_FOLD_NAME: &str = "esker.prev/1";

/// Gives the newer of two records the older's `prev`, see `RECORD.md`. Associative, since it only ever takes the oldest.
///
/// A record that it cannot read it leaves alone: the read that comes upon it says what is wrong.
pub(super) struct PrevFold;

impl Fold for PrevFold {
    fn name(&self) -> &str {
        PREV_FOLD_NAME
    }

    fn fold(&self, shadow: &Shadow<'_>) -> Folded {
        let Some(newer) = shadow.newer else { return Folded::Newer };
        let decode = |bytes: &[u8]| HeadRecord::decode(&Slice::copy_from(bytes));
        let Ok(newer) = decode(newer) else { return Folded::Newer };
        // Where the older entry is a delete of the engine, everything of the key was taken away: it is as for a first insert.
        let Ok(older) = shadow.older.map_or(Ok(HeadRecord::default()), decode) else { return Folded::Newer };
        if newer.prev == older.prev {
            return Folded::Newer;
        }
        let mut bytes = Vec::new();
        record::encode(&mut bytes, &newer.set, &older.prev, |_| false);
        Folded::Value(bytes)
    }
}
