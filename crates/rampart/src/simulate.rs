//! `rampart simulate`: a day of requests, on paper.

use std::{
    fs::File,
    io::{BufWriter, Write},
    path::Path,
    process::ExitCode,
};

use anyhow::Context;
use model::simulation::{self, Outcome};

use crate::cli::{SimulateArguments, put};

pub(crate) fn run(arguments: &SimulateArguments) -> anyhow::Result<ExitCode> {
    let outcome = simulation::run(&arguments.scenario())?;
    if let Some(file) = &arguments.svg {
        draw(&outcome, file).with_context(|| format!("cannot write the drawing to `{}`", file.display()))?;
    }
    match arguments.json {
        true => put(&(serde_json::to_string(&outcome)? + "\n"))?,
        false => put(&report::simulation::table(&outcome))?,
    }
    Ok(ExitCode::SUCCESS)
}

fn draw(outcome: &Outcome, file: &Path) -> std::io::Result<()> {
    let mut out = BufWriter::new(File::create(file)?);
    report::figure::write(&report::simulation::figure(outcome), &mut out)?;
    out.flush()
}
