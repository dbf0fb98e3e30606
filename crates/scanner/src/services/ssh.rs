//! SSH (RFC 4253, 4.2): both sides begin with a line that names protocol and software.

use super::engine::{Opening, Probe, Recognised, lossy, version_at};
#[cfg(test)]
use super::engine::{Sample, sample};

pub(super) const PROBE: Probe = Probe {
    protocol: "ssh",
    ports: &[22, 2222],
    tls_ports: &[],
    opening: Opening::Listen,
    recognise,
    #[cfg(test)]
    samples: &[SAMPLES],
};

fn recognise(answer: &[u8]) -> Option<Recognised> {
    let text = lossy(answer);
    // Lines of another kind may come before it.
    let software = text
        .lines()
        .find_map(|line| line.strip_prefix("SSH-2.0-").or_else(|| line.strip_prefix("SSH-1.99-")))?;
    let (name, _) = software.split_once(' ').unwrap_or((software, ""));
    let recognised = match name.split_once(['_', '-']) {
        Some(("OpenSSH", version)) => {
            let version = version_at(version);
            let update = version.and_then(|version| version.find('p').map(|start| &version[start..]));
            Recognised::product("OpenSSH").version(version).cpe("openbsd", "openssh").update(update)
        }
        Some(("dropbear", version)) => Recognised::product("Dropbear")
            .version(version_at(version))
            .cpe("dropbear_ssh_project", "dropbear_ssh"),
        Some(("libssh", version)) => {
            Recognised::product("libssh").version(version_at(version)).cpe("libssh", "libssh")
        }
        Some((product, version)) => Recognised::product(product).version(version_at(version)),
        None => Recognised::product(name),
    };
    Some(recognised)
}

#[cfg(test)]
const SAMPLES: &[Sample] = &[
    sample(
        b"SSH-2.0-OpenSSH_9.2p1 Debian-2+deb12u3\r\n",
        "OpenSSH",
        "9.2p1",
        "cpe:2.3:a:openbsd:openssh:9.2:p1:*:*:*:*:*:*",
    ),
    sample(
        b"SSH-2.0-dropbear_2022.83\r\n",
        "Dropbear",
        "2022.83",
        "cpe:2.3:a:dropbear_ssh_project:dropbear_ssh:2022.83:*:*:*:*:*:*:*",
    ),
    sample(
        b"Authorised use only\r\nSSH-2.0-libssh-0.9.6\r\n",
        "libssh",
        "0.9.6",
        "cpe:2.3:a:libssh:libssh:0.9.6:*:*:*:*:*:*:*",
    ),
    sample(b"SSH-2.0-Cisco-1.25\r\n", "Cisco", "1.25", ""),
    sample(b"SSH-1.99-ROSSSH\r\n", "ROSSSH", "", ""),
];
