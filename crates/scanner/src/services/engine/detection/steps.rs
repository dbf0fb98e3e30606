//! In which order the questions are put: a pure decision.

use super::{Opening, Probe};

/// In the clear or inside TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Layer {
    Plain,
    Tls,
}

/// One thing to do.
#[derive(Clone, Copy)]
pub(super) enum Step {
    /// Connect and wait whether the server speaks first.
    Listen {
        /// A protocol whose server speaks first is usual here.
        usual: bool,
    },
    /// Put this protocol's question.
    Ask(&'static Probe),
    /// Go on inside TLS.
    Tls,
}

/// Questions put to one port when a scan is to be quick.
const QUICK_QUESTIONS: usize = 3;
/// At so many attempts a scan is quick.
const QUICK_ATTEMPTS: u32 = 2;

/// What the port is usually for comes first, then what most servers speak, then everything else.
pub(super) fn steps(probes: &'static [Probe], port: u16, layer: Layer, attempts: u32) -> Vec<Step> {
    let ports = |probe: &Probe| if layer == Layer::Plain { probe.ports } else { probe.tls_ports };
    let usual: Vec<&Probe> = probes.iter().filter(|probe| ports(probe).contains(&port)).collect();
    let usually_tls = layer == Layer::Plain && probes.iter().any(|probe| probe.tls_ports.contains(&port));
    let has_question = |probe: &&Probe| !matches!(probe.opening, Opening::Listen);

    // A question draws a greeting too, so a port whose usual clients speak first needs no listening.
    let mut begin = Vec::new();
    if usually_tls {
        begin.push(Step::Tls);
    }
    if usual.first().is_none_or(|probe| probe.opening.listens()) {
        begin.push(Step::Listen { usual: !usual.is_empty() });
    }
    let others = probes.iter().filter(|probe| !ports(probe).contains(&port));
    let others = others.filter(|probe| layer == Layer::Plain || !probe.tls_ports.is_empty());
    // The table begins with HTTP.
    let questions = usual.into_iter().chain(others).filter(has_question);
    let allowed = if attempts <= QUICK_ATTEMPTS { QUICK_QUESTIONS } else { usize::MAX };
    begin.extend(questions.take(allowed).map(Step::Ask));
    if layer == Layer::Plain && !usually_tls {
        let http = begin.iter().position(|step| matches!(step, Step::Ask(probe) if probe.protocol == "http"));
        let after = http.map_or(begin.len(), |index| index + 1);
        begin.insert(after, Step::Tls);
    }
    begin
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::services::PROBES;

    fn named(port: u16, layer: Layer, attempts: u32) -> Vec<String> {
        let name = |step: &Step| match step {
            Step::Listen { usual: true } => "listen long".to_owned(),
            Step::Listen { usual: false } => "listen".to_owned(),
            Step::Ask(probe) => probe.protocol.to_owned(),
            Step::Tls => "tls".to_owned(),
        };
        steps(PROBES, port, layer, attempts).iter().map(name).collect()
    }

    #[test]
    fn what_is_usual_comes_first() {
        assert_eq!(named(80, Layer::Plain, 3)[..2], ["http", "tls"]);
        assert_eq!(named(6379, Layer::Plain, 3)[..3], ["redis", "http", "tls"]);
        assert_eq!(named(25, Layer::Plain, 3)[..2], ["listen long", "smtp"]);
        assert_eq!(named(443, Layer::Plain, 3)[..1], ["tls"]);
        assert_eq!(named(443, Layer::Tls, 3)[..1], ["http"]);
        assert_eq!(named(993, Layer::Tls, 3)[0], "listen long");
        assert_eq!(named(50_123, Layer::Plain, 3)[..3], ["listen", "http", "tls"]);
    }

    #[test]
    fn a_quick_scan_asks_three_questions_at_most() {
        for port in [22, 80, 443, 5_432, 50_123] {
            for layer in [Layer::Plain, Layer::Tls] {
                let questions = named(port, layer, 2)
                    .iter()
                    .filter(|step| !step.starts_with("listen") && *step != "tls")
                    .count();
                assert!(questions <= 3, "{port}: {questions}");
            }
        }
    }

    #[test]
    fn every_question_is_put_once() {
        let mut asked = named(50_123, Layer::Plain, 4);
        let count = asked.len();
        asked.sort();
        asked.dedup();
        assert_eq!(asked.len(), count);
        let with_question = PROBES.iter().filter(|probe| !matches!(probe.opening, Opening::Listen)).count();
        assert_eq!(count, with_question + 2);
    }
}
