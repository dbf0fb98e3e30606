//! What people say about findings and scans. What only people have, read marks and mentions, is not asked for with a key.

use model::{
    CommentId, CommentText, Topic,
    comment::{CommentEdit, CommentRecord, ConversationRecord, NewComment, Older},
};
use reqwest::Method;
use serde::Deserialize;
use serde_json::json;
use uuid::Uuid;

use crate::{Client, ClientError, Expected, Page, Versioned, request::Request, scopes::versioned};

/// Which comments, or earlier texts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CommentQuery {
    /// How many, at most; as many as the server usually gives without.
    pub limit: Option<usize>,
    /// Only those after the one with that number.
    pub after: Option<u64>,
}

#[derive(Deserialize)]
struct Comments {
    comments: Vec<CommentRecord>,
    next: Option<u64>,
}

#[derive(Deserialize)]
struct Edits {
    edits: Vec<CommentEdit>,
    next: Option<u64>,
}

#[derive(Deserialize)]
struct Conversations {
    conversations: Vec<ConversationRecord>,
    next: Option<Older>,
}

impl Client {
    fn about(&self, method: Method, on: Topic) -> Request<'_> {
        match on {
            Topic::Finding(fingerprint) => {
                self.request(method, &["findings", &fingerprint.to_string(), "comments"])
            }
            Topic::Scan(id) => self.request(method, &["scans", &id.to_string(), "comments"]),
        }
    }

    /// What was said about something, the oldest first.
    pub async fn comments(
        &self,
        on: Topic,
        query: CommentQuery,
    ) -> Result<Page<CommentRecord, u64>, ClientError> {
        let request = self.about(Method::GET, on);
        let request = request.query_if("limit", query.limit).query_if("after", query.after);
        request.answer().await.map(|Comments { comments, next }| Page { items: comments, next })
    }

    /// Says something about a finding or a scan. A connection that breaks neither loses nor doubles it.
    pub async fn add_comment(
        &self,
        on: Topic,
        new: &NewComment,
    ) -> Result<Versioned<CommentRecord>, ClientError> {
        let own = Uuid::now_v7().to_string();
        self.about(Method::POST, on).body(new).once(&own)?.answer_with_headers().await.map(versioned)
    }

    /// A comment.
    pub async fn comment(&self, id: CommentId) -> Result<Versioned<CommentRecord>, ClientError> {
        self.get(&["comments", &id.to_string()]).answer_with_headers().await.map(versioned)
    }

    /// Says it in other words, if what is there is what is expected. Only who wrote it may.
    pub async fn change_comment(
        &self,
        id: CommentId,
        text: &CommentText,
        expected: Expected,
    ) -> Result<Versioned<CommentRecord>, ClientError> {
        let request = self.request(Method::PATCH, &["comments", &id.to_string()]);
        let request = request.body(&json!({ "text": text })).expecting(expected);
        request.answer_with_headers().await.map(versioned)
    }

    /// Takes back what was said, if what is there is what is expected.
    pub async fn delete_comment(&self, id: CommentId, expected: Expected) -> Result<(), ClientError> {
        self.delete(&["comments", &id.to_string()]).expecting(expected).done().await
    }

    /// What a comment said before, the first text first.
    pub async fn comment_edits(
        &self,
        id: CommentId,
        query: CommentQuery,
    ) -> Result<Page<CommentEdit, u64>, ClientError> {
        let request = self.get(&["comments", &id.to_string(), "edits"]);
        let request = request.query_if("limit", query.limit).query_if("after", query.after);
        request.answer().await.map(|Edits { edits, next }| Page { items: edits, next })
    }

    /// What is spoken about, where something was said last first.
    pub async fn conversations(
        &self,
        limit: Option<usize>,
        before: Option<Older>,
    ) -> Result<Page<ConversationRecord, Older>, ClientError> {
        let request = self.get(&["conversations"]).query_if("limit", limit).query_if("before", before);
        request
            .answer()
            .await
            .map(|Conversations { conversations, next }| Page { items: conversations, next })
    }
}
