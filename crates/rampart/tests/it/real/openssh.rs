//! The SSH server as Debian ships it, and with everything old that it still can be talked into.

use super::{
    audit::{package_version, scan_hosts},
    ground::Ground,
    server::{As, Server, program, run},
};

fn host_key(ground: &Ground, kind: &str) -> String {
    let path = ground.directory("ssh").join(format!("host-{kind}"));
    let arguments: [&dyn AsRef<std::ffi::OsStr>; 7] = [&"-q", &"-t", &kind, &"-N", &"", &"-f", &path];
    run(As::Nobody, &program("openssh-client", "ssh-keygen"), &arguments, ground.path());
    path.display().to_string()
}

fn sshd(ground: &Ground, number: u8, port: u16, keys: &[String], settings: &str) -> Server {
    let keys: String = keys.iter().map(|key| format!("HostKey {key}\n")).collect();
    let configuration = ground.file(
        &format!("sshd-{port}.conf"),
        &format!("ListenAddress {{{number}}}\nPort {port}\nPidFile none\nStrictModes no\nUsePAM no\n{keys}{settings}\n"),
    );
    let program = program("openssh-server", "sshd");
    Server::start(
        ground,
        As::Nobody,
        &program,
        &[&"-D", &"-e", &"-f", &configuration],
        &[ground.at(number, port)],
    )
}

#[test]
fn openssh_as_shipped_and_weakened() {
    let ground = Ground::new();
    let (modern, rsa, dsa) =
        (host_key(&ground, "ed25519"), host_key(&ground, "rsa"), host_key(&ground, "dsa"));
    let _weak = sshd(
        &ground,
        1,
        12_222,
        &[rsa, dsa],
        "Ciphers +3des-cbc,aes128-cbc\nMACs +hmac-md5,hmac-sha1-96\nKexAlgorithms +diffie-hellman-group1-sha1\n\
         HostKeyAlgorithms +ssh-rsa,ssh-dss",
    );
    let _shipped = sshd(&ground, 2, 12_223, &[modern], "");
    let _silent = sshd(&ground, 3, 12_224, &[host_key(&ground, "ecdsa")], "DebianBanner no");
    let audit = scan_hosts(&ground, 3, "12200-12299");
    audit.assert_findings("openssh");
    let version = format!("{}p1", package_version("openssh-server").trim_end_matches("p1"));
    audit.assert_services(&[
        &format!("127.91.0.1:12222 ssh OpenSSH {version}"),
        &format!("127.91.0.2:12223 ssh OpenSSH {version}"),
        &format!("127.91.0.3:12224 ssh OpenSSH {version}"),
    ]);
    assert_eq!(audit.extracted("ssh-weak-ciphers", "algorithm"), ["3des-cbc"]);
    assert_eq!(audit.extracted("ssh-weak-key-exchange", "algorithm"), ["diffie-hellman-group1-sha1"]);
    assert_eq!(audit.extracted("ssh-weak-macs", "algorithm"), ["hmac-md5", "hmac-sha1-96"]);
}
