//! From characters to tokens.

use super::{ExpressionError, MAX_SOURCE};

/// Marks within marks deeper than this are no marks; it keeps `{{{{{{...` linear.
const MAX_MARKS: usize = 4;
/// Longest name in brackets, in bytes; it keeps `{{[{{[{{[...` linear. Quotes need no such limit: the next one closes.
const MAX_NAME: usize = 256;

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Token {
    pub(super) kind: TokenKind,
    /// Byte offset into the source.
    pub(super) offset: usize,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum TokenKind {
    Number(f64),
    /// Quoted text, escapes resolved; bytes, because of `\xHH`.
    Text(Vec<u8>),
    /// A variable, a function, or one of the words `true`, `false` and `in`.
    Name(String),
    /// A `[name]` in brackets: always a variable.
    Bracketed(String),
    Symbol(&'static str),
}

/// Longest first, so that `<=` is not read as `<`.
const SYMBOLS: &[&str] = &[
    "==", "!=", "=~", "!~", "<=", ">=", "<<", ">>", "&&", "||", "**", "??", "{{", "}}", "+", "-", "*", "/",
    "%", "&", "|", "^", "~", "!", "<", ">", "?", ":", "(", ")", ",",
];

/// How far to read.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Extent {
    /// To the end of the source.
    Whole,
    /// To the `}}` that closes a mark whose `{{` has been read.
    Mark,
}

/// The tokens of `source` from byte `start`, and the offset of what follows them.
pub(super) fn tokens(
    source: &str,
    start: usize,
    extent: Extent,
) -> Result<(Vec<Token>, usize), ExpressionError> {
    let mut lexer = Lexer { source, offset: start, marks: 0 };
    let mut tokens = Vec::new();
    loop {
        lexer.skip_blanks();
        let offset = lexer.offset;
        if offset - start > MAX_SOURCE {
            return Err(ExpressionError::TooLong { length: offset - start, limit: MAX_SOURCE });
        }
        if lexer.rest().is_empty() {
            return match extent {
                Extent::Whole => Ok((tokens, offset)),
                Extent::Mark => Err(lexer.syntax(offset, "a mark without its closing `}}`")),
            };
        }
        let kind = lexer.token()?;
        if kind == TokenKind::Symbol("}}") {
            match lexer.marks.checked_sub(1) {
                Some(open) => lexer.marks = open,
                None if extent == Extent::Mark => return Ok((tokens, lexer.offset)),
                None => return Err(lexer.syntax(offset, "`}}` without its `{{`")),
            }
        } else if kind == TokenKind::Symbol("{{") {
            lexer.marks += 1;
            if lexer.marks > MAX_MARKS {
                return Err(ExpressionError::TooDeep);
            }
        }
        tokens.push(Token { kind, offset });
    }
}

struct Lexer<'s> {
    source: &'s str,
    offset: usize,
    marks: usize,
}

impl<'s> Lexer<'s> {
    fn rest(&self) -> &'s str {
        self.source.get(self.offset..).unwrap_or_default()
    }

    fn syntax(&self, offset: usize, what: impl Into<String>) -> ExpressionError {
        ExpressionError::Syntax { offset, what: what.into() }
    }

    fn skip_blanks(&mut self) {
        let rest = self.rest();
        self.offset += rest.len() - rest.trim_start().len();
    }

    fn token(&mut self) -> Result<TokenKind, ExpressionError> {
        let rest = self.rest();
        let first = rest.chars().next().unwrap_or_default();
        let second = rest[first.len_utf8()..].chars().next().unwrap_or_default();
        if first.is_ascii_digit() || first == '.' && second.is_ascii_digit() {
            self.number()
        } else if first == '"' || first == '\'' {
            self.delimited(first, MAX_SOURCE, "a text without its closing quote").map(TokenKind::Text)
        } else if first == '[' {
            let offset = self.offset;
            let name = self.delimited(']', MAX_NAME, "a name without its closing `]`")?;
            match String::from_utf8(name) {
                Ok(name) if !name.is_empty() => Ok(TokenKind::Bracketed(name)),
                _ => Err(self.syntax(offset, "a variable name that is empty or not UTF-8")),
            }
        } else if starts_name(first) {
            let length = name_length(rest);
            self.offset += length;
            Ok(TokenKind::Name(rest[..length].to_owned()))
        } else if let Some(symbol) = SYMBOLS.iter().find(|symbol| rest.starts_with(**symbol)) {
            self.offset += symbol.len();
            Ok(TokenKind::Symbol(symbol))
        } else if first == '=' {
            Err(self.syntax(self.offset, "a single `=`, write `==` to compare,"))
        } else {
            Err(self.syntax(self.offset, format!("the character `{}`", first.escape_debug())))
        }
    }

    fn number(&mut self) -> Result<TokenKind, ExpressionError> {
        let rest = self.rest();
        let offset = self.offset;
        let bytes = rest.as_bytes();
        let run = |from: usize, accept: fn(&u8) -> bool| {
            from + bytes.get(from..).unwrap_or_default().iter().take_while(|byte| accept(byte)).count()
        };
        let length;
        let number;
        if rest.starts_with("0x") || rest.starts_with("0X") {
            length = run(2, u8::is_ascii_hexdigit);
            // Digit by digit, because a double holds more than sixteen of them and a u64 does not.
            number = (length > 2).then(|| {
                let digits = rest[2..length].chars().filter_map(|digit| digit.to_digit(16));
                digits.fold(0.0, |sum, digit| sum * 16.0 + f64::from(digit))
            });
        } else {
            let mut end = run(0, |byte| byte.is_ascii_digit() || *byte == b'.');
            if matches!(bytes.get(end), Some(b'e' | b'E')) {
                let sign = usize::from(matches!(bytes.get(end + 1), Some(b'+' | b'-')));
                let exponent = run(end + 1 + sign, u8::is_ascii_digit);
                if exponent > end + 1 + sign {
                    end = exponent;
                }
            }
            length = end;
            number = rest[..length].parse().ok();
        }
        self.offset += length;
        let glued = self.rest().chars().next().is_some_and(starts_name);
        match number {
            Some(number) if number.is_finite() && !glued => Ok(TokenKind::Number(number)),
            _ => Err(self.syntax(offset, "a malformed number")),
        }
    }

    /// What stands between the delimiter at the cursor and the next `close` that no backslash escapes.
    fn delimited(&mut self, close: char, limit: usize, unclosed: &str) -> Result<Vec<u8>, ExpressionError> {
        let opened = self.offset;
        let mut content = Vec::new();
        let mut characters = self.rest().char_indices().skip(1);
        while let Some((at, character)) = characters.next() {
            if at > limit {
                return Err(ExpressionError::TooLong { length: at, limit });
            }
            if character == close {
                self.offset += at + close.len_utf8();
                return Ok(content);
            }
            if character != '\\' {
                content.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
                continue;
            }
            let Some((at, escaped)) = characters.next() else { break };
            match escaped {
                'r' => content.push(b'\r'),
                'n' => content.push(b'\n'),
                't' => content.push(b'\t'),
                'x' => {
                    let digits = self.rest().get(at + 1..at + 3);
                    let digits = digits.filter(|two| two.bytes().all(|digit| digit.is_ascii_hexdigit()));
                    match digits.and_then(|two| u8::from_str_radix(two, 16).ok()) {
                        Some(byte) => {
                            content.push(byte);
                            characters.nth(1);
                        }
                        None => content.push(b'x'),
                    }
                }
                other => content.extend_from_slice(other.encode_utf8(&mut [0; 4]).as_bytes()),
            }
        }
        Err(self.syntax(opened, unclosed))
    }
}

fn starts_name(character: char) -> bool {
    character.is_alphabetic() || character == '_'
}

/// The length of the name that `text` starts with. A dot belongs to it where more of the name follows.
fn name_length(text: &str) -> usize {
    let continues = |character: char| character.is_alphanumeric() || character == '_';
    let mut length = 0;
    for (at, character) in text.char_indices() {
        let dotted = character == '.' && text[at + 1..].chars().next().is_some_and(continues);
        if !continues(character) && !dotted {
            break;
        }
        length = at + character.len_utf8();
    }
    length
}
