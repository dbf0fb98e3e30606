//! The fuzz targets, briefly; and every input that fuzzing found something with.

use md5::{Digest, Md5};
use proptest::prelude::*;

use super::*;

/// Bytes that got somewhere, with some of them changed.
fn changed(seeds: Vec<Vec<u8>>) -> impl Strategy<Value = Vec<u8>> {
    let pieces: Vec<&'static [u8]> = vec![
        b"{{",
        b"}}",
        b"\n",
        b"  - ",
        b": ",
        b"&a ",
        b"*a",
        b"|\n",
        b"''",
        b"\"",
        b"[",
        b"{",
        b"!!binary ",
        b"\xc2\xa7",
        b"%",
        b"\0",
        b"\xff",
    ];
    let piece = prop_oneof![
        prop::sample::select(pieces).prop_map(<[u8]>::to_vec),
        prop::collection::vec(any::<u8>(), 0..4),
    ];
    let changes = prop::collection::vec((any::<prop::sample::Index>(), 0..12_usize, piece), 0..4);
    (prop::sample::select(seeds), changes).prop_map(|(mut bytes, changes)| {
        for (at, length, piece) in changes {
            let from = at.index(bytes.len() + 1);
            let to = (from + length).min(bytes.len());
            bytes.splice(from..to, piece);
        }
        bytes
    })
}

#[test]
fn the_planted_expression_has_the_planted_value() {
    let digest = Md5::digest(b"planted");
    let text: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(text.as_bytes(), answers::PLANTED_VALUE);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(600) })]

    #[test]
    fn any_template_is_refused_or_can_be_run(data in changed(vec![WEB.into(), OTHERS.into(), Vec::new()])) {
        template(&data);
    }

    #[test]
    fn any_answer_is_looked_at(data in prop::collection::vec(any::<u8>(), 0..400)) {
        run(&data);
    }

    #[test]
    fn any_expression_is_evaluated_the_same_twice(data in changed(vec![
        b"contains(tolower(body), 'x') && status_code == 200 || len(names) > n".to_vec(),
        b"{{replace_regex(body, '(a)', '$1')}} {{base64(x)}} \xc2\xa7x\xc2\xa7 {{7*7}}".to_vec(),
    ])) {
        expression(&data);
    }
}

/// A target and an input that it found something with.
type Found = (fn(&[u8]), &'static [u8]);

const FOUND: &[Found] =
    &[(template, b"id: a\ni/nfo:\nfileme: Word ine\r\r\r\r\r\r\r\r\rferenflowce:\n    - httrs only.\"\n")];

#[test]
fn what_fuzzing_found_stays_found() {
    for (target, input) in FOUND {
        target(input);
    }
}
