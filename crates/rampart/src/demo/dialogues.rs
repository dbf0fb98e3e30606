//! Services of the estate that talk in lines.

use std::{io, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

const IDLE: Duration = Duration::from_secs(30);
const LONGEST_LINE: usize = 1_024;

/// How a service talks.
#[derive(Debug, Clone, Copy)]
pub(super) struct Dialogue {
    /// Said at once.
    greeting: &'static str,
    /// Answers by the beginning of the line, upper case; the first that fits counts.
    answers: &'static [(&'static str, &'static str)],
    /// Said to anything else.
    otherwise: &'static str,
}

const REDIS: Dialogue = Dialogue {
    greeting: "",
    answers: &[
        ("PING", "+PONG\r\n"),
        (
            "INFO",
            "$153\r\n# Server\r\nredis_version:6.0.16\r\nredis_mode:standalone\r\nos:Linux 5.10.0 x86_64\r\ntcp_port:6379\r\n\
             executable:/usr/bin/redis-server\r\nrole:master\r\n# Keyspace\r\n\r\n",
        ),
        ("QUIT", "+OK\r\n"),
        // Array form: the command follows as further lines.
        ("*", ""),
        ("$", ""),
    ],
    otherwise: "-ERR unknown command\r\n",
};

const MEMCACHED: Dialogue = Dialogue {
    greeting: "",
    answers: &[
        ("VERSION", "VERSION 1.5.6\r\n"),
        (
            "STATS",
            "STAT pid 842\r\nSTAT uptime 91823\r\nSTAT version 1.5.6\r\nSTAT curr_items 1204\r\nEND\r\n",
        ),
        ("QUIT", ""),
    ],
    otherwise: "ERROR\r\n",
};

const SMTP: Dialogue = Dialogue {
    greeting: "220 mail.acme.test ESMTP Postfix (Debian/GNU)\r\n",
    answers: &[
        (
            "EHLO",
            "250-mail.acme.test\r\n250-PIPELINING\r\n250-SIZE 10240000\r\n250-VRFY\r\n250-AUTH PLAIN LOGIN\r\n250 8BITMIME\r\n",
        ),
        ("HELO", "250 mail.acme.test\r\n"),
        ("QUIT", "221 2.0.0 Bye\r\n"),
    ],
    otherwise: "502 5.5.2 Error: command not recognized\r\n",
};

const FTP: Dialogue = Dialogue {
    greeting: "220 (vsFTPd 2.3.5)\r\n",
    answers: &[
        ("FEAT", "211-Features:\r\n UTF8\r\n211 End\r\n"),
        ("SYST", "215 UNIX Type: L8\r\n"),
        ("QUIT", "221 Goodbye.\r\n"),
    ],
    otherwise: "530 Please login with USER and PASS.\r\n",
};

const SSH: Dialogue =
    Dialogue { greeting: "SSH-2.0-OpenSSH_7.2p2 Ubuntu-4ubuntu2.8\r\n", answers: &[], otherwise: "" };

/// Host, port, service.
pub(super) fn all() -> [(u8, u16, Dialogue); 5] {
    [(13, 6379, REDIS), (13, 11211, MEMCACHED), (14, 2525, SMTP), (14, 2121, FTP), (14, 2222, SSH)]
}

pub(super) async fn hold(mut stream: TcpStream, dialogue: Dialogue) -> io::Result<()> {
    stream.write_all(dialogue.greeting.as_bytes()).await?;
    let mut received = Vec::new();
    loop {
        while let Some(end) = received.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = received.drain(..=end).collect();
            let line = String::from_utf8_lossy(&line).trim().to_ascii_uppercase();
            let known = dialogue.answers.iter().find(|(start, _)| line.starts_with(start));
            let answer = known.map_or(dialogue.otherwise, |(_, answer)| answer);
            stream.write_all(answer.as_bytes()).await?;
        }
        if received.len() > LONGEST_LINE || timeout(IDLE, stream.read_buf(&mut received)).await?? == 0 {
            return Ok(());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bulk_reply_is_as_long_as_it_says() {
        let (_, reply) = REDIS.answers.iter().find(|(start, _)| *start == "INFO").unwrap();
        let (length, rest) = reply.split_once("\r\n").unwrap();
        let body = rest.strip_suffix("\r\n").unwrap();
        assert_eq!(length, format!("${}", body.len()));
    }
}
