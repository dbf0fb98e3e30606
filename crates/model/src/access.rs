//! Who may do what. One table: each permission, and the roles that have it.

use std::{collections::BTreeSet, fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A permission, its word, and which roles have it.
macro_rules! permissions {
    ($($(#[$meta:meta])* $name:ident $word:literal [$($role:ident)*],)*) => {
        /// Something that somebody may do within a tenant.
        #[derive(
            Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize,
        )]
        pub enum Permission {
            $($(#[$meta])* #[serde(rename = $word)] $name,)*
        }

        impl Permission {
            /// All of them, in the order of the table.
            pub const ALL: &[Permission] = &[$(Permission::$name,)*];

            /// The word for it in roles, errors and the API's document.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Permission::$name => $word,)*
                }
            }

            /// The roles that have it.
            pub fn roles(self) -> &'static [Role] {
                match self {
                    $(Permission::$name => &[$(Role::$role,)*],)*
                }
            }
        }
    };
}

permissions! {
    /// Read what the tenant is and what it may take.
    TenantRead "tenant.read" [Owner Administrator Operator Analyst Auditor Viewer],
    /// Say what the tenant may say for itself.
    SettingsManage "settings.manage" [Owner Administrator],
    /// Read what the tenant has used.
    UsageRead "usage.read" [Owner Administrator Operator Analyst Auditor],
    /// Read which keys there are, never the keys themselves.
    KeysRead "keys.read" [Owner Administrator Auditor],
    /// Make keys that may do no more than their maker, and take keys back.
    KeysManage "keys.manage" [Owner Administrator],
    /// Read who may log in.
    UsersRead "users.read" [Owner Administrator Auditor],
    /// Let people in that may do no more than who lets them in, and say what they may do.
    UsersManage "users.manage" [Owner Administrator],
    /// Read what the tenant may touch.
    ScopesRead "scopes.read" [Owner Administrator Operator Analyst Auditor Viewer Scanner],
    /// Say what the tenant may touch.
    ScopesManage "scopes.manage" [Owner Administrator],
    /// Read what was found to exist.
    AssetsRead "assets.read" [Owner Administrator Operator Analyst Auditor Viewer Scanner],
    /// Read scans, their results and differences.
    ScansRead "scans.read" [Owner Administrator Operator Analyst Auditor Viewer Scanner],
    /// Begin scans within a scope.
    ScansSubmit "scans.submit" [Owner Administrator Operator Analyst Scanner],
    /// End scans before they are done.
    ScansCancel "scans.cancel" [Owner Administrator Operator Scanner],
    /// Read the rules that begin scans.
    SchedulesRead "schedules.read" [Owner Administrator Operator Analyst Auditor Viewer],
    /// Make, stop and delete them.
    SchedulesManage "schedules.manage" [Owner Administrator Operator],
    /// Read the queue.
    TasksRead "tasks.read" [Owner Administrator Operator Analyst Auditor Viewer Scanner],
    /// Cancel tasks, and bring dead ones back or purge them.
    TasksManage "tasks.manage" [Owner Administrator Operator],
    /// Read what can be looked for.
    ChecksRead "checks.read" [Owner Administrator Operator Analyst Auditor Viewer Scanner],
    /// Ask for analyses of packages.
    PackagesAnalyze "packages.analyze" [Owner Administrator Operator Analyst Scanner],
    /// Read findings and their history, without evidence.
    FindingsRead "findings.read" [Owner Administrator Operator Analyst Auditor Viewer Scanner],
    /// Say what is made of a finding.
    FindingsDecide "findings.decide" [Owner Administrator Analyst],
    /// Read what people say to each other about findings and scans. It goes with reading those; a machine has no part in it.
    CommentsRead "comments.read" [Owner Administrator Operator Analyst Auditor Viewer],
    /// Say something about them, and change or take back what one has said oneself. It begins no work and decides nothing, so whoever
    /// works with scans or findings may.
    CommentsWrite "comments.write" [Owner Administrator Operator Analyst],
    /// Take back what others have said. Nobody changes what others have said.
    CommentsManage "comments.manage" [Owner Administrator],
    /// Read what was sent and what came back: there may be secrets of the target in it.
    EvidenceRead "evidence.read" [Owner Administrator Operator Analyst Auditor],
    /// Read reports, which have the evidence in them.
    ReportsRead "reports.read" [Owner Administrator Operator Analyst Auditor],
    /// Read who did what.
    AuditRead "audit.read" [Owner Administrator Auditor],
    /// Read what is stopped.
    StopsRead "stops.read" [Owner Administrator Operator Analyst Auditor Viewer Scanner],
    /// Stop everything of the tenant, or one scan.
    StopsOrder "stops.order" [Owner Administrator Operator Analyst],
    /// Lift such a stop.
    StopsLift "stops.lift" [Owner Administrator Operator],
}

/// What somebody is to a tenant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Everything, and the last word.
    Owner,
    /// Everything but the owner's last word.
    Administrator,
    /// Keeps scans, schedules and the queue going.
    Operator,
    /// Says what is made of findings.
    Analyst,
    /// Reads everything, also the audit, and changes nothing.
    Auditor,
    /// Reads what was found, without evidence.
    Viewer,
    /// A machine that submits scans and reads what came of them.
    Scanner,
}

impl Role {
    /// All of them; the first may do the most.
    pub const ALL: [Role; 7] = [
        Role::Owner,
        Role::Administrator,
        Role::Operator,
        Role::Analyst,
        Role::Auditor,
        Role::Viewer,
        Role::Scanner,
    ];

    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Role::Owner => "owner",
            Role::Administrator => "administrator",
            Role::Operator => "operator",
            Role::Analyst => "analyst",
            Role::Auditor => "auditor",
            Role::Viewer => "viewer",
            Role::Scanner => "scanner",
        }
    }

    /// What it may do.
    pub fn permissions(self) -> BTreeSet<Permission> {
        Permission::ALL.iter().copied().filter(|permission| self.may(*permission)).collect()
    }

    /// May it do that?
    pub fn may(self, permission: Permission) -> bool {
        permission.roles().contains(&self)
    }

    /// May somebody with this role give that one to somebody else, or to a key? Nobody gives what they do not have, and only owners
    /// make owners.
    pub fn may_give(self, other: Role) -> bool {
        let makes_owner = other == Role::Owner && self != Role::Owner;
        !makes_owner && other.permissions().is_subset(&self.permissions())
    }
}

impl fmt::Display for Permission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// The word is no role.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a role: use owner, administrator, operator, analyst, auditor, viewer or scanner")]
pub struct RoleError(String);

impl FromStr for Role {
    type Err = RoleError;

    fn from_str(word: &str) -> Result<Role, RoleError> {
        Role::ALL.into_iter().find(|role| role.as_str() == word).ok_or_else(|| RoleError(word.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn owners_may_do_everything_and_auditors_change_nothing() {
        assert_eq!(Role::Owner.permissions().len(), Permission::ALL.len());
        for permission in Permission::ALL {
            let reads = permission.as_str().ends_with(".read");
            assert_eq!(Role::Auditor.may(*permission), reads, "{permission}");
            assert!(!Role::Viewer.may(*permission) || reads, "{permission}");
        }
        assert!(!Role::Viewer.may(Permission::EvidenceRead) && !Role::Scanner.may(Permission::AuditRead));
    }

    #[test]
    fn whoever_reads_what_is_said_of_a_thing_reads_the_thing() {
        for role in Role::ALL {
            let reads = role.may(Permission::FindingsRead) && role.may(Permission::ScansRead);
            assert!(reads || !role.may(Permission::CommentsRead), "{role}");
            assert!(role.may(Permission::CommentsRead) || !role.may(Permission::CommentsWrite), "{role}");
            assert!(role.may(Permission::CommentsWrite) || !role.may(Permission::CommentsManage), "{role}");
        }
    }

    #[test]
    fn nobody_gives_what_they_do_not_have() {
        let givers: Vec<(Role, Vec<Role>)> = Role::ALL
            .into_iter()
            .map(|giver| (giver, Role::ALL.into_iter().filter(|role| giver.may_give(*role)).collect()))
            .collect();
        assert_eq!(givers[0], (Role::Owner, Role::ALL.to_vec()));
        assert_eq!(givers[1], (Role::Administrator, Role::ALL[1..].to_vec()));
        for (giver, given) in givers {
            assert!(given.contains(&giver));
            assert!(given.iter().all(|role| role.permissions().is_subset(&giver.permissions())), "{giver}");
        }
    }

    #[test]
    fn words_are_read_as_they_are_written() {
        for role in Role::ALL {
            assert_eq!(role.as_str().parse(), Ok(role));
            assert_eq!(serde_json::to_value(role).unwrap(), role.as_str());
        }
        for permission in Permission::ALL {
            assert_eq!(serde_json::to_value(permission).unwrap(), permission.as_str());
        }
        assert!("root".parse::<Role>().unwrap_err().to_string().contains("administrator"));
    }
}
