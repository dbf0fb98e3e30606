use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;
use crate::services::engine::{Opening, Sample};

fn samples() -> impl Iterator<Item = (&'static Probe, &'static Sample)> {
    PROBES.iter().flat_map(|probe| {
        probe.samples.iter().flat_map(move |part| part.iter().map(move |sample| (probe, sample)))
    })
}

#[test]
fn every_sample_gives_its_product_and_version_away() {
    for (probe, sample) in samples() {
        let shown = String::from_utf8_lossy(sample.bytes);
        let told = (probe.recognise)(sample.bytes).unwrap_or_else(|| panic!("{}: {shown:?}", probe.protocol));
        let texts = (told.product.as_deref(), told.version.as_deref(), told.cpe_name());
        let wanted = |text: &'static str| if text.is_empty() { None } else { Some(text) };
        let expected =
            (wanted(sample.product), wanted(sample.version), wanted(sample.cpe).map(str::to_owned));
        assert_eq!(texts, expected, "{}: {shown:?}", probe.protocol);
    }
}

#[test]
fn each_sample_is_recognised_by_exactly_one_protocol() {
    for (probe, sample) in samples() {
        let by: Vec<&str> = PROBES
            .iter()
            .filter(|other| (other.recognise)(sample.bytes).is_some())
            .map(|other| other.protocol)
            .collect();
        assert_eq!(by, [probe.protocol], "{:?}", String::from_utf8_lossy(sample.bytes));
    }
}

#[test]
fn the_table_is_sound() {
    assert!(PROBES.len() >= 28);
    assert_eq!(PROBES[0].protocol, "http");
    let names: BTreeSet<&str> = PROBES.iter().map(|probe| probe.protocol).collect();
    assert_eq!(names.len(), PROBES.len());
    for probe in PROBES {
        assert!(!probe.ports.is_empty(), "{} listens somewhere", probe.protocol);
        assert!(probe.samples.iter().all(|part| !part.is_empty()), "{} has samples", probe.protocol);
        assert!(
            probe
                .protocol
                .chars()
                .all(|letter| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == '-')
        );
    }
}

#[test]
fn every_file_is_in_the_table() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/src/services");
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let stems = files
        .filter(|path| path.is_file())
        .map(|path| path.file_stem().unwrap().to_str().unwrap().replace('_', "-"));
    let protocols: BTreeSet<String> =
        stems.filter(|stem| !matches!(stem.as_str(), "engine" | "tests")).collect();
    let table: BTreeSet<String> = PROBES.iter().map(|probe| probe.protocol.to_owned()).collect();
    assert_eq!(protocols, table);
}

#[test]
fn no_question_is_taken_for_an_answer() {
    let identity = Identity { user_agent: "rampart/0".to_owned() };
    let endpoint = Endpoint { name: None, address: [127, 0, 0, 1].into(), port: 9 };
    let asker = Asker { endpoint: &endpoint, identity: &identity };
    // The header of AMQP, which a broker repeats when it wants another version; the engine knows an echo.
    for probe in PROBES.iter().filter(|probe| probe.protocol != "amqp") {
        let question = match &probe.opening {
            Opening::Listen => continue,
            Opening::ListenThen(bytes) | Opening::Speak(bytes) => bytes.to_vec(),
            Opening::Compose(compose) => compose(&asker),
        };
        assert!(!question.is_empty());
        for other in PROBES {
            assert!(
                (other.recognise)(&question).is_none(),
                "{} takes the question of {}",
                other.protocol,
                probe.protocol
            );
        }
    }
}

#[test]
fn a_cut_answer_of_any_length_is_taken_as_it_is() {
    for (_, sample) in samples() {
        for length in 0..sample.bytes.len() {
            for probe in PROBES {
                // Total: it must not panic, whatever it says.
                let _ = (probe.recognise)(&sample.bytes[..length]);
            }
        }
    }
}

/// Arbitrary bytes, and samples with a few bytes changed: those get further into the parsers.
fn hostile() -> impl Strategy<Value = Vec<u8>> {
    let known: Vec<&'static [u8]> = samples().map(|(_, sample)| sample.bytes).collect();
    let changed = (
        proptest::sample::select(known),
        proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
    );
    prop_oneof![
        proptest::collection::vec(any::<u8>(), 0..300),
        changed.prop_map(|(bytes, changes)| {
            let mut bytes = bytes.to_vec();
            for (index, value) in changes {
                let index = index.index(bytes.len());
                bytes[index] = value;
            }
            bytes
        }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]
    #[test]
    fn recognition_is_total_and_what_it_tells_is_bounded(bytes in hostile()) {
        for probe in PROBES {
            let Some(told) = (probe.recognise)(&bytes) else { continue };
            for text in [&told.product, &told.version].into_iter().flatten() {
                prop_assert!(!text.is_empty() && text.len() <= 64);
                prop_assert!(text.bytes().all(|byte| (b' '..=b'~').contains(&byte)));
            }
            if let Some(cpe) = told.cpe_name() {
                prop_assert!(cpe.starts_with("cpe:2.3:a:") && !cpe.contains(' ') || cpe.contains("\\ "));
            }
        }
    }
}
