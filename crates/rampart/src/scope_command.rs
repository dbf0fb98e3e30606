//! `rampart scope`: scope files.

use std::{path::Path, process::ExitCode};

use anyhow::Context;
use model::{Scope, Target, scope::ScopeFile};
use report::terminal;

use crate::{
    cli::{ScopeCommand, put},
    configuration::toml_trouble,
    platform,
};

const TEMPLATE: &str = r#"# What Rampart may touch. Nothing outside of this is ever connected to. Unknown keys are an error.

# Who authorised this scan, and where that is written down. Goes into the report.
authorised_by = ""

# Names that may be asked about and connected to, together with the public addresses they lead to.
# "example.com" is that one name, "*.example.com" every name below it.
names = []

# Addresses that may be connected to. Private and loopback addresses count only when they stand here.
networks = []

# Ports that may be connected to. By default all but fragile ones (printers, industrial controllers);
# a fragile port counts only where it stands by itself or in a range of at most 16 ports.
# ports = "1-65535"

# What must not be touched, whatever stands above.
[exclude]
names = []
networks = []
# ports = "25"

# When. All parts are optional.
[window]
# not_before = "2026-01-01T00:00:00Z"
# not_after = "2026-02-01T00:00:00Z"
# daily = "22:00-06:00"
# utc_offset = "+02:00"

# Caps that no option raises. All are optional.
[limits]
# requests_per_second = 100
# requests_per_second_per_host = 20
# probes_per_second = 1000
# queries_per_second = 500
# connections = 200
# connections_per_host = 8
"#;

pub(crate) fn run(command: &ScopeCommand) -> anyhow::Result<ExitCode> {
    match command {
        ScopeCommand::Put(asked) => return platform::put_scope(&asked.whereabouts()?, &asked.arguments),
        ScopeCommand::List(asked) => {
            return platform::list_scopes(&asked.whereabouts()?, asked.arguments.json);
        }
        ScopeCommand::Delete(asked) => {
            return platform::delete_scope(&asked.whereabouts()?, &asked.arguments.name);
        }
        ScopeCommand::Template => put(TEMPLATE)?,
        ScopeCommand::Show { file, targets } => {
            let scope = read(file)?;
            let author = scope.authorised_by.as_deref().unwrap_or("nobody");
            put(&format!("authorised by {}\n", terminal::sanitise(author)))?;
            for line in scope.describe_in_full() {
                put(&format!("{}\n", terminal::sanitise(&line)))?;
            }
            let mut refused = false;
            for text in targets {
                let target: Target = text.parse()?;
                match scope.permits_target(&target) {
                    Ok(()) => put(&format!("{target}: in scope\n"))?,
                    Err(refusal) => {
                        refused = true;
                        put(&format!("{target}: refused: {refusal}\n"))?;
                    }
                }
            }
            if refused {
                return Ok(ExitCode::FAILURE);
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Reads and checks a scope file.
pub(crate) fn read(file: &Path) -> anyhow::Result<Scope> {
    read_as_written(file).map(|(_, scope)| scope)
}

/// The same, with what stands in it.
pub(crate) fn read_as_written(file: &Path) -> anyhow::Result<(ScopeFile, Scope)> {
    let text = std::fs::read_to_string(file)
        .with_context(|| format!("cannot read scope file `{}`", file.display()))?;
    let written: ScopeFile = toml::from_str(&text)
        .map_err(|error| anyhow::anyhow!("scope file {}", toml_trouble(file, &text, &error)))?;
    let scope = written.clone().into_scope();
    Ok((written, scope.with_context(|| format!("scope file `{}` is not valid", file.display()))?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_template_is_valid_once_filled_in() {
        let parsed: ScopeFile = toml::from_str(TEMPLATE).unwrap();
        assert!(parsed.into_scope().is_err(), "an unfilled template must not authorise anything");
        let uncommented: String = TEMPLATE
            .lines()
            .map(|line| match line.strip_prefix("# ") {
                Some(rest)
                    if rest
                        .split_once(" = ")
                        .is_some_and(|(key, _)| key.chars().all(|c| c == '_' || c.is_ascii_lowercase())) =>
                {
                    rest
                }
                _ => line,
            })
            .map(|line| format!("{line}\n"))
            .collect();
        let filled = uncommented
            .replace("authorised_by = \"\"", "authorised_by = \"J. Doe, SEC-1\"")
            .replacen("names = []", "names = [\"example.com\"]", 1);
        let scope = toml::from_str::<ScopeFile>(&filled).unwrap().into_scope().unwrap();
        assert_eq!(scope.ceilings.requests_per_second, Some(100));
        assert!(scope.window.daily.is_some());
    }
}
