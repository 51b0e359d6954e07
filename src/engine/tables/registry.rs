//! [`FormatRegistry`]: the table formats that a store knows, by number and by name.

use crate::error::{Error, Result};
use esker_table::{FormatId, TableFormat};
use std::sync::Arc;

/// The table formats that a store can read and write. Small: a search through a list is quicker than a map.
#[derive(Clone, Debug, Default)]
pub(crate) struct FormatRegistry {
    formats: Vec<Arc<dyn TableFormat>>,
}

impl FormatRegistry {
    /// Without any format.
    #[cfg(test)]
    pub(crate) fn empty() -> FormatRegistry {
        FormatRegistry::default()
    }

    /// With the formats that Esker brings.
    pub(crate) fn builtin() -> FormatRegistry {
        FormatRegistry {
            formats: vec![
                Arc::new(esker_format_block::BlockFormat::new()),
                Arc::new(esker_format_plain::PlainFormat::new()),
            ],
        }
    }

    /// Adds a format.
    ///
    /// # Errors
    /// `Invalid` if another format has its number or its name.
    pub(crate) fn register(&mut self, format: Arc<dyn TableFormat>) -> Result<()> {
        if let Some(other) = self.formats.iter().find(|f| f.id() == format.id() || f.name() == format.name())
        {
            return Err(Error::invalid(
                "table_format",
                format!(
                    "the format `{}` ({}) cannot be added: `{}` ({}) is there already",
                    format.name(),
                    format.id(),
                    other.name(),
                    other.id()
                ),
            ));
        }
        self.formats.push(format);
        Ok(())
    }

    /// The format of this number.
    pub(crate) fn by_id(&self, id: FormatId) -> Option<&Arc<dyn TableFormat>> {
        self.formats.iter().find(|f| f.id() == id)
    }

    /// The format of this name.
    ///
    /// # Errors
    /// `Invalid`, with the names that there are.
    pub(crate) fn by_name(&self, name: &str) -> Result<&Arc<dyn TableFormat>> {
        self.formats.iter().find(|f| f.name() == name).ok_or_else(|| {
            let known: Vec<_> = self.formats.iter().map(|f| f.name()).collect();
            Error::invalid(
                "table_format",
                format!("there is no table format `{name}`; there are: {}", known.join(", ")),
            )
        })
    }

    /// The format that a file with these last bytes is in; see [`TableFormat::recognizes`].
    pub(crate) fn recognize(&self, tail: &[u8]) -> Option<&Arc<dyn TableFormat>> {
        self.formats.iter().find(|f| f.recognizes(tail))
    }

    /// All of them, in the order in which they were added.
    #[cfg(test)]
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Arc<dyn TableFormat>> {
        self.formats.iter()
    }
}
