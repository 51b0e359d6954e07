//! Runs one hot path of Esker after the other, so that `callgrind` can count its instructions. The script `run` beside this file
//! does that, and says when a count has grown.
//!
//! ```text
//! esker-instructions build DIR            build the store that is read
//! esker-instructions list                 print the names of the operations
//! esker-instructions count NAME DIR       do one of them, and print how often it was done while it counted
//! ```
//!
//! Every operation is done in two passes. The first is not counted: tables verify what is read of them for the first time, and
//! caches fill. The second runs inside of [`counted`], the function that callgrind is told to count in.
//!
//! | part | what it is |
//! |---|---|
//! | [`record`] | keys and values |
//! | [`store`] | the store that is read, and an empty one for writes |
//! | [`operation`] | what is counted, by name |

mod operation;
mod record;
mod store;

use operation::{Operation, Pass};
use std::error::Error;
use std::hint::black_box;
use std::path::Path;
use std::process::ExitCode;

/// What everything here returns.
pub(crate) type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// What the command line takes.
const USAGE: &str = "esker-instructions build DIR | list | count NAME DIR";

/// Everything that is counted happens in here. It takes a trait object, so that there is one function of this name whatever the
/// operation: a second one that is called from the first would turn counting off.
#[inline(never)]
fn counted(pass: &mut dyn FnMut() -> Result<u64>) -> Result<u64> {
    // Something has to be left to do after the call. Otherwise it becomes a jump, and nobody sees the return from it.
    black_box(pass())
}

/// Does one operation in two passes and returns how often the second did it.
fn count(operation: Operation, dir: &Path) -> Result<u64> {
    let stage = operation.stage(dir)?;
    let first = stage.prepare(Pass::Warm);
    stage.run(&first)?;
    let second = stage.prepare(Pass::Counted);
    counted(&mut || stage.run(&second))
}

/// Does what the command line asks for.
fn run(arguments: &[&str]) -> Result<()> {
    match *arguments {
        ["build", dir] => store::build(Path::new(dir)),
        ["list"] => {
            for operation in Operation::all() {
                println!("{operation}");
            }
            Ok(())
        }
        ["count", name, dir] => {
            let operation = Operation::all().find(|operation| operation.to_string() == name);
            let operation = operation.ok_or_else(|| format!("there is no operation `{name}`"))?;
            println!("{}", count(operation, Path::new(dir))?);
            Ok(())
        }
        _ => Err(USAGE.into()),
    }
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("esker-instructions: {error}");
            ExitCode::from(2)
        }
    }
}
