//! Records and the messages in them (RFC 5246, 6.2 and 7): the server's first flight, read from pieces of any size.

use super::{
    hello::{self, Bytes, ServerHello},
    suites,
};

/// Longest payload of a record: a compressed and encrypted one may be 2,048 bytes longer than plain (RFC 5246, 6.2.3).
const LONGEST_RECORD: usize = (1 << 14) + 2_048;
/// Longest message: no certificate chain needs more.
const LONGEST_MESSAGE: usize = 1 << 19;
/// Records of no effect, such as warnings, that are read past.
const MOST_RECORDS: usize = 64;

/// How a server takes a hello.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Answer {
    /// It agrees; certificates in DER, leaf first. None when they did not come, though there are some.
    Agrees(ServerHello, Option<Vec<Vec<u8>>>),
    /// It refuses, with this alert (RFC 5246, 7.2).
    Refuses(u8),
    /// It does not speak TLS.
    IsNotTls,
}

/// A flight being read.
#[derive(Debug, Default)]
pub(super) struct Flight {
    records: Vec<u8>,
    messages: Vec<u8>,
    count: usize,
    hello: Option<ServerHello>,
}

impl Flight {
    /// Takes in what arrived, and says what the server answers once that is clear.
    pub(super) fn feed(&mut self, arrived: &[u8]) -> Option<Answer> {
        self.records.extend_from_slice(arrived);
        loop {
            let mut bytes = Bytes(&self.records);
            let kind = bytes.number(1)?;
            if !(20..=23).contains(&kind) || self.count >= MOST_RECORDS {
                return Some(self.after_nonsense());
            }
            let major = bytes.number(1)?;
            if major != 3 {
                return Some(self.after_nonsense());
            }
            bytes.take(1)?;
            let length = bytes.number(2)?;
            if length > LONGEST_RECORD {
                return Some(self.after_nonsense());
            }
            let payload = bytes.take(length)?.to_vec();
            let left = bytes.0.len();
            self.records.drain(..self.records.len() - left);
            self.count += 1;
            match (kind, payload.as_slice()) {
                // A warning about the server name or the like is no refusal; that the peer closes is.
                (21, [1, alert]) if *alert != 0 => {}
                (21, [_, alert, ..]) => return Some(self.so_far().unwrap_or(Answer::Refuses(*alert))),
                (22, part) => {
                    self.messages.extend_from_slice(part);
                    if let Some(answer) = self.next_message() {
                        return Some(answer);
                    }
                }
                _ => return Some(self.after_nonsense()),
            }
        }
    }

    /// What is clear when nothing more comes.
    pub(super) fn so_far(&self) -> Option<Answer> {
        self.hello.map(|hello| Answer::Agrees(hello, None))
    }

    fn after_nonsense(&self) -> Answer {
        self.so_far().unwrap_or(Answer::IsNotTls)
    }

    fn next_message(&mut self) -> Option<Answer> {
        loop {
            let mut bytes = Bytes(&self.messages);
            let kind = bytes.number(1)?;
            let length = bytes.number(3)?;
            if length > LONGEST_MESSAGE {
                return Some(self.after_nonsense());
            }
            let body = bytes.take(length)?.to_vec();
            let left = bytes.0.len();
            self.messages.drain(..self.messages.len() - left);
            match (kind, self.hello) {
                // hello_request
                (0, _) => {}
                // server_hello
                (2, None) => match hello::server_hello(&body) {
                    Some(hello) if suites::is_anonymous(hello.suite) => {
                        return Some(Answer::Agrees(hello, Some(Vec::new())));
                    }
                    Some(hello) => self.hello = Some(hello),
                    None => return Some(Answer::IsNotTls),
                },
                // certificate
                (11, Some(hello)) => {
                    return Some(Answer::Agrees(hello, Some(hello::certificates(&body))));
                }
                // Anything else comes after the certificate, or in place of one.
                (_, Some(hello)) => return Some(Answer::Agrees(hello, Some(Vec::new()))),
                (_, None) => return Some(Answer::IsNotTls),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use checks::exchange::TlsVersion;
    use proptest::prelude::*;

    use super::*;

    fn record(kind: u8, payload: &[u8]) -> Vec<u8> {
        [&[kind, 3, 1][..], &u16::try_from(payload.len()).unwrap().to_be_bytes(), payload].concat()
    }

    fn message(kind: u8, body: &[u8]) -> Vec<u8> {
        [&[kind][..], &u32::try_from(body.len()).unwrap().to_be_bytes()[1..], body].concat()
    }

    fn hello(suite: u16) -> Vec<u8> {
        let body = [&[3, 1][..], &[1; 32], &[0], &suite.to_be_bytes(), &[0]].concat();
        message(2, &body)
    }

    fn certificate() -> Vec<u8> {
        // Two, one without a byte in it, and one that breaks off.
        message(11, &[0, 0, 12, 0, 0, 2, 1, 2, 0, 0, 0, 0, 0, 1, 3, 5])
    }

    fn agreed(suite: u16, certificates: &[&[u8]]) -> Answer {
        let chosen = ServerHello { version: TlsVersion::Tls10, suite };
        Answer::Agrees(chosen, Some(certificates.iter().map(|one| one.to_vec()).collect()))
    }

    fn agreed_without_its_certificate(suite: u16) -> Answer {
        Answer::Agrees(ServerHello { version: TlsVersion::Tls10, suite }, None)
    }

    fn answer(bytes: &[u8]) -> Option<Answer> {
        Flight::default().feed(bytes)
    }

    #[test]
    fn every_answer_is_understood() {
        let both = [hello(0x2f), certificate()].concat();
        let expected = agreed(0x2f, &[&[1, 2], &[3]]);
        assert_eq!(answer(&record(22, &both)), Some(expected.clone()));
        let split = [record(22, &both[..10]), record(22, &[]), record(22, &both[10..])].concat();
        assert_eq!(answer(&split), Some(expected.clone()));
        let warned = [record(21, &[1, 112]), record(22, &both)].concat();
        assert_eq!(answer(&warned), Some(expected));

        assert_eq!(answer(&record(21, &[2, 70])), Some(Answer::Refuses(70)));
        assert_eq!(answer(&record(21, &[1, 0])), Some(Answer::Refuses(0)));
        assert_eq!(answer(&record(22, &hello(0x18))), Some(agreed(0x18, &[])));
        let bare = [record(22, &hello(0x2f)), record(22, &message(14, &[]))].concat();
        assert_eq!(answer(&bare), Some(agreed(0x2f, &[])));
        let then_alert = [record(22, &hello(0x2f)), record(21, &[2, 80])].concat();
        assert_eq!(answer(&then_alert), Some(agreed_without_its_certificate(0x2f)));
        let too_long = [record(22, &hello(0x2f)), record(22, &[11, 0xff, 0xff, 0xff])].concat();
        assert_eq!(answer(&too_long), Some(agreed_without_its_certificate(0x2f)));

        for nonsense in [
            b"HTTP/1.1 400 Bad Request".to_vec(),
            vec![22, 9, 9, 0, 0],
            vec![22, 3, 1, 0xff, 0xff],
            record(23, b"data"),
            record(22, &certificate()),
            record(22, &message(2, &[9])),
            record(22, &[2, 0xff, 0xff, 0xff]),
            record(21, &[1, 90]).repeat(100),
        ] {
            assert_eq!(answer(&nonsense), Some(Answer::IsNotTls), "{nonsense:?}");
        }
        let mut half = Flight::default();
        assert_eq!(
            (half.feed(&record(22, &hello(0x2f))), half.so_far()),
            (None, Some(agreed_without_its_certificate(0x2f)))
        );
        assert_eq!((Flight::default().feed(&[22, 3]), Flight::default().so_far()), (None, None));
    }

    proptest! {
        #[test]
        fn pieces_read_as_the_whole(cuts in proptest::collection::vec(1_usize..20, 1..20)) {
            let whole = record(22, &[hello(0x2f), certificate()].concat());
            let (mut flight, mut rest, mut cuts) = (Flight::default(), whole.as_slice(), cuts.iter().cycle());
            let mut answers = Vec::new();
            while !rest.is_empty() {
                let (piece, after) = rest.split_at(rest.len().min(*cuts.next().unwrap()));
                answers.extend(flight.feed(piece));
                rest = after;
            }
            prop_assert_eq!(answers, [agreed(0x2f, &[&[1, 2], &[3]])]);
        }

        #[test]
        fn hostile_bytes_do_no_harm(noise in proptest::collection::vec(any::<u8>(), 0..100), changes in proptest::collection::vec((0_usize..120, any::<u8>()), 0..6)) {
            let _ = answer(&noise);
            let mut changed = record(22, &[hello(0x2f), certificate()].concat());
            for (at, byte) in changes {
                let length = changed.len();
                changed[at % length] = byte;
            }
            changed.extend_from_slice(&noise);
            let _ = answer(&changed);
        }
    }
}
