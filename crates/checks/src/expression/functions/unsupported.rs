//! Functions of the public language that are left out on purpose.

const ACTIVE: &str =
    "an expression is evaluated without network access, and every socket must pass the scope";
const EXPLOIT: &str = "it builds an exploit payload, and checks detect without exploiting";
const CIPHER: &str = "no supported check needs this cipher";

const UNSUPPORTED: &[(&str, &str)] = &[
    ("jarm", ACTIVE),
    ("resolve", ACTIVE),
    ("public_ip", ACTIVE),
    ("llm_prompt", "a verdict must not depend on a language model, and nothing is sent to one"),
    ("wait_for", "an expression must not sleep; timing belongs to the request's `@timeout`"),
    ("print_debug", "an expression has no output; use an extractor to show a value"),
    ("getNetworkPort", "ports come from the scan; name the port in the request"),
    ("generate_java_gadget", EXPLOIT),
    ("generate_dotnet_gadget", EXPLOIT),
    ("cookie_unsign", "it guesses the signing key, and credentials are never guessed"),
    ("aes_cbc", CIPHER),
    ("aes_gcm", CIPHER),
    ("rsa_encrypt", CIPHER),
];

/// Why a function of the public language cannot be called, or `None` for a name it does not have either.
pub(super) fn reason(name: &str) -> Option<&'static str> {
    let listed = UNSUPPORTED
        .iter()
        .find(|(listed, _)| *listed == name || listed.replace('_', "").eq_ignore_ascii_case(name));
    match listed {
        Some((_, why)) => Some(why),
        None if name.starts_with("rand_") => {
            Some("invented personal and business data is not provided; use `rand_text_alpha` or `rand_int`")
        }
        None => None,
    }
}

#[cfg(test)]
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    UNSUPPORTED.iter().map(|(name, _)| *name)
}
