//! Check templates: the built-in ones and those in files.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::File,
    io::Read,
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::{Context, bail};
use checks::{Diagnostic, DiagnosticCode, Template, diagnostic::Position, template};
use include_dir::{Dir, include_dir};
use model::CheckId;
use sha2::{Digest, Sha256};

/// The checks that ship inside the binary, with their examples.
pub(crate) static BUILT_IN: Dir<'static> = include_dir!("$CARGO_MANIFEST_DIR/../../checks");

/// Larger files are no templates.
const LARGEST_TEMPLATE: u64 = 1 << 20;

/// Tells the built-in checks from those of another release: 64 bits of SHA-256 over all of them.
pub(crate) fn version() -> String {
    let mut hash = Sha256::new();
    for (path, text) in built_in_files("") {
        for part in [path.as_bytes(), text.as_bytes()] {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        }
    }
    hash.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

/// What was loaded, and what was refused and why.
#[derive(Debug, Default)]
pub(crate) struct Library {
    pub(crate) templates: Vec<Arc<Template>>,
    pub(crate) refused: Vec<Diagnostic>,
    /// How many files were refused.
    pub(crate) refused_files: usize,
}

impl Library {
    /// The built-in checks.
    pub(crate) fn built_in() -> Library {
        let mut library = Library::default();
        for (path, text) in built_in_files("") {
            library.take(&text, &path);
        }
        library
    }

    /// The templates in files and directories.
    pub(crate) fn from_paths(paths: &[PathBuf]) -> anyhow::Result<Library> {
        let mut library = Library::default();
        for path in paths {
            let mut files = BTreeSet::new();
            template_files(path, &mut files)?;
            if files.is_empty() {
                bail!("`{}` holds no templates: they are files that end in .yaml or .yml", path.display());
            }
            for file in files {
                let mut text = Vec::new();
                File::open(&file)
                    .and_then(|file| file.take(LARGEST_TEMPLATE + 1).read_to_end(&mut text))
                    .with_context(|| format!("cannot read template `{}`", file.display()))?;
                let origin = file.display().to_string();
                let large = text.len() as u64 > LARGEST_TEMPLATE;
                let refusal = match String::from_utf8(text) {
                    _ if large => {
                        (DiagnosticCode::Limit, format!("it is larger than {LARGEST_TEMPLATE} bytes"))
                    }
                    Ok(text) => {
                        library.take(&text, &origin);
                        continue;
                    }
                    Err(error) => {
                        (DiagnosticCode::Yaml, format!("it is no UTF-8 text: {}", error.utf8_error()))
                    }
                };
                library.refused.push(Diagnostic::new(&origin, Position::START, refusal.0, refusal.1));
                library.refused_files += 1;
            }
        }
        Ok(library)
    }

    /// `paths`, or the built-in checks when there are none.
    pub(crate) fn load(paths: &[PathBuf]) -> anyhow::Result<Library> {
        if paths.is_empty() { Ok(Library::built_in()) } else { Library::from_paths(paths) }
    }

    fn take(&mut self, text: &str, origin: &str) {
        match template::parse(text, origin) {
            Ok(template) => self.templates.push(Arc::new(template)),
            Err(diagnostics) => {
                self.refused.extend(diagnostics);
                self.refused_files += 1;
            }
        }
    }

    /// Two templates with one id would share accounts and fingerprints.
    pub(crate) fn require_unique_ids(&self) -> anyhow::Result<()> {
        let mut seen: BTreeMap<&str, &str> = BTreeMap::new();
        for template in &self.templates {
            if let Some(first) = seen.insert(template.id.as_str(), &template.origin) {
                bail!(
                    "two templates have the id `{}`: `{first}` and `{}`; rename one",
                    template.id,
                    template.origin
                );
            }
        }
        Ok(())
    }

    /// All of these must exist.
    pub(crate) fn require(&self, ids: &[String]) -> anyhow::Result<()> {
        for id in ids {
            let known = self.templates.iter().any(|template| template.id.as_str() == id);
            if !known {
                bail!("there is no check `{id}`: `rampart checks list` shows them");
            }
        }
        Ok(())
    }

    /// All of these must be built-in checks, which are only read when there is something to look for.
    pub(crate) fn require_built_in<'a>(ids: impl IntoIterator<Item = &'a CheckId>) -> anyhow::Result<()> {
        let ids: Vec<String> = ids.into_iter().map(ToString::to_string).collect();
        if ids.is_empty() { Ok(()) } else { Library::built_in().require(&ids) }
    }

    /// Keeps the named checks, all of which must exist.
    pub(crate) fn keep_only(&mut self, ids: &[String]) -> anyhow::Result<()> {
        self.require(ids)?;
        self.templates.retain(|template| ids.iter().any(|id| id == template.id.as_str()));
        Ok(())
    }

    /// Takes out the templates that may disturb a target and were not named; says which.
    pub(crate) fn take_out_risky(&mut self, allowed: &[String]) -> Vec<String> {
        let mut refused = Vec::new();
        self.templates.retain(|template| {
            let risks = template.risk_tags();
            let runs = risks.is_empty() || allowed.iter().any(|id| id == template.id.as_str());
            if !runs {
                let tags = risks.join(", ");
                refused
                    .push(format!("{}: tagged {tags}; run it with --allow {}", template.origin, template.id));
            }
            runs
        });
        refused
    }
}

/// Path and text of every built-in file below a folder, in order; `""` means the checks themselves without their examples.
pub(crate) fn built_in_files(below: &str) -> Vec<(String, String)> {
    fn walk(dir: &Dir<'static>, files: &mut Vec<(String, String)>) {
        for file in dir.files() {
            let path = file.path().display().to_string();
            if let Some(text) = file.contents_utf8().filter(|_| path.ends_with(".yaml")) {
                files.push((path, text.to_owned()));
            }
        }
        dir.dirs().for_each(|dir| walk(dir, files));
    }
    let mut files = Vec::new();
    walk(&BUILT_IN, &mut files);
    files.retain(
        |(path, _)| if below.is_empty() { !path.starts_with("examples/") } else { path.starts_with(below) },
    );
    files.sort();
    files
}

/// Every template file below a directory, without `examples/`.
pub(crate) fn files_below(directory: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut files = BTreeSet::new();
    template_files(directory, &mut files)?;
    Ok(files.into_iter().collect())
}

fn template_files(path: &Path, files: &mut BTreeSet<PathBuf>) -> anyhow::Result<()> {
    let describe = || format!("cannot read templates from `{}`", path.display());
    let metadata = std::fs::metadata(path).with_context(describe)?;
    if metadata.is_file() {
        files.insert(path.to_owned());
        return Ok(());
    }
    for entry in std::fs::read_dir(path).with_context(describe)? {
        let entry = entry.with_context(describe)?;
        let kind = entry.file_type().with_context(describe)?;
        let child = entry.path();
        let is_template =
            child.extension().is_some_and(|extension| extension == "yaml" || extension == "yml");
        // Links are not followed: a loop of them would never end.
        if kind.is_dir() && entry.file_name() != "examples" || kind.is_file() && is_template {
            template_files(&child, files)?;
        }
    }
    Ok(())
}
