//! The same of lists, whole and in parts: what belongs to another tenant stands in none, and is no place in one.

use jiff::Timestamp;
use model::{
    AssetId, AssetKind, Role, TenantId, Token,
    list::{Cursor, ListOrder, TimeOrder},
    record::UserRecord,
    user::Standing,
};
use store::{
    AssetFilter, FindingFilter, KeyFilter, ScanFilter, ScheduleFilter, Store, TaskFilter, UserFilter,
};

use super::{answers::text, things::Things, webhooks};
use crate::keys::key;

/// Whom the intruder lets in, it sees.
fn not_let_in(users: Vec<UserRecord>) -> Vec<UserRecord> {
    let others = |user: &UserRecord| !["intruder", "https://id.test"].contains(&&*user.created_by);
    users.into_iter().filter(others).collect()
}

/// Every list of the store, asked about things. One that is missing here fails the test of all methods.
pub(super) async fn ask(
    store: &Store,
    method: &str,
    tenant: TenantId,
    things: Things,
    later: Timestamp,
) -> String {
    let task = TaskFilter::one(things.task);
    let of_scan = TaskFilter::of_scan(things.scan);
    let name = String::new();
    match method {
        "users" => text(&store.users(tenant).await.map(not_let_in)),
        "list_users" => {
            let behind = UserFilter {
                order: ListOrder::NewestFirst,
                after: Some(Cursor { id: things.user, time: later, name }),
                ..UserFilter::default()
            };
            let owners = UserFilter {
                role: Some(Role::Owner),
                standing: Some(Standing::Active),
                away_since: Some(later),
                ..UserFilter::default()
            };
            let behind = store.list_users(tenant, behind, 10).await.map(not_let_in);
            let owners = store.list_users(tenant, owners, 10).await.map(not_let_in);
            format!("{} {}", text(&behind), text(&owners))
        }
        "scopes" => text(&store.scopes(tenant).await.map(|scopes| scopes.len())),
        "list_scopes" => text(&store.list_scopes(tenant, None, 10).await.map(|scopes| scopes.len())),
        "scope" => text(&store.scope(tenant, things.scope).await),
        "tasks" => {
            let one = store.tasks(tenant, task, None, 10).await;
            let some = store.tasks(tenant, of_scan, None, 10).await;
            let after = store.tasks(tenant, TaskFilter::default(), Some(things.task), 10).await;
            format!("{} {} {}", text(&one), text(&some), text(&after))
        }
        "list_tasks" => {
            let order = TimeOrder::NewestFirst;
            let some = store.list_tasks(tenant, of_scan, order, None, 10).await;
            let before = store.list_tasks(tenant, TaskFilter::default(), order, Some(things.task), 10).await;
            format!("{} {}", text(&some), text(&before))
        }
        "scans" => {
            let behind = ScanFilter {
                after: Some(Cursor { id: things.scan, time: later, name }),
                ..ScanFilter::default()
            };
            format!(
                "{} {}",
                text(&store.scans(tenant, behind, 10).await),
                text(&store.scans(tenant, ScanFilter::default(), 10).await)
            )
        }
        "inventory" => {
            let behind = AssetFilter {
                after: Some(Cursor { id: AssetId::from_stored([7; 16]), time: later, name }),
                ..AssetFilter::default()
            };
            let hosts = AssetFilter { kind: Some(AssetKind::Host), ..AssetFilter::default() };
            format!(
                "{} {}",
                text(&store.inventory(tenant, behind, 10, 100).await),
                text(&store.inventory(tenant, hosts, 10, 100).await)
            )
        }
        "look_for_findings" => {
            let after = FindingFilter { after: Some(things.finding.into()), ..FindingFilter::default() };
            let open = FindingFilter { states: vec!["open"], ..FindingFilter::default() };
            format!(
                "{} {}",
                text(&store.look_for_findings(tenant, after, 10, 100).await),
                text(&store.look_for_findings(tenant, open, 10, 100).await)
            )
        }
        "invite_again_once" => {
            let (token, once) = (Token::from_random([7; 32]), Some(method.to_owned()));
            let invited = store.invite_again_once(tenant, things.user, None, &token, "intruder", once).await;
            text(&invited.map(|made| made.record.name))
        }
        "asset" => text(&store.asset(tenant, things.asset).await),
        "schedules" => text(&store.schedules(tenant).await),
        "list_schedules" => {
            let enabled = ScheduleFilter { enabled: Some(true), ..ScheduleFilter::default() };
            let began = ScheduleFilter { refused: Some(false), ..ScheduleFilter::default() };
            format!(
                "{} {}",
                text(&store.list_schedules(tenant, enabled, 10).await),
                text(&store.list_schedules(tenant, began, 10).await)
            )
        }
        "schedule" => text(&store.schedule(tenant, things.schedule).await),
        "keys" => text(&store.keys(tenant).await),
        "list_keys" => {
            let behind = KeyFilter {
                order: ListOrder::NewestFirst,
                after: Some(Cursor { id: key(things.key).prefix(), time: later, name }),
                ..KeyFilter::default()
            };
            let unused =
                KeyFilter { expired: Some(false), unused_since: Some(later), ..KeyFilter::default() };
            format!(
                "{} {}",
                text(&store.list_keys(tenant, behind, 10).await),
                text(&store.list_keys(tenant, unused, 10).await)
            )
        }
        other => webhooks::ask(store, other, tenant, things).await,
    }
}
