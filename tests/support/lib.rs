//! What the tests share: models, operations, scratch directories.
