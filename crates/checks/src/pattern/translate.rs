//! From Go's spelling to Rust's (<https://pkg.go.dev/regexp/syntax>).

use std::fmt::Write;

use super::PatternError;

/// The pattern, spelled so that Rust's parser understands what Go's would.
pub(super) fn translate(pattern: &str) -> Result<String, PatternError> {
    let mut translator = Translator { rest: pattern, written: String::with_capacity(pattern.len() + 16) };
    while let Some(character) = translator.next() {
        match character {
            '\\' => translator.escape()?,
            '[' => translator.class()?,
            '(' => translator.group()?,
            '{' => translator.brace(),
            '}' | ']' => translator.literal(character),
            other => translator.written.push(other),
        }
    }
    Ok(translator.written)
}

struct Translator<'p> {
    rest: &'p str,
    written: String,
}

impl<'p> Translator<'p> {
    fn next(&mut self) -> Option<char> {
        let character = self.rest.chars().next()?;
        self.rest = &self.rest[character.len_utf8()..];
        Some(character)
    }

    fn peek(&self) -> Option<char> {
        self.rest.chars().next()
    }

    /// What comes before `end`, which is consumed too.
    fn until(&mut self, end: &str) -> Option<&'p str> {
        let (before, after) = self.rest.split_once(end)?;
        self.rest = after;
        Some(before)
    }

    fn literal(&mut self, character: char) {
        if regex_syntax::is_meta_character(character) {
            self.written.push('\\');
        }
        self.written.push(character);
    }

    /// A `{` repeats what stands before it only as `{2}`, `{2,}` or `{2,3}`.
    fn brace(&mut self) {
        let bounds = self.rest.split_once('}').map(|(bounds, _)| bounds).filter(|bounds| {
            let (least, most) = bounds.split_once(',').unwrap_or((bounds, ""));
            let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
            !least.is_empty() && digits(least) && digits(most)
        });
        match bounds {
            Some(bounds) => {
                self.written.push('{');
                self.written.push_str(bounds);
                self.written.push('}');
                self.rest = &self.rest[bounds.len() + 1..];
            }
            None => self.literal('{'),
        }
    }

    /// Rust has more flags than Go; they would change the meaning of what follows.
    fn group(&mut self) -> Result<(), PatternError> {
        self.written.push('(');
        let Some(inside) = self.rest.strip_prefix('?') else { return Ok(()) };
        match inside.chars().next() {
            Some('=' | '!') => return Err(PatternError::Unsupported("look-ahead")),
            Some('<') if inside[1..].starts_with(['=', '!']) => {
                return Err(PatternError::Unsupported("look-behind"));
            }
            Some('<' | 'P') => return Ok(()),
            _ => {}
        }
        let flags = inside.find([':', ')']).map(|end| &inside[..end]).unwrap_or(inside);
        match flags.chars().find(|flag| !matches!(flag, 'i' | 'm' | 's' | 'U' | '-')) {
            Some(flag) => {
                Err(PatternError::Syntax(format!("there is no group flag `{}`", flag.escape_debug())))
            }
            None => Ok(()),
        }
    }

    /// An escape outside a class; its backslash is consumed.
    fn escape(&mut self) -> Result<(), PatternError> {
        let Some(escaped) = self.peek() else {
            return Err(PatternError::Syntax("a backslash at the end".to_owned()));
        };
        if let Some(class) = ascii_class(escaped) {
            self.next();
            let _ = write!(self.written, "[{class}]");
            return Ok(());
        }
        match escaped {
            'b' | 'B' => {
                self.next();
                let _ = write!(self.written, "(?-u:\\{escaped})");
            }
            'A' | 'z' => {
                self.next();
                self.written.push('\\');
                self.written.push(escaped);
            }
            'Q' => {
                self.next();
                let quoted = match self.until("\\E") {
                    Some(quoted) => quoted,
                    None => std::mem::take(&mut self.rest),
                };
                for character in quoted.chars() {
                    self.literal(character);
                }
            }
            'C' => return Err(PatternError::Unsupported("`\\C`, a single byte")),
            'p' | 'P' => self.unicode_class()?,
            _ => {
                let character = self.escaped_character()?;
                self.literal(character);
            }
        }
        Ok(())
    }

    /// A `\pN`, `\p{Greek}` or `\p{^Greek}`; the backslash is consumed.
    fn unicode_class(&mut self) -> Result<(), PatternError> {
        let mut negated = self.next() == Some('P');
        let name = match self.next() {
            Some('{') => self.until("}").map(str::to_owned),
            other => other.map(String::from),
        };
        let Some(name) = name else {
            return Err(PatternError::Syntax("a `\\p` without its class".to_owned()));
        };
        let positive = name.strip_prefix('^').unwrap_or(&name);
        negated ^= positive.len() < name.len();
        let _ = write!(self.written, "\\{}{{{positive}}}", if negated { 'P' } else { 'p' });
        Ok(())
    }

    /// The one character that an escape stands for; the backslash is consumed.
    fn escaped_character(&mut self) -> Result<char, PatternError> {
        let malformed = |what: String| PatternError::Syntax(what);
        let Some(escaped) = self.next() else {
            return Err(malformed("a backslash at the end".to_owned()));
        };
        Ok(match escaped {
            'a' => '\u{7}',
            'f' => '\u{C}',
            't' => '\t',
            'n' => '\n',
            'r' => '\r',
            'v' => '\u{B}',
            '1'..='7' if !self.peek().is_some_and(|next| next.is_digit(8)) => {
                return Err(PatternError::Unsupported("a back-reference"));
            }
            '0'..='7' => {
                let mut point = escaped.to_digit(8).unwrap_or_default();
                for _ in 0..2 {
                    let Some(digit) = self.peek().and_then(|next| next.to_digit(8)) else { break };
                    point = point * 8 + digit;
                    self.next();
                }
                char::from_u32(point).unwrap_or(char::REPLACEMENT_CHARACTER)
            }
            'x' => {
                let digits = match self.rest.strip_prefix('{') {
                    Some(after) => {
                        self.rest = after;
                        self.until("}").unwrap_or_default()
                    }
                    None => {
                        let digits = self.rest.get(..2).unwrap_or_default();
                        self.rest = &self.rest[digits.len()..];
                        digits
                    }
                };
                let spelled = digits.bytes().all(|digit| digit.is_ascii_hexdigit());
                let point = u32::from_str_radix(digits, 16).ok().filter(|_| spelled).and_then(char::from_u32);
                point.ok_or_else(|| malformed(format!("`\\x{}` is no character", digits.escape_debug())))?
            }
            other if other.is_ascii_alphanumeric() => {
                return Err(malformed(format!("there is no escape `\\{other}`")));
            }
            punctuation => punctuation,
        })
    }

    /// A class; its `[` is consumed.
    fn class(&mut self) -> Result<(), PatternError> {
        let unclosed = || PatternError::Syntax("a `[` without its `]`".to_owned());
        self.written.push('[');
        if self.peek() == Some('^') {
            self.next();
            self.written.push('^');
        }
        let mut first = true;
        loop {
            let next = self.peek().ok_or_else(unclosed)?;
            if next == ']' && !first {
                self.next();
                self.written.push(']');
                return Ok(());
            }
            first = false;
            if self.posix_class()? {
                continue;
            }
            if let Some(inside) = self.rest.strip_prefix('\\') {
                let escaped = inside.chars().next().ok_or_else(unclosed)?;
                if let Some(class) = ascii_class(escaped) {
                    self.rest = &inside[1..];
                    // A class within a class: the negated ones cannot be spelled as ranges.
                    let _ = write!(self.written, "[{class}]");
                    continue;
                }
                if matches!(escaped, 'p' | 'P') {
                    self.rest = inside;
                    self.unicode_class()?;
                    continue;
                }
            }
            let low = self.class_character()?;
            let _ = write!(self.written, "\\x{{{:x}}}", u32::from(low));
            let is_range =
                self.rest.starts_with('-') && self.rest[1..].chars().next().is_some_and(|next| next != ']');
            if is_range {
                self.next();
                let high = self.class_character()?;
                let _ = write!(self.written, "-\\x{{{:x}}}", u32::from(high));
            }
        }
    }

    fn class_character(&mut self) -> Result<char, PatternError> {
        match self.next() {
            Some('\\') => self.escaped_character(),
            Some(character) => Ok(character),
            None => Err(PatternError::Syntax("a `[` without its `]`".to_owned())),
        }
    }

    /// `[:alpha:]` inside a class, if that is what comes next.
    fn posix_class(&mut self) -> Result<bool, PatternError> {
        const NAMES: [&str; 14] = [
            "alnum", "alpha", "ascii", "blank", "cntrl", "digit", "graph", "lower", "print", "punct",
            "space", "upper", "word", "xdigit",
        ];
        let Some((name, after)) = self.rest.strip_prefix("[:").and_then(|inside| inside.split_once(":]"))
        else {
            return Ok(false);
        };
        if !NAMES.contains(&name.strip_prefix('^').unwrap_or(name)) {
            return Err(PatternError::Syntax(format!("there is no class `[:{}:]`", name.escape_debug())));
        }
        let _ = write!(self.written, "[:{name}:]");
        self.rest = after;
        Ok(true)
    }
}

/// The characters of `\d`, `\s` and `\w`, which are ASCII in Go.
fn ascii_class(letter: char) -> Option<&'static str> {
    match letter {
        'd' => Some("0-9"),
        'D' => Some("^0-9"),
        's' => Some("\\t\\n\\f\\r "),
        'S' => Some("^\\t\\n\\f\\r "),
        'w' => Some("0-9A-Za-z_"),
        'W' => Some("^0-9A-Za-z_"),
        _ => None,
    }
}
