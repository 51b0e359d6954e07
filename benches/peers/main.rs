//! Runs the same workloads on Esker and on what people would pick instead.
//!
//! Each (peer, workload) has a process of its own, on a directory that is fresh, or a copy of a store that was filled once. Peers take
//! turns within each round, and the order of the turns changes from round to round. Everything that is read is checked.
//!
//! | part | what it is |
//! |---|---|
//! | [`command`] | the command line |
//! | [`named`] | the names of what can be chosen |
//! | [`peer`] | the stores, behind one trait |
//! | [`workload`] | the workloads by name, and what each begins with |
//! | [`work`] | doing one |
//! | [`worker`] | one thread of one, and the check of what it reads |
//! | [`pace`] | the workload that goes on at a pace |
//! | [`late`] | what made writes of it late |
//! | [`scheduled`] | what its thread got of processors |
//! | [`series`] | what a thread did second by second |
//! | [`latency`] | quantiles |
//! | [`mod@child`] | the process that does a workload and measures it |
//! | [`confinement`] | its limit of memory |
//! | [`files`] | the files of its store |
//! | [`spent`] | the processor time that it takes |
//! | [`device`] | and what it reads and writes |
//! | [`campaign`] | rounds, directories, child processes |
//! | [`header`] | when, with which settings and versions |
//! | [`machine`] | and on what |
//! | [`date`] | the time in UTC |
//! | [`measured`] | what is found |
//! | [`lines`] | both as lines of JSON |
//! | [`cells`] | what belongs together in a table or a plot, and medians |
//! | [`mod@table`] | tables in Markdown |
//! | [`mod@plot`] | plots in SVG |

mod campaign;
mod cells;
mod child;
mod command;
mod confinement;
mod date;
mod device;
#[cfg(test)]
mod example;
mod files;
mod header;
mod late;
mod latency;
mod lines;
mod machine;
mod measured;
mod named;
mod pace;
mod peer;
mod plot;
mod scheduled;
mod series;
mod spent;
mod stolen;
mod table;
mod told;
mod work;
mod worker;
mod workload;

use campaign::{Campaign, Outcome};
use clap::Parser as _;
use command::{Action, Child, Command, Plot, Run, Table, Task};
use confinement::Confinement;
use header::Header;
use lines::{Lines, Out};
use peer::{Result, Setup};
use std::process::ExitCode;

/// One campaign after the other, one for each size of values, and the tables of all.
fn run(run: &Run) -> Result<()> {
    let (peers, workloads) = (run.peers()?, run.workloads());
    if let Some(limit) = run.size.memory_limit {
        Confinement::try_out(limit << 20)?;
    }
    std::fs::create_dir_all(&run.dir)?;
    let header = Header::now(&run.dir, &peers, run.settings());
    let mut out = Out::create(run.out.as_deref())?;
    out.write(&header)?;
    let mut outcome = Outcome::default();
    for value_size in &run.value_size {
        let first = run.value_size.first().unwrap_or(value_size);
        let campaign = Campaign {
            size: run.size.with_values(*first, *value_size),
            value_size: *value_size,
            dir: run.dir.clone(),
            peers: peers.clone(),
            workloads: workloads.clone(),
        };
        if run.value_size.len() > 1 {
            eprintln!("values of {value_size} bytes, {} records", campaign.size.keys);
        }
        campaign.run(run.rounds, &mut out, &mut outcome)?;
    }
    print!("{}", table::of(&[header], &outcome.measured));
    match outcome.failed {
        0 => Ok(()),
        failed => Err(format!("{failed} measurements failed").into()),
    }
}

fn table(table: &Table) -> Result<()> {
    let lines = Lines::read(&table.files)?;
    print!("{}", table::of(&lines.headers, &lines.measured));
    Ok(())
}

fn plot(plot: &Plot) -> Result<()> {
    let lines = Lines::read(&plot.files)?;
    std::fs::create_dir_all(&plot.out)?;
    for (name, svg) in plot::of(&lines.measured) {
        let file = plot.out.join(name);
        std::fs::write(&file, svg)?;
        println!("{}", file.display());
    }
    Ok(())
}

fn child(child: &Child) -> Result<()> {
    let Child { task, peer, workload, dir, size, value_size } = child;
    let _confinement = size.memory_limit.map(|limit| Confinement::enter(limit << 20)).transpose()?;
    std::fs::create_dir_all(dir)?;
    let setup = Setup {
        cache: size.cache << 20,
        write_buffer: size.write_buffer << 20,
        synced: workload.is_synced() && *task == Task::Measure,
        limited: size.memory_limit.is_some(),
    };
    let scale = size.scale(*value_size);
    match task {
        Task::Load => child::load(*peer, dir, setup, scale),
        Task::Die => child::be_killed(*peer, dir, setup, scale),
        Task::Measure => {
            let measured = child::measure(*peer, *workload, dir, setup, scale, size.memory_limit)?;
            println!("{}", serde_json::to_string(&measured)?);
            Ok(())
        }
    }
}

fn main() -> ExitCode {
    let result = match Command::parse().action {
        Action::Run(arguments) => run(&arguments),
        Action::Table(arguments) => table(&arguments),
        Action::Plot(arguments) => plot(&arguments),
        Action::Child(arguments) => child(&arguments),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("esker-peers: {error}");
            ExitCode::from(2)
        }
    }
}
