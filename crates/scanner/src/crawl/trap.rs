//! Targets that a crawler must not follow: paths that echo themselves, queries that grow, and links that may change something.

/// Segments of the deepest path followed.
const DEEPEST: usize = 32;
/// Times a block of segments may stand in a row.
const ECHOES: usize = 2;
/// Segments of a path that may have stood in it before.
const REPEATED: usize = 3;
/// Pairs of the longest query followed.
const LONGEST_QUERY: usize = 32;
/// Times one key may occur in a query.
const SAME_KEY: usize = 8;

/// Does the target look as if it came out of itself? Pure: looks at nothing but the text.
pub fn is_trap(target: &str) -> bool {
    let (path, query) = target.split_once('?').map_or((target, ""), |(path, query)| (path, query));
    let segments: Vec<&str> = path.split('/').filter(|segment| !segment.is_empty()).collect();
    segments.len() > DEEPEST || path.contains("///") || echoes(&segments) || grows(path, query)
}

fn echoes(segments: &[&str]) -> bool {
    let is_number = |segment: &&str| segment.bytes().all(|byte| byte.is_ascii_digit());
    for length in 1..=segments.len() / (ECHOES + 1) {
        for start in 0..=segments.len() - length * (ECHOES + 1) {
            let block = &segments[start..start + length];
            let repeated = (1..=ECHOES)
                .all(|turn| &segments[start + turn * length..start + (turn + 1) * length] == block);
            // `/1/1/1` may be volume, chapter, verse.
            if repeated && !block.iter().all(is_number) {
                return true;
            }
        }
    }
    let is_repeated =
        |(index, segment): (usize, &&str)| !is_number(segment) && segments[..index].contains(segment);
    segments.iter().enumerate().filter(|each| is_repeated(*each)).count() > REPEATED
}

fn grows(path: &str, query: &str) -> bool {
    if query.is_empty() {
        return false;
    }
    let keys: Vec<&str> = query.split('&').map(|pair| pair.split('=').next().unwrap_or(pair)).collect();
    let same = |key: &&str| keys.iter().filter(|other| *other == key).count();
    if keys.len() > LONGEST_QUERY || keys.iter().any(|key| same(key) > SAME_KEY) {
        return true;
    }
    // Escapes of escapes of escapes, and a page that carries its own address twice (`?next=/login%3Fnext%3D/login`).
    if query.contains("%2525") {
        return true;
    }
    let own = path.rsplit('/').find(|segment| segment.len() > 2);
    own.is_some_and(|segment| {
        query.matches(segment).count() > 1
            && (query.contains("%3F") || query.contains("%3f") || query.contains('?'))
    })
}

/// Words of paths and queries whose link may change something, though it is a GET: such links are reported, not followed.
const CHANGES: &[&str] = &[
    "logout",
    "signout",
    "logoff",
    "signoff",
    "delete",
    "remove",
    "unsubscribe",
    "destroy",
    "erase",
    "purge",
    "drop",
    "uninstall",
    "shutdown",
    "reboot",
    "restart",
    "deactivate",
    "disable",
    "truncate",
];
/// The same, written as two words: `log-out`, `sign_off`.
const CHANGES_IN_TWO: &[(&str, &str)] =
    &[("log", "out"), ("log", "off"), ("sign", "out"), ("sign", "off"), ("un", "subscribe"), ("opt", "out")];

/// Does one of the target's words say that following it changes something? `deleteUser` counts, `deleted-scenes` does not.
pub fn may_change_state(target: &str) -> bool {
    let mut previous = String::new();
    let mut word = String::new();
    let mut after_lower = false;
    for character in target.chars().chain(['/']) {
        let boundary = !character.is_ascii_alphanumeric() || (after_lower && character.is_ascii_uppercase());
        if boundary && !word.is_empty() {
            let pair = (previous.as_str(), word.as_str());
            if CHANGES.contains(&word.as_str()) || CHANGES_IN_TWO.contains(&pair) {
                return true;
            }
            previous = std::mem::take(&mut word);
        }
        if character.is_ascii_alphanumeric() {
            word.push(character.to_ascii_lowercase());
        }
        after_lower = character.is_ascii_lowercase();
    }
    false
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn self_made_paths_and_growing_queries_are_traps() {
        for target in [
            "/a/a/a",
            "/x/a/b/a/b/a/b",
            "/en/shop/en/shop/en/shop/",
            "/a/b/a/c/a/d/a/e/a",
            "/a/b/b/a/c/a/b",
            "/a////b",
            "/q?a=1&a=2&a=3&a=4&a=5&a=6&a=7&a=8&a=9",
            "/login?next=%2Flogin%3Fnext%3D%2Flogin",
            "/x?u=%252525",
        ] {
            assert!(is_trap(target), "{target}");
        }
        assert!(
            is_trap(&"/deep".repeat(40))
                && is_trap(&format!("/{}", (0..40).map(|n| format!("{n}/")).collect::<String>()))
        );
        for target in [
            "/",
            "/a/a",
            "/bible/1/1/1",
            "/a/b/a/b",
            "/list?tag=a&tag=b&tag=c",
            "/login?next=%2Faccount",
            "/search?q=search",
        ] {
            assert!(!is_trap(target), "{target}");
        }
    }

    #[test]
    fn links_that_may_change_something_are_told_by_their_words() {
        for target in [
            "/logout",
            "/user/log-out?x",
            "/LogOut.aspx",
            "/sign_off",
            "/item/3/delete",
            "/deleteUser",
            "/x?action=remove",
            "/list/unsubscribe/abc",
            "/api?Purge",
        ] {
            assert!(may_change_state(target), "{target}");
        }
        for target in [
            "/",
            "/login",
            "/deleted-scenes",
            "/catalog/outdoor",
            "/removed.html",
            "/designing-outfits",
            "/page-0001.html",
        ] {
            assert!(!may_change_state(target), "{target}");
        }
    }

    proptest! {
        #[test]
        fn any_target_is_judged(target in "(/|[a-c]{1,2}|[0-9]|\\?|&|=|%25|\u{e9}|[A-Z]){0,60}") {
            is_trap(&target);
            may_change_state(&target);
        }

        #[test]
        fn a_path_cannot_repeat_itself_for_long(block in "(/[a-z]{1,4}){1,4}") {
            prop_assert!(is_trap(&block.repeat(3)));
        }
    }
}
