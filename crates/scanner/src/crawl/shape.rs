//! The shape of a request target: what remains when numbers, identifiers and tokens are replaced by placeholders. Pages of one
//! shape are often one template filled with different rows.

/// Words in a path that announce an endless calendar.
const CALENDARS: &[&str] = &[
    "calendar",
    "cal",
    "kalender",
    "calendrier",
    "calendario",
    "agenda",
    "schedule",
    "events",
    "booking",
    "bookings",
];
/// Query parameters that walk through time.
const DATE_KEYS: &[&str] = &[
    "year", "month", "day", "week", "date", "yr", "mon", "y", "m", "d", "from", "to", "start", "end",
    "since", "until",
];

/// A shape, and what it says about the target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Shape {
    /// `/item/#?page=#`.
    pub text: String,
    /// At least one placeholder: others of this shape can exist without end.
    pub variable: bool,
    /// The part that varies is a date, or stands in a calendar.
    pub calendar: bool,
}

/// The shape of a path and query.
pub(super) fn shape(target: &str) -> Shape {
    let (path, query) = target.split_once('?').map_or((target, None), |(path, query)| (path, Some(query)));
    let mut text = String::with_capacity(target.len());
    let mut variable = false;
    let mut year = false;
    let mut named = false;
    let mut last_is_number = false;
    for segment in path.split('/').skip(1) {
        text.push('/');
        let replaced = generalise(segment, &mut text);
        variable |= replaced;
        year |= begins_with_year(segment);
        named |= CALENDARS.iter().any(|word| segment.eq_ignore_ascii_case(word));
        if !segment.is_empty() {
            last_is_number = segment.bytes().all(|byte| byte.is_ascii_digit() || b"-_.".contains(&byte));
        }
    }
    let mut dated = false;
    for (index, pair) in query.into_iter().flat_map(|query| query.split('&')).enumerate() {
        text.push(if index == 0 { '?' } else { '&' });
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        variable |= generalise(key, &mut text);
        text.push('=');
        let replaced = generalise(value, &mut text);
        variable |= replaced;
        dated |= replaced && DATE_KEYS.iter().any(|word| key.eq_ignore_ascii_case(word));
    }
    let calendar = variable && (dated || named || (year && last_is_number));
    Shape { text, variable, calendar }
}

/// Appends the general form; true when something was replaced.
fn generalise(part: &str, text: &mut String) -> bool {
    let whole = if is_uuid(part) {
        "{uuid}"
    } else if is_hexadecimal(part) {
        "{hex}"
    } else if is_token(part) {
        "{token}"
    } else {
        let mut replaced = false;
        let mut in_number = false;
        for character in part.chars() {
            if character.is_ascii_digit() {
                if !in_number {
                    text.push('#');
                }
                (in_number, replaced) = (true, true);
            } else {
                text.push(character);
                in_number = false;
            }
        }
        return replaced;
    };
    text.push_str(whole);
    true
}

fn is_uuid(part: &str) -> bool {
    let bytes = part.as_bytes();
    bytes.len() == 36
        && bytes.iter().enumerate().all(|(index, byte)| match index {
            8 | 13 | 18 | 23 => *byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        })
}

fn is_hexadecimal(part: &str) -> bool {
    part.len() >= 16
        && part.bytes().all(|byte| byte.is_ascii_hexdigit())
        && part.bytes().any(|byte| byte.is_ascii_digit())
}

fn is_token(part: &str) -> bool {
    let has = |test: fn(&u8) -> bool| part.as_bytes().iter().any(test);
    part.len() >= 20
        && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_%=+".contains(&byte))
        && has(u8::is_ascii_digit)
        && has(u8::is_ascii_lowercase)
        && has(u8::is_ascii_uppercase)
}

fn begins_with_year(segment: &str) -> bool {
    let digits = segment.bytes().take_while(u8::is_ascii_digit).count();
    let separated = segment.as_bytes().get(4).is_none_or(|byte| *byte == b'-');
    digits == 4
        && separated
        && (segment.starts_with("19") || segment.starts_with("20") || segment.starts_with("21"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_varies_is_replaced() {
        for (target, text, variable, calendar) in [
            ("/", "/", false, false),
            ("/about/team.html", "/about/team.html", false, false),
            ("/item/17", "/item/#", true, false),
            ("/item/18/", "/item/#/", true, false),
            ("/page-0001.html", "/page-#.html", true, false),
            ("/u/3f2504e0-4f89-11d3-9a0c-0305e82c3301", "/u/{uuid}", true, false),
            ("/c/9fceb02d0ae598e95dc970b74767f19372d61af8", "/c/{hex}", true, false),
            ("/t/aGVsbG8gd29ybGQgMTIzNDU2Nzg5", "/t/{token}", true, false),
            ("/list?page=2&sort=name", "/list?page=#&sort=name", true, false),
            ("/list?page=2&sort=age", "/list?page=#&sort=age", true, false),
            ("/calendar/5/2", "/calendar/#/#", true, true),
            ("/archive/2024/05", "/archive/#/#", true, true),
            ("/2024-05-17", "/#-#-#", true, true),
            ("/2024/05/some-post", "/#/#/some-post", true, false),
            ("/view?year=2024&month=5", "/view?year=#&month=#", true, true),
            ("/view?from=home", "/view?from=home", false, false),
        ] {
            assert_eq!(shape(target), Shape { text: text.to_owned(), variable, calendar }, "{target}");
        }
    }
}
