//! Where a server is.

use std::{fmt, str::FromStr, sync::Arc};

use model::is_this_machine;
use url::Url;

use crate::ClientError;

/// Below it everything of this version is.
const VERSION: &str = "/api/v1";

/// `https://HOST[:PORT][/PATH]`, or `http`, without what could be secret. Cheap to share.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address(Arc<Url>);

impl Address {
    /// Can nobody on the way read what is sent?
    pub fn is_encrypted(&self) -> bool {
        self.0.scheme() == "https"
    }

    /// Does what is sent leave this machine so that whoever is on the way can read it?
    pub fn is_exposed(&self) -> bool {
        !self.is_encrypted() && !is_this_machine(&self.0)
    }

    /// The place of something that the API has. None for what no path can name: it would name something else.
    pub(crate) fn of(&self, path: &[&str]) -> Option<Url> {
        if path.iter().any(|part| ["", ".", ".."].contains(part)) {
            return None;
        }
        let mut url = Url::clone(&self.0);
        url.path_segments_mut().ok()?.pop_if_empty().extend(["api", "v1"]).extend(path);
        Some(url)
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.as_str().trim_end_matches('/'))
    }
}

impl FromStr for Address {
    type Err = ClientError;

    fn from_str(text: &str) -> Result<Address, ClientError> {
        // What cannot be read is not repeated: there may be a password in it.
        let refused = |why: &'static str| ClientError::Address { why };
        let mut url = Url::parse(text).map_err(|_| refused("it is no URL"))?;
        if !["http", "https"].contains(&url.scheme()) {
            return Err(refused("only http and https are spoken"));
        }
        if url.host_str().is_none_or(str::is_empty) {
            return Err(refused("it names no host"));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(refused("there is a user in it: who asks says a key"));
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(refused("something stands behind its path"));
        }
        // As `rampart up` says where it listens.
        let path = url.path().trim_end_matches('/');
        let path = path.strip_suffix(VERSION).unwrap_or(path).to_owned();
        url.set_path(&path);
        Ok(Address(Arc::new(url)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_written_in_several_ways_and_leads_to_one_place() {
        for (text, shown, of_scans) in [
            ("http://127.0.0.1:8440", "http://127.0.0.1:8440", "http://127.0.0.1:8440/api/v1/scans/a%2Fb"),
            ("http://[::1]:8440/api/v1/", "http://[::1]:8440", "http://[::1]:8440/api/v1/scans/a%2Fb"),
            (
                "https://scan.example.com/rampart/",
                "https://scan.example.com/rampart",
                "https://scan.example.com/rampart/api/v1/scans/a%2Fb",
            ),
        ] {
            let address: Address = text.parse().unwrap();
            assert_eq!(address.to_string(), shown);
            assert_eq!(address.of(&["scans", "a/b"]).unwrap().as_str(), of_scans);
            for nameless in ["", ".", ".."] {
                assert_eq!(address.of(&["scopes", nameless]), None);
            }
        }
    }

    #[test]
    fn what_is_no_address_is_refused_and_nothing_secret_repeated() {
        for text in [
            "",
            "localhost:8440",
            "ftp://example.com",
            "https://user:s3cret@example.com",
            "https://s3cret@example.com",
            "https://example.com/?key=s3cret",
            "https://example.com/#s3cret",
            "https://",
        ] {
            let refused = text.parse::<Address>().unwrap_err().to_string();
            assert!(refused.contains("https://HOST") && !refused.contains("s3cret"), "{text}: {refused}");
        }
    }

    #[test]
    fn only_what_stays_on_this_machine_may_go_in_the_clear() {
        for (text, exposed) in [
            ("http://127.0.0.1:8440", false),
            ("http://127.9.9.9", false),
            ("http://[::1]", false),
            ("http://[::ffff:127.0.0.1]", false),
            ("http://LocalHost:1", false),
            ("http://192.0.2.1", true),
            ("http://localhost.example.com", true),
            ("http://[2001:db8::1]", true),
            ("https://192.0.2.1", false),
        ] {
            assert_eq!(text.parse::<Address>().unwrap().is_exposed(), exposed, "{text}");
        }
    }
}
