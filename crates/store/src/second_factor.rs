//! Second factors: what somebody shows beside their password. What is kept opens nothing without the password.

use model::{By, SessionId, TenantId, UserId};
use serde::{Deserialize, Serialize};

use crate::{
    Store, StoreError,
    audit::Act,
    value::{Kind, Value, json},
};

/// What is kept of somebody's second factor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecondFactor {
    /// What codes are made of, sealed with their password.
    pub sealed: String,
    /// The time step (RFC 6238) of the code that was shown last: it and those before it are not taken again.
    pub last_step: u64,
    /// What is kept of the codes of which each lets them in once without what shows the others.
    pub recovery: Vec<String>,
}

/// What is kept of what somebody has just shown to have. It was looked at before: by now it may be something else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credentials {
    /// What Argon2id made of the password, as a PHC string.
    pub password: String,
    /// Of the second factor, if they have one.
    pub second_factor: Option<SecondFactor>,
}

/// What somebody has shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Shown {
    /// The code of that time step.
    Step(u64),
    /// The recovery code of which this is kept.
    Recovery(String),
}

impl SecondFactor {
    /// As it is after somebody has shown that; nothing when it is not taken, or not any more.
    #[must_use]
    pub fn after(&self, shown: &Shown) -> Option<SecondFactor> {
        match shown {
            Shown::Step(step) => {
                (*step > self.last_step).then(|| SecondFactor { last_step: *step, ..self.clone() })
            }
            Shown::Recovery(digest) => {
                let left: Vec<String> =
                    self.recovery.iter().filter(|kept| *kept != digest).cloned().collect();
                (left.len() < self.recovery.len()).then(|| SecondFactor { recovery: left, ..self.clone() })
            }
        }
    }
}

impl Store {
    /// Somebody with another second factor, or without any from now on. Their sessions end, but the one in which they say so: whoever
    /// else has one may have the password.
    ///
    /// # Errors
    /// [`StoreError::Changed`] when their password or their second factor is not any more what somebody has seen.
    pub async fn set_second_factor(
        &self,
        tenant: TenantId,
        id: UserId,
        seen: Credentials,
        new: Option<SecondFactor>,
        session: SessionId,
        by: impl Into<By>,
    ) -> Result<(), StoreError> {
        let by = by.into();
        self.of_tenant(tenant, move |tx| {
            Box::pin(async move {
                let user = tx.held_user(id).await?;
                let text = |factor: &Option<SecondFactor>| match factor {
                    Some(factor) => json(factor),
                    None => Ok(Value::Null(Kind::Text)),
                };
                let sql = "UPDATE users SET second_factor = $5 WHERE tenant_id = $1 AND user_id = $2 AND password = $3 \
                           AND second_factor IS NOT DISTINCT FROM $4 AND disabled_at IS NULL";
                let Credentials { password, second_factor } = seen;
                let values =
                    [tx.tenant(), id.as_uuid().into(), password.into(), text(&second_factor)?, text(&new)?];
                if tx.execute(sql, &values).await? == 0 {
                    return Err(StoreError::Changed { kind: "user", name: user.name.to_string() });
                }
                tx.end_other_sessions(id, session).await?;
                let action = if new.is_some() { "user.second_factor" } else { "user.second_factor_end" };
                tx.audit(Act::new(&by, action, id).detail(user.name.as_str()));
                Ok(())
            })
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_shown_is_not_taken_again() {
        let factor = SecondFactor {
            sealed: "s".to_owned(),
            last_step: 10,
            recovery: vec!["a".to_owned(), "b".to_owned()],
        };
        assert_eq!(factor.after(&Shown::Step(10)), None);
        assert_eq!(factor.after(&Shown::Step(9)), None);
        let later = factor.after(&Shown::Step(11)).unwrap();
        assert_eq!((later.last_step, later.recovery.len()), (11, 2));
        assert_eq!(factor.after(&Shown::Recovery("c".to_owned())), None);
        let without = factor.after(&Shown::Recovery("a".to_owned())).unwrap();
        assert_eq!((without.last_step, &without.recovery[..]), (10, &["b".to_owned()][..]));
        assert_eq!(without.after(&Shown::Recovery("a".to_owned())), None);
    }
}
