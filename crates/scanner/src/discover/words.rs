//! Labels that hosts usually have.

use std::{
    collections::HashSet,
    fs::File,
    io::{self, BufRead, BufReader},
    path::{Path, PathBuf},
};

use model::Profile;

/// One label a line, most usual first.
const USUAL: &str = include_str!("words.txt");
/// How many of them a quick scan tries.
const FEW: usize = 200;

/// What to put in front of a domain to see whether that exists.
#[derive(Debug, Clone)]
pub struct WordList {
    usual: usize,
    file: Option<PathBuf>,
}

/// The file cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("word list `{path}` cannot be used: {why}; give a text file with one label a line")]
pub struct WordListError {
    path: PathBuf,
    why: io::Error,
}

impl WordList {
    /// The built-in list: its most usual part for a quick scan, else all of it.
    pub fn of_profile(profile: Profile) -> WordList {
        let usual = if profile == Profile::Quick { FEW } else { usize::MAX };
        WordList { usual, file: None }
    }

    /// The most usual labels only.
    pub fn few() -> WordList {
        WordList { usual: FEW, file: None }
    }

    /// No labels, until a file is added.
    pub fn none() -> WordList {
        WordList { usual: 0, file: None }
    }

    /// Adds a file of the user: one label (or several with dots) a line, `#` begins a comment. It is read when its turn comes,
    /// line by line.
    pub fn with_file(self, path: &Path) -> Result<WordList, WordListError> {
        let unreadable = |why| WordListError { path: path.to_owned(), why };
        let metadata = File::open(path).and_then(|file| file.metadata()).map_err(unreadable)?;
        if metadata.is_dir() {
            return Err(unreadable(io::ErrorKind::IsADirectory.into()));
        }
        let list = WordList { file: Some(path.to_owned()), ..self };
        match list.labels().next() {
            Some(_) => Ok(list),
            None => Err(unreadable(io::Error::new(
                io::ErrorKind::InvalidData,
                "it holds no word that can be a part of a name",
            ))),
        }
    }

    /// All labels in order, none of the built-in ones twice. A file that cannot be read any more ends the list.
    pub fn labels(&self) -> impl Iterator<Item = String> + Send + 'static {
        let usual = USUAL.lines().take(self.usual);
        let known: HashSet<&'static str> =
            if self.file.is_some() { usual.clone().collect() } else { HashSet::new() };
        let lines = self.file.clone().and_then(|path| File::open(path).ok()).into_iter().flat_map(lines);
        let of_file = lines.filter(move |label| !known.contains(label.as_str()));
        usual.map(str::to_owned).chain(of_file)
    }
}

/// Names longer than this do not exist (RFC 1035, section 2.3.4).
const LONGEST: u64 = 253;

fn lines(file: File) -> impl Iterator<Item = String> {
    let mut reader = BufReader::new(file);
    std::iter::from_fn(move || {
        let mut line = Vec::new();
        // A line without end must not fill the memory: it comes out in pieces, none of which is a name.
        let mut limited = io::Read::take(&mut reader, 4 * LONGEST);
        match limited.read_until(b'\n', &mut line) {
            Ok(0) | Err(_) => None,
            Ok(_) => {
                let text = String::from_utf8_lossy(&line);
                let word = text.split('#').next().unwrap_or_default().trim().trim_matches('.');
                Some(word.to_ascii_lowercase())
            }
        }
    })
    .filter(|word| !word.is_empty())
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use model::DomainName;

    use super::*;

    #[test]
    fn the_built_in_list_has_names_only_each_once() {
        let labels: Vec<String> = WordList::of_profile(Profile::Standard).labels().collect();
        assert!(labels.len() > 2_000);
        assert_eq!(labels.iter().collect::<HashSet<_>>().len(), labels.len());
        let parent: DomainName = "example.com".parse().unwrap();
        for label in &labels {
            assert_eq!(parent.child(label).unwrap().as_str(), format!("{label}.example.com"));
        }
        let few: Vec<String> = WordList::of_profile(Profile::Quick).labels().collect();
        assert_eq!(few, labels[..FEW]);
    }

    #[test]
    fn a_file_adds_what_is_not_known() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        write!(file, "# ours\nwww\nPayroll-7 # the seventh\n\n a.b \n\u{fffd}\n").unwrap();
        let list = WordList::few().with_file(file.path()).unwrap();
        let added: Vec<String> = list.labels().skip(FEW).collect();
        assert_eq!(added, ["payroll-7", "a.b", "\u{fffd}"]);
        let missing = WordList::few().with_file(Path::new("/no/such/list")).unwrap_err().to_string();
        assert!(missing.contains("/no/such/list") && missing.contains("one label a line"), "{missing}");
        assert!(WordList::few().with_file(Path::new("/")).is_err());
    }
}
