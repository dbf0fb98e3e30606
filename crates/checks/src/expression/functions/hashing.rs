//! Digests.

use hmac::{Hmac, KeyInit, Mac};
use md5::Md5;
use sha1::Sha1;
use sha2::{Digest, Sha256, Sha384, Sha512};

use super::encoding::hex;
use super::{Arguments, Arity, Function, Outcome, shown};

pub(super) const FUNCTIONS: &[Function] = &[
    Function::new("md5", Arity::exactly(1), "the MD5 digest in hexadecimal", digest::<Md5>),
    Function::new("sha1", Arity::exactly(1), "the SHA-1 digest in hexadecimal", digest::<Sha1>),
    Function::new("sha256", Arity::exactly(1), "the SHA-256 digest in hexadecimal", digest::<Sha256>),
    Function::new("sha512", Arity::exactly(1), "the SHA-512 digest in hexadecimal", digest::<Sha512>),
    Function::new(
        "mmh3",
        Arity::exactly(1),
        "the 32-bit MurmurHash3 as signed decimal text; of `base64_py(body)`, the favicon hash that search engines index",
        mmh3,
    ),
    Function::new(
        "hmac",
        Arity::exactly(3),
        "the HMAC of an algorithm (sha1, sha256, sha512), data and key, in hexadecimal",
        hmac,
    ),
];

fn digest<'e, D: Digest>(arguments: Arguments<'_, 'e>) -> Outcome<'e> {
    Ok(hex(&D::digest(arguments.text(0))).into())
}

fn mmh3<'e>(arguments: Arguments<'_, 'e>) -> Outcome<'e> {
    let hash = murmur3::murmur3_32(&mut arguments.text(0).as_ref(), 0)
        .map_err(|error| arguments.error(format!("the text cannot be read: {error}")))?;
    Ok(hash.cast_signed().to_string().into())
}

fn hmac<'e>(arguments: Arguments<'_, 'e>) -> Outcome<'e> {
    let algorithm = arguments.text(0).to_ascii_lowercase();
    let (data, key) = (arguments.text(1), arguments.text(2));
    let code = match algorithm.as_slice() {
        b"sha1" | b"sha-1" => authenticate::<Hmac<Sha1>>(&key, &data),
        b"sha256" | b"sha-256" => authenticate::<Hmac<Sha256>>(&key, &data),
        b"sha512" | b"sha-512" => authenticate::<Hmac<Sha512>>(&key, &data),
        other => {
            return Err(arguments.error(format!("{} is not sha1, sha256 or sha512", shown(other))));
        }
    };
    Ok(hex(&code).into())
}

fn authenticate<M: Mac + KeyInit>(key: &[u8], data: &[u8]) -> Vec<u8> {
    let mut code = <M as KeyInit>::new_from_slice(key).expect("HMAC takes keys of every length");
    code.update(data);
    code.finalize().into_bytes().to_vec()
}

/// The HMAC that a JSON Web Token algorithm names (RFC 7518, section 3.2).
pub(super) fn token_signature(algorithm: &str, key: &[u8], data: &[u8]) -> Option<Vec<u8>> {
    match algorithm {
        "HS256" => Some(authenticate::<Hmac<Sha256>>(key, data)),
        "HS384" => Some(authenticate::<Hmac<Sha384>>(key, data)),
        "HS512" => Some(authenticate::<Hmac<Sha512>>(key, data)),
        _ => None,
    }
}
