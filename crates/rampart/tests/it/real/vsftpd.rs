//! The FTP server vsftpd.

use super::{
    audit::{package_version, scan_hosts},
    ground::Ground,
    server::{As, Server, program},
    tls::{Authority, write_pair},
};

fn vsftpd(ground: &Ground, number: u8, port: u16, settings: &str) -> Server {
    // It wants this directory to be empty and nobody's.
    let empty = ground.path().join(format!("empty-{port}"));
    std::fs::create_dir(&empty).unwrap();
    let configuration = ground.file(
        &format!("vsftpd-{port}.conf"),
        &format!(
            "listen=YES\nbackground=NO\nlisten_address={{{number}}}\nlisten_port={port}\nsecure_chroot_dir={}\n\
             seccomp_sandbox=NO\nxferlog_enable=NO\n{settings}\n",
            empty.display()
        ),
    );
    let program = program("vsftpd", "vsftpd");
    Server::start(ground, As::Caller, &program, &[&configuration], &[ground.at(number, port)])
}

#[test]
fn vsftpd_for_everybody_and_with_tls() {
    let ground = Ground::new();
    let (certificate, key) = write_pair(&ground, "files", &Authority::new().issue(&["files.acme.test"], &[]));
    let _open = vsftpd(&ground, 1, 12_121, "anonymous_enable=YES\n");
    let _inviting = vsftpd(
        &ground,
        2,
        12_122,
        "anonymous_enable=YES\nftpd_banner=Files of acme, anonymous FTP users are welcome.",
    );
    let tls = format!(
        "anonymous_enable=NO\nlocal_enable=YES\nssl_enable=YES\nforce_local_logins_ssl=YES\nforce_local_data_ssl=YES\nssl_ciphers=HIGH\n\
         ftpd_banner=files.acme.test FTP ready\nrsa_cert_file={}\nrsa_private_key_file={}",
        certificate.display(),
        key.display()
    );
    let _tls = vsftpd(&ground, 3, 12_123, &tls);
    // Neither accounts nor anybody: it says so to every client, and by its way of saying so what it is.
    let _broken = vsftpd(&ground, 4, 12_124, "anonymous_enable=NO\nlocal_enable=NO\n");
    let audit = scan_hosts(&ground, 4, "12100-12199");
    audit.assert_findings("vsftpd");
    let version = package_version("vsftpd");
    audit.assert_services(&[
        &format!("127.91.0.1:12121 ftp vsftpd {version}"),
        "127.91.0.2:12122 ftp - -",
        "127.91.0.3:12123 ftp - -",
        "127.91.0.4:12124 ftp vsftpd -",
    ]);
    assert_eq!(audit.extracted("ftp-version-disclosed", "software"), [format!("vsFTPd {version}")]);
}
