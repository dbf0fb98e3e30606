//! Who may do what. One table: each permission, and the roles that have it. Beside these a tenant makes roles of its own.

use std::{collections::BTreeSet, fmt, str::FromStr};

use serde::{Deserialize, Serialize};

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

            /// The built-in roles that have it.
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
    /// Read which tenants there are, and what they may take: in the tenant that runs the platform, and nowhere else.
    TenantsRead "tenants.read" [Owner Administrator Auditor],
    /// Make tenants, and say what they may take: likewise.
    TenantsManage "tenants.manage" [Owner Administrator],
    /// Say what the tenant may say for itself.
    SettingsManage "settings.manage" [Owner Administrator],
    /// Read what the tenant has used.
    UsageRead "usage.read" [Owner Administrator Operator Analyst Auditor],
    /// Read which keys there are, never the keys themselves.
    KeysRead "keys.read" [Owner Administrator Auditor],
    /// Make keys that may do no more than their maker, and take keys back.
    KeysManage "keys.manage" [Owner Administrator],
    /// Read which roles there are.
    RolesRead "roles.read" [Owner Administrator Auditor],
    /// Make roles that may do no more than their maker, change them and take them back.
    RolesManage "roles.manage" [Owner Administrator],
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
    /// Read where the tenant is told what happens to it.
    WebhooksRead "webhooks.read" [Owner Administrator Auditor],
    /// Say where the tenant is told what happens to it.
    WebhooksManage "webhooks.manage" [Owner Administrator],
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

impl Permission {
    /// What is of no use, or says too much, without these: whoever reads what is said of a thing reads the thing.
    pub fn needs(self) -> &'static [Permission] {
        match self {
            Permission::CommentsRead => &[Permission::FindingsRead, Permission::ScansRead],
            Permission::CommentsWrite => &[Permission::CommentsRead],
            Permission::CommentsManage => &[Permission::CommentsWrite],
            Permission::EvidenceRead | Permission::FindingsDecide => &[Permission::FindingsRead],
            Permission::ReportsRead => &[Permission::EvidenceRead, Permission::FindingsRead],
            Permission::KeysManage => &[Permission::KeysRead],
            Permission::RolesManage => &[Permission::RolesRead],
            Permission::UsersManage => &[Permission::UsersRead],
            Permission::TenantsManage => &[Permission::TenantsRead],
            // What they are told of.
            Permission::WebhooksManage => &[
                Permission::WebhooksRead,
                Permission::ScansRead,
                Permission::FindingsRead,
                Permission::CommentsRead,
                Permission::TasksRead,
                Permission::StopsRead,
            ],
            // A schedule begins scans.
            Permission::SchedulesManage => &[Permission::SchedulesRead, Permission::ScansSubmit],
            _ => &[],
        }
    }
}

/// What somebody is to a tenant.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
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
    /// One that the tenant has made: what it may do is kept with it.
    Custom(RoleName),
}

impl Role {
    /// Those that every tenant has; the first may do the most. The step of the database that brings another one says what becomes of roles
    /// that tenants have made under its name.
    pub const BUILT_IN: [Role; 7] = [
        Role::Owner,
        Role::Administrator,
        Role::Operator,
        Role::Analyst,
        Role::Auditor,
        Role::Viewer,
        Role::Scanner,
    ];

    /// The word for it.
    pub fn as_str(&self) -> &str {
        match self {
            Role::Owner => "owner",
            Role::Administrator => "administrator",
            Role::Operator => "operator",
            Role::Analyst => "analyst",
            Role::Auditor => "auditor",
            Role::Viewer => "viewer",
            Role::Scanner => "scanner",
            Role::Custom(name) => &name.0,
        }
    }

    /// What a built-in role may do; of one that a tenant has made, by which name that is kept.
    pub fn built_in(&self) -> Result<Access, &RoleName> {
        if let Role::Custom(name) = self {
            return Err(name);
        }
        let has = |permission: &Permission| permission.roles().contains(self);
        let permissions = Permission::ALL.iter().copied().filter(has).collect();
        Ok(Access { role: self.clone(), permissions, unknown: BTreeSet::new() })
    }
}

/// A role, and what whoever has it may do at the moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Access {
    /// Which.
    pub role: Role,
    /// What it may do.
    pub permissions: BTreeSet<Permission>,
    /// Words for more that it may do, which only a later release knows: here they let nobody do anything, and nobody gives them who does
    /// not have them.
    pub unknown: BTreeSet<String>,
}

impl Access {
    /// May they do that?
    pub fn may(&self, permission: Permission) -> bool {
        self.permissions.contains(&permission)
    }

    /// May somebody with this give that to somebody else, or to a key? Nobody gives what they do not have, and only owners make owners.
    pub fn may_give(&self, other: &Access) -> bool {
        let makes_owner = other.role == Role::Owner && self.role != Role::Owner;
        let has_unknown = self.role == Role::Owner || other.unknown.is_subset(&self.unknown);
        !makes_owner && has_unknown && other.permissions.is_subset(&self.permissions)
    }
}

/// A set of permissions that no role can have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UselessPermissions {
    /// Whoever has it could do nothing.
    #[error("a role has at least one permission")]
    None,
    /// Something is missing that another one needs.
    #[error("{permission} needs {missing}, which is not among the permissions")]
    Without {
        /// Which is there.
        permission: Permission,
        /// Which is not.
        missing: Permission,
    },
}

/// A role that a tenant makes may do nothing, or may do something that another permission is needed for.
///
/// # Errors
/// Says what is missing.
pub fn require_useful(permissions: &BTreeSet<Permission>) -> Result<(), UselessPermissions> {
    if permissions.is_empty() {
        return Err(UselessPermissions::None);
    }
    let needs =
        permissions.iter().flat_map(|permission| permission.needs().iter().map(|need| (*permission, *need)));
    match needs.into_iter().find(|(_, need)| !permissions.contains(need)) {
        Some((permission, missing)) => Err(UselessPermissions::Without { permission, missing }),
        None => Ok(()),
    }
}

/// Characters of the name of a role, at most.
pub(crate) const LONGEST_ROLE: usize = 32;

/// What a tenant calls a role that it has made: never as one that is built in.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct RoleName(String);

impl RoleName {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The text can be the name of no role that a tenant makes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RoleNameError {
    /// It is written in another way.
    #[error(
        "`{0}` cannot be the name of a role: it begins with a small letter, and has small letters, digits, `-` and `_`, {LONGEST_ROLE} at most"
    )]
    Written(String),
    /// It means something else.
    #[error("`{0}` is the name of a role that is built in")]
    BuiltIn(String),
}

impl FromStr for RoleName {
    type Err = RoleNameError;

    fn from_str(text: &str) -> Result<RoleName, RoleNameError> {
        match text.parse() {
            Ok(Role::Custom(name)) => Ok(name),
            Ok(_) => Err(RoleNameError::BuiltIn(text.to_owned())),
            Err(_) => Err(RoleNameError::Written(text.to_owned())),
        }
    }
}

impl TryFrom<String> for RoleName {
    type Error = RoleNameError;

    fn try_from(text: String) -> Result<RoleName, RoleNameError> {
        text.parse()
    }
}

impl From<RoleName> for String {
    fn from(name: RoleName) -> String {
        name.0
    }
}

impl fmt::Display for RoleName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl TryFrom<String> for Role {
    type Error = RoleError;

    fn try_from(word: String) -> Result<Role, RoleError> {
        word.parse()
    }
}

impl From<Role> for String {
    fn from(role: Role) -> String {
        role.as_str().to_owned()
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

/// The word can be no role.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is not a role: use owner, administrator, operator, analyst, auditor, viewer, scanner, or the name of one that the tenant has made"
)]
pub struct RoleError(String);

/// The word is no permission.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a permission: `rampart role show owner` lists every one")]
pub struct PermissionError(String);

impl FromStr for Permission {
    type Err = PermissionError;

    fn from_str(word: &str) -> Result<Permission, PermissionError> {
        let mut all = Permission::ALL.iter().copied();
        all.find(|permission| permission.as_str() == word).ok_or_else(|| PermissionError(word.to_owned()))
    }
}

impl FromStr for Role {
    type Err = RoleError;

    fn from_str(word: &str) -> Result<Role, RoleError> {
        if let Some(role) = Role::BUILT_IN.into_iter().find(|role| role.as_str() == word) {
            return Ok(role);
        }
        let is_name = |character: char| matches!(character, 'a'..='z' | '0'..='9' | '-' | '_');
        let begins = word.starts_with(|first: char| first.is_ascii_lowercase());
        if begins && word.len() <= LONGEST_ROLE && word.chars().all(is_name) {
            return Ok(Role::Custom(RoleName(word.to_owned())));
        }
        Err(RoleError(word.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all() -> Vec<Access> {
        Role::BUILT_IN.iter().map(|role| role.built_in().unwrap()).collect()
    }

    fn of(role: Role) -> Access {
        role.built_in().unwrap()
    }

    fn custom(name: &str, permissions: &[Permission]) -> Access {
        let permissions = permissions.iter().copied().collect();
        Access { role: name.parse().unwrap(), permissions, unknown: BTreeSet::new() }
    }

    #[test]
    fn owners_may_do_everything_and_auditors_change_nothing() {
        assert_eq!(of(Role::Owner).permissions.len(), Permission::ALL.len());
        let (auditor, viewer, scanner) = (of(Role::Auditor), of(Role::Viewer), of(Role::Scanner));
        for permission in Permission::ALL {
            let reads = permission.as_str().ends_with(".read");
            assert_eq!(auditor.may(*permission), reads, "{permission}");
            assert!(!viewer.may(*permission) || reads, "{permission}");
        }
        assert!(!viewer.may(Permission::EvidenceRead) && !scanner.may(Permission::AuditRead));
    }

    #[test]
    fn built_in_roles_are_useful() {
        for Access { role, permissions, .. } in all() {
            assert_eq!(require_useful(&permissions), Ok(()), "{role}");
        }
        assert_eq!(require_useful(&BTreeSet::new()), Err(UselessPermissions::None));
        let without = require_useful(&BTreeSet::from([Permission::CommentsWrite, Permission::FindingsRead]));
        let told = without.unwrap_err().to_string();
        assert_eq!(told, "comments.write needs comments.read, which is not among the permissions");
    }

    #[test]
    fn nobody_gives_what_they_do_not_have() {
        let all = all();
        let given = |giver: &Access| -> Vec<Role> {
            all.iter().filter(|access| giver.may_give(access)).map(|access| access.role.clone()).collect()
        };
        assert_eq!(given(&all[0]), Role::BUILT_IN);
        assert_eq!(given(&all[1]), Role::BUILT_IN[1..]);
        for giver in &all {
            assert!(giver.may_give(giver));
            for other in given(giver) {
                assert!(of(other).permissions.is_subset(&giver.permissions), "{}", giver.role);
            }
        }
        // However much a role may do that a tenant has made, it makes no owners.
        let most = custom("most", Permission::ALL);
        assert_eq!(given(&most), Role::BUILT_IN[1..]);
        let some = custom("some", &[Permission::ScansRead, Permission::UsersManage]);
        assert_eq!(given(&some), []);
        assert!(some.may_give(&custom("less", &[Permission::ScansRead])) && of(Role::Owner).may_give(&some));
        assert!(!some.may_give(&custom("other", &[Permission::ScansRead, Permission::AuditRead])));
        // What a later release lets somebody do is as much as anything else.
        let later = Access { unknown: ["plans.approve".to_owned()].into(), ..custom("later", &[]) };
        assert!(!most.may_give(&later) && of(Role::Owner).may_give(&later) && later.may_give(&later));
    }

    #[test]
    fn words_are_read_as_they_are_written() {
        for role in Role::BUILT_IN {
            assert_eq!(role.as_str().parse(), Ok(role.clone()));
            assert_eq!(serde_json::to_value(&role).unwrap(), role.as_str());
            let name = role.as_str().parse::<RoleName>();
            assert_eq!(name, Err(RoleNameError::BuiltIn(role.to_string())));
        }
        for permission in Permission::ALL {
            assert_eq!(serde_json::to_value(permission).unwrap(), permission.as_str());
            assert_eq!(permission.as_str().parse(), Ok(*permission));
        }
        assert!("scans.read ".parse::<Permission>().is_err());
        for name in ["triage", "red-team_2", &"a".repeat(LONGEST_ROLE)] {
            let role: Role = name.parse().unwrap();
            assert_eq!((role.as_str(), role.built_in().unwrap_err().as_str()), (name, name));
            assert_eq!(serde_json::from_value::<Role>(serde_json::json!(name)).unwrap(), role);
            assert_eq!(name.parse::<RoleName>().unwrap().as_str(), name);
        }
        for name in ["", "Owner", "1st", "-a", "a b", "a.b", "\u{e4}", &"a".repeat(LONGEST_ROLE + 1)] {
            assert!(name.parse::<Role>().unwrap_err().to_string().contains("administrator"), "{name:?}");
            assert!(matches!(name.parse::<RoleName>(), Err(RoleNameError::Written(_))), "{name:?}");
        }
    }
}
