//! The words of Rampart as types: targets, scope, assets, findings, outcomes, limits.
//!
//! Pure values and pure decisions: no I/O, no clock, no randomness, no async runtime. Every other crate points here.

pub mod access;
pub mod account;
pub mod allowance;
pub mod asset;
pub mod attendance;
pub mod audit;
pub mod comment;
pub mod event;
pub mod fairness;
pub mod finding;
pub mod frontier;
pub mod gathering;
pub mod happening;
pub mod id;
pub mod key;
pub mod limits;
pub mod list;
mod loopback;
pub mod money;
pub mod name;
pub mod package;
pub mod ports;
pub mod record;
pub mod scaling;
pub mod scan;
pub mod schedule;
mod schema;
pub mod scope;
pub mod secret_url;
pub mod severity;
pub mod simulation;
pub mod stage;
pub mod stop;
pub mod summary;
pub mod target;
pub mod task;
pub mod trace;
pub mod unit;
pub mod usage;
pub mod user;
pub mod webhook;
pub mod work;

pub use access::{Access, Permission, Role, RoleName};
pub use account::{Account, FailReason, Ledger, Outcome, SkipReason};
pub use allowance::{Allowance, Charge};
pub use asset::{Asset, AssetId, AssetKind, Endpoint, Protocol, Service};
pub use audit::{AuditEntry, By};
pub use comment::{Author, CommentText, Topic};
pub use event::Event;
pub use fairness::Priority;
pub use finding::{Evidence, Finding, Fingerprint, Location};
pub use frontier::Frontier;
pub use gathering::{Gathering, ResultLimits};
pub use happening::{Happening, HappeningKind, Place};
pub use id::{
    CheckId, CommentId, ConversationId, ScanId, ScheduleId, SessionId, StopId, TaskId, TenantId, UserId,
    WebhookId,
};
pub use key::{ApiKey, KeyPrefix};
pub use limits::{Limits, Profile};
pub use loopback::is_this_machine;
pub use money::{Money, WorkerPrice};
pub use name::{DomainName, NamePattern};
pub use package::{PackageAnalysis, PackageUrl};
pub use ports::PortSet;
pub use scan::{ScanLife, ScanRequest};
pub use schedule::Schedule;
pub use scope::{Destination, Refusal, Scope};
pub use secret_url::SecretUrl;
pub use severity::{Confidence, Severity};
pub use stage::Stage;
pub use stop::{Authority, Reach, Stop};
pub use summary::{Summary, Traffic};
pub use target::{Host, Target};
pub use task::{LeaseNumber, Task, WorkerId};
pub use trace::TraceParent;
pub use unit::{FoundName, Learned, NameAspect, Site, Source, Unit, UnitKey};
pub use user::{Identity, Password, Token, UserName};
pub use work::{NewTask, UnitResult, Work};
