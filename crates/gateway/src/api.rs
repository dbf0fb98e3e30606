//! Version 1 of the API: one file a resource. Routes and document come from the same lines, so that neither has what the other lacks.

mod assets;
mod attachment;
mod audit;
mod body;
mod checks;
mod comments;
mod conversations;
mod events;
mod evidence;
mod findings;
mod keys;
mod me;
mod once;
mod packages;
mod page;
mod providers;
mod reports;
mod roles;
mod scans;
mod schedules;
mod scopes;
mod second_factor;
mod session;
mod settings;
mod stops;
mod targets;
mod tasks;
mod tenant;
mod tenants;
mod usage;
mod users;
mod version;
mod webhooks;
mod words;

use utoipa::{
    Modify, OpenApi,
    openapi::{
        OpenApi as Document,
        security::{ApiKey, ApiKeyValue, Http, HttpAuthScheme, SecurityScheme},
    },
};
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{Gateway, problem::Told};

/// What is said of all routes.
#[derive(OpenApi)]
#[openapi(
    info(title = "Rampart", version = "1", description = "What people and programs do with Rampart."),
    components(schemas(Told)),
    modifiers(&Keys),
    security(("key" = []), ("session" = []))
)]
struct Description;

/// How callers say who they are.
struct Keys;

impl Modify for Keys {
    fn modify(&self, document: &mut Document) {
        let mut scheme = Http::new(HttpAuthScheme::Bearer);
        scheme.description = Some("A key, as `rampart key create` shows it once.".to_owned());
        let components = document.components.get_or_insert_default();
        components.add_security_scheme("key", SecurityScheme::Http(scheme));
        let cookie = ApiKeyValue::with_description(
            "__Host-rampart",
            "The session of somebody who has logged in; what changes something also brings `X-Forgery-Token`.",
        );
        components.add_security_scheme("session", SecurityScheme::ApiKey(ApiKey::Cookie(cookie)));
    }
}

/// Every route of the API, and the document about it.
pub(crate) fn routes() -> (axum::Router<Gateway>, Document) {
    let version_1 = OpenApiRouter::new()
        .routes(routes!(me::show))
        .routes(routes!(session::show, session::log_in, session::log_out))
        .routes(routes!(providers::list))
        .routes(routes!(providers::begin))
        .routes(routes!(providers::complete))
        .routes(routes!(session::list))
        .routes(routes!(session::end_one))
        .routes(routes!(session::change_password))
        .routes(routes!(second_factor::make, second_factor::set))
        .routes(routes!(second_factor::end))
        .routes(routes!(session::accept))
        .routes(routes!(roles::list, roles::create))
        .routes(routes!(roles::show, roles::change, roles::delete))
        .routes(routes!(users::list, users::invite))
        .routes(routes!(users::show, users::change, users::delete))
        .routes(routes!(users::invite_again))
        .routes(routes!(keys::list, keys::create))
        .routes(routes!(keys::show, keys::revoke))
        .routes(routes!(keys::rotate))
        .routes(routes!(scans::list, scans::submit))
        .routes(routes!(scans::show))
        .routes(routes!(scans::cancel))
        .routes(routes!(scans::cancel_many))
        .routes(routes!(scans::difference))
        .routes(routes!(targets::list))
        .routes(routes!(targets::gaps))
        .routes(routes!(assets::of_scan))
        .routes(routes!(reports::download))
        .routes(routes!(assets::list))
        .routes(routes!(assets::show))
        .routes(routes!(schedules::list, schedules::create))
        .routes(routes!(schedules::show, schedules::change, schedules::delete))
        .routes(routes!(scopes::list))
        .routes(routes!(scopes::show, scopes::put, scopes::delete))
        .routes(routes!(checks::list))
        .routes(routes!(checks::show))
        .routes(routes!(findings::list))
        .routes(routes!(findings::show))
        .routes(routes!(findings::decide))
        .routes(routes!(comments::of_finding, comments::add_to_finding))
        .routes(routes!(comments::of_scan, comments::add_to_scan))
        .routes(routes!(comments::show, comments::change, comments::delete))
        .routes(routes!(comments::edits))
        .routes(routes!(conversations::read_finding))
        .routes(routes!(conversations::read_scan))
        .routes(routes!(conversations::list))
        .routes(routes!(conversations::mentions))
        .routes(routes!(evidence::list))
        .routes(routes!(evidence::download))
        .routes(routes!(tasks::list, packages::analyze))
        .routes(routes!(tasks::totals))
        .routes(routes!(tasks::show))
        .routes(routes!(packages::result))
        .routes(routes!(tasks::cancel))
        .routes(routes!(tasks::redrive))
        .routes(routes!(tasks::purge))
        .routes(routes!(stops::list, stops::order))
        .routes(routes!(stops::lift))
        .routes(routes!(audit::list))
        .routes(routes!(audit::checkpoints))
        .routes(routes!(events::follow))
        .routes(routes!(events::follow_by_socket))
        .routes(routes!(tenant::show))
        .routes(routes!(tenants::list, tenants::create))
        .routes(routes!(tenants::show, tenants::change))
        .routes(routes!(settings::show, settings::change))
        .routes(routes!(webhooks::list, webhooks::create))
        .routes(routes!(webhooks::show, webhooks::change, webhooks::delete))
        .routes(routes!(webhooks::rotate))
        .routes(routes!(usage::show));
    OpenApiRouter::with_openapi(Description::openapi()).nest("/api/v1", version_1).split_for_parts()
}
