//! A server that agrees to TLS 1.0 only. No handshake is ever completed, as no library here would: it says which version and
//! suite it would take, shows its certificate, and closes.

use std::{io, sync::Arc, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

const HANDSHAKE: u8 = 22;
const ALERT: u8 = 21;
const TLS_1_0: [u8; 2] = [3, 1];
/// TLS_RSA_WITH_RC4_128_SHA (RFC 5246, appendix A.5).
const SUITE: [u8; 2] = [0x00, 0x05];
const PATIENCE: Duration = Duration::from_secs(10);

pub(super) async fn answer(mut stream: TcpStream, certificate: Arc<Vec<u8>>) -> io::Result<()> {
    let mut header = [0; 5];
    timeout(PATIENCE, stream.read_exact(&mut header)).await??;
    let length = usize::from(u16::from_be_bytes([header[3], header[4]]));
    if header[0] != HANDSHAKE || length > 1 << 14 {
        return Ok(());
    }
    let mut hello = vec![0; length];
    timeout(PATIENCE, stream.read_exact(&mut hello)).await??;
    // ClientHello (RFC 2246, 7.4.1.2): type, length, then the highest version the client has.
    let offered = [hello.get(4).copied().unwrap_or(0), hello.get(5).copied().unwrap_or(0)];
    let accepts = hello.first() == Some(&1) && offered >= TLS_1_0 && allows_tls_1_0(&hello);
    if !accepts {
        const PROTOCOL_VERSION: [u8; 2] = [2, 70];
        stream.write_all(&record(ALERT, &PROTOCOL_VERSION)).await?;
        return stream.shutdown().await;
    }
    let mut server_hello = Vec::from(TLS_1_0);
    server_hello.extend_from_slice(&[0x5a; 32]);
    server_hello.push(0);
    server_hello.extend_from_slice(&SUITE);
    server_hello.push(0);
    let mut list = vector24(&certificate);
    list = vector24(&list);
    let mut flight = message(2, &server_hello);
    flight.extend(message(11, &list));
    flight.extend(message(14, &[]));
    stream.write_all(&record(HANDSHAKE, &flight)).await?;
    // The client goes away or sends its key, which nobody here reads.
    let _ = timeout(PATIENCE, stream.read(&mut header)).await;
    Ok(())
}

/// A client that names its versions in an extension (RFC 8446, 4.2.1) means those only.
fn allows_tls_1_0(hello: &[u8]) -> bool {
    const SUPPORTED_VERSIONS: [u8; 2] = [0, 43];
    let Some(at) = hello.windows(2).rposition(|window| window == SUPPORTED_VERSIONS) else { return true };
    let Some(length) = hello.get(at + 4).map(|length| usize::from(*length)) else { return true };
    let versions = hello.get(at + 5..at + 5 + length).unwrap_or_default();
    versions.chunks_exact(2).any(|version| version == TLS_1_0)
}

fn vector24(bytes: &[u8]) -> Vec<u8> {
    let length = (bytes.len() as u32).to_be_bytes();
    [&length[1..], bytes].concat()
}

fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    [&[kind], vector24(body).as_slice()].concat()
}

fn record(kind: u8, body: &[u8]) -> Vec<u8> {
    let length = (body.len() as u16).to_be_bytes();
    [&[kind][..], &TLS_1_0, &length, body].concat()
}
