//! [`Named`]: what can be chosen on the command line has one name, there and in tables.

use clap::ValueEnum;

/// Something with a name on the command line.
pub(crate) trait Named: ValueEnum {
    /// The name on the command line and in tables.
    fn name(&self) -> String {
        self.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
    }
}

impl<T: ValueEnum> Named for T {}
