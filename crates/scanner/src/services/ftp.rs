//! FTP (RFC 959): the server greets with 220; a greeting without a name is followed by FEAT (RFC 2389).

use super::engine::{Opening, Probe, Recognised, line, lossy, version_after};
#[cfg(test)]
use super::engine::{Sample, sample};

pub(super) const PROBE: Probe = Probe {
    protocol: "ftp",
    ports: &[21, 2121],
    tls_ports: &[990],
    opening: Opening::ListenThen(b"FEAT\r\n"),
    recognise,
    #[cfg(test)]
    samples: &[SAMPLES],
};

const PRODUCTS: [(&str, &str, (&str, &str)); 5] = [
    ("vsFTPd ", "vsftpd", ("vsftpd_project", "vsftpd")),
    ("ProFTPD ", "ProFTPD", ("proftpd", "proftpd")),
    ("FileZilla Server ", "FileZilla Server", ("filezilla-project", "filezilla_server")),
    ("pyftpdlib ", "pyftpdlib", ("pyftpdlib_project", "pyftpdlib")),
    ("Serv-U FTP Server ", "Serv-U", ("solarwinds", "serv-u")),
];

fn recognise(answer: &[u8]) -> Option<Recognised> {
    let text = lossy(answer);
    let code = text.get(..3)?;
    let talks_ftp = match code {
        "220" => {
            text.lines().any(|line| line.to_ascii_lowercase().contains("ftp") || line.starts_with("211"))
        }
        // Not available to this client, or too many of them.
        "421" | "530" => line(&text).to_ascii_lowercase().contains("ftp"),
        // The way vsftpd begins what is wrong with its own set-up.
        "500" => text.starts_with("500 OOPS: "),
        _ => false,
    };
    if !talks_ftp || text.contains("SMTP") {
        return None;
    }
    for (marker, name, (vendor, product)) in PRODUCTS {
        if text.contains(marker) {
            return Some(
                Recognised::product(name).version(version_after(&text, marker)).cpe(vendor, product),
            );
        }
    }
    let name = if text.contains("Pure-FTPd") {
        "Pure-FTPd"
    } else if text.starts_with("500 OOPS: ") {
        "vsftpd"
    } else if text.contains("Microsoft FTP Service") {
        "Microsoft FTP Service"
    } else {
        ""
    };
    Some(Recognised::product(name))
}

#[cfg(test)]
const SAMPLES: &[Sample] = &[
    sample(b"220 (vsFTPd 3.0.3)\r\n", "vsftpd", "3.0.3", "cpe:2.3:a:vsftpd_project:vsftpd:3.0.3:*:*:*:*:*:*:*"),
    sample(b"220 ProFTPD 1.3.8b Server (Debian) [::ffff:127.0.0.1]\r\n", "ProFTPD", "1.3.8b", "cpe:2.3:a:proftpd:proftpd:1.3.8b:*:*:*:*:*:*:*"),
    sample(b"220 ProFTPD Server (Debian) [127.0.0.1]\r\n", "ProFTPD", "", ""),
    sample(b"220---------- Welcome to Pure-FTPd [privsep] ----------\r\n220-You are user number 1\r\n220 End\r\n", "Pure-FTPd", "", ""),
    sample(b"220 files.example ready\r\n211-Extensions supported:\r\n UTF8\r\n211 End\r\n", "", "", ""),
    sample(b"500 OOPS: vsftpd: both local and anonymous access disabled!\r\n", "vsftpd", "", ""),
    sample(b"220 Microsoft FTP Service\r\n", "Microsoft FTP Service", "", ""),
];
