//! `rampart checks`: list, lint, test and show templates.

use std::{
    collections::BTreeMap,
    io::Write,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context, bail};
use checks::{Template, examples};
use report::terminal::sanitise;

use crate::{
    cli::{ChecksCommand, put_bytes},
    library::{self, Library},
};

pub(crate) fn run(command: &ChecksCommand) -> anyhow::Result<ExitCode> {
    let mut out = Vec::new();
    let ended = match command {
        ChecksCommand::List { paths, tag, json } => {
            list(&Library::load(paths)?, tag.as_deref(), *json, &mut out)
        }
        ChecksCommand::Lint { paths } => lint(&Library::load(paths)?, &mut out),
        ChecksCommand::Test { path } => test(path.as_deref(), &mut out),
        ChecksCommand::Show { id } => show(id, &mut out),
    };
    // What was found before something went wrong is told, too.
    put_bytes(&out)?;
    ended
}

fn protocols(template: &Template) -> String {
    let kinds: Vec<&str> = template.protocol_kinds().iter().map(|kind| kind.as_str()).collect();
    kinds.join("+")
}

fn list(library: &Library, tag: Option<&str>, json: bool, out: &mut dyn Write) -> anyhow::Result<ExitCode> {
    let mut templates: Vec<&Template> = library.templates.iter().map(AsRef::as_ref).collect();
    templates.retain(|template| tag.is_none_or(|tag| template.info.tags.iter().any(|given| given == tag)));
    templates.sort_by(|a, b| a.id.cmp(&b.id));
    let width = templates.iter().map(|template| template.id.as_str().len()).max().unwrap_or(0).min(48);
    for template in templates {
        if json {
            let line = serde_json::json!({
                "id": template.id,
                "severity": template.info.severity,
                "confidence": template.info.confidence,
                "protocols": protocols(template),
                "name": template.info.name,
                "tags": template.info.tags,
                "origin": template.origin,
            });
            writeln!(out, "{line}")?;
        } else {
            let (id, name) = (sanitise(template.id.as_str()), sanitise(&template.info.name));
            writeln!(out, "{id:width$}  {:8}  {:5}  {name}", template.info.severity, protocols(template))?;
        }
    }
    if library.refused_files > 0 && !json {
        writeln!(out, "{} files were refused: `rampart checks lint` says why", library.refused_files)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn lint(library: &Library, out: &mut dyn Write) -> anyhow::Result<ExitCode> {
    for diagnostic in &library.refused {
        writeln!(out, "{}", sanitise(&diagnostic.to_string()))?;
        if let Some(hint) = &diagnostic.hint {
            writeln!(out, "  hint: {}", sanitise(hint))?;
        }
    }
    let (loaded, refused) = (library.templates.len(), library.refused_files);
    writeln!(out, "{loaded} templates load, {refused} are refused")?;
    library.require_unique_ids()?;
    Ok(if refused == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Templates and examples by their place below a checks directory: `exposures/git-config.yaml` belongs to
/// `examples/exposures/git-config.yaml`.
fn files_to_test(
    path: Option<&Path>,
) -> anyhow::Result<(BTreeMap<String, String>, BTreeMap<String, String>)> {
    let Some(path) = path else {
        let strip = |(path, text): (String, String)| (path.trim_start_matches("examples/").to_owned(), text);
        let templates = library::built_in_files("").into_iter().collect();
        return Ok((templates, library::built_in_files("examples/").into_iter().map(strip).collect()));
    };
    let text_of = |file: &Path| {
        std::fs::read_to_string(file).with_context(|| format!("cannot read `{}`", file.display()))
    };
    if !path.is_dir() {
        let name = path.display().to_string();
        let template = BTreeMap::from([(name.clone(), text_of(path)?)]);
        // `checks/exposures/git-config.yaml` has its examples in `checks/examples/exposures/git-config.yaml`.
        let beside = path.ancestors().skip(1).find_map(|above| {
            let examples = above.join("examples").join(path.strip_prefix(above).ok()?);
            examples.is_file().then_some(examples)
        });
        let examples =
            beside.map(|examples| Ok::<_, anyhow::Error>((name, text_of(&examples)?))).transpose()?;
        return Ok((template, examples.into_iter().collect()));
    }
    let read = |below: &Path| -> anyhow::Result<BTreeMap<String, String>> {
        let mut texts = BTreeMap::new();
        let files = if below.is_dir() { library::files_below(below)? } else { Vec::new() };
        for file in files {
            let text = text_of(&file)?;
            let relative: PathBuf = file.strip_prefix(below).unwrap_or(&file).to_owned();
            texts.insert(relative.display().to_string(), text);
        }
        Ok(texts)
    };
    Ok((read(path)?, read(&path.join("examples"))?))
}

fn test(path: Option<&Path>, out: &mut dyn Write) -> anyhow::Result<ExitCode> {
    let (templates, examples) = files_to_test(path)?;
    let (mut passed, mut failed) = (0, 0);
    for (file, text) in &templates {
        let mut fail = |why: String| {
            failed += 1;
            writeln!(out, "FAIL {file}: {}", sanitise(&why))
        };
        let template = match checks::template::parse(text, file) {
            Ok(template) => template,
            Err(diagnostics) => {
                for diagnostic in diagnostics {
                    fail(diagnostic.to_string())?;
                }
                continue;
            }
        };
        let Some(examples) = examples.get(file) else {
            fail("has no examples".to_owned())?;
            continue;
        };
        let cases = match examples::Examples::parse(examples, &format!("examples/{file}")) {
            Ok(cases) => cases,
            Err(diagnostics) => {
                for diagnostic in diagnostics {
                    fail(diagnostic.to_string())?;
                }
                continue;
            }
        };
        for result in examples::run(&std::sync::Arc::new(template), &cases) {
            match result.outcome {
                Ok(()) => passed += 1,
                Err(why) => fail(format!("{}: {why}", result.name))?,
            }
        }
    }
    if templates.is_empty() {
        bail!("there are no templates to test");
    }
    writeln!(out, "{} templates: {passed} examples passed, {failed} failed", templates.len())?;
    Ok(if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn show(id: &str, out: &mut dyn Write) -> anyhow::Result<ExitCode> {
    let name = format!("{id}.yaml");
    let file =
        library::built_in_files("").into_iter().find(|(path, _)| path.rsplit('/').next() == Some(&name));
    match file {
        Some((_, text)) => out.write_all(text.as_bytes())?,
        None => bail!("there is no built-in check `{id}`: `rampart checks list` shows them"),
    }
    Ok(ExitCode::SUCCESS)
}
