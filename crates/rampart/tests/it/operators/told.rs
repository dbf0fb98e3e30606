//! What operators are told of scans, stops and passwords.

use crate::{
    run::{assert_exit, rampart, text},
};

#[test]
fn no_password_is_printed_however_unusual_the_url_is() {
    let directory = tempfile::tempdir().unwrap();
    for (variable, value) in [
        ("RAMPART_DATABASE", "postgres://u:TopSecret9"),
        ("RAMPART_DATABASE", "host=127.0.0.1 password=TopSecret9"),
        ("RAMPART_DATABASE", "postgres://u:Top#Secret9@127.0.0.1/x"),
        ("RAMPART_DATABASE", "postgres://u:Top?Secret9@127.0.0.1/x"),
        ("RAMPART_DATABASE", "postgres://u@127.0.0.1:1/x?password=Top@Secret9"),
        ("RAMPART_REPLICA", "host=127.0.0.1 password=TopSecret9"),
        ("RAMPART_REPLICA", "postgres://u:TopSecret9"),
        ("RAMPART_DOORBELL", "redis://:Top#Secret9@h"),
        ("RAMPART_DOORBELL", "amqp://u:Top#Secret9@h"),
        ("RAMPART_DOORBELL", "amqp://u:TopSecret9"),
        ("RAMPART_DOORBELL", "TopSecret9"),
        ("RAMPART_OBJECTS", "TopSecret9"),
    ] {
        for arguments in [&["doctor"][..], &["doctor", "--json"], &["task", "list"]] {
            let output = rampart(directory.path()).env(variable, value).args(arguments).output().unwrap();
            let said = text(&output.stdout) + &text(&output.stderr);
            assert!(
                !said.is_empty() && !said.contains("Secret9"),
                "{variable}={value} {arguments:?}: {said}"
            );
        }
    }
}
