//! What of a span goes out, under the names that OpenTelemetry has for it: <https://opentelemetry.io/docs/specs/semconv/>.
//!
//! Only what is named here does. Somebody who writes one more value into a span for the log has not sent it to others with that.

use opentelemetry::{
    KeyValue, StringValue, Value,
    trace::{SpanKind, Status},
};
use opentelemetry_sdk::trace::{SpanData, SpanEvents};

/// With which status a request was answered.
pub(crate) const ANSWERED: &str = "http.response.status_code";
/// How a task ended.
pub(crate) const ENDED: &str = "rampart.task.end";
const METHOD: &str = "http.request.method";
const ROUTE: &str = "http.route";
/// Methods that have a name for others: <https://opentelemetry.io/docs/specs/semconv/registry/attributes/http/>.
const METHODS: [&str; 9] = ["CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "TRACE"];
/// Supervisors ask for these all the time, and whoever looks for something looks for something else.
const LEFT_OUT: [&str; 3] = ["/health", "/ready", "/startup"];
/// More than any of the values is long.
const LONGEST: usize = 256;

/// As others are told; none for what nobody wants to see.
pub(crate) fn outward(span: SpanData) -> Option<SpanData> {
    let value = |name: &str| {
        let attribute = span.attributes.iter().rev().find(|attribute| attribute.key.as_str() == name);
        attribute.map(|attribute| attribute.value.clone())
    };
    let text = |name: &str| {
        let text = value(name).map(|value| value.as_str().into_owned());
        text.filter(|text| !text.is_empty() && text.len() <= LONGEST)
    };
    let mut attributes = Vec::new();
    let mut put = |name: &'static str, text: Option<String>| {
        attributes.extend(text.map(|text| KeyValue::new(name, Value::String(StringValue::from(text)))));
    };
    put("rampart.request.id", text("request_id"));
    let (kind, name, failed) = match &*span.name {
        "request" => {
            let route = text("route");
            if route.as_deref().is_some_and(|route| LEFT_OUT.contains(&route)) {
                return None;
            }
            // What strangers call a method is no name for others.
            let known = text("method").filter(|method| METHODS.contains(&method.as_str()));
            let method = known.as_deref().unwrap_or("HTTP");
            let name = match &route {
                Some(route) => format!("{method} {route}"),
                None => method.to_owned(),
            };
            put(METHOD, Some(known.unwrap_or_else(|| "_OTHER".to_owned())));
            put(ROUTE, route);
            let status = match value(ANSWERED) {
                Some(Value::I64(status)) => Some(status),
                _ => None,
            };
            let failed = status.filter(|status| *status >= 500).map(|status| status.to_string());
            attributes.extend(status.map(|status| KeyValue::new(ANSWERED, status)));
            (SpanKind::Server, name, failed)
        }
        "task" => {
            let stage = text("stage");
            let name = format!("task {}", stage.as_deref().unwrap_or_default());
            put("rampart.task.stage", stage);
            put("rampart.task.id", text("task"));
            put("rampart.scan.id", text("scan"));
            let end = text(ENDED);
            put(ENDED, end.clone());
            (SpanKind::Consumer, name, end.filter(|end| end == "failed"))
        }
        _ => return None,
    };
    let status = match failed {
        Some(what) => {
            attributes.push(KeyValue::new("error.type", what));
            Status::error("")
        }
        None => Status::Unset,
    };
    Some(SpanData {
        name: name.into(),
        span_kind: kind,
        attributes,
        dropped_attributes_count: 0,
        events: SpanEvents::default(),
        status,
        ..span
    })
}
