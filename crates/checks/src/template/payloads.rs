//! `payloads`: values that the requests of a block are repeated with.

use super::{
    Text,
    fields::{Fields, Report},
};
use crate::{diagnostic::DiagnosticCode, yaml::Kind};

/// Most sets of payload values in one block.
pub const MAX_PAYLOAD_SETS: usize = 1_000;

/// Lists of values and how they combine.
#[derive(Debug, Clone, Default)]
pub struct Payloads {
    lists: Vec<(String, Vec<Text>)>,
    attack: Attack,
}

/// How several lists combine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Attack {
    /// One value at a time, list after list.
    #[default]
    BatteringRam,
    /// The first of each list, then the second of each, until the shortest ends.
    Pitchfork,
    /// Every combination.
    ClusterBomb,
}

impl Payloads {
    /// How many sets there are; 1 without payloads.
    pub fn count(&self) -> usize {
        let lengths = self.lists.iter().map(|(_, values)| values.len());
        match self.attack {
            _ if self.lists.is_empty() => 1,
            Attack::BatteringRam => lengths.sum(),
            Attack::Pitchfork => lengths.min().unwrap_or(0),
            Attack::ClusterBomb => lengths.fold(1, usize::saturating_mul),
        }
    }

    /// The names of all lists.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.lists.iter().map(|(name, _)| name.as_str())
    }

    /// The set with that index.
    pub fn set(&self, index: usize) -> Vec<(&str, &Text)> {
        let mut set = Vec::new();
        match self.attack {
            Attack::BatteringRam => {
                let mut index = index;
                for (name, values) in &self.lists {
                    if let Some(value) = values.get(index) {
                        set.push((name.as_str(), value));
                        break;
                    }
                    index -= values.len();
                }
            }
            Attack::Pitchfork => {
                for (name, values) in &self.lists {
                    set.extend(values.get(index).map(|value| (name.as_str(), value)));
                }
            }
            Attack::ClusterBomb => {
                let mut index = index;
                for (name, values) in self.lists.iter().rev() {
                    if let Some(value) = values.get(index % values.len().max(1)) {
                        set.push((name.as_str(), value));
                    }
                    index /= values.len().max(1);
                }
                set.reverse();
            }
        }
        set
    }
}

pub(super) fn read(fields: &Fields<'_>, report: &Report) -> Payloads {
    let attack = fields.word(
        "attack",
        &[
            ("batteringram", Attack::BatteringRam),
            ("pitchfork", Attack::Pitchfork),
            ("clusterbomb", Attack::ClusterBomb),
        ],
    );
    // How many at once is the scan's decision, never a template's.
    fields.accept("threads");
    let Some(node) = fields.get("payloads") else { return Payloads::default() };
    let Kind::Mapping(entries) = &node.kind else {
        report.wrong_type(node, "`payloads`", "a mapping of names to lists");
        return Payloads::default();
    };
    let mut lists = Vec::new();
    for (key, value) in entries {
        let what = format!("payload `{}`", key.text);
        let texts: Vec<_> = match &value.kind {
            Kind::Sequence(items) => {
                let text = |item: &crate::yaml::Node| match item.text() {
                    Some(text) => Text::read(text, item.position, report),
                    None => {
                        report.wrong_type(item, &format!("every value of {what}"), "a single value");
                        None
                    }
                };
                items.iter().filter_map(text).collect()
            }
            Kind::Scalar { text, .. } if text.trim().contains('\n') => {
                let lines = text.lines().map(str::trim_end).filter(|line| !line.is_empty());
                lines.filter_map(|line| Text::read(line, value.position, report)).collect()
            }
            Kind::Scalar { text, .. } => {
                let message = format!(
                    "{what} is read from the file `{}`, and templates may not read files",
                    text.trim()
                );
                let hint = "write the values into the template as a list";
                report.add_with_hint(value.position, DiagnosticCode::Unsupported, message, hint);
                continue;
            }
            Kind::Mapping(_) => {
                report.wrong_type(value, &what, "a list of values");
                continue;
            }
        };
        if texts.is_empty() && !report.has_any() {
            report.add(value.position, DiagnosticCode::InvalidValue, format!("{what} is empty"));
        }
        lists.push((key.text.clone(), texts));
    }
    let payloads = Payloads { lists, attack: attack.unwrap_or_default() };
    if payloads.count() > MAX_PAYLOAD_SETS {
        let message =
            format!("the payloads make {} sets, more than the {MAX_PAYLOAD_SETS} allowed", payloads.count());
        report.add(node.position, DiagnosticCode::Limit, message);
    }
    payloads
}
