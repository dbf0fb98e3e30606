//! What an answer gives away.

use model::Confidence;

/// Longest product name or version kept: both are hostile text.
const LONGEST: usize = 64;

/// What an answer gives away, besides the protocol.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::services) struct Recognised {
    pub(in crate::services) product: Option<String>,
    pub(in crate::services) version: Option<String>,
    /// Tentative answers are so short that they mean something only as an answer to the protocol's own question.
    pub(in crate::services) confidence: Confidence,
    cpe: Option<(&'static str, &'static str)>,
    update: Option<String>,
}

impl Recognised {
    /// The protocol and nothing more.
    pub(in crate::services) fn protocol() -> Recognised {
        Recognised { product: None, version: None, confidence: Confidence::Certain, cpe: None, update: None }
    }

    /// A product by name; an empty name is none.
    pub(in crate::services) fn product(name: &str) -> Recognised {
        Recognised { product: kept(name), ..Recognised::protocol() }
    }

    /// Its version, if it tells.
    pub(in crate::services) fn version(self, version: Option<&str>) -> Recognised {
        Recognised { version: version.and_then(kept), ..self }
    }

    /// Vendor and product in the official CPE dictionary.
    pub(in crate::services) fn cpe(self, vendor: &'static str, product: &'static str) -> Recognised {
        Recognised { cpe: Some((vendor, product)), ..self }
    }

    /// The dictionary has the end of the version, such as `p1`, in a field of its own.
    pub(in crate::services) fn update(self, update: Option<&str>) -> Recognised {
        Recognised { update: update.and_then(kept), ..self }
    }

    /// Valid only as an answer to this protocol's own question.
    pub(in crate::services) fn tentative(self) -> Recognised {
        Recognised { confidence: Confidence::Tentative, ..self }
    }

    /// The CPE 2.3 formatted string (NISTIR 7695, 6.2), when product and version are known.
    pub(in crate::services) fn cpe_name(&self) -> Option<String> {
        let (vendor, product) = self.cpe?;
        let full = self.version.as_deref()?;
        let update = self.update.as_deref();
        let version = update.and_then(|update| full.strip_suffix(update)).unwrap_or(full);
        let update = update.map_or_else(|| "*".to_owned(), quoted);
        Some(format!("cpe:2.3:a:{vendor}:{product}:{}:{update}:*:*:*:*:*:*", quoted(version)))
    }
}

/// Everything but letters, digits, `_`, `.` and `-` is quoted.
fn quoted(value: &str) -> String {
    let mut quoted = String::with_capacity(value.len());
    for character in value.to_ascii_lowercase().chars() {
        if !(character.is_ascii_alphanumeric() || matches!(character, '_' | '.' | '-')) {
            quoted.push('\\');
        }
        quoted.push(character);
    }
    quoted
}

fn kept(text: &str) -> Option<String> {
    let kept: String =
        text.trim().chars().filter(|character| (' '..='~').contains(character)).take(LONGEST).collect();
    if kept.is_empty() { None } else { Some(kept) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_formatted_and_quoted() {
        let nginx = Recognised::product("nginx").version(Some("1.22.1")).cpe("nginx", "nginx");
        assert_eq!(nginx.cpe_name().as_deref(), Some("cpe:2.3:a:nginx:nginx:1.22.1:*:*:*:*:*:*:*"));
        let openssh = Recognised::product("OpenSSH")
            .version(Some("9.2p1"))
            .cpe("openbsd", "openssh")
            .update(Some("p1"));
        assert_eq!(openssh.cpe_name().as_deref(), Some("cpe:2.3:a:openbsd:openssh:9.2:p1:*:*:*:*:*:*"));
        let odd = Recognised::product("x").version(Some("1:2*+~é\n3")).cpe("v", "p");
        assert_eq!(odd.cpe_name().as_deref(), Some("cpe:2.3:a:v:p:1\\:2\\*\\+\\~3:*:*:*:*:*:*:*"));
        assert_eq!(Recognised::product("x").cpe("v", "p").cpe_name(), None);
    }

    #[test]
    fn hostile_names_are_cut() {
        let long = Recognised::product(&"a".repeat(1_000)).version(Some("\u{1b}[31m"));
        assert_eq!(long.product.unwrap().len(), LONGEST);
        assert_eq!(long.version.as_deref(), Some("[31m"));
        assert_eq!(Recognised::product(" \u{7}").product, None);
    }
}
