//! The public templates, where they lie beside the repository.

use std::fs;
use std::path::{Path, PathBuf};

use saphyr_parser::{Event, Parser};

/// Every text that a public template has under one of these keys, in a list or alone; `None` where there are no templates.
/// No key at all gives every text.
pub(crate) fn scalars_under(keys: &[&str]) -> Option<Vec<String>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/templates");
    if !root.is_dir() {
        return None;
    }
    let mut files = Vec::new();
    collect(&root, &mut files);
    let mut texts = Vec::new();
    for file in files {
        if let Ok(source) = fs::read_to_string(&file) {
            read(&source, keys, &mut texts);
        }
    }
    Some(texts)
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    let mut entries: Vec<PathBuf> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    entries.sort();
    for path in entries {
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "yaml") {
            files.push(path);
        }
    }
}

enum Place {
    Mapping { key: Option<String> },
    Sequence,
}

fn read(source: &str, keys: &[&str], texts: &mut Vec<String>) {
    let mut places: Vec<Place> = Vec::new();
    // A value that is complete leaves its mapping waiting for the next key.
    let completed = |places: &mut Vec<Place>| {
        if let Some(Place::Mapping { key }) = places.last_mut() {
            *key = None;
        }
    };
    for event in Parser::new_from_str(source) {
        let Ok((event, _)) = event else { return };
        match event {
            Event::MappingStart(..) => places.push(Place::Mapping { key: None }),
            Event::SequenceStart(..) => places.push(Place::Sequence),
            Event::MappingEnd | Event::SequenceEnd => {
                places.pop();
                completed(&mut places);
            }
            Event::Scalar(text, ..) => {
                if let Some(Place::Mapping { key: key @ None }) = places.last_mut() {
                    *key = Some(text.into_owned());
                    continue;
                }
                let nearest = places.iter().rev().find_map(|place| match place {
                    Place::Mapping { key } => key.as_deref(),
                    Place::Sequence => None,
                });
                if keys.is_empty() || nearest.is_some_and(|key| keys.contains(&key)) {
                    texts.push(text.into_owned());
                }
                completed(&mut places);
            }
            _ => {}
        }
    }
}
