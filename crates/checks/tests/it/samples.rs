//! Public templates that nobody here wrote: each loads, or is refused for a reason that can be read.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
};

use checks::{
    Diagnostic, DiagnosticCode, RunTarget,
    exchange::{DnsResponse, Failure, Request, Response, TcpResponse, TlsResponse},
    template::{self, ProtocolKind},
};

use crate::server::{answer, run};

fn folder() -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/templates");
    if folder.is_dir() {
        return Some(folder);
    }
    println!("skipped: there are no sample templates at {}", folder.display());
    None
}

fn yaml_files(folder: &Path, files: &mut Vec<PathBuf>) {
    let mut entries: Vec<PathBuf> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    entries.sort();
    for path in entries {
        if path.is_dir() {
            yaml_files(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "yaml") {
            files.push(path);
        }
    }
}

fn reads_a_payload_file(diagnostics: &[Diagnostic]) -> bool {
    diagnostics.iter().all(|diagnostic| {
        diagnostic.code == DiagnosticCode::Unsupported && diagnostic.message.contains("is read from the file")
    })
}

#[test]
fn nearly_all_public_templates_load_and_the_others_say_why() {
    let Some(folder) = folder() else { return };
    let mut files = Vec::new();
    yaml_files(&folder, &mut files);
    assert!(files.len() > 500, "only {} sample templates", files.len());
    let (mut loaded, mut with_files) = (0, 0);
    let mut refused: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for path in &files {
        let origin = path.strip_prefix(&folder).unwrap().to_string_lossy().into_owned();
        let text = std::fs::read_to_string(path).unwrap();
        match template::parse(&text, &origin) {
            Ok(template) => {
                loaded += 1;
                assert!(!template.blocks.is_empty(), "{origin} sends nothing");
                assert!(template.max_requests() > 0, "{origin} sends nothing");
            }
            Err(diagnostics) => {
                assert!(!diagnostics.is_empty(), "{origin} is refused without a reason");
                with_files += usize::from(reads_a_payload_file(&diagnostics));
                for diagnostic in diagnostics {
                    assert_eq!(diagnostic.origin, origin);
                    assert!(
                        diagnostic.line > 0 && diagnostic.line <= text.lines().count() + 1,
                        "{diagnostic}"
                    );
                    let key = format!("{}: {}", diagnostic.code.as_str(), diagnostic.message);
                    let key =
                        if key.contains("is read from the file") { "payload file".to_owned() } else { key };
                    refused.entry(key).or_default().push(format!("{origin}:{}", diagnostic.line));
                }
            }
        }
    }
    for (reason, places) in &refused {
        println!("{:4} {reason} ({})", places.len(), places[0]);
    }
    let without_files = files.len() - with_files;
    println!("{loaded} of {} load; {with_files} read payload files; {without_files} do not", files.len());
    assert!(loaded * 100 >= without_files * 97, "{loaded} of {without_files} templates load");
    assert!(loaded * 100 >= files.len() * 90, "{loaded} of {} templates load", files.len());
}

/// A server of every protocol that has nothing to show.
fn blank(request: &Request) -> Result<Response, Failure> {
    Ok(match request {
        Request::Http(_) => Response::Http(Arc::new(answer(404, &[("Server", "blank")], "not found"))),
        Request::Dns(_) => {
            Response::Dns(Arc::new(DnsResponse { rcode: "NOERROR".to_owned(), ..DnsResponse::default() }))
        }
        Request::Tcp(_) => Response::Tcp(Arc::new(TcpResponse::default())),
        Request::Tls(_) => Response::Tls(Arc::new(TlsResponse::default())),
    })
}

#[test]
fn no_public_template_matches_or_fails_on_a_server_that_has_nothing() {
    let Some(folder) = folder() else { return };
    let mut files = Vec::new();
    yaml_files(&folder, &mut files);
    let web = RunTarget::web("http://www.site.test/".parse().unwrap(), "127.0.0.1".parse().ok());
    let name = RunTarget::domain("www.site.test".parse().unwrap(), None);
    let mut outcomes: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for path in &files {
        let Ok(template) = template::parse(&std::fs::read_to_string(path).unwrap(), "t.yaml") else {
            continue;
        };
        let template = Arc::new(template);
        let target = if template.protocol_kinds().contains(&ProtocolKind::Http) { &web } else { &name };
        let ran = run(&template, target, blank);
        assert!(ran.sent.len() <= template.max_requests(), "{}", path.display());
        let outcome = format!("{:?}", ran.verdict.outcome);
        let why = ran.verdict.failure.unwrap_or_default();
        outcomes.entry(outcome).or_default().push(format!("{}: {why}", template.id));
    }
    for (outcome, templates) in &outcomes {
        println!(
            "{:4} {outcome} ({})",
            templates.len(),
            templates.iter().take(12).cloned().collect::<Vec<_>>().join("; ")
        );
    }
    let seen: Vec<&str> = outcomes.keys().map(String::as_str).collect();
    assert_eq!(seen, ["NotMatched"], "{outcomes:?}");
}
