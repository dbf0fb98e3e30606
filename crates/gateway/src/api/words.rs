//! What people call things, and why they do something: short enough to be read, and without what cannot be seen.

use crate::problem::{Kind, Problem};

/// The longest name.
const LONGEST_NAME: usize = 64;
/// The longest reason.
const LONGEST_REASON: usize = 4_096;

/// Can something be called that?
pub(super) fn name(text: &str) -> Result<(), Problem> {
    if text.trim().is_empty() || text.chars().count() > LONGEST_NAME || text.chars().any(char::is_control) {
        let detail = format!("a name has 1 to {LONGEST_NAME} characters, and none that cannot be seen");
        return Err(Problem::new(Kind::Invalid, detail));
    }
    Ok(())
}

/// The reason, without spaces around it.
pub(super) fn reason(text: &str) -> Result<String, Problem> {
    let reason = text.trim();
    if reason.is_empty() || reason.chars().count() > LONGEST_REASON {
        let detail = format!("a reason has 1 to {LONGEST_REASON} characters");
        return Err(Problem::new(Kind::Invalid, detail));
    }
    Ok(reason.to_owned())
}
