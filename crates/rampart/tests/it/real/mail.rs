//! Dovecot: IMAP, POP3 and submission.

use super::{
    audit::scan_hosts,
    ground::Ground,
    server::{As, Server, program},
    tls::{Authority, write_pair},
};

/// What Dovecot needs to run without root in a directory of its own.
const ROOTLESS: &str = "
base_dir = {dir}/{name}
state_dir = {dir}/{name}
log_path = /dev/stderr
default_internal_user = nobody
default_internal_group = nogroup
default_login_user = nobody
passdb {
  driver = passwd-file
  args = {dir}/dovecot.accounts
}
userdb {
  driver = static
  args = uid=nobody gid=nogroup home={dir}/{name}
}
service anvil {
  chroot =
}
service imap-login {
  chroot =
  inet_listener imap {
    port = {port}143
  }
  inet_listener imaps {
    port = {port}993
  }
}
service pop3-login {
  chroot =
  inet_listener pop3 {
    port = {port}110
  }
  inet_listener pop3s {
    port = {port}995
  }
}
service submission-login {
  chroot =
  inet_listener submission {
    port = {port}587
  }
}
submission_relay_host = 127.0.0.1
";

fn dovecot(ground: &Ground, number: u8, port: u16, settings: &str, listens: &[u16]) -> Server {
    let name = format!("dovecot-{number}");
    ground.directory(&name);
    ground.file("dovecot.accounts", "operator:{SHA256}zOlPrzDqiyQcCGzaKU0d9dJ1W6n1gZeJfqWeXRrmkxE=::::::\n");
    let configuration = ground.file(
        &format!("{name}.conf"),
        &format!("listen = {{{number}}}\nprotocols = imap pop3 submission\n{settings}{ROOTLESS}")
            .replace("{name}", &name)
            .replace("{port}", &port.to_string()),
    );
    let addresses: Vec<_> = listens.iter().map(|service| ground.at(number, port * 1_000 + service)).collect();
    let program = program("dovecot-core", "dovecot");
    for package in ["imapd", "pop3d", "submissiond"] {
        let present = std::path::Path::new("/usr/share/doc").join(format!("dovecot-{package}")).exists();
        assert!(
            present,
            "dovecot-{package} is not installed: apt-get install --no-install-recommends dovecot-{package}"
        );
    }
    Server::start(ground, As::Nobody, &program, &[&"-F", &"-c", &configuration], &addresses)
}

#[test]
fn dovecot_with_logins_in_the_clear_and_with_tls_required() {
    let ground = Ground::new();
    let authority = Authority::new();
    let (certificate, key) =
        write_pair(&ground, "mail", &authority.issue(&["mail.acme.test"], &[ground.address(2)]));
    let _clear = dovecot(&ground, 1, 10, "ssl = no\ndisable_plaintext_auth = no\n", &[143, 110, 587]);
    let tls = format!(
        "ssl = required\ndisable_plaintext_auth = yes\nssl_min_protocol = TLSv1.2\n\
         ssl_cipher_list = ECDHE+AESGCM\nssl_cert = <{}\nssl_key = <{}\n",
        certificate.display(),
        key.display()
    );
    let _tls = dovecot(&ground, 2, 11, &tls, &[143, 110, 587, 993, 995]);
    let audit = scan_hosts(&ground, 2, "10100-11999");
    audit.assert_findings("dovecot");
    audit.assert_services(&[
        "127.91.0.1:10110 pop3 Dovecot -",
        "127.91.0.1:10143 imap Dovecot -",
        "127.91.0.1:10587 smtp Dovecot -",
        "127.91.0.2:11110 pop3 Dovecot -",
        "127.91.0.2:11143 imap Dovecot -",
        "127.91.0.2:11587 smtp Dovecot -",
        "127.91.0.2:11993 imap+tls Dovecot -",
        "127.91.0.2:11995 pop3+tls Dovecot -",
    ]);
}
