//! How types that are written as texts are described in the API's document.

use utoipa::{
    PartialSchema, ToSchema,
    openapi::{ObjectBuilder, RefOr, Schema, schema::Type},
};

use crate::{
    AssetId, CheckId, DomainName, Fingerprint, KeyPrefix, Money, NamePattern, PackageUrl, Permission,
    PortSet, Protocol, Role, RoleName, ScanId, Target, UserId, WorkerId, WorkerPrice,
    audit::{AuditKeyId, AuditSignature, Seal},
    comment::Older,
    finding::EvidenceId,
    list::{Cursor, FindingCursor},
};

macro_rules! texts {
    ($($name:ident: $description:literal, $example:literal $(, $pattern:literal)?;)*) => {$(
        impl PartialSchema for $name {
            fn schema() -> RefOr<Schema> {
                ObjectBuilder::new()
                    .schema_type(Type::String)
                    .description(Some($description))
                    .examples([$example])
                    $(.pattern(Some($pattern)))?
                    .into()
            }
        }

        impl ToSchema for $name {}
    )*};
}

/// Places in lists that are told by name or by time.
macro_rules! cursors {
    ($($id:ty: $name:literal, $example:literal, $pattern:literal;)*) => {$(
        impl PartialSchema for Cursor<$id> {
            fn schema() -> RefOr<Schema> {
                ObjectBuilder::new()
                    .schema_type(Type::String)
                    .description(Some("a place in a list: `next` of an answer"))
                    .examples([$example])
                    .pattern(Some(concat!("^", $pattern, "$")))
                    .into()
            }
        }

        impl ToSchema for Cursor<$id> {
            fn name() -> std::borrow::Cow<'static, str> {
                $name.into()
            }
        }
    )*};
}

impl PartialSchema for Permission {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new()
            .schema_type(Type::String)
            .description(Some("something that somebody may do within a tenant"))
            .enum_values(Some(Permission::ALL.iter().map(|permission| permission.as_str())))
            .into()
    }
}

impl ToSchema for Permission {}

texts! {
    AssetId: "32 hexadecimal digits", "8c0e4b7d63815c2f1a9c0f8e7a6b5d43", "^[0-9a-fA-F]{32}$";
    AuditKeyId: "SHA-256 of a public key in DER: 64 hexadecimal digits", "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08", "^[0-9a-f]{64}$";
    AuditSignature: "an Ed25519 signature: 128 hexadecimal digits", "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b", "^[0-9a-f]{128}$";
    CheckId: "the id of a check template", "git-config";
    DomainName: "a domain name in lower case, without the dot at its end", "www.example.com";
    EvidenceId: "the fingerprint of a finding, a task and a number", "2f1a9c0e4b7d63815c0f8e7a6b5d4c3b.0190a0f0-7a5b-7c3d-8e1f-2a3b4c5d6e7f.0", "^[0-9a-fA-F]{32}\\.[0-9a-fA-F-]{36}\\.[0-9]{1,9}$";
    FindingCursor: "a place in a list: `next` of an answer, or the fingerprint of a finding", "2f1a9c0e4b7d63815c0f8e7a6b5d4c3b_1766400000000000_high", "^[0-9a-fA-F]{32}(_[0-9]{1,17}_(critical|high|medium|low|info|unknown))?$";
    Fingerprint: "32 hexadecimal digits", "2f1a9c0e4b7d63815c0f8e7a6b5d4c3b", "^[0-9a-fA-F]{32}$";
    KeyPrefix: "the eight hexadecimal digits that a key begins with, after `rampart_`", "0a1b2c3d", "^[0-9a-f]{8}$";
    Money: "an amount, with at most six decimals", "12.50";
    NamePattern: "a name; `*.` before it stands for every name below it", "*.example.com";
    Older: "a place in a list that begins with the newest", "1766400000000000-019b4a3c-7d10-7000-8000-000000000000", "^[0-9]{1,17}-[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$";
    PackageUrl: "a package URL (ECMA-427)", "pkg:npm/left-pad@1.3.0", "^[pP][kK][gG]:";
    PortSet: "ports and ranges of them", "80,443,8000-8100";
    Protocol: "the protocol that a service speaks", "http";
    Seal: "64 hexadecimal digits", "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08", "^[0-9a-f]{64}$";
    Role: "a role: `owner`, `administrator`, `operator`, `analyst`, `auditor`, `viewer`, `scanner`, or one that the tenant has made", "analyst", "^[a-z][a-z0-9_-]{0,31}$";
    RoleName: "what a role is called that a tenant makes; never as one that is built in", "triage", "^[a-z][a-z0-9_-]{0,31}$";
    ScanId: "16 hexadecimal digits", "631fc225273b1a24", "^[0-9a-fA-F]{16}$";
    Target: "a name, an address, a network, one port of a host, or a URL", "www.example.com";
    WorkerId: "32 hexadecimal digits", "0af7651916cd43dd8448eb211c80319c", "^[0-9a-f]{32}$";
    WorkerPrice: "what it costs that a worker holds one task for an hour", "0.05";
}

cursors! {
    AssetId: "AssetCursor", "8c0e4b7d63815c2f1a9c0f8e7a6b5d43_1766400000000000", "[0-9a-f]{32}_[0-9]{1,17}";
    KeyPrefix: "KeyCursor", "0a1b2c3d_1766400000000000_pipeline", "[0-9a-f]{8}_[0-9]{1,17}(_.*)?";
    ScanId: "ScanCursor", "631fc225273b1a24_1766400000000000", "[0-9a-f]{16}_[0-9]{1,17}";
    UserId: "UserCursor", "019b4a3c-7d10-7000-8000-000000000000_1766400000000000_j.doe", "[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}_[0-9]{1,17}(_.*)?";
}
