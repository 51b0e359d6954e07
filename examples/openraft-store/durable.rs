//! Writing without blocking the async runtime.

use esker::{Db, Durability, Error, WriteBatch, WriteOptions};
use std::io;
use tokio::sync::oneshot;

/// Writes a batch and returns once it is on the device.
pub(crate) async fn write(db: &Db, batch: &WriteBatch) -> Result<(), io::Error> {
    let (done, is_done) = oneshot::channel();
    submit(db, batch, move |result| {
        // Whoever asked may have gone away.
        let _ = done.send(result);
    })?;
    is_done.await.unwrap_or_else(|_| Err(io::Error::other("the store was closed")))
}

/// Makes a batch visible, and calls `done` once it is on the device.
pub(crate) fn submit(
    db: &Db,
    batch: &WriteBatch,
    done: impl FnOnce(Result<(), io::Error>) + Send + 'static,
) -> Result<(), io::Error> {
    let commit = db.submit(batch, WriteOptions::new(Durability::Synced)).map_err(error)?;
    commit.on_done(move |result| done(result.map_err(error)));
    Ok(())
}

fn error(error: Error) -> io::Error {
    io::Error::other(error)
}
