//! The steps of a schema: forward only, each is added, none is changed.
//!
//! While a release replaces another both work with one database, so the earlier one meets steps that it does not know. It goes on as
//! long as each of them only adds (`additive` says what that means, and a test holds the steps to it). What is to be taken away
//! goes in two releases: one whose program does without it, and a later one whose step takes it away, and says by
//! [`Step::needs`] which programs that leaves behind. Those refuse the database instead of failing in the middle of something.

#[cfg(test)]
mod additive;

use sha2::{Digest, Sha256};

use crate::StoreError;

/// How many steps the latest release knows; none before the first one. Whoever releases writes it down.
#[cfg(test)]
const RELEASED: u64 = 0;

/// One step of one database's schema.
#[derive(Debug)]
pub(crate) struct Step {
    pub(crate) name: &'static str,
    pub(crate) sql: &'static str,
    /// How many steps a program must know to work with the database once this one is taken. As in the step before, unless this
    /// one takes something away.
    pub(crate) needs: u64,
}

/// What a database remembers of a step.
#[derive(Debug)]
pub(crate) struct Taken {
    pub(crate) name: String,
    pub(crate) digest: Vec<u8>,
    pub(crate) needs: u64,
}

impl Step {
    pub(crate) fn digest(&self) -> [u8; 32] {
        Sha256::digest(self.sql).into()
    }
}

/// The steps that a database has not taken. Refuses one that took others, or that a later release has taken too far.
pub(crate) fn left<'s>(steps: &'s [Step], taken: &[Taken]) -> Result<&'s [Step], StoreError> {
    for (taken, step) in taken.iter().zip(steps) {
        if taken.name != step.name || taken.digest != step.digest() {
            return Err(StoreError::Schema(format!(
                "step `{}` of the database is not the step `{}` of this program: it was made by something else",
                taken.name, step.name
            )));
        }
    }
    let known = steps.len() as u64;
    if let Some(beyond) = taken.iter().find(|taken| taken.needs > known) {
        return Err(StoreError::Schema(format!(
            "a later release has brought the database to step `{}`, which needs a program that knows {} steps, and this one knows \
             {known}: start a later release",
            beyond.name, beyond.needs
        )));
    }
    Ok(steps.get(taken.len()..).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    const STEPS: [Step; 3] = [
        Step { name: "1", sql: "CREATE", needs: 1 },
        Step { name: "2", sql: "ALTER", needs: 1 },
        Step { name: "3", sql: "DROP", needs: 2 },
    ];

    fn taken(count: usize) -> Vec<Taken> {
        let remember = |step: &Step| Taken {
            name: step.name.to_owned(),
            digest: step.digest().to_vec(),
            needs: step.needs,
        };
        STEPS[..count].iter().map(remember).collect()
    }

    #[test]
    fn a_program_goes_on_until_a_step_needs_more_than_it_knows() {
        for (known, database, answer) in [
            (3, 0, Ok(vec!["1", "2", "3"])),
            (3, 2, Ok(vec!["3"])),
            (3, 3, Ok(vec![])),
            (2, 3, Ok(vec![])),
            (1, 2, Ok(vec![])),
            (1, 3, Err("needs a program that knows 2 steps, and this one knows 1")),
        ] {
            let taken = taken(database);
            let left = left(&STEPS[..known], &taken);
            match (left, answer) {
                (Ok(left), Ok(names)) => {
                    assert_eq!(left.iter().map(|step| step.name).collect::<Vec<_>>(), names);
                }
                (Err(StoreError::Schema(why)), Err(says)) => assert!(why.contains(says), "{why}"),
                (left, answer) => panic!("{known} of {database}: {left:?}, not {answer:?}"),
            }
        }
    }

    #[test]
    fn what_another_made_is_refused() {
        let mut other = taken(2);
        other[1].digest[0] ^= 1;
        let refused = left(&STEPS, &other).unwrap_err();
        assert!(refused.to_string().contains("step `2` of the database is not the step `2`"), "{refused}");
    }
}
