//! HTML character references.

use super::{Arguments, Arity, Function, Outcome, bounded, characters};

pub(super) const FUNCTIONS: &[Function] = &[
    Function::new(
        "html_escape",
        Arity::between(1, 2),
        "the text with `<`, `>`, `&` and quotes as character references; with true, with every character as one",
        escape,
    ),
    Function::new(
        "html_unescape",
        Arity::exactly(1),
        "the text with its character references resolved: numeric ones, and the named ones of Latin-1 and common punctuation",
        |arguments| arguments.map_text(unescape),
    ),
];

fn escape<'e>(arguments: Arguments<'_, 'e>) -> Outcome<'e> {
    let text = arguments.text(0);
    let everything = arguments.flag(1)?;
    let mut escaped = Vec::with_capacity(text.len());
    for character in characters(&text) {
        match character {
            _ if everything => {
                let point = str::from_utf8(character).ok().and_then(|one| one.chars().next());
                let point = point.unwrap_or(char::REPLACEMENT_CHARACTER);
                escaped.extend_from_slice(format!("&#{};", u32::from(point)).as_bytes());
            }
            b"&" => escaped.extend_from_slice(b"&amp;"),
            b"<" => escaped.extend_from_slice(b"&lt;"),
            b">" => escaped.extend_from_slice(b"&gt;"),
            b"\"" => escaped.extend_from_slice(b"&#34;"),
            b"'" => escaped.extend_from_slice(b"&#39;"),
            other => escaped.extend_from_slice(other),
        }
    }
    bounded(escaped.len())?;
    Ok(escaped.into())
}

fn unescape(text: &[u8]) -> Vec<u8> {
    let mut resolved = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some(ampersand) = memchr::memchr(b'&', rest) {
        resolved.extend_from_slice(&rest[..ampersand]);
        rest = &rest[ampersand..];
        match numeric(rest).or_else(|| named(rest)) {
            Some((character, length)) => {
                resolved.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
                rest = &rest[length..];
            }
            None => {
                resolved.push(b'&');
                rest = &rest[1..];
            }
        }
    }
    resolved.extend_from_slice(rest);
    resolved
}

/// `&#65;` and `&#x41;`, with or without the semicolon (HTML, section 13.2.5.80).
fn numeric(text: &[u8]) -> Option<(char, usize)> {
    let (base, start) = match text {
        [b'&', b'#', b'x' | b'X', ..] => (16, 3),
        [b'&', b'#', ..] => (10, 2),
        _ => return None,
    };
    let digits = text[start..].iter().take_while(|byte| char::from(**byte).is_digit(base)).count();
    if digits == 0 {
        return None;
    }
    let point = text[start..start + digits]
        .iter()
        .filter_map(|digit| char::from(*digit).to_digit(base))
        .fold(0_u32, |point, digit| point.saturating_mul(base).saturating_add(digit));
    let semicolon = usize::from(text.get(start + digits) == Some(&b';'));
    let character = match point {
        0x80..=0x9F => WINDOWS_1252[point as usize - 0x80],
        0 => char::REPLACEMENT_CHARACTER,
        point => char::from_u32(point).unwrap_or(char::REPLACEMENT_CHARACTER),
    };
    Some((character, start + digits + semicolon))
}

fn named(text: &[u8]) -> Option<(char, usize)> {
    let name = text.get(1..)?.iter().take(9).take_while(|byte| byte.is_ascii_alphanumeric()).count();
    if text.get(1 + name) != Some(&b';') {
        return None;
    }
    let spelled = str::from_utf8(&text[1..1 + name]).ok()?;
    let latin = LATIN_1.iter().position(|entity| *entity == spelled);
    let character = match latin.and_then(|position| u8::try_from(0xA0 + position).ok()) {
        Some(point) => char::from(point),
        None => OTHERS.iter().find(|(entity, _)| *entity == spelled).map(|(_, character)| *character)?,
    };
    Some((character, name + 2))
}

/// What the numbers 0x80 to 0x9F mean in HTML, whose authors meant Windows code page 1252.
const WINDOWS_1252: [char; 32] = [
    '\u{20AC}', '\u{81}', '\u{201A}', '\u{192}', '\u{201E}', '\u{2026}', '\u{2020}', '\u{2021}', '\u{2C6}',
    '\u{2030}', '\u{160}', '\u{2039}', '\u{152}', '\u{8D}', '\u{17D}', '\u{8F}', '\u{90}', '\u{2018}',
    '\u{2019}', '\u{201C}', '\u{201D}', '\u{2022}', '\u{2013}', '\u{2014}', '\u{2DC}', '\u{2122}', '\u{161}',
    '\u{203A}', '\u{153}', '\u{9D}', '\u{17E}', '\u{178}',
];

/// The entities of U+00A0 to U+00FF, in order.
const LATIN_1: [&str; 96] = [
    "nbsp", "iexcl", "cent", "pound", "curren", "yen", "brvbar", "sect", "uml", "copy", "ordf", "laquo",
    "not", "shy", "reg", "macr", "deg", "plusmn", "sup2", "sup3", "acute", "micro", "para", "middot",
    "cedil", "sup1", "ordm", "raquo", "frac14", "frac12", "frac34", "iquest", "Agrave", "Aacute", "Acirc",
    "Atilde", "Auml", "Aring", "AElig", "Ccedil", "Egrave", "Eacute", "Ecirc", "Euml", "Igrave", "Iacute",
    "Icirc", "Iuml", "ETH", "Ntilde", "Ograve", "Oacute", "Ocirc", "Otilde", "Ouml", "times", "Oslash",
    "Ugrave", "Uacute", "Ucirc", "Uuml", "Yacute", "THORN", "szlig", "agrave", "aacute", "acirc", "atilde",
    "auml", "aring", "aelig", "ccedil", "egrave", "eacute", "ecirc", "euml", "igrave", "iacute", "icirc",
    "iuml", "eth", "ntilde", "ograve", "oacute", "ocirc", "otilde", "ouml", "divide", "oslash", "ugrave",
    "uacute", "ucirc", "uuml", "yacute", "thorn", "yuml",
];

const OTHERS: &[(&str, char)] = &[
    ("amp", '&'),
    ("lt", '<'),
    ("gt", '>'),
    ("quot", '"'),
    ("apos", '\''),
    ("AMP", '&'),
    ("LT", '<'),
    ("GT", '>'),
    ("QUOT", '"'),
    ("Tab", '\t'),
    ("NewLine", '\n'),
    ("colon", ':'),
    ("sol", '/'),
    ("lpar", '('),
    ("rpar", ')'),
    ("num", '#'),
    ("equals", '='),
    ("commat", '@'),
    ("lsquo", '\u{2018}'),
    ("rsquo", '\u{2019}'),
    ("sbquo", '\u{201A}'),
    ("ldquo", '\u{201C}'),
    ("rdquo", '\u{201D}'),
    ("bdquo", '\u{201E}'),
    ("ndash", '\u{2013}'),
    ("mdash", '\u{2014}'),
    ("hellip", '\u{2026}'),
    ("bull", '\u{2022}'),
    ("dagger", '\u{2020}'),
    ("Dagger", '\u{2021}'),
    ("permil", '\u{2030}'),
    ("lsaquo", '\u{2039}'),
    ("rsaquo", '\u{203A}'),
    ("euro", '\u{20AC}'),
    ("trade", '\u{2122}'),
    ("larr", '\u{2190}'),
    ("uarr", '\u{2191}'),
    ("rarr", '\u{2192}'),
    ("darr", '\u{2193}'),
    ("ensp", '\u{2002}'),
    ("emsp", '\u{2003}'),
    ("thinsp", '\u{2009}'),
    ("zwnj", '\u{200C}'),
    ("zwj", '\u{200D}'),
    ("OElig", '\u{152}'),
    ("oelig", '\u{153}'),
    ("Scaron", '\u{160}'),
    ("scaron", '\u{161}'),
    ("Yuml", '\u{178}'),
    ("circ", '\u{2C6}'),
    ("tilde", '\u{2DC}'),
    ("minus", '\u{2212}'),
    ("infin", '\u{221E}'),
    ("ne", '\u{2260}'),
    ("le", '\u{2264}'),
    ("ge", '\u{2265}'),
];
