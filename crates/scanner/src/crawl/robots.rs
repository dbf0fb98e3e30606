//! robots.txt (RFC 9309): what it forbids, and what it gives away.
//!
//! How the crawler reads it, by [`RobotsPolicy`](super::RobotsPolicy):
//! - groups of our product token (`rampart`, compared without case) count together; without one, those of `*`;
//! - the longest matching rule wins, `Allow` wins a tie, `*` matches anything and `$` the end (section 2.2.2 and 2.2.3);
//! - percent-encoding is compared in its normal form; `/robots.txt` itself is always allowed;
//! - answered with 4xx: nothing is forbidden (2.3.1.3); with 5xx or not at all: everything is (2.3.1.4);
//! - the URLs a person asked for are fetched all the same, as other tools do: rules are about following links.

use std::{cmp::Reverse, collections::BTreeMap, ops::Bound};

use super::identity;

/// Our product token.
const PRODUCT: &str = "rampart";
/// Bytes read; the RFC asks for at least 500 KiB.
const LONGEST: usize = 512 << 10;
/// Rules kept.
const MOST_RULES: usize = 5_000;
/// Bytes of the longest rule, and wildcards in it. A longer `Disallow` is cut, which forbids more; a longer `Allow` is passed
/// over, which allows less.
const LONGEST_RULE: usize = 1_024;
const MOST_WILDCARDS: usize = 8;
/// Rules with a wildcard or an end that are kept as such: each of them is held against each link of each page. Further ones end
/// before their first wildcard if they forbid, which forbids more, and do not count if they allow.
const MOST_PATTERNS: usize = 200;
/// Sitemaps kept.
const MOST_SITEMAPS: usize = 100;

/// A parsed robots.txt.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Robots {
    /// The rules that apply to us, as far as they have wildcards: longest first.
    rules: Vec<Rule>,
    /// The others, sorted by their text: may what begins like this be followed?
    prefixes: BTreeMap<String, bool>,
    /// Paths of every group, allowed or not, without wildcards: sources of URLs.
    pub allowed: Vec<String>,
    /// The same for `Disallow`.
    pub disallowed: Vec<String>,
    /// `Sitemap` lines, as they stand there.
    pub sitemaps: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Rule {
    pattern: String,
    allow: bool,
}

#[derive(Default)]
struct Group {
    ours: bool,
    general: bool,
}

impl Robots {
    /// Forbids nothing.
    pub fn allow_all() -> Robots {
        Robots::default()
    }

    /// Forbids everything: the file could not be had.
    pub fn forbid_all() -> Robots {
        Robots { prefixes: BTreeMap::from([("/".to_owned(), false)]), ..Robots::default() }
    }

    /// Total: lines that make no sense are passed over, as the RFC asks.
    pub fn parse(body: &[u8]) -> Robots {
        let text = String::from_utf8_lossy(&body[..body.len().min(LONGEST)]);
        let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
        let mut robots = Robots::default();
        let (mut ours, mut general): (Vec<Rule>, Vec<Rule>) = (Vec::new(), Vec::new());
        let mut group = Group::default();
        let mut naming = false;
        let mut ours_named = false;
        for line in text.split(['\n', '\r']) {
            let line = line.split('#').next().unwrap_or("");
            let Some((key, value)) = line.split_once(':') else { continue };
            let value = value.trim();
            match key.trim().to_ascii_lowercase().as_str() {
                "user-agent" | "useragent" | "user agent" => {
                    if !naming {
                        group = Group::default();
                    }
                    naming = true;
                    let token: String = value
                        .chars()
                        .take_while(|c| c.is_ascii_alphabetic() || matches!(c, '-' | '_' | '*'))
                        .collect();
                    group.ours |= token.eq_ignore_ascii_case(PRODUCT);
                    group.general |= token == "*";
                    ours_named |= group.ours;
                }
                key @ ("allow" | "disallow") => {
                    naming = false;
                    let allow = key == "allow";
                    robots.note(value, allow);
                    // An empty value is no rule (2.2.2).
                    if value.is_empty() {
                        continue;
                    }
                    let Some(pattern) = bounded(&identity::normal_escapes(value), allow) else { continue };
                    let rule = Rule { pattern, allow };
                    if group.ours && ours.len() < MOST_RULES {
                        ours.push(rule);
                    } else if group.general && general.len() < MOST_RULES {
                        general.push(rule);
                    }
                }
                "sitemap" | "site-map" if robots.sitemaps.len() < MOST_SITEMAPS && !value.is_empty() => {
                    robots.sitemaps.push(value.to_owned());
                }
                _ => {}
            }
        }
        for rule in if ours_named { ours } else { general } {
            robots.add(rule);
        }
        // Longest first, and Allow before Disallow: the first that matches decides.
        robots.rules.sort_by_key(|rule| (Reverse(rule.pattern.len()), !rule.allow));
        robots
    }

    fn add(&mut self, rule: Rule) {
        let plain = !rule.pattern.contains('*') && !rule.pattern.ends_with('$');
        let prefix = match (plain, rule.allow) {
            (true, _) => rule.pattern,
            (false, _) if self.rules.len() < MOST_PATTERNS => return self.rules.push(rule),
            (false, true) => return,
            (false, false) => {
                rule.pattern.split('*').next().unwrap_or_default().trim_end_matches('$').to_owned()
            }
        };
        // Allow wins a tie.
        *self.prefixes.entry(prefix).or_insert(rule.allow) |= rule.allow;
    }

    /// The longest rule without wildcards that the target begins with.
    fn longest_prefix(&self, target: &str) -> Option<(usize, bool)> {
        let mut bound = target;
        loop {
            // The greatest that is not greater: if it is no prefix, none is longer than what both have in common.
            let (rule, allow) =
                self.prefixes.range::<str, _>((Bound::Unbounded, Bound::Included(bound))).next_back()?;
            if target.starts_with(rule.as_str()) {
                return Some((rule.len(), *allow));
            }
            let common = rule.bytes().zip(target.bytes()).take_while(|(one, other)| one == other).count();
            bound = target.get(..common)?;
        }
    }

    fn note(&mut self, value: &str, allow: bool) {
        let path = value.strip_suffix('$').unwrap_or(value).trim_end_matches('*');
        let list = if allow { &mut self.allowed } else { &mut self.disallowed };
        if path.len() > 1 && path.starts_with('/') && !path.contains('*') && list.len() < MOST_RULES {
            list.push(path.to_owned());
        }
    }

    /// May this request target (path and query) be followed?
    pub fn allows(&self, target: &str) -> bool {
        if (self.rules.is_empty() && self.prefixes.is_empty()) || target == "/robots.txt" {
            return true;
        }
        let target = identity::normal_escapes(target);
        let prefix = self.longest_prefix(&target);
        let pattern = self
            .rules
            .iter()
            .find(|rule| matches(&rule.pattern, &target))
            .map(|rule| (rule.pattern.len(), rule.allow));
        // The longer decides, and Allow a tie.
        prefix.max(pattern).is_none_or(|(_, allow)| allow)
    }
}

fn bounded(pattern: &str, allow: bool) -> Option<String> {
    // Several in a row mean the same as one.
    let parts: Vec<&str> = pattern.split('*').collect();
    let last = parts.len() - 1;
    let inner =
        parts.iter().enumerate().filter(|(index, part)| *index == 0 || *index == last || !part.is_empty());
    let parts: Vec<&str> = inner.map(|(_, part)| *part).collect();
    let fits = parts.len() <= MOST_WILDCARDS + 1 && pattern.len() <= LONGEST_RULE;
    match (fits, allow) {
        (true, _) => Some(parts.join("*")),
        (false, true) => None,
        // The normal form of escapes is ASCII, so any byte is a boundary.
        (false, false) => {
            let cut = parts[..parts.len().min(MOST_WILDCARDS + 1)].join("*");
            Some(cut[..cut.len().min(LONGEST_RULE)].trim_end_matches('$').to_owned())
        }
    }
}

/// Greedy matching with one point to fall back to: linear for each `*`, never exponential.
fn matches(pattern: &str, target: &str) -> bool {
    let (pattern, anchored) = pattern.strip_suffix('$').map_or((pattern, false), |start| (start, true));
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or("");
    let Some(mut rest) = target.strip_prefix(first) else { return false };
    let mut parts = parts.peekable();
    if parts.peek().is_none() {
        return !anchored || rest.is_empty();
    }
    while let Some(part) = parts.next() {
        if anchored && parts.peek().is_none() {
            return rest.ends_with(part);
        }
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_longest_rule_decides_and_allow_wins_a_tie() {
        let robots = Robots::parse(
            b"User-agent: *\nDisallow: /private\nAllow: /private/open # yes\nDisallow: /tie\nAllow: /tie\nDisallow: /*.bak$\n\
              Disallow: /x*y*z\nDisallow:\nDisallow: /caf%c3%a9\nAllow: /%7Euser\nDisallow: /~user/secret",
        );
        for (target, allowed) in [
            ("/", true),
            ("/private", false),
            ("/privateer", false),
            ("/private/open/door", true),
            ("/tie", true),
            ("/a/b.bak", false),
            ("/a/b.bak?x", true),
            ("/x-y-z-more", false),
            ("/x-z-y", true),
            ("/caf%C3%A9", false),
            ("/~user/", true),
            ("/%7euser/secret", false),
            ("/robots.txt", true),
        ] {
            assert_eq!(robots.allows(target), allowed, "{target}");
        }
    }

    #[test]
    fn our_groups_count_together_and_instead_of_the_general_one() {
        let text = "User-agent: *\nDisallow: /\n\nuser-agent: RamPart/9\nUser-agent: other\nDisallow: /a\n\nUser-agent: third\nDisallow: /c\n\
                    User-agent: rampart\nDisallow: /b\nSitemap: /map.xml\nSitemap: https://x.test/s.xml";
        let robots = Robots::parse(text.as_bytes());
        for (target, allowed) in [("/", true), ("/a", false), ("/b", false), ("/c", true)] {
            assert_eq!(robots.allows(target), allowed, "{target}");
        }
        assert_eq!(robots.sitemaps, ["/map.xml", "https://x.test/s.xml"]);
        assert_eq!(robots.disallowed, ["/a", "/c", "/b"]);
        assert!(Robots::parse(b"User-agent: rampart\nDisallow:\nUser-agent: *\nDisallow: /").allows("/x"));
        assert!(!Robots::forbid_all().allows("/x"));
        assert!(Robots::allow_all().allows("/x"));
    }

    #[test]
    fn rules_are_bounded_towards_caution() {
        let stars = format!(
            "User-agent: *\nDisallow: /a{}b{}\nAllow: /{}",
            "*".repeat(300_000),
            "*x".repeat(20),
            "*y".repeat(20)
        );
        let robots = Robots::parse(stars.as_bytes());
        assert_eq!(robots.rules.len(), 1);
        assert!(
            !robots.allows("/a-b-xxxxxxx")
                && robots.allows("/a-b")
                && robots.allows("/yyyyyyyyyyyyyyyyyyyyyyyy")
        );
        let long = format!("User-agent: *\nDisallow: /{}$", "l".repeat(5_000));
        assert!(!Robots::parse(long.as_bytes()).allows(&format!("/{}", "l".repeat(2_000))));
    }

    #[test]
    fn paths_are_given_away_without_their_wildcards() {
        let robots = Robots::parse(b"User-agent: someone\nDisallow: /admin/*\nDisallow: /*.sql\nAllow: /public$\nDisallow: /\nDisallow: relative");
        assert_eq!(robots.disallowed, ["/admin/"]);
        assert_eq!(robots.allowed, ["/public"]);
    }

    proptest! {
        #[test]
        fn any_file_and_any_target_get_an_answer(
            body in prop::collection::vec(any::<u8>(), 0..300),
            lines in "(User-agent: (\\*|rampart)\n|(Dis)?[aA]llow: /[a*$%0]{0,9}\n){0,9}",
            target in "/[a*$%0/]{0,20}",
        ) {
            Robots::parse(&body);
            Robots::parse(lines.as_bytes()).allows(&target);
        }
    }
}
