//! JSON Web Tokens (RFC 7519).

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value as Json;

use super::hashing::token_signature;
use super::{Arguments, Arity, Function, Outcome, json, shown, time};

pub(super) const FUNCTIONS: &[Function] = &[Function::new(
    "generate_jwt",
    Arity::between(1, 4),
    "a token of a JSON object, an algorithm (HS256, HS384, HS512 or none), a key, and the Unix time at which it expires",
    generate,
)];

fn generate<'e>(arguments: Arguments<'_, 'e>) -> Outcome<'e> {
    let mut claims = json::parse(&arguments)?;
    let Json::Object(members) = &mut claims else {
        return Err(arguments.error("the claims must be a JSON object"));
    };
    if arguments.len() > 3 {
        let expiry = time::instant(&arguments, 3)?.as_second();
        members.insert("iat".to_owned(), arguments.ambient.now.as_second().into());
        members.insert("exp".to_owned(), expiry.into());
    }
    let written = arguments.text(1);
    let written = String::from_utf8_lossy(&written);
    // The spelling of `none` is kept: checks try its variants, which careless verifiers accept.
    let unsigned = written.trim().is_empty() || written.trim().eq_ignore_ascii_case("none");
    let algorithm = match written.trim() {
        "" => "none".to_owned(),
        _ if unsigned => written.into_owned(),
        other => other.to_ascii_uppercase(),
    };
    let name = Json::String(algorithm.clone());
    let header = format!("{{\"alg\":{},\"typ\":\"JWT\"}}", json::canonical(&name));
    let signed =
        format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(json::canonical(&claims)));
    let signature = if unsigned {
        Vec::new()
    } else {
        token_signature(&algorithm, &arguments.text(2), signed.as_bytes()).ok_or_else(|| {
            arguments.error(format!("{} is not HS256, HS384, HS512 or none", shown(algorithm.as_bytes())))
        })?
    };
    Ok(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature)).into())
}
