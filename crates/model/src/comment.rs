//! What people say to each other about a finding or a scan.
//!
//! All that is said about one thing is a conversation. Its comments are numbered in the order in which they became certain, and keep their
//! numbers. A comment may answer any other one of its conversation, also an answer: nothing here walks the tree, so that its depth costs
//! nothing, and whoever shows it decides how.

pub mod mention;

use std::{fmt, str::FromStr};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::{CommentId, ConversationId, Fingerprint, KeyPrefix, ScanId, UserId, UserName};

/// Characters of a comment, at most.
pub const LONGEST_COMMENT: usize = 10_000;
/// Earlier texts that a comment has, at most: then it is said in other words no more.
pub const MOST_EDITS: u64 = 100;
/// Bytes of text after which a page of comments, or of their earlier texts, ends: with the text that reaches them.
pub const PAGE_OF_TEXT: usize = 1024 * 1024;

/// What a conversation is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Topic {
    /// This finding.
    Finding(Fingerprint),
    /// This scan.
    Scan(ScanId),
}

impl fmt::Display for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Topic::Finding(fingerprint) => write!(f, "finding {fingerprint}"),
            Topic::Scan(id) => write!(f, "scan {id}"),
        }
    }
}

/// Who says something.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Author {
    /// Somebody who has logged in.
    Person {
        /// Who. They may have been forgotten since.
        id: UserId,
        /// What they were called when they said it.
        #[schema(value_type = String)]
        name: UserName,
    },
    /// A program, or a person without a browser, with a key.
    Key {
        /// Which key. It may have been taken back since.
        prefix: KeyPrefix,
        /// What it was for.
        name: String,
    },
    /// Somebody who works where the database is.
    Operator {
        /// Who, as far as that machine knows.
        name: String,
    },
}

impl Author {
    /// What they are, or were, called.
    pub fn name(&self) -> &str {
        match self {
            Author::Person { name, .. } => name.as_str(),
            Author::Key { name, .. } | Author::Operator { name } => name,
        }
    }

    /// Is it the same one? Names tell nothing of that: another person may have got one, and another key.
    pub fn is(&self, other: &Author) -> bool {
        match (self, other) {
            (Author::Person { id, .. }, Author::Person { id: other, .. }) => id == other,
            (Author::Key { prefix, .. }, Author::Key { prefix: other, .. }) => prefix == other,
            (Author::Operator { name }, Author::Operator { name: other }) => name == other,
            _ => false,
        }
    }
}

impl fmt::Display for Author {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Author::Person { name, .. } => name.fmt(f),
            Author::Key { prefix, name } => write!(f, "{name} (key {prefix})"),
            Author::Operator { name } => name.fmt(f),
        }
    }
}

/// What somebody says: plain text, or Markdown, kept as it was written. Nothing here interprets it but for whom it mentions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct CommentText(String);

/// Why a text is no comment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CommentTextError {
    /// There is nothing to be read in it.
    #[error("a comment says something: it has 1 to {LONGEST_COMMENT} characters, and not only spaces")]
    Empty,
    /// It is more than a comment.
    #[error("a comment has at most {LONGEST_COMMENT} characters: say it in several")]
    Long,
    /// It holds what cannot be seen, and could act where it is shown.
    #[error("a comment holds no control character but line feeds and tabs: take U+{:04X} out", code_point(.0))]
    Control(char),
}

fn code_point(letter: &char) -> u32 {
    u32::from(*letter)
}

impl CommentText {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for CommentText {
    type Error = CommentTextError;

    fn try_from(text: String) -> Result<CommentText, CommentTextError> {
        // Bytes first: what is far too long is not counted.
        if text.len() > LONGEST_COMMENT * 4 || text.chars().count() > LONGEST_COMMENT {
            return Err(CommentTextError::Long);
        }
        if let Some(control) =
            text.chars().find(|letter| letter.is_control() && !matches!(letter, '\n' | '\t'))
        {
            return Err(CommentTextError::Control(control));
        }
        match text.trim().is_empty() {
            true => Err(CommentTextError::Empty),
            false => Ok(CommentText(text)),
        }
    }
}

impl FromStr for CommentText {
    type Err = CommentTextError;

    fn from_str(text: &str) -> Result<CommentText, CommentTextError> {
        text.to_owned().try_into()
    }
}

impl From<CommentText> for String {
    fn from(text: CommentText) -> String {
        text.0
    }
}

impl fmt::Display for CommentText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// How many of these make a page, because their texts are enough for one; nothing when there is room for more.
pub fn page_of_text<'t>(mut texts: impl Iterator<Item = Option<&'t CommentText>>) -> Option<usize> {
    let mut size = 0;
    let last = texts.position(|text| {
        size += text.map_or(0, |text| text.as_str().len());
        size >= PAGE_OF_TEXT
    });
    last.map(|last| last + 1)
}

/// Something to be said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewComment {
    /// What.
    #[schema(value_type = String, min_length = 1, max_length = 10000)]
    pub text: CommentText,
    /// Which comment of the same conversation it answers, if it answers one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answers: Option<CommentId>,
}

/// Something that somebody has said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CommentRecord {
    /// Which.
    pub id: CommentId,
    /// About what.
    #[serde(flatten)]
    pub on: Topic,
    /// Its number in its conversation, counted from 1 without a gap.
    pub number: u64,
    /// Which one it answers, if it answers one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answers: Option<CommentId>,
    /// Who said it.
    pub by: Author,
    /// What they said; nothing once it was taken back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub text: Option<CommentText>,
    /// Whom it mentions of the people of the tenant.
    pub mentions: Vec<UserId>,
    /// When it was said first.
    pub written_at: Timestamp,
    /// Earlier texts that it has.
    pub edits: u64,
    /// When it was said in other words last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub edited_at: Option<Timestamp>,
    /// When it was taken back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deleted_at: Option<Timestamp>,
    /// By whom.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deleted_by: Option<String>,
}

/// What somebody had said before they said it in other words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CommentEdit {
    /// Its number among the texts of the comment, counted from 1.
    pub number: u64,
    /// What it said.
    #[schema(value_type = String)]
    pub text: CommentText,
    /// From when.
    pub written_at: Timestamp,
    /// Until when.
    pub replaced_at: Timestamp,
}

/// How far somebody has read in a conversation.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Reading {
    /// Up to the comment with this number; 0 when they never said so.
    pub read_up_to: u64,
    /// Comments after it that others wrote since the reader was let in, and that were not taken back.
    pub unread: u64,
}

/// A conversation, as it is listed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ConversationRecord {
    /// Which.
    pub id: ConversationId,
    /// About what.
    #[serde(flatten)]
    pub on: Topic,
    /// Comments in it, also those that were taken back.
    pub comments: u64,
    /// When something was said last.
    pub last_at: Timestamp,
    /// How many of them the person who asks has not read; nothing for who is no person.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unread: Option<u64>,
}

/// A comment that mentions somebody.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct MentionRecord {
    /// The comment.
    pub comment: CommentRecord,
    /// When they were mentioned: when it was said, or said in other words.
    pub mentioned_at: Timestamp,
    /// Have they not read that far since?
    pub unread: bool,
}

/// A place in a list that begins with the newest: what comes after it is older.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Older {
    /// The time of the last that was seen.
    pub than: Timestamp,
    /// Its id, among those of the same time.
    pub id: Uuid,
}

/// That is no place in such a list.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no place in the list: give `next` of the answer before")]
pub struct OlderError(String);

impl fmt::Display for Older {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.than.as_microsecond(), self.id)
    }
}

impl FromStr for Older {
    type Err = OlderError;

    fn from_str(text: &str) -> Result<Older, OlderError> {
        let place = text.split_once('-').and_then(|(than, id)| {
            // With 17 digits time goes on for three thousand years.
            let right = (1..=17).contains(&than.len()) && than.bytes().all(|byte| byte.is_ascii_digit());
            let than = Timestamp::from_microsecond(than.parse().ok().filter(|_| right)?).ok()?;
            Some(Older { than, id: Uuid::try_parse(id).ok().filter(|_| id.len() == 36)? })
        });
        place.ok_or_else(|| OlderError(text.chars().take(80).collect()))
    }
}

impl TryFrom<String> for Older {
    type Error = OlderError;

    fn try_from(text: String) -> Result<Older, OlderError> {
        text.parse()
    }
}

impl From<Older> for String {
    fn from(place: Older) -> String {
        place.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_comment_is_kept_as_it_is_or_not_taken() {
        let longest = "ü".repeat(LONGEST_COMMENT);
        for right in ["x", " two\n\tlines ", "<script>`$(rm)` {{7*7}}", "\u{202e}её", &longest] {
            assert_eq!(right.parse::<CommentText>().unwrap().as_str(), right);
        }
        for (wrong, why) in [
            ("", CommentTextError::Empty),
            (" \n\t", CommentTextError::Empty),
            (&(longest.clone() + "x")[..], CommentTextError::Long),
            ("bell \u{7}", CommentTextError::Control('\u{7}')),
            ("\u{1b}[2J", CommentTextError::Control('\u{1b}')),
            ("nul\0", CommentTextError::Control('\0')),
            ("line\r\n", CommentTextError::Control('\r')),
            ("\u{9b}", CommentTextError::Control('\u{9b}')),
        ] {
            assert_eq!(wrong.parse::<CommentText>(), Err(why), "{wrong:?}");
        }
        let error = serde_json::from_str::<CommentText>("\"\\u001b\"").unwrap_err().to_string();
        assert!(error.contains("take U+001B out"), "{error}");
    }

    #[test]
    fn who_wrote_it_is_told_by_id_and_not_by_name() {
        let person = |id, name: &str| Author::Person {
            id: UserId::new(Uuid::from_u128(id)),
            name: name.parse().unwrap(),
        };
        let key = |prefix: &str| Author::Key { prefix: prefix.parse().unwrap(), name: "a".to_owned() };
        let operator = |name: &str| Author::Operator { name: name.to_owned() };
        assert!(person(1, "a").is(&person(1, "b")) && !person(1, "a").is(&person(2, "a")));
        assert!(key("00000000").is(&key("00000000")) && !key("00000000").is(&key("00000001")));
        assert!(operator("a").is(&operator("a")) && !operator("a").is(&operator("b")));
        assert!(!person(1, "a").is(&operator("a")) && !operator("a").is(&key("00000000")));
        assert_eq!(key("00000000").to_string(), "a (key 00000000)");
        for author in [person(1, "a"), key("00000000"), operator("root")] {
            let written = serde_json::to_string(&author).unwrap();
            assert_eq!(serde_json::from_str::<Author>(&written).unwrap(), author);
        }
    }

    #[test]
    fn a_record_is_read_as_it_is_written() {
        let on = Topic::Finding("00112233445566778899aabbccddeeff".parse().unwrap());
        let record = CommentRecord {
            id: CommentId::new(Uuid::nil()),
            on,
            number: 3,
            answers: None,
            by: Author::Operator { name: "root".to_owned() },
            text: Some("true".parse().unwrap()),
            mentions: Vec::new(),
            written_at: Timestamp::UNIX_EPOCH,
            edits: 0,
            edited_at: None,
            deleted_at: None,
            deleted_by: None,
        };
        let written = serde_json::to_value(&record).unwrap();
        assert_eq!(written["finding"], "00112233445566778899aabbccddeeff");
        assert_eq!(serde_json::from_value::<CommentRecord>(written).unwrap(), record);
    }

    #[test]
    fn a_place_is_read_as_it_is_written_and_nothing_else_is() {
        let than = Timestamp::from_microsecond(1_766_400_000_000_001).unwrap();
        let place = Older { than, id: Uuid::from_u128(7) };
        assert_eq!(place.to_string().parse(), Ok(place));
        let id = place.id;
        for wrong in ["", "1", "-", "1-2", "x-y"].map(str::to_owned).into_iter().chain([
            format!("+1-{id}"),
            format!("-{id}"),
            format!("100000000000000000-{id}"),
            format!("1-{}", id.simple()),
            format!("1-{}", "-".repeat(36)),
        ]) {
            assert!(wrong.parse::<Older>().is_err(), "{wrong}");
        }
    }
}
