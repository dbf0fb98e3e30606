//! The fuzz targets, briefly; and every input that fuzzing found something with.

use flate2::{Compression, write::GzEncoder};
use proptest::prelude::*;
use testkit::tls::{Wanted, certify, old_flight};

use super::*;

/// Bytes that get somewhere, with some of them changed; and bytes that do not.
fn near(seeds: Vec<Vec<u8>>) -> impl Strategy<Value = Vec<u8>> {
    let change = (any::<prop::sample::Index>(), 0..8_usize, prop::collection::vec(any::<u8>(), 0..6));
    let changed = (prop::sample::select(seeds), prop::collection::vec(change, 0..5));
    let changed = changed.prop_map(|(mut bytes, changes)| {
        for (at, length, piece) in changes {
            let from = at.index(bytes.len() + 1);
            let to = (from + length).min(bytes.len());
            bytes.splice(from..to, piece);
        }
        bytes
    });
    prop_oneof![4 => changed, 1 => prop::collection::vec(any::<u8>(), 0..200)]
}

fn gzip(data: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(vec![0, 3], Compression::fast());
    std::io::Write::write_all(&mut encoder, data).unwrap();
    encoder.finish().unwrap()
}

fn flight() -> Vec<u8> {
    let certified = certify(&Wanted::default());
    [vec![7], old_flight(0x0303, 0x2f, &certified.chain)].concat()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(500) })]

    #[test]
    fn a_response_is_the_same_in_pieces(data in near(vec![
        b"\x00\x03HTTP/1.1 200 OK\r\nContent-Length: 5\r\nA: b\r\n\r\nabcde".to_vec(),
        b"\x04\x05HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3;x\r\nabc\r\n0\r\nT: 1\r\n\r\n".to_vec(),
        b"\x00\x01HTTP/1.0 302 Found\nLocation: /x\n folded\nConnection: keep-alive\n\nbody".to_vec(),
    ])) {
        response(&data);
    }

    #[test]
    fn a_body_is_bounded(data in near(vec![
        b"\x00\x023\r\nabc\r\nA;n=\"v\"\r\n0123456789\r\n0\r\n\r\nrest".to_vec(),
        gzip(b"some text some text some text"),
        gzip(&gzip(&[0; 5_000])[2..]),
    ])) {
        coding(&data);
    }

    #[test]
    fn an_answer_is_bounded(data in near(vec![
        // An alias to itself, an address, both by compression pointers.
        b"\0\0\x04\0\0\0\0\x02\0\0\0\0\xc0\x0c\0\x05\0\x01\0\0\0\x05\0\x02\xc0\x0c\xc0\x0c\0\x01\0\x01\0\0\0\x05\0\x04\x7f\0\0\x01".to_vec(),
        b"\x01\0\0\0\0\0\0\x01\0\0\0\0\xc0\x0c\0\x10\0\x01\0\0\0\x05\0\x06\x05a\"\\\x1b\xff".to_vec(),
        b"\0\0\0\x03\0\0\0\0\0\x01\0\0\x04test\0\0\x06\0\x01\0\0\0\x05\0\x16\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0".to_vec(),
    ])) {
        message(&data);
    }

    #[test]
    fn a_flight_is_the_same_in_pieces(data in near(vec![flight(), b"\x01\x15\x03\x01\0\x02\x02\x28".to_vec()])) {
        handshake(&data);
    }

    #[test]
    fn a_page_gives_links_of_its_site_as_such(data in near(vec![
        b"\x01Refresh: 1; url=/a\nLink: <//b>; rel=next\n\n<base href=//c/><a href='/d?x=1#y'>e</a><form action=f><input name=g></form><meta http-equiv=refresh content='0;url=h'><img srcset='i 1x, j 2x'><script>k('/l/m')</script><style>n{b:url(o)}</style>".to_vec(),
        b"\x0aLocation: http:\\\\evil.test\n\n{\"a\": \"/b/c\", \"d\": \"\\u002fe\"}".to_vec(),
        b"\x03\n\nfetch(`/a/${b}/c`); /*\"/d\"*/ x = /[/\"]/g; y = '\\x2fz.php'".to_vec(),
        b"\x04\n\n@import 'a.css'; b { c: URL( \"d\" ) }".to_vec(),
    ])) {
        page(&data);
    }

    #[test]
    fn a_list_of_paths_is_bounded(data in near(vec![
        b"User-agent: *\nDisallow: /a*b$\nAllow: /c%2F\nSitemap: http://x/y\n\nUser-agent: rampart\nDisallow:".to_vec(),
        b"<urlset><url><loc>http://a.test/?x&amp;y</loc></url><sm:loc><![CDATA[/b]]></sm:loc></urlset>".to_vec(),
        b"<sitemapindex><sitemap><loc>/c.xml.gz</loc>".to_vec(),
    ])) {
        robots_and_sitemap(&data);
    }
}

/// A target and an input that it found something with.
type Found = (fn(&[u8]), &'static [u8]);

const FOUND: &[Found] = &[];

#[test]
fn what_fuzzing_found_stays_found() {
    for (target, input) in FOUND {
        target(input);
    }
}
