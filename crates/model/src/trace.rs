//! Where in a trace something stands, as W3C writes it: <https://www.w3.org/TR/trace-context/#traceparent-header>.

use std::{fmt, str::FromStr};

/// A trace, a step of it, and whether it is recorded. What follows from the step goes on from here, in whatever process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TraceParent {
    /// Never 0.
    pub trace: u128,
    /// Never 0.
    pub span: u64,
    /// Whoever began the trace decided so, for all of it.
    pub sampled: bool,
}

/// What is no `traceparent`, and never told back: it comes from strangers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it is no traceparent, such as 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")]
pub struct TraceParentError;

impl FromStr for TraceParent {
    type Err = TraceParentError;

    /// Of versions to come the beginning is read, as the standard has it.
    fn from_str(text: &str) -> Result<TraceParent, TraceParentError> {
        let mut parts = text.split('-');
        let mut part = |length: usize| {
            let digits = |part: &&str| {
                part.len() == length
                    && part.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
            };
            parts.next().filter(digits).ok_or(TraceParentError)
        };
        let (version, trace, span, flags) = (part(2)?, part(32)?, part(16)?, part(2)?);
        if version == "ff" || (version == "00" && parts.next().is_some()) {
            return Err(TraceParentError);
        }
        let trace = u128::from_str_radix(trace, 16).ok().filter(|trace| *trace != 0);
        let span = u64::from_str_radix(span, 16).ok().filter(|span| *span != 0);
        let flags = u8::from_str_radix(flags, 16).map_err(|_| TraceParentError)?;
        Ok(TraceParent {
            trace: trace.ok_or(TraceParentError)?,
            span: span.ok_or(TraceParentError)?,
            sampled: flags & 1 == 1,
        })
    }
}

impl fmt::Display for TraceParent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "00-{:032x}-{:016x}-{:02x}", self.trace, self.span, u8::from(self.sampled))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_traceparent_is_read_as_the_standard_says() {
        let text = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        let read: TraceParent = text.parse().unwrap();
        assert_eq!((read.trace, read.span), (0x0af7651916cd43dd8448eb211c80319c, 0xb7ad6b7169203331));
        assert_eq!((read.sampled, read.to_string().as_str()), (true, text));
        let parsed = |text: String| text.parse::<TraceParent>();
        assert!(!parsed(text.replace("-01", "-00")).unwrap().sampled);
        // Flags that nobody knows yet are left out.
        assert_eq!(parsed(text.replace("-01", "-ff")).unwrap(), read);
        // A version to come may say more.
        assert_eq!(parsed(format!("cc{}-what", &text[2..])).unwrap(), read);
        for wrong in [
            String::new(),
            "00".to_owned(),
            format!("{text}-what"),
            format!("ff{}", &text[2..]),
            text.to_uppercase(),
            text.replace("b7ad6b7169203331", "0000000000000000"),
            text.replace("0af7651916cd43dd8448eb211c80319c", "00000000000000000000000000000000"),
            text.replace("-01", "-+1"),
            text.replace('-', "_"),
            text.replace("0af7", "0ag7"),
            text.replace("0af7", "\u{661}af7"),
        ] {
            assert_eq!(parsed(wrong.clone()), Err(TraceParentError), "{wrong}");
        }
    }
}
