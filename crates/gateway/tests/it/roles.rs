//! Roles that a tenant makes: no more than their maker may, and at once for whoever has them.

use std::{collections::BTreeSet, fmt::Write};

use hyper::Method;
use model::{ApiKey, Permission, Role};
use serde_json::{Value, json};
use store::{NewKey, NewRole};

use crate::{
    ground::{Answer, Ground, named},
    routes::{assert_golden, routes, sample},
};

async fn ask(ground: &Ground, method: Method, path: &str, key: &ApiKey, body: Option<Value>) -> Answer {
    ground.ask(method, path, Some(key.expose()), body).await
}

/// A key that may do just that.
async fn key_for(ground: &Ground, name: &str, permissions: BTreeSet<Permission>) -> ApiKey {
    let new = NewRole { name: name.parse().unwrap(), permissions };
    let role = ground.store.create_role(ground.tenant, new, "test").await.unwrap().name;
    ground.key_of(ground.tenant, NewKey { role, ..named(name) }).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_is_made_given_changed_and_taken_back() {
    let ground = Ground::start().await;
    let owner = ground.key(Role::Owner).await;
    let asked = json!({ "name": "triage", "permissions": ["findings.read", "findings.decide"] });
    let made = ground.post("/api/v1/roles", &owner, asked.clone()).await;
    assert_eq!((made.status.as_u16(), made.header("location")), (201, "/api/v1/roles/triage"));
    assert_eq!(made.body["permissions"], json!(["findings.read", "findings.decide"]));
    ground.post("/api/v1/roles", &owner, asked).await.problem(409, "conflict");
    let listed = ground.get("/api/v1/roles", &owner).await;
    assert_eq!(listed.body["roles"][7], made.body);
    let (all, of_owner) = (&listed.body["permissions"], &listed.body["roles"][0]["permissions"]);
    assert_eq!((all.as_array().unwrap().len(), all), (Permission::ALL.len(), of_owner));

    let role: Role = "triage".parse().unwrap();
    let key = ground.key_of(ground.tenant, NewKey { role, ..named("decides") }).await;
    let me = ground.get("/api/v1/me", &key).await;
    assert_eq!((&me.body["role"], &me.body["permissions"]), (&"triage".into(), &made.body["permissions"]));
    assert_eq!(ground.get("/api/v1/findings", &key).await.status, 200);
    let refused = ground.get("/api/v1/scans", &key).await;
    assert_eq!(refused.problem(403, "forbidden"), "the role triage has no permission scans.read");

    let shown = ground.get("/api/v1/roles/triage", &owner).await;
    assert_eq!((&shown.body, shown.header("etag")), (&made.body, made.header("etag")));
    let change = async |tag: &str, permissions: Value| {
        let body = json!({ "permissions": permissions });
        ground.patch("/api/v1/roles/triage", &owner, Some(tag), body).await
    };
    let changed = change(shown.header("etag"), json!(["scans.read"])).await;
    assert_eq!((changed.status.as_u16(), &changed.body["permissions"]), (200, &json!(["scans.read"])));
    // At once, for whoever has it.
    assert_eq!(ground.get("/api/v1/scans", &key).await.status, 200);
    ground.get("/api/v1/findings", &key).await.problem(403, "forbidden");
    change(shown.header("etag"), json!(["audit.read"])).await.problem(412, "changed");
    let useless = change(changed.header("etag"), json!(["comments.read", "scans.read"])).await;
    assert!(useless.problem(422, "invalid").starts_with("comments.read needs findings.read"), "{useless:?}");
    change(changed.header("etag"), json!([])).await.problem(422, "invalid");
    let unknown = change(changed.header("etag"), json!(["scans.reed"])).await;
    assert!(unknown.problem(422, "invalid").contains("scans.reed"), "{unknown:?}");

    let delete = async |path: &str| ask(&ground, Method::DELETE, path, &owner, None).await;
    let in_use = delete("/api/v1/roles/triage").await;
    let told = in_use.problem(409, "conflict");
    assert_eq!(told, "the role `triage` is that of a key: give them another one first");
    delete(&format!("/api/v1/keys/{}", key.prefix())).await;
    assert_eq!(delete("/api/v1/roles/triage").await.status, 204);
    delete("/api/v1/roles/triage").await.problem(404, "not-found");
    for built_in in Role::BUILT_IN {
        delete(&format!("/api/v1/roles/{built_in}")).await.problem(409, "conflict");
        let taken = json!({ "name": built_in, "permissions": ["scans.read"] });
        ground.post("/api/v1/roles", &owner, taken).await.problem(422, "invalid");
    }
    let made = ground.post("/api/v1/keys", &owner, json!({ "name": "late", "role": "triage" })).await;
    assert_eq!(made.problem(422, "invalid"), "there is no role `triage`");
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_makes_of_a_role_more_than_they_are() {
    use Permission::{KeysManage, KeysRead, RolesManage, RolesRead, ScansRead, UsersManage, UsersRead};
    let ground = Ground::start().await;
    let owner = ground.key(Role::Owner).await;
    let all =
        BTreeSet::from([KeysManage, KeysRead, RolesManage, RolesRead, ScansRead, UsersManage, UsersRead]);
    let maker = key_for(&ground, "maker", all).await;
    let new = json!({ "name": "audits", "permissions": ["audit.read"] });
    assert_eq!(ground.post("/api/v1/roles", &owner, new.clone()).await.status, 201);
    let within = json!({ "name": "within", "permissions": ["scans.read"] });
    assert_eq!(ground.post("/api/v1/roles", &maker, within).await.status, 201);

    let change = json!({ "permissions": ["scans.read", "audit.read"] });
    let narrow = json!({ "permissions": ["scans.read"] });
    let user = ground.user().await.id;
    for (method, path, body) in [
        (
            Method::POST,
            "/api/v1/roles".to_owned(),
            Some(json!({ "name": "more", "permissions": ["audit.read"] })),
        ),
        // Neither their own nor another, and not by making one less that may do what they may not.
        (Method::PATCH, "/api/v1/roles/maker".to_owned(), Some(change.clone())),
        (Method::PATCH, "/api/v1/roles/within".to_owned(), Some(change)),
        (Method::PATCH, "/api/v1/roles/audits".to_owned(), Some(narrow)),
        (Method::DELETE, "/api/v1/roles/audits".to_owned(), None),
        (Method::POST, "/api/v1/keys".to_owned(), Some(json!({ "name": "made", "role": "audits" }))),
        (Method::POST, "/api/v1/keys".to_owned(), Some(json!({ "name": "made", "role": "viewer" }))),
        (Method::POST, "/api/v1/users".to_owned(), Some(json!({ "name": "made", "role": "owner" }))),
        (Method::PATCH, format!("/api/v1/users/{user}"), Some(json!({ "role": "within" }))),
        (Method::DELETE, format!("/api/v1/keys/{}", owner.prefix()), None),
    ] {
        let refused = ask(&ground, method.clone(), &path, &maker, body).await;
        assert_eq!(refused.body["code"], "forbidden", "{method} {path}: {refused:?}");
    }
    assert_eq!(
        ground.post("/api/v1/keys", &maker, json!({ "name": "made", "role": "within" })).await.status,
        201
    );

    // Whoever is let in nowhere else makes nobody elsewhere more by their role.
    let networks = vec!["127.0.0.0/8".parse().unwrap()];
    let bound = ground.key_of(ground.tenant, NewKey { networks, ..named("bound") }).await;
    let path = "/api/v1/roles/within";
    let more = Some(json!({ "permissions": ["scans.read", "audit.read"] }));
    ask(&ground, Method::PATCH, path, &bound, more.clone()).await.problem(403, "forbidden");
    assert_eq!(ask(&ground, Method::PATCH, path, &owner, more).await.status, 200);
    let less = Some(json!({ "permissions": ["scans.read"] }));
    assert_eq!(ask(&ground, Method::PATCH, path, &bound, less).await.status, 200);
}

/// For each route the permissions without which it is refused.
#[tokio::test(flavor = "multi_thread")]
async fn every_permission_opens_what_it_says() {
    let ground = Ground::start().await;
    let mut without = Vec::new();
    for permission in Permission::ALL {
        let needs_it = |other: &Permission| *other == *permission || needs(*other).contains(permission);
        let permissions = Permission::ALL.iter().copied().filter(|other| !needs_it(other)).collect();
        let name = format!("without-{}", permission.as_str().replace('.', "-"));
        without.push((permission, key_for(&ground, &name, permissions).await));
    }
    let (mut table, mut asked) = (String::new(), BTreeSet::new());
    for (method, route) in routes() {
        let (path, body) = sample(&ground, &route).await;
        let mut needed = Vec::new();
        for (permission, key) in &without {
            let answer = ask(&ground, method.clone(), &path, key, body.clone()).await;
            let named = format!("has no permission {permission}");
            if answer.status == 403
                && answer.body["detail"].as_str().is_some_and(|detail| detail.ends_with(&named))
            {
                needed.push(permission.as_str());
                asked.insert(**permission);
            }
        }
        writeln!(table, "{route:<60}{}", needed.join(" ")).unwrap();
    }
    assert_golden("permissions.txt", &table, include_str!("permissions.txt"));
    assert_eq!(asked, Permission::ALL.iter().copied().collect());
}

/// With all that those need in turn.
fn needs(permission: Permission) -> BTreeSet<Permission> {
    let direct = permission.needs().iter().copied();
    direct.flat_map(|need| needs(need).into_iter().chain([need])).collect()
}
