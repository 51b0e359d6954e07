//! [`Lines`]: headers and measurements as lines of JSON, written as they come and read again.

use crate::header::Header;
use crate::measured::Measured;
use crate::peer::Result;
use serde::Serialize;
use serde_json::Value;
use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};

/// What the lines of some files say.
#[derive(Debug, Default)]
pub(crate) struct Lines {
    pub(crate) headers: Vec<Header>,
    pub(crate) measured: Vec<Measured>,
}

impl Lines {
    /// Reads files, in this order. A last line without an end is what a campaign was writing when it was cut short, and is
    /// left out.
    ///
    /// # Errors
    /// If a file cannot be read, or a line is neither a header nor a measurement.
    pub(crate) fn read(files: &[PathBuf]) -> Result<Lines> {
        let mut lines = Lines::default();
        for file in files {
            let text = fs::read_to_string(file).map_err(|error| format!("{}: {error}", file.display()))?;
            for (at, line) in text.split_inclusive('\n').enumerate().filter(|(_, line)| line.ends_with('\n'))
            {
                lines.add(line).map_err(|error| format!("{}, line {}: {error}", file.display(), at + 1))?;
            }
        }
        Ok(lines)
    }

    fn add(&mut self, line: &str) -> serde_json::Result<()> {
        let line: Value = serde_json::from_str(line)?;
        match line.get("machine") {
            Some(_) => self.headers.push(serde_json::from_value(line)?),
            None => self.measured.push(serde_json::from_value(line)?),
        }
        Ok(())
    }
}

/// Where lines go, if anywhere. Each is written at once, so that a campaign that is cut short leaves what it has.
pub(crate) struct Out(Option<File>);

impl Out {
    /// # Errors
    /// If the file cannot be created.
    pub(crate) fn create(file: Option<&Path>) -> Result<Out> {
        Ok(Out(file.map(File::create).transpose()?))
    }

    /// # Errors
    /// If the line cannot be written.
    pub(crate) fn write(&mut self, line: &impl Serialize) -> Result<()> {
        if let Some(file) = &mut self.0 {
            file.write_all(format!("{}\n", serde_json::to_string(line)?).as_bytes())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::example;

    #[test]
    fn what_was_written_is_read_again_up_to_where_it_was_cut() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("measured.jsonl");
        let (header, measured) = (example::header(), example::measured());
        let mut out = Out::create(Some(&file)).unwrap();
        out.write(&header).unwrap();
        for one in &measured {
            out.write(one).unwrap();
        }
        let read = Lines::read(&[file.clone(), file.clone()]).unwrap();
        assert_eq!(read.headers, [header.clone(), header]);
        assert_eq!(
            format!("{:?}", read.measured),
            format!("{:?}", [measured.clone(), measured.clone()].concat())
        );

        let text = fs::read(&file).unwrap();
        fs::write(&file, &text[..text.len() - 10]).unwrap();
        assert_eq!(Lines::read(std::slice::from_ref(&file)).unwrap().measured.len(), measured.len() - 1);
        fs::write(&file, "{\"peer\":\"esker\"}\n").unwrap();
        let error = Lines::read(&[file]).unwrap_err().to_string();
        assert!(error.contains("line 1: missing field"), "{error}");
    }

    #[test]
    fn lines_of_before_there_was_a_limit_are_read_still() {
        let mut lines = Lines::default();
        let line = r#"{"peer":"lmdb","workload":"readrandom","keys":1,"value_bytes":100,"operations":1,"seconds":1.0,"ops_per_s":1.0,
            "p50_us":1.0,"p99_us":1.0,"p999_us":1.0,"p9999_us":1.0,"max_us":1.0,"cut_short":false,"kept":null,"settle_s":null,
            "beside_ops_per_s":null,"peak_anon_bytes":1,"disk_bytes":1,"write_amp":null,"cpu_s":1.0}"#;
        lines.add(line).unwrap();
        assert!(lines.measured[0].series.is_empty() && lines.measured[0].paced.is_none());
    }
}
