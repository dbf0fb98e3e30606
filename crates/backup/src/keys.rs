//! Who can read backups: keys of age, <https://age-encryption.org/v1>.

use std::{
    io::{self, Read},
    path::Path,
};

use age::{
    Decryptor, Encryptor, Identity, Recipient,
    secrecy::{ExposeSecret, SecretString},
    x25519,
};

use crate::BackupError;

/// For whom a backup is encrypted: any of them can read it. Of nobody it is not encrypted.
#[derive(Clone, Default)]
pub struct Recipients(Vec<x25519::Recipient>);

impl Recipients {
    /// As `rampart backup key` and `age-keygen` print them: `age1…`.
    pub fn read<'a>(texts: impl IntoIterator<Item = &'a str>) -> Result<Recipients, BackupError> {
        let read = |text: &str| {
            text.trim().parse().map_err(|_| {
                BackupError::Invalid(format!(
                    "`{text}` is no recipient: expected `age1…`, as `rampart backup key` prints it"
                ))
            })
        };
        texts.into_iter().map(read).collect::<Result<_, _>>().map(Recipients)
    }

    /// How they are called.
    pub fn names(&self) -> Vec<String> {
        self.0.iter().map(x25519::Recipient::to_string).collect()
    }

    /// Is nothing encrypted?
    pub fn is_nobody(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn encryptor(&self) -> Result<Encryptor, BackupError> {
        let recipients = self.0.iter().map(|recipient| recipient as &dyn Recipient);
        Encryptor::with_recipients(recipients)
            .map_err(|_| BackupError::Invalid("the recipients do not go together".to_owned()))
    }
}

/// What reads encrypted backups.
#[derive(Default)]
pub struct Keys(Vec<x25519::Identity>);

impl Keys {
    /// A file as `rampart backup key` and `age-keygen` write it: a line for each key; what begins with `#` is for people.
    pub fn read(file: &Path) -> Result<Keys, BackupError> {
        let text = std::fs::read_to_string(file)
            .map_err(|why| BackupError::file("cannot read the key file", file, why))?;
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
        // What a line says is a secret, even if it is no key.
        let read = |line: &str| line.parse().map_err(|_| ());
        let keys: Result<Vec<x25519::Identity>, ()> = lines.map(read).collect();
        let wrong = || BackupError::file("no key file", file, "expected lines with `AGE-SECRET-KEY-1…`");
        let keys = keys.map_err(|()| wrong())?;
        if keys.is_empty() { Err(wrong()) } else { Ok(Keys(keys)) }
    }

    /// Is there none?
    pub fn is_none(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn open<R: Read>(&self, sealed: R, name: &str) -> Result<impl Read + use<R>, BackupError> {
        if self.is_none() {
            return Err(BackupError::Locked(format!(
                "`{name}` is encrypted: name the key file with --identity"
            )));
        }
        let decryptor = Decryptor::new_buffered(io::BufReader::new(sealed))
            .map_err(|_| BackupError::Damaged(format!("`{name}` does not begin as age says")))?;
        decryptor.decrypt(self.0.iter().map(|key| key as &dyn Identity)).map_err(|error| match error {
            age::DecryptError::NoMatchingKeys => BackupError::Locked(format!(
                "`{name}` is encrypted for others: no key of --identity opens it"
            )),
            _ => BackupError::Damaged(format!("`{name}` cannot be decrypted")),
        })
    }
}

/// A key that opens what is encrypted for its recipient.
pub struct NewKey {
    /// As [`Recipients::read`] takes it.
    pub recipient: String,
    file: SecretString,
}

impl NewKey {
    /// What its file is to say, as [`Keys::read`] takes it.
    pub fn reveal(&self) -> &str {
        self.file.expose_secret()
    }
}

/// Makes a key at random. Whoever asks writes it where its owner alone can read it.
pub fn make_key() -> NewKey {
    let key = x25519::Identity::generate();
    let recipient = key.to_public().to_string();
    let file = format!("# recipient: {recipient}\n{}\n", key.to_string().expose_secret());
    NewKey { recipient, file: file.into() }
}
