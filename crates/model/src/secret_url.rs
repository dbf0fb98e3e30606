//! URLs with passwords in them, and what of them may be shown.

use std::fmt;

/// A URL that may hold a password. Shown, it is where it leads, as far as that is certainly no secret.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretUrl(String);

impl SecretUrl {
    /// Whatever somebody gave as one.
    pub fn new(url: impl Into<String>) -> SecretUrl {
        SecretUrl(url.into())
    }

    /// The same with this password for whoever it names; nothing where it has one, or names nobody. In Redis nobody needs a name.
    pub fn with_password(&self, password: &str) -> Option<SecretUrl> {
        let (scheme, rest) = self.0.split_once("://").filter(|(scheme, _)| is_scheme(scheme))?;
        let (user, place) = match rest.split_once('@') {
            Some((user, place)) if !user.contains([':', '/', '?', '#']) && !place.contains('@') => {
                (user, place)
            }
            None if scheme.starts_with("redis") => ("", rest),
            _ => return None,
        };
        let escape = |byte: u8| match byte.is_ascii_alphanumeric() {
            true => char::from(byte).to_string(),
            false => format!("%{byte:02X}"),
        };
        let password: String = password.bytes().map(escape).collect();
        Some(SecretUrl(format!("{scheme}://{user}:{password}@{place}")))
    }

    /// All of it, for whoever connects there.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for SecretUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_string())
    }
}

impl fmt::Display for SecretUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 == "none" || self.0.starts_with("sqlite:") || self.0.starts_with("file:") {
            return f.write_str(&self.0);
        }
        match self.0.split_once("://") {
            Some((scheme, rest)) if is_scheme(scheme) => {
                write!(f, "{scheme}://{}", place(rest).unwrap_or("…"))
            }
            _ => f.write_str("…"),
        }
    }
}

/// Where it leads, if that is certainly all that it says. People leave parts of URLs out, and write passwords as they are: what
/// could be one in any reading is none of it.
fn place(rest: &str) -> Option<&str> {
    let place = match rest.rsplit_once('@') {
        // A `?` or `#` of the password, or an `@` of a password after the `?`.
        Some((before, _)) if before.contains(['?', '#']) => return None,
        Some((_, place)) => place,
        None => rest,
    };
    let place = place.split(['?', '#']).next().unwrap_or_default();
    let (hosts, path) = place.split_at(place.find('/').unwrap_or(place.len()));
    let hosts_are_plain = match hosts {
        "" => !path.is_empty(),
        hosts => hosts.split(',').all(is_host_with_port),
    };
    let path_is_plain = path.chars().all(|c| c.is_ascii_alphanumeric() || "/.-_~%".contains(c));
    (hosts_are_plain && path_is_plain).then_some(place)
}

fn is_scheme(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c))
}

/// A name, an address or the directory of a socket, and what may be a port.
fn is_host_with_port(text: &str) -> bool {
    if let Some(rest) = text.strip_prefix('[') {
        let Some((address, port)) = rest.split_once(']') else { return false };
        let address = address.split('%').next().unwrap_or_default();
        return address.parse::<std::net::Ipv6Addr>().is_ok()
            && (port.is_empty() || port.strip_prefix(':').is_some_and(is_port));
    }
    let (host, port) = text.split_once(':').map_or((text, None), |(host, port)| (host, Some(port)));
    let is_socket = host.get(..3).is_some_and(|start| start.eq_ignore_ascii_case("%2F"));
    !host.is_empty()
        && host.chars().all(|c| c.is_ascii_alphanumeric() || ".-_".contains(c) || (is_socket && c == '%'))
        && port.is_none_or(is_port)
}

fn is_port(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit()) && text.parse::<u16>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_put_where_it_belongs() {
        for (url, with) in [
            (
                "postgres://me@db:5432/x?sslmode=require",
                Some("postgres://me:s3%2F%40%C3%A4@db:5432/x?sslmode=require"),
            ),
            ("redis://queue/0", Some("redis://:s3%2F%40%C3%A4@queue/0")),
            (
                "rediss+sentinel://me@a:1,b:2/primary",
                Some("rediss+sentinel://me:s3%2F%40%C3%A4@a:1,b:2/primary"),
            ),
            ("s3://KEY@bucket/prefix", Some("s3://KEY:s3%2F%40%C3%A4@bucket/prefix")),
            ("amqp://queue", None),
            ("postgres://me:already@db/x", None),
            ("postgres://db/x?password=a@b", None),
            ("sqlite:a.db", None),
            ("none", None),
        ] {
            let put = SecretUrl::new(url).with_password("s3/@ä");
            assert_eq!(put.as_ref().map(SecretUrl::reveal), with, "{url}");
        }
    }

    #[test]
    fn passwords_are_never_shown() {
        for (url, shown) in [
            ("postgres://me:s3cret@db:5432/rampart?sslmode=require", "postgres://db:5432/rampart"),
            ("redis://:s3cret@127.0.0.1/0", "redis://127.0.0.1/0"),
            ("amqp://a:s3@cret@host", "amqp://host"),
            ("amqps://a:s3cret@host/%2Fmain", "amqps://host/%2Fmain"),
            ("postgres://u:s3/cret@one:5432,two-2.test/x", "postgres://one:5432,two-2.test/x"),
            ("postgres://u:s3cret@[::1]:5432/x", "postgres://[::1]:5432/x"),
            ("postgres://u:s3cret@[fe80::1%25eth0]/x", "postgres://[fe80::1%25eth0]/x"),
            ("postgres://u:s3cret@%2Fvar%2Frun%2Fpg/x", "postgres://%2Fvar%2Frun%2Fpg/x"),
            ("postgres:///x?host=/run&password=s3cret", "postgres:///x"),
            ("s3://bucket/some/prefix", "s3://bucket/some/prefix"),
            // Without a host, a password is where a port would be.
            ("postgres://u:s3cret", "postgres://…"),
            ("postgres://u:1234567", "postgres://…"),
            ("postgres://u:s3cret/x", "postgres://…"),
            ("redis://:12345", "redis://…"),
            ("redis://", "redis://…"),
            // Where the password ends cannot be known.
            ("postgres://u:s3#cret@127.0.0.1/x", "postgres://…"),
            ("postgres://u:s3?cret@127.0.0.1/x", "postgres://…"),
            ("postgres://u@h/x?password=s3@cret", "postgres://…"),
            ("redis://:s3#cret@h", "redis://…"),
            ("amqp://u:s3#cret@h", "amqp://…"),
            ("amqp://u:s3cret@[h", "amqp://…"),
            ("postgres://h/x;password=s3cret", "postgres://…"),
            ("postgres://h password=s3cret", "postgres://…"),
            // No URL.
            ("host=127.0.0.1 password=s3cret", "…"),
            ("password=s3cret://h", "…"),
            ("postgres:u:s3cret@h/x", "…"),
            ("s3cret", "…"),
            ("", "…"),
            // No password has a place in these.
            ("none", "none"),
            ("sqlite:a/b.db", "sqlite:a/b.db"),
            ("file:a dir", "file:a dir"),
        ] {
            let secret = SecretUrl::new(url);
            let both = (secret.to_string(), format!("{secret:?}"));
            assert_eq!((both.0.as_str(), both.1.as_str()), (shown, shown), "{url}");
        }
    }
}
